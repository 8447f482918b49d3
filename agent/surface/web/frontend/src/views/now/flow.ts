import { css, html, LitElement, svg } from "lit";
import { customElement } from "lit/decorators.js";
import { percent, share, watts } from "../../format.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/card.js";
import { aged } from "../../parts/value.js";
import { words } from "./words.js";

/** Less is called still. */
const STILL_W = 20;
type Maybe = number | null | undefined;

interface Spoke {
  name: "sun" | "house" | "battery" | "grid";
  /** Positive towards the middle. */
  w: Maybe;
  /** From the middle to the node's rim, in the drawing. */
  path: string;
}

/** Sun, house, battery and grid around their meter, with arrows as the power flows. */
@customElement("pv-now-flow")
export class Flow extends LitElement {
  static override styles = [
    base,
    css`
      pv-card { height: 100%; }
      .nodes { display: grid; grid-template-columns: 1fr 3.25rem 1fr; grid-template-rows: 1fr 2.5rem 1fr; }
      .node { text-align: center; padding: .5rem .15rem; border: 2px solid; border-radius: 12px; min-height: 5.6rem; min-width: 0; }
      .node span, .node pv-value { display: block; color: var(--primary-text-color); }
      .node pv-value { font-weight: 600; font-size: 1.1rem; }
      .node span pv-value { display: inline; font-weight: inherit; font-size: inherit; }
      .sun { grid-area: 1 / 1; border-color: var(--pv-sun); }
      .house { grid-area: 1 / 3; border-color: var(--pv-load); }
      .battery { grid-area: 3 / 1; border-color: var(--pv-battery); }
      .grid { grid-area: 3 / 3; border-color: var(--pv-grid); }
      svg { grid-area: 1 / 2 / 4 / 3; width: 100%; height: 100%; }
      line { stroke-width: 3; stroke: var(--divider-color); vector-effect: non-scaling-stroke; }
      polygon { fill: var(--divider-color); }
      line.sun, line.house, line.battery, line.grid { grid-area: auto; }
      .flows.sun { stroke: var(--pv-sun); } polygon.sun { fill: var(--pv-sun); }
      .flows.house { stroke: var(--pv-load); } polygon.house { fill: var(--pv-load); }
      .flows.battery { stroke: var(--pv-battery); } polygon.battery { fill: var(--pv-battery); }
      .flows.grid { stroke: var(--pv-grid); } polygon.grid { fill: var(--pv-grid); }
      .bar { height: .5rem; border-radius: .25rem; background: var(--pv-soft); overflow: hidden; margin-top: .75rem; }
      .fill { height: 100%; background: var(--pv-grid); }
      .over .fill { background: var(--pv-bad); }
      .limit { min-height: 2.9rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["power", "soc_percent", "readings"]);
  }

  override render() {
    const state = store.state;
    const power = state?.power;
    const input = (name: string) => state?.readings.find((each) => each.name === name);
    return html`<pv-card heading=${words.flow}>
      <div class="nodes">
        <div class="node sun"><span>${words.sun}</span><pv-value id="pv" text=${watts(power?.pv_w)} .reading=${input("pv_w")}></pv-value><small>&nbsp;</small></div>
        <div class="node house"><span>${words.house}</span><pv-value id="load" text=${watts(power?.load_w)} .reading=${input("grid_w")}></pv-value><small>&nbsp;</small></div>
        <div class="node battery"><span>${words.battery} ${state?.soc_percent == null ? "" : html`<pv-value id="soc" text=${percent(state.soc_percent)} .reading=${input("soc_percent")}></pv-value>`}</span>
          <pv-value id="battery" text=${watts(size(power?.battery_w))} .reading=${input("battery_w")}></pv-value>
          <small id="battery-words">${way(power?.battery_w, words.discharges, words.charges, words.rests)}</small></div>
        <div class="node grid"><span>${words.grid}</span><pv-value id="grid" text=${watts(size(power?.grid_w))} .reading=${input("grid_w")}></pv-value>
          <small id="grid-words">${way(power?.grid_w, words.imports, words.exports, words.balanced)}</small></div>
        ${this.arrows()}
      </div>
      ${this.limit()}
    </pv-card>`;
  }

  private arrows() {
    const power = store.state?.power;
    const spokes: Spoke[] = [
      { name: "sun", w: power?.pv_w, path: "0 45" },
      { name: "house", w: power?.load_w == null ? null : -power.load_w, path: "100 45" },
      { name: "battery", w: power?.battery_w, path: "0 155" },
      { name: "grid", w: power?.grid_w, path: "100 155" },
    ];
    return html`<svg viewBox="0 0 100 200" preserveAspectRatio="none" aria-hidden="true">
      ${spokes.map((spoke) => this.arrow(spoke))}
      <ellipse cx="50" cy="100" rx="6" ry="4" fill="currentColor"></ellipse>
    </svg>`;
  }

  private arrow({ name, w, path }: Spoke) {
    const [x = 0, y = 0] = path.split(" ").map(Number);
    const flows = w != null && Math.abs(w) >= STILL_W;
    const [mx, my] = [(x + 50) / 2, (y + 100) / 2];
    const angle = (Math.atan2(100 - y, 50 - x) * 180) / Math.PI + ((w ?? 0) < 0 ? 180 : 0);
    return svg`<line class="${flows ? `flows ${name}` : ""}" x1=${x} y1=${y} x2="50" y2="100"></line>
      ${flows ? svg`<polygon class=${name} points="9,0 -7,-8 -7,8" transform="translate(${mx} ${my}) rotate(${angle.toFixed(1)})"></polygon>` : ""}`;
  }

  private limit() {
    const input = store.state?.readings.find((each) => each.name === "grid_w");
    const power = store.state?.power;
    const exported = power?.grid_w == null ? null : Math.max(0, -power.grid_w);
    const limit = power?.limit_w;
    const over = limit != null && exported !== null && exported > limit;
    const part = over ? 100 : share(exported, limit);
    return html`<div class="bar ${over ? "over" : ""}" id="limit-bar" role="meter" aria-label=${words.limitMeter}
        aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(part)} aria-valuetext=${words.of(watts(exported), watts(limit))}>
        <div class="fill" .style=${`width: ${part.toFixed(1)}%`}></div>
      </div>
      <p id="limit" class="limit quiet" title=${aged(input?.age_s ?? null, input?.source)}>${!power ? "" : limit == null ? words.noLimit
        : words.limit(watts(exported), watts(limit), watts(power.target_w))}</p>`;
  }
}

const size = (w: Maybe): number | null => (w == null ? null : Math.abs(w));

function way(w: Maybe, positive: string, negative: string, still: string): string {
  if (w == null) return "\u00a0";
  return Math.abs(w) < STILL_W ? still : w > 0 ? positive : negative;
}
