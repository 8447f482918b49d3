import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { JobView } from "../../api.js";
import { jobs, moment, type Tone } from "../../fleet.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import { words } from "./words.js";

const TONES: Readonly<Record<string, Tone>> = {
  confirmed: "good", rolled_back: "bad", unchanged: "warn", lost: "bad", ambiguous: "warn",
};

/** Every update that ended, with what was seen of it. */
@customElement("pv-verdicts")
export class Verdicts extends LitElement {
  static override styles = [base, tables, css`summary { cursor: pointer; } .all { min-height: 4rem; }`];

  constructor() {
    super();
    new Watch(this, ["flashing"]);
  }

  override render() {
    const ended = jobs().filter((each) => !each.open);
    const fault = store.state?.flashing?.fault;
    return html`<pv-card heading=${words.history}><div class="all">
      ${fault ? html`<pv-problem text=${fault}></pv-problem>` : nothing}
      ${ended.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${words.history}><table id="verdicts">
        <thead><tr>${words.historyColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${ended.map(line)}</tbody></table></div>`
        : html`<p class="quiet">${store.state ? words.historyNone : words.loading}</p>`}
    </div></pv-card>`;
  }
}

function line(job: JobView) {
  return html`<tr>
    <td>${moment(job.ended)} <small>${job.by}</small></td>
    <td>${job.title} <small>${job.mac}</small></td>
    <td>${job.version}${job.before ? html` <small>${words.before(job.before)}</small>` : nothing}</td>
    <td class=${TONES[job.result ?? ""] ?? ""}>${named(words.verdicts, job.result ?? "–")}
      ${job.failed_in ? html`<small>${words.failedIn(named(words.stages, job.failed_in))}</small>` : nothing}</td>
    <td>${job.text} <small>${job.next_step}</small>
      ${job.evidence.length ? html`<details><summary>${words.seen}</summary>
        <ul>${job.evidence.map((each) => html`<li>${each}</li>`)}</ul></details>` : nothing}</td>
  </tr>`;
}
