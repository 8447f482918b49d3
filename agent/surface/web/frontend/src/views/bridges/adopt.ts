import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { BridgeView } from "../../api.js";
import { bridges, jobs, offerFor } from "../../fleet.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/card.js";
import { holds } from "./gates.js";
import { onTheWay, STEPS, way, type Step, type Way } from "./steps.js";
import { words } from "./words.js";

/** The guided way of every factory image in the house. */
@customElement("pv-adopt")
export class Adopt extends LitElement {
  static override styles = [
    base,
    css`
      ol { list-style: none; padding: 0; margin: .5rem 0; }
      li { padding: .2rem 0 .2rem 1.9rem; position: relative; }
      li::before { position: absolute; left: .1rem; content: "○"; }
      li.done::before { content: "✓"; color: var(--pv-good); }
      li.now::before { content: "→"; color: var(--primary-color); }
      li.failed::before { content: "!"; color: var(--pv-bad); font-weight: 700; }
      li.now, li.failed { font-weight: 600; }
      li p { font-weight: 400; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["bridges", "gates", "releases", "flashing"], true);
  }

  override render() {
    const going = bridges().filter((each) => onTheWay(each, newest(each.mac)));
    if (!going.length) return nothing;
    return html`<pv-card heading=${words.adopt}>
      <p class="quiet">${words.adoptText}</p>
      ${going.map((each) => one(each))}
      <p class="quiet">${words.cable}</p>
    </pv-card>`;
  }
}

function newest(mac: string) {
  return jobs().find((each) => each.mac === mac);
}

function one(bridge: BridgeView) {
  const verdict = store.state?.gates[bridge.mac];
  const gone = way(bridge, verdict, verdict !== undefined && holds(verdict), offerFor(bridge.mac), newest(bridge.mac));
  return html`<div data-way=${bridge.mac} role="group" aria-label=${bridge.title}>
    <h3>${bridge.title} <small>${bridge.mac}</small></h3>
    <ol>${STEPS.map((each) => step(each, gone))}</ol>
  </div>`;
}

function step(name: Step, gone: Way) {
  const now = name === gone.at;
  const state = gone.done.includes(name) ? "done" : now ? (gone.stuck ? "failed" : "now") : "waits";
  return html`<li class=${state} aria-current=${now ? "step" : nothing}>${words.steps[name]} <small>(${words.stepStates[state]})</small>
    ${now && gone.next ? html`<p>${words.adoptNext[gone.next]}</p>` : nothing}</li>`;
}
