import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { EntityCheck, PlanSource, ReadingView } from "../../api.js";
import { moment, type Tone } from "../../fleet.js";
import { kilowattHours, number, percent, seconds, UNKNOWN, watts } from "../../format.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import { words } from "./words.js";

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
const TONES: Readonly<Record<string, Tone>> = { ok: "good", warning: "warn", failure: "bad" };

/** Whether one entity serves its purpose, and what is read for it right now; follows each second. */
@customElement("pv-check")
export class Check extends LitElement {
  /** Of the setting. */
  @property({ attribute: false }) key = "";
  /** What the agent found; `undefined` while it was not asked or could not say. */
  @property({ attribute: false }) check: EntityCheck | undefined;

  static override styles = [base, css`p { margin: 0; min-height: 1.5rem; }`];

  constructor() {
    super();
    new Watch(this, ["readings", "outlook"], true);
  }

  override render() {
    const reading = store.state?.readings.find((each) => each.name === INPUTS[this.key]);
    const source = store.state?.outlook?.sources.find((each) => each.name === SOURCES[this.key]);
    const { check } = this;
    return html`${check ? judged(check, reading) : nothing}
      ${reading ? read(reading) : source ? planned(source) : check ? seen(check) : html`<p><small>${words.unchecked}</small></p>`}`;
  }
}

function judged(it: EntityCheck, reading: ReadingView | undefined) {
  // An entity that can be read and tells nothing new is not well, whatever it holds.
  const verdict = it.verdict === "ok" && reading?.fresh === false ? "warning" : it.verdict;
  const why = it.verdict === "ok" ? nothing : it.text;
  const wrong = it.verdict === "failure" || it.verdict === "warning";
  return html`<p><strong class="verdict ${TONES[verdict] ?? "quiet"}">${named(words.checks, verdict)}</strong> <small>${why}</small></p>
    ${wrong ? html`<p><small>${words.repair}</small></p>` : nothing}`;
}

/** Of an entity that is no input of the guard; what is no number tells its state. */
function seen(it: EntityCheck) {
  if (it.verdict !== "ok") return nothing;
  const now = store.state ? Date.parse(store.state.at) / 1000 + store.since : null;
  const age = it.updated_at === null || now === null ? null : Math.max(0, now - it.updated_at);
  return html`<p>${it.value === null ? it.text : amount(it.value, it.unit)}
    <small>${age === null ? nothing : words.updated(seconds(age))}</small></p>`;
}

function planned(it: PlanSource) {
  return html`<p class=${it.ends ? "good" : "warn"}>${it.ends ? words.until(moment(it.ends)) : words.noValue}
    <small>${it.text} ${it.source}</small></p>`;
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
