import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { ReadingView, SettingField } from "../../api.js";
import { here, moment } from "../../fleet.js";
import { kilowattHours, number, percent, seconds, UNKNOWN, watts } from "../../format.js";
import { store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "./field.js";
import { groupName, nameOf } from "./names.js";
import { settings, WatchSettings } from "./store.js";
import { words } from "./words.js";

const READ = "Entities read";
const WRITTEN = "Entities written (path ha_helpers)";
/** The input that each entity becomes. */
const INPUTS: Readonly<Record<string, string>> = {
  "entities.grid_power": "grid_w", "entities.battery_power": "battery_w", "entities.pv_power": "pv_w", "entities.soc": "soc_percent",
  "entities.exported_today": "exported_wh", "entities.produced_today": "produced_wh", "entities.forecast_today": "forecast_today_wh",
  "entities.reserve_soc": "reserve_soc_percent", "entities.dispatch_start": "dispatch_start", "entities.dispatch_power": "dispatch_power_w",
  "entities.dispatch_mode": "dispatch_mode", "entities.dispatch_soc": "dispatch_cutoff_soc_percent", "entities.dispatch_time": "dispatch_duration_s",
};

/** Those that only plans read, as a plan calls its sources. */
const SOURCES: Readonly<Record<string, string>> = {
  "entities.forecast_tomorrow": "pv", "entities.ci_forecast": "carbon", "entities.buy_rates": "buy", "entities.sell_rates": "sell",
};

/** Which entity serves what, each beside what is read from it right now. */
@customElement("pv-mapping")
export class Mapping extends LitElement {
  @state() private said = "";

  static override styles = [
    base,
    controls,
    tables,
    css`
      :host { min-height: 20rem; }
      td:first-child { width: 30%; }
      td pv-setting { min-width: 12rem; }
      details > summary { cursor: pointer; padding: .7rem 0; font-weight: 600; min-height: 2.75rem; }
      #said { min-height: 1.6rem; }
    `,
  ];

  constructor() {
    super();
    new WatchSettings(this);
    new Watch(this, []);
  }

  override render() {
    const drafted = [...settings.drafts.keys()].some((each) => each.startsWith("entities."));
    return html`<pv-card heading=${words.mapping}>
      <p class="quiet">${words.mappingText}</p>
      ${settings.fields.length ? html`<form @submit=${this.saved} novalidate>
        ${table(READ)}
        <details><summary>${groupName(WRITTEN)}</summary>${table(WRITTEN)}</details>
        <div class="row"><button type="submit" class="primary" aria-disabled=${!here() || !drafted}>${words.save}</button>
          <span id="said" role="status">${this.said}</span></div>
      </form>` : html`<p>${settings.problem || words.loading}</p>`}
    </pv-card>`;
  }

  private readonly saved = async (event: Event): Promise<void> => {
    event.preventDefault();
    this.said = words.saving;
    this.said = (await settings.save()) ? words.saved : settings.refused.text;
  };
}

function table(group: string) {
  const fields = settings.fields.filter((each) => each.group === group);
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${groupName(group)}><table>
    <thead><tr>${words.mappingColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody>${repeat(fields, (each) => each.key, (each) => line(each, group))}</tbody></table></div>`;
}

function line(it: SettingField, group: string) {
  return html`<tr data-entity=${it.key}><td>${nameOf(it.key)} <small>${it.sentence.replaceAll("`", "")}</small></td>
    <td><pv-setting bare .field=${it}></pv-setting></td>
    <td>${group === WRITTEN ? html`<small>${words.helpers}</small>` : html`<pv-check .key=${it.key}></pv-check>`}</td></tr>`;
}

/** What is read for one setting right now; it alone follows each second. */
@customElement("pv-check")
export class Check extends LitElement {
  static override properties = { key: { attribute: false } };
  declare key: string;

  static override styles = [base, css`p { margin: 0; min-height: 1.5rem; }`];

  constructor() {
    super();
    new Watch(this, ["readings", "outlook"], true);
  }

  override render() {
    const input = INPUTS[this.key];
    const reading = store.state?.readings.find((each) => each.name === input);
    if (reading) return read(reading);
    const source = store.state?.outlook?.sources.find((each) => each.name === SOURCES[this.key]);
    if (!source) return html`<p><small>${words.unchecked}</small></p>`;
    return html`<p class=${source.ends ? "good" : "warn"}>${source.ends ? words.until(moment(source.ends)) : words.noValue}
      <small>${source.text} ${source.source}</small></p>`;
  }
}

function read(it: ReadingView) {
  const age = it.age_s === null ? UNKNOWN : seconds(it.age_s + store.since);
  const from = it.source ? html`<small>${words.from(it.source)}</small>` : nothing;
  if (it.value === null) return html`<p class="warn">${words.noValue} <small>${it.detail}</small> ${from}</p>`;
  const said = it.fresh ? words.reads(amount(it.value, it.unit), age) : `${amount(it.value, it.unit)}, ${words.stale(age)}`;
  return html`<p class=${it.fresh ? "good" : "warn"}>${said} ${it.fresh ? nothing : html`<small>${it.detail}</small>`} ${from}</p>`;
}

function amount(value: number, unit: string): string {
  if (unit === "W") return watts(value);
  if (unit === "Wh") return kilowattHours(value);
  if (unit === "%") return percent(value);
  return unit === "s" ? seconds(value) : `${number(value)} ${unit}`.trim();
}
