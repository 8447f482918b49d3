import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { CableJobView } from "../../api.js";
import { moment, type Tone } from "../../fleet.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/take.js";
import { words } from "./words.js";

const TONES: Readonly<Record<string, Tone>> = { confirmed: "good", unchanged: "warn", lost: "bad", ambiguous: "warn" };

/** Every recovery that ended, with what was seen of it and what was said. */
@customElement("pv-cables-history")
export class CablesHistory extends LitElement {
  static override styles = [base, controls, tables, css`summary { cursor: pointer; } .all { min-height: 4rem; } td { overflow-wrap: anywhere; min-width: 6rem; }`];

  constructor() {
    super();
    new Watch(this, ["recovery"]);
  }

  override render() {
    const ended = store.state?.recovery?.jobs.filter((each) => !each.open) ?? [];
    return html`<pv-card heading=${words.history}><div class="all">
      ${ended.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${words.history}><table id="recoveries">
        <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${ended.map(line)}</tbody></table></div>`
        : html`<p class="quiet">${store.state ? words.historyNone : words.loading}</p>`}
    </div></pv-card>`;
  }
}

function line(it: CableJobView) {
  return html`<tr>
    <td>${moment(it.ended)} <small>${it.by}</small></td>
    <td>${it.title || it.mac} ${it.title ? html`<small>${it.mac}</small>` : nothing}</td>
    <td>${it.project} ${it.version} <small>${it.port}</small></td>
    <td class=${TONES[it.result ?? ""] ?? ""}>${named(words.verdicts, it.result ?? "–")}
      ${it.failed_in ? html`<small>${words.failedIn(named(words.stages, it.failed_in))}</small>` : nothing}</td>
    <td>${it.text} <small>${it.next_step}</small>
      ${it.evidence.length ? html`<details><summary>${words.seen}</summary>
        <ul>${it.evidence.map((each) => html`<li>${each}</li>`)}</ul></details>` : nothing}
      ${it.has_log ? html`<pv-download label=${words.download} path="recovery/log?job=${encodeURIComponent(it.job)}"></pv-download>` : nothing}</td>
  </tr>`;
}
