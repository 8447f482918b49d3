import { css, html, LitElement, svg } from "lit";
import { customElement } from "lit/decorators.js";
import type { PlanPicture, PlanWindow, State } from "../../api.js";
import { clock, kilowattHours, midnight, number, percent, span, weekday } from "../../format.js";
import { does, moves, total, words as ofPlan } from "../../plan.js";
import { windowColour, worth } from "../../parts/bands.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/running.js";
import { aged, since } from "../../parts/value.js";
import { words } from "./words.js";

const SPAN_MS = 36 * 3_600_000;
/** The next ones; the plan has all of them, each with its why. */
const LISTED = 5;
const EVERY_MS = 6 * 3_600_000;
/** A mark nearer to an edge would stick out. */
const SOON_MS = 3_600_000;

/** Planned windows of the next 36 hours, as bars whose height is their power, over the charge. */
@customElement("pv-now-timeline")
export class Timeline extends LitElement {
  static override styles = [
    base,
    css`
      .all { min-height: 20rem; }
      .band { position: relative; height: 6rem; margin: .4rem 0 1.5rem; background: var(--pv-soft); border-radius: 6px; }
      .band > * { position: absolute; bottom: 0; }
      .window { min-width: 3px; border-radius: 4px 4px 0 0; opacity: .85; }
      .mark { height: 100%; border-left: 1px dashed var(--divider-color); }
      .mark span { position: absolute; bottom: -1.4rem; transform: translateX(-50%); white-space: nowrap; font-size: .8rem; color: var(--secondary-text-color); }
      svg { width: 100%; height: 100%; overflow: visible; }
      polyline { fill: none; stroke: var(--pv-battery); stroke-width: 2; vector-effect: non-scaling-stroke; }
      .worth { stroke: var(--pv-carbon); stroke-dasharray: 3 3; stroke-width: 1.5; }
      .now { min-height: 1.5rem; }
      ol { margin: .25rem 0; padding: 0; list-style: none; }
      li { padding: .15rem 0; }
      li::before { content: ""; display: inline-block; width: .75rem; height: .75rem; border-radius: 3px; margin-right: .5rem; background: var(--c); }
      li.charge { --c: var(--pv-charge); } li.discharge { --c: var(--pv-discharge); } li { --c: var(--pv-carbon); }
      @media (max-width: 560px) { .mark:nth-child(odd) span { display: none; } }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["at", "outlook", "soc_percent", "zone"]);
  }

  override render() {
    const state = store.state;
    return html`<pv-card heading=${words.timeline}>
      <div class="all">${!state ? words.loading : state.outlook ? this.plan(state, state.outlook)
        : html`<p id="no-plan">${words.noPlan} <a href="#/settings">→</a></p>`}</div>
    </pv-card>`;
  }

  private plan(state: State, plan: PlanPicture) {
    const from = Date.parse(state.at);
    const until = from + SPAN_MS;
    const windows = plan.windows.filter((each) => Date.parse(each.ends) > from && Date.parse(each.begins) < until);
    const sun = plan.points.filter((each) => Date.parse(each.begins) < until)
      .reduce((sum, each) => sum + (each.pv_w * (Date.parse(each.ends) - Date.parse(each.begins))) / 3_600_000, 0);
    const whence = aged(since(plan.made_at), ofPlan.source);
    return html`
      <p class="quiet" id="timeline-totals" title=${whence}>${words.totals(kilowattHours(total(plan, "discharge")), kilowattHours(total(plan, "charge")))},
        ${words.socNow(percent(state.soc_percent))}, ${words.sunLeft(kilowattHours(sun))}</p>
      ${this.band(plan, windows, from)}
      <p class="legend"><small>${words.legend(plan.aim === "carbon" ? words.carbon : words.price)}</small></p>
      <p id="timeline-now" class="now"><pv-running></pv-running></p>
      ${windows.length ? html`<ol id="timeline-windows">${windows.slice(0, LISTED).map((each) => html`<li class=${each.action} title=${whence}>${told(plan, each)}</li>`)}</ol>
          <a href="#/plan">${words.allWindows(windows.length)}</a>`
        : html`<p>${words.noWindows}</p>`}`;
  }

  private band(plan: PlanPicture, windows: PlanWindow[], from: number) {
    const at = (moment: number): number => Math.min(100, Math.max(0, ((moment - from) / SPAN_MS) * 100));
    const most = Math.max(1, ...windows.map((each) => Math.abs(each.power_w)));
    const marks: number[] = [];
    for (let mark = midnight(from); mark < from + SPAN_MS - SOON_MS; mark += EVERY_MS) if (mark > from + SOON_MS) marks.push(mark);
    return html`<div class="band" role="img" aria-label=${words.timelineLabel(windows.length)}>
      ${marks.map((mark) => html`<div class="mark" .style=${`left: ${at(mark)}%`}><span>${clock(mark) === "00:00" ? weekday(mark) : clock(mark)}</span></div>`)}
      ${windows.map((each) => {
        const [left, right] = [at(Date.parse(each.begins)), at(Date.parse(each.ends))];
        const height = Math.max(8, (Math.abs(each.power_w) / most) * 100);
        const place = `left: ${left}%; width: ${right - left}%; height: ${height}%; background: var(${windowColour(each.action)})`;
        return html`<div class="window ${each.action}" .style=${place} title=${told(plan, each)}></div>`;
      })}
      ${lines(plan, at)}
    </div>`;
  }
}

/** The expected charge as a line, and carbon or price as a dashed one, in their own scales. */
function lines(plan: PlanPicture, at: (moment: number) => number) {
  const soc = plan.points.map((each) => `${at(Date.parse(each.ends))},${100 - each.soc_percent}`);
  const known = worth(plan);
  const most = Math.max(1e-9, ...known.map(([, value]) => value));
  const dashed = known.map(([each, value]) => `${at(Date.parse(each.begins))},${100 - (value / most) * 90}`);
  return svg`<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
    <polyline class="worth" points=${dashed.join(" ")}></polyline><polyline points=${soc.join(" ")}></polyline>
  </svg>`;
}

function told(plan: PlanPicture, window: PlanWindow): string {
  const inside = plan.points.filter((each) => each.begins >= window.begins && each.ends <= window.ends);
  const carbon = inside.map((each) => each.carbon_g_per_kwh).filter((each) => each !== null);
  const mean = carbon.reduce((sum, each) => sum + each, 0) / carbon.length;
  const energy = moves(window) ? ` ${kilowattHours(window.energy_wh)}` : "";
  const worth = carbon.length ? `, ${words.carbonOf(number(mean))}` : "";
  return `${span(window.begins, window.ends)}: ${does(window)}${energy}${worth}`;
}
