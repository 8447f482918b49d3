import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { CablesView } from "../../api.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "./board.js";
import "./history.js";
import "./job.js";
import "./port.js";
import { words } from "./words.js";

const HELD = ["no-answer", "wrong-boot-mode", "not-downloading", "too-slow"];
const COMMANDS = [
  "python -m agent flash ports",
  "python -m agent flash identify --port /dev/serial/by-id/usb-…",
  'python -m agent flash serial --port /dev/serial/by-id/usb-… --release pv-edge.alphaess-bridge@1.1.0 --reason "…"',
];

/** Bridges on USB cables: ports that come and go, who is there, what to write, how far it is. */
@customElement("pv-view-recovery")
export class RecoveryView extends LitElement {
  static override styles = [
    base,
    css`
      .now { min-height: 12rem; }
      pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--pv-soft); border-radius: 6px; padding: .5rem .75rem; margin: .25rem 0; }
      pv-cables-history { margin-top: .9rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["recovery"]);
  }

  override render() {
    const state = store.state;
    if (state && !state.recovery) {
      return html`<pv-card heading=${words.title}><p>${words.nowhere}</p>${COMMANDS.map((each) => html`<pre>${each}</pre>`)}</pv-card>`;
    }
    return html`<pv-card heading=${words.title}>
        <p class="quiet">${words.text}</p>
        <div class="now">${state?.recovery ? cables(state.recovery) : html`<p>${words.loading}</p>`}</div>
        <pv-board ?asked=${state?.recovery?.ports.some((each) => HELD.includes(each.code)) ?? false}></pv-board>
      </pv-card>
      <pv-cables-history></pv-cables-history>`;
  }
}

function cables(now: CablesView) {
  const open = now.jobs.filter((each) => each.open);
  const busy = new Set(open.map((each) => each.port));
  return html`${now.fault ? html`<pv-problem id="fault" tone="warn" text=${now.fault}></pv-problem>` : nothing}
    ${now.needs_flashing.length ? html`<pv-problem id="needs" text=${words.needs(now.needs_flashing.join(", "))} next=${words.needsNext}></pv-problem>` : nothing}
    ${repeat(open, (each) => each.job, (each) => html`<pv-cable-job data-job=${each.job} .job=${each}></pv-cable-job>`)}
    ${now.ports.length ? repeat(now.ports, (each) => each.port, (each) => html`<pv-cable-port data-port=${each.port}
        .port=${each} .busy=${busy.has(each.port)}></pv-cable-port>`)
      : html`<p id="none">${words.none} ${words.noneNext}</p>`}`;
}
