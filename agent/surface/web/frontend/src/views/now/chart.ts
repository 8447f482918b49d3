import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type uPlot from "uplot";
import { kilowattHours, kilowatts, midnight, watts } from "../../format.js";
import { history, today } from "../../history.js";
import { shadeWindows, strip } from "../../parts/bands.js";
import type { Drawn } from "../../parts/plot.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/plot.js";
import "../../parts/problem.js";
import { words } from "./words.js";

const DAY_S = 86_400;
const EVERY_MS = 2_000; // a line of a day does not move faster than that

/** Power and energy since midnight, with limit, allowance, plan windows and what a kWh is worth. */
@customElement("pv-now-chart")
export class TodayChart extends LitElement {
  @state() private data: uPlot.AlignedData = [[]];
  private timer = 0;

  static override styles = [base, controls, css`.all { --plot-height: 21.5rem; min-height: 25rem; } p { min-height: 1.5rem; }`];

  constructor() {
    super();
    new Watch(this, ["outlook"]);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    history.start();
    history.addEventListener("change", this.grown);
    this.grown();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    history.removeEventListener("change", this.grown);
    clearTimeout(this.timer);
    this.timer = 0;
  }

  private readonly grown = (): void => {
    this.requestUpdate();
    if (this.timer && this.data[0].length) return;
    this.draw();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, EVERY_MS);
  };

  private draw(): void {
    if (!store.state) return;
    const { columns } = history;
    const shown = today(columns, Date.parse(store.state.at));
    const less = (w: number | null): number | null => (w === null ? null : -w);
    const kilo = (wh: number | null): number | null => (wh === null ? null : wh / 1000);
    this.data = [
      shown.at, shown.pv_w, shown.load_w, shown.battery_w, shown.grid_w, shown.limit_w.map(less),
      shown.exported_wh.map(kilo), shown.allowance_wh.map(kilo),
    ];
  }

  override render() {
    const plan = store.state?.outlook ?? null;
    return html`<pv-card heading=${words.chart}><div class="all">
      ${history.status === "failed" ? html`<pv-problem text=${words.chartFailed} next=${history.text}>
        <button type="button" @click=${() => void history.load()}>${words.again}</button></pv-problem>` : nothing}
      <pv-plot id="today" label=${described()} .drawn=${drawn} .data=${this.data} height="280"></pv-plot>
      <p class="quiet">${history.status === "loading" ? words.loading : this.data[0].length ? "" : words.chartEmpty}
        ${plan ? words.strip(plan.aim === "carbon" ? words.carbon : words.price) : ""}</p>
    </div></pv-card>`;
  }
}

function described(): string {
  const power = store.state?.power;
  if (!power) return words.chartLabel;
  const now = words.chartNow(watts(power.pv_w), watts(power.load_w), watts(power.battery_w), watts(power.grid_w));
  return `${words.chartLabel}. ${now}`;
}

const drawn: Drawn = (colour) => {
  const outlook = () => store.state?.outlook ?? null;
  const line = (label: string, name: string, more: Partial<uPlot.Series> = {}): uPlot.Series => ({
    label, stroke: colour(name), width: 2, points: { show: false },
    value: (_, w: number | null) => (w === null ? "–" : watts(w)), ...more,
  });
  const energy = (label: string, name: string): uPlot.Series => line(label, name, {
    scale: "kWh", dash: [6, 4], value: (_, kwh: number | null) => (kwh === null ? "–" : kilowattHours(kwh * 1000)),
  });
  const axis = { stroke: colour("--secondary-text-color"), grid: { stroke: colour("--divider-color"), width: 1 }, ticks: { show: false } };
  return {
    scales: {
      x: { range: () => {
        const from = midnight(store.state ? Date.parse(store.state.at) : Date.now()) / 1000;
        return [from, from + DAY_S];
      } },
      kWh: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...axis, values: "{HH}:{mm}", size: 32 },
      { ...axis, label: "kW", labelSize: 18, size: 34, values: kilowatts },
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- their enum has no values at run time
      { ...axis, scale: "kWh", side: 1, label: "kWh", grid: { show: false }, labelSize: 18, size: 30 },
    ],
    series: [
      { label: words.clock, value: "{HH}:{mm}" },
      line(words.sun, "--pv-sun"),
      line(words.house, "--pv-load"),
      line(words.battery, "--pv-battery"),
      line(words.grid, "--pv-grid"),
      line(words.limitLine, "--pv-limit", { width: 1, dash: [3, 3] }),
      energy(words.exported, "--pv-grid"),
      energy(words.allowance, "--pv-good"),
    ],
    plugins: [shadeWindows(outlook, colour), strip(outlook, colour)],
  };
};
