import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { here, moment } from "../../fleet.js";
import { named } from "../../language.js";
import { tell } from "../../parts/answers.js";
import { download, fetched } from "../../parts/download.js";
import { Watch } from "../../store.js";
import { base, controls, grid, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import { chosen, events, kinds, type JournalEvent } from "./events.js";
import { words } from "./words.js";

const PERIODS_D = [1, 7, 30, 90];
const SAMPLES_MOST_D = 30; // a sample each second: more would take minutes
const ROWS = 200;

/** What happened: read when it is looked at, filtered here, exported as a table. */
@customElement("pv-view-journal")
export class JournalView extends LitElement {
  @state() private days = 1;
  @state() private kind = "";
  @state() private search = "";
  @state() private all: JournalEvent[] | null = null;
  @state() private problem = "";
  @state() private busy = false;
  @state() private rows = ROWS;
  private asked = 0;

  static override styles = [
    base,
    controls,
    grid,
    tables,
    css`
      .filters { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); align-items: end; margin: .75rem 0; }
      .filters select, .filters input { width: 100%; }
      .table { min-height: 24rem; }
      .count { min-height: 1.6rem; }
      td.what { min-width: 12rem; }
      td.at { white-space: nowrap; }
      summary { cursor: pointer; }
      pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0; font-size: .85rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  override render() {
    const found = this.all && chosen(this.all, { kind: this.kind, text: this.search });
    return html`<div class="grid">
      <pv-card class="wide" heading=${words.title}>
        <p class="quiet">${words.text}</p>
        ${this.filters()}
        <div class="row">
          ${this.button(words.events, `journal.csv?what=events&days=${this.days}`)}
          ${this.button(words.samples, `journal.csv?what=samples&days=${Math.min(this.days, SAMPLES_MOST_D)}`)}
          <small>${words.exportText}</small>
        </div>
        <p class="count" role="status">${this.busy ? words.loading : found ? words.shown(Math.min(found.length, this.rows), this.all?.length ?? 0) : ""}</p>
        <div class="table">${this.problem ? html`<pv-problem text=${words.failed} next=${this.problem}></pv-problem>`
          : found ? this.table(found) : nothing}</div>
      </pv-card>
    </div>`;
  }

  private filters() {
    const known = kinds(this.all ?? []);
    return html`<div class="filters">
      <div><label for="period">${words.period}</label><select id="period" @change=${this.longer}>
        ${PERIODS_D.map((each) => html`<option value=${each} ?selected=${each === this.days}>${words.days(each)}</option>`)}</select></div>
      <div><label for="kind">${words.kind}</label><select id="kind" @change=${(event: Event) => { this.kind = valueOf(event); this.rows = ROWS; }}>
        <option value="">${words.every}</option>
        ${known.map((each) => html`<option value=${each} ?selected=${each === this.kind}>${kindName(each)}</option>`)}</select></div>
      <div><label for="search">${words.search}</label><input id="search" type="search" autocomplete="off"
        @input=${(event: Event) => { this.search = valueOf(event); this.rows = ROWS; }}></div>
      <div><button type="button" ?disabled=${!here() || this.busy} @click=${() => void this.load()}>${words.again}</button></div>
    </div>`;
  }

  private table(found: readonly JournalEvent[]) {
    if (!this.all?.length) return html`<p id="empty">${words.empty}</p>`;
    if (!found.length) return html`<p id="empty">${words.noMatch}</p>`;
    return html`<div class="scroll" tabindex="0" role="group" aria-label=${words.title}><table id="events">
        <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${repeat(found.slice(0, this.rows), (each) => each.id, line)}</tbody></table></div>
      ${found.length > this.rows ? html`<button type="button" @click=${() => { this.rows += ROWS; }}>${words.more}</button>` : nothing}`;
  }

  private button(name: string, path: string) {
    return html`<button type="button" ?disabled=${!here()} @click=${async () => { tell(name, await download(path)); }}>${name}</button>`;
  }

  private readonly longer = (event: Event): void => {
    this.days = Number(valueOf(event));
    void this.load();
  };

  private async load(): Promise<void> {
    const asked = ++this.asked;
    this.busy = true;
    const { response, text } = await fetched(`journal.csv?what=events&for=page&days=${this.days}`);
    const table = await response?.text().catch(() => null);
    if (asked !== this.asked) return; // another period was chosen meanwhile
    this.busy = false;
    this.rows = ROWS;
    this.problem = typeof table === "string" ? "" : text || words.failed;
    this.all = typeof table === "string" ? events(table) : null;
    if (this.all && !kinds(this.all).includes(this.kind)) this.kind = "";
  }
}

function line(it: JournalEvent) {
  const { by, action, outcome } = it.data;
  const did = typeof by === "string" && typeof action === "string" && typeof outcome === "string";
  const rest = Object.entries(it.data);
  return html`<tr><td class="at">${moment(it.at)}</td><td>${kindName(it.kind)}</td>
    <td class="what">${it.text || (did ? words.did(by, action, outcome) : "")}
      ${rest.length && !did ? html`<details><summary>${words.details}</summary><pre>${rest.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join("\n")}</pre></details>` : nothing}</td></tr>`;
}

function kindName(kind: string): string {
  return named(words.kinds, kind).replaceAll("_", " ");
}

function valueOf(event: Event): string {
  return (event.target as HTMLInputElement | HTMLSelectElement).value;
}
