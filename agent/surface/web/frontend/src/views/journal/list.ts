import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Line } from "../../api.js";
import { here, moment } from "../../fleet.js";
import { Returned, store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "../../parts/take.js";
import { chosen, page, since } from "./events.js";
import { kindName } from "./kinds.js";
import { words } from "./words.js";

const PERIODS_D = [1, 7, 30, 90];
const SAMPLES_MOST_D = 30; // a sample each second: more would take minutes

/** What happened: read page by page when it is looked at, exported as a table. */
@customElement("pv-journal-list")
export class JournalList extends LitElement {
  @state() private days = 1;
  @state() private kind = "";
  @state() private search = "";
  @state() private all: readonly Line[] | null = null;
  /** Leads to the older ones; `null` where there are none. */
  @state() private next: number | null = null;
  @state() private problem = "";
  @state() private busy = false;
  /** Kinds that were met, so that one can be chosen. */
  private readonly kinds = new Set<string>();
  private from = "";
  private asked = 0;

  static override styles = [
    base,
    controls,
    tables,
    css`
      .filters { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); align-items: end; margin: .75rem 0; }
      .filters select, .filters input { width: 100%; }
      .table { min-height: 24rem; }
      .count { min-height: 1.6rem; }
      td.what summary::first-letter { text-transform: uppercase; }
      @media (min-width: 561px) { td.what { min-width: 12rem; } td.at { white-space: nowrap; } }
      summary { cursor: pointer; }
      pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0; font-size: .85rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
    new Returned(this, () => { if (!this.all) void this.load(); });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (store.state) void this.load(); // else with the first picture: its clock counts
  }

  override render() {
    const found = this.all && chosen(this.all, this.search);
    return html`<pv-card heading=${words.title}>
      <p class="quiet">${words.text}</p>
      ${this.filters()}
      <div class="row">
        <pv-download label=${words.events} path=${`journal.csv?what=events&days=${this.days}${this.kind ? `&kinds=${this.kind}` : ""}`}></pv-download>
        <pv-download label=${words.samples} path=${`journal.csv?what=samples&days=${Math.min(this.days, SAMPLES_MOST_D)}`}></pv-download>
        <small>${words.exportText}</small>
      </div>
      <p class="count" role="status">${found && !this.busy ? words.shown(found.length, this.all?.length ?? 0, this.next !== null) : this.problem ? "" : words.loading}</p>
      <div class="table">${this.problem ? html`<pv-problem text=${words.failed} next=${this.problem}></pv-problem>`
        : found ? this.table(found) : nothing}</div>
    </pv-card>`;
  }

  private filters() {
    return html`<div class="filters">
      <div><label for="period">${words.period}</label><select id="period" @change=${(event: Event) => { this.days = Number(valueOf(event)); void this.load(); }}>
        ${PERIODS_D.map((each) => html`<option value=${each} ?selected=${each === this.days}>${words.days(each)}</option>`)}</select></div>
      <div><label for="kind">${words.kind}</label><select id="kind" @change=${(event: Event) => { this.kind = valueOf(event); void this.load(); }}>
        <option value="">${words.every}</option>
        ${[...this.kinds].sort().map((each) => html`<option value=${each} ?selected=${each === this.kind}>${kindName(each)}</option>`)}</select></div>
      <div><label for="search">${words.search}</label><input id="search" type="search" autocomplete="off"
        @input=${(event: Event) => { this.search = valueOf(event); }}></div>
      <div><button type="button" aria-disabled=${!here() || this.busy} @click=${() => void this.load()}>${words.again}</button></div>
    </div>`;
  }

  private table(found: readonly Line[]) {
    const older = this.next === null ? nothing
      : html`<button type="button" aria-disabled=${!here() || this.busy} @click=${() => void this.load(this.next)}>${words.more}</button>`;
    if (!this.all?.length) return html`<p id="empty">${words.empty}</p>`;
    if (!found.length) return html`<p id="empty">${words.noMatch}</p>${older}`;
    return html`<div class="scroll" tabindex="0" role="group" aria-label=${words.title}><table id="events">
        <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${repeat(found, (each) => each.id, line)}</tbody></table></div>${older}`;
  }

  /** Reads the newest page, or the one before an event and puts it below. */
  private async load(before: number | null = null): Promise<void> {
    const asked = ++this.asked;
    this.busy = true;
    if (before === null) this.from = since(store.state?.at ?? new Date().toISOString(), this.days);
    const { body, text } = await page(this.from, this.kind, before);
    if (asked !== this.asked) return; // another period or kind was chosen meanwhile
    this.busy = false;
    this.problem = body ? "" : text || words.failed;
    const kept = before === null ? [] : this.all ?? [];
    this.all = body ? [...kept, ...body.events] : null;
    this.next = body?.next ?? null;
    for (const each of body?.events ?? []) this.kinds.add(each.kind);
  }
}

function line(it: Line) {
  const { by, action, outcome } = it.data;
  const did = typeof by === "string" && typeof action === "string" && typeof outcome === "string";
  const rest = Object.entries(it.data);
  return html`<tr><td class="at">${moment(it.at)}</td><td>${kindName(it.kind)}</td>
    <td class="what">${did ? words.did(by, action, outcome) : !rest.length ? it.text
      : html`<details><summary>${it.text || words.details}</summary><pre>${rest.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join("\n")}</pre></details>`}</td></tr>`;
}

function valueOf(event: Event): string {
  return (event.target as HTMLInputElement | HTMLSelectElement).value;
}
