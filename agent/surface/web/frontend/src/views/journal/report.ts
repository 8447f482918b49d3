import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { Breach, DayReport, Report } from "../../api.js";
import { here, moment } from "../../fleet.js";
import { date, kilowattHours, seconds, UNKNOWN, watts } from "../../format.js";
import { named } from "../../language.js";
import { send, WISH_MS } from "../../send.js";
import { Returned, store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "../../parts/take.js";
import { words } from "./words.js";

const DAYS = [7, 31, 92];

/** For whoever granted the connection: what left the house on each day beside what was allowed. */
@customElement("pv-report")
export class ComplianceReport extends LitElement {
  @state() private days = 7;
  @state() private told: Report | null = null;
  @state() private problem = "";
  @state() private busy = false;
  private asked = 0;

  static override styles = [
    base,
    controls,
    tables,
    css`
      .all { min-height: 18rem; }
      .row { align-items: end; margin: .5rem 0; }
      td { font-variant-numeric: tabular-nums; }
      th { white-space: normal; }
      th, td:not(.what) { overflow-wrap: normal; }
      td small, th small { display: block; font-weight: 400; }
      @media (min-width: 561px) { td.what { min-width: 8rem; } }
      summary { cursor: pointer; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
    new Returned(this, () => { if (!this.told) void this.load(); });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (store.state) void this.load();
  }

  override render() {
    return html`<pv-card heading=${words.report}>
      <p class="quiet">${words.reportText}</p>
      <div class="row">
        <div><label for="days">${words.reportDays}</label><select id="days" @change=${this.longer}>
          ${DAYS.map((each) => html`<option value=${each} ?selected=${each === this.days}>${words.days(each)}</option>`)}</select></div>
        <button type="button" aria-disabled=${!here() || this.busy} @click=${() => void this.load()}>${words.reportAgain}</button>
        <pv-download label=${words.reportCsv} path="report.csv?days=${this.days}"></pv-download>
      </div>
      <div class="all">
        <p role="status">${this.busy ? words.reporting : this.told ? words.reported(moment(this.told.at)) : ""}</p>
        ${this.problem ? html`<pv-problem text=${words.reportFailed} next=${this.problem}></pv-problem>` : this.told ? table(this.told) : nothing}
      </div>
    </pv-card>`;
  }

  private readonly longer = (event: Event): void => {
    this.days = Number((event.target as HTMLSelectElement).value);
    void this.load();
  };

  private async load(): Promise<void> {
    const asked = ++this.asked;
    this.busy = true;
    const { body, text } = await send<Report>("GET", `report?days=${this.days}`, undefined, { holds: "days", within_ms: WISH_MS });
    if (asked !== this.asked) return; // another period was chosen meanwhile
    this.busy = false;
    this.problem = body ? "" : text || words.reportFailed;
    this.told = body;
  }
}

function table({ days, at }: Report) {
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${words.report}><table id="report">
    <thead><tr>${words.reportColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody title=${words.reported(moment(at))}>${[...days].reverse().map(one)}</tbody></table></div>`;
}

/** One day; what was not recorded is said to be unknown, never shown as nothing. */
function one(it: DayReport) {
  const [, limit, most, margin, exported, operations, faults, broken] = words.reportColumns;
  const left = it.margin_wh;
  return html`<tr>
    <th scope="row">${date(it.day)} <small>${it.recorded_s ? words.recorded(seconds(it.recorded_s)) : words.notRecorded}</small></th>
    <td data-label=${limit}>${watts(it.limit_w)}</td>
    <td data-label=${most}>${watts(it.most_export_w)}</td>
    <td data-label=${margin} class=${it.margin_w !== null && it.margin_w < 0 ? "warn" : ""}>${watts(it.margin_w)}
      ${it.over_limit_s ? html`<small>${words.over(seconds(it.over_limit_s))}</small>` : nothing}</td>
    <td data-label=${exported}>${it.exported_wh === null && it.allowance_wh === null ? UNKNOWN : words.of(kilowattHours(it.exported_wh), kilowattHours(it.allowance_wh))}
      ${left === null ? nothing : html`<small class=${left < 0 ? "bad" : ""}>${words.leftOver(kilowattHours(left))}</small>`}</td>
    <td class="what" data-label=${operations}>${counts(it.operations)} ${Object.keys(it.stops).length ? html`<small>${words.stops(counts(it.stops), it.stops_verified)}</small>` : nothing}</td>
    <td class="what" data-label=${faults}>${Object.keys(it.faults).length ? counts(it.faults) : words.noFaults}</td>
    <td class="what" data-label=${broken}>${breaches(it)}</td>
  </tr>`;
}

function breaches(it: DayReport) {
  const count = it.breaches.length + it.breaches_left_out;
  if (!count) return it.recorded_s ? html`<span class="good">${words.noBreach}</span>` : UNKNOWN;
  return html`<details><summary class="bad">${words.breaches(count)}</summary><ul>${it.breaches.map(breach)}</ul>
    ${it.breaches_left_out ? html`<p class="quiet">${words.leftOut(it.breaches_left_out)}</p>` : nothing}</details>`;
}

function breach(it: Breach) {
  return html`<li>${moment(it.at)}: ${named(words.breachOf, it.of)}, ${named(words.causes, it.cause)}. ${it.text}</li>`;
}

function counts(found: Readonly<Record<string, number>>): string {
  const told = Object.entries(found).sort(([a], [b]) => a.localeCompare(b));
  return told.map(([name, count]) => `${count} × ${named(words.operations, name).replaceAll("_", " ")}`).join(", ") || "–";
}
