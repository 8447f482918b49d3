import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import type { CommissioningView } from "../../api.js";
import { moment } from "../../fleet.js";
import { percent, seconds, UNKNOWN } from "../../format.js";
import { named } from "../../language.js";
import { confirmed } from "../../parts/confirm.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/progress.js";
import { words } from "./words.js";

/** The test that control on a real inverter needs: what it does, how far it is, what it found. */
@customElement("pv-commissioning")
export class Commissioning extends LitElement {
  static override styles = [base, css`.stage { font-weight: 600; } .text { min-height: 3rem; } .progress { min-height: 2.4rem; }`];

  constructor() {
    super();
    new Watch(this, ["commissioning"]);
  }

  override render() {
    const test = store.state?.commissioning;
    const run = () => confirmed({ title: words.runTitle, text: [words.commissioningText], act: words.run });
    const full = () => confirmed({ title: words.fullTitle, text: [words.fullText], act: words.runFull });
    return html`<pv-card heading=${words.commissioning}>
      <p class="quiet">${words.commissioningText}</p>
      ${test ? told(test) : html`<p>${words.loading}</p>`}
      <div class="row">
        <pv-action label=${words.run} path="requests" .body=${{ kind: "commission" }} .asks=${run}></pv-action>
        <pv-action label=${words.runFull} path="requests" .body=${{ kind: "commission_full" }} .asks=${full}></pv-action>
      </div>
      <p class="quiet">${words.fullText}</p>
    </pv-card>`;
  }
}

function told(test: CommissioningView) {
  const stage = named(words.stages, test.stage);
  const tone = test.stage === "passed" ? "good" : test.stage === "failed" ? "bad" : test.stage === "none" ? "warn" : "";
  const figures: Record<keyof typeof words.figures, string> = {
    dead: seconds(test.dead_s), delay: seconds(test.delay_s), lag: seconds(test.exit_lag_s),
    gain: test.gain === null ? UNKNOWN : words.ofCommanded(percent(test.gain * 100)),
    counter: test.counter_lag_s === null ? words.untried : seconds(test.counter_lag_s),
    rewrite: test.rewrite_extends === null ? words.untried : test.rewrite_extends ? words.yes : words.no,
    firmware: test.firmware || UNKNOWN,
  };
  return html`<p id="stage" class="stage ${tone}" aria-live="polite">${stage}${test.passed && test.at ? `, ${moment(test.at)}` : ""}</p>
    <p class="text">${test.text}</p>
    <div class="progress">${test.running ? html`<pv-progress label=${stage} .percent=${test.progress_percent}></pv-progress>` : ""}</div>
    <dl>${Object.entries(words.figures).map(([name, label]) => html`<dt>${label}</dt><dd title=${test.at ? words.measured(moment(test.at)) : ""}>${figures[name as keyof typeof figures]}</dd>`)}</dl>
    ${test.checks.length ? html`<ul id="checks">${test.checks.map((each) => html`<li>${each.verdict}: ${each.text} ${each.next_step}</li>`)}</ul>` : ""}`;
}
