import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import uPlot from "uplot";
import type { PlanPicture, PlanPoint } from "../../api.js";
import { kilowatts, number, percent, watts } from "../../format.js";
import { summary } from "../../plan.js";
import { shadeWindows, worth } from "../../parts/bands.js";
import type { Drawn } from "../../parts/plot.js";
import { faint } from "../../theme.js";
import { store } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/plot.js";
import { words } from "./words.js";

/** The plan drawn: powers and charge above, what a kWh emits or costs below. */
@customElement("pv-plan-charts")
export class PlanCharts extends LitElement {
  @property({ attribute: false }) plan!: PlanPicture;
  @property({ attribute: false }) preview: PlanPicture | null = null;

  static override styles = [base, css`pv-plot { --plot-height: 20.5rem; } pv-plot.worth { --plot-height: 12.5rem; } h3 { margin: .75rem 0 .25rem; }
    @media (min-width: 700px) { pv-plot { --plot-height: 19rem; } pv-plot.worth { --plot-height: 11.5rem; } }`];

  override render() {
    const { plan } = this;
    const money = plan.aim !== "carbon";
    return html`<h3>${words.chart}</h3>
      <pv-plot id="plan-chart" label="${words.chart}: ${summary(plan)}" .drawn=${powers} .data=${data(plan, this.preview)} height="270"></pv-plot>
      <h3>${money ? words.worthMoney(plan.currency) : words.worthCarbon}</h3>
      ${worth(plan).length ? html`<pv-plot id="plan-worth" class="worth" label=${money ? words.worthMoney(plan.currency) : words.worthCarbon}
          .drawn=${money ? prices : carbon} .data=${worths(plan.points, money)} height="150"></pv-plot>`
        : html`<p>${words.worthUnknown}</p>`}`;
  }
}

type Column = (number | null)[];

/** Each slot from its beginning, and the last one's end, so that the last step has its width. */
function stepped(points: readonly PlanPoint[], ...of: ((point: PlanPoint) => number | null)[]): [number[], ...Column[]] {
  const last = points.at(-1);
  const times = points.map((each) => Date.parse(each.begins) / 1000);
  if (!last) return [[], ...of.map((): Column => [])];
  return [[...times, Date.parse(last.ends) / 1000], ...of.map((each): Column => [...points.map(each), each(last)])];
}

function data(plan: PlanPicture, preview: PlanPicture | null): uPlot.AlignedData {
  const found = new Map(preview?.points.map((each) => [Date.parse(each.begins), each.soc_percent]));
  return stepped(
    plan.points, (it) => it.battery_w, (it) => it.pv_w, (it) => it.load_w, (it) => it.soc_percent,
    (it) => found.get(Date.parse(it.begins)) ?? null,
  );
}

function worths(points: readonly PlanPoint[], money: boolean): uPlot.AlignedData {
  return money ? stepped(points, (it) => it.buy_per_kwh, (it) => it.sell_per_kwh)
    : stepped(points, (it) => it.carbon_g_per_kwh);
}

const steps = uPlot.paths.stepped?.({ align: 1 });

function line(label: string, stroke: string, told: (value: number) => string, more: Partial<uPlot.Series> = {}): uPlot.Series {
  return {
    label, stroke, width: 2, points: { show: false }, ...(steps ? { paths: steps } : {}),
    value: (_, value: number | null) => (value === null ? "–" : told(value)), ...more,
  };
}

function axes(colour: (name: string) => string): uPlot.Axis {
  return { stroke: colour("--secondary-text-color"), grid: { stroke: colour("--divider-color"), width: 1 }, ticks: { show: false } };
}

const powers: Drawn = (colour) => {
  const axis = axes(colour);
  const battery = colour("--pv-battery");
  const smooth = uPlot.paths.linear?.();
  const soc = { scale: "%", ...(smooth ? { paths: smooth } : {}) };
  return {
    scales: { "%": { range: [0, 100] } },
    axes: [
      { ...axis, values: "{HH}:{mm}", size: 32 },
      { ...axis, label: "kW", labelSize: 18, size: 34, values: kilowatts },
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- their enum has no values at run time
      { ...axis, scale: "%", side: 1, label: "%", grid: { show: false }, labelSize: 18, size: 34 },
    ],
    series: [
      { label: words.time, value: "{HH}:{mm}" },
      line(words.battery, battery, watts, { width: 1, fill: faint(battery) }),
      line(words.sun, colour("--pv-sun"), watts),
      line(words.house, colour("--pv-load"), watts),
      line(words.charge, colour("--pv-grid"), percent, soc),
      line(words.whatIf, colour("--pv-limit"), percent, { ...soc, dash: [6, 4] }),
    ],
    plugins: [shadeWindows(() => store.state?.outlook ?? null, colour)],
  };
};

function small(colour: (name: string) => string, series: uPlot.Series[]): ReturnType<Drawn> {
  const axis = axes(colour);
  return {
    axes: [{ ...axis, values: "{HH}:{mm}", size: 32 }, { ...axis, size: 52 }],
    series: [{ label: words.time, value: "{HH}:{mm}" }, ...series],
  };
}

const carbon: Drawn = (colour) =>
  small(colour, [line(words.carbon, colour("--pv-carbon"), (grams) => `${number(grams)} g`)]);

const prices: Drawn = (colour) =>
  small(colour, [
    line(words.buy, colour("--pv-carbon"), (price) => number(price, 3)),
    line(words.sell, colour("--pv-grid"), (price) => number(price, 3), { dash: [6, 4] }),
  ]);
