import { css, html, LitElement, svg } from "lit";
import { customElement } from "lit/decorators.js";
import type { EnergyView } from "../../api.js";
import { kilowattHours, share } from "../../format.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/value.js";
import { words } from "./words.js";

const ARC = "M 20 100 A 80 80 0 0 1 180 100";

/** How much may still leave today, as a gauge: what did, what may have at most, and the allowance. */
@customElement("pv-now-headroom")
export class Headroom extends LitElement {
  static override styles = [
    base,
    css`
      pv-card { height: 100%; }
      .gauge { position: relative; max-width: 16rem; margin: 0 auto; aspect-ratio: 200 / 116; }
      svg { width: 100%; height: 100%; }
      path { fill: none; stroke-width: 16; stroke: var(--pv-soft); }
      .most { stroke: var(--pv-warn); opacity: .55; }
      .best { stroke: var(--pv-good); }
      .over .best, .over .most { stroke: var(--pv-bad); }
      .middle { position: absolute; inset: auto 0 0; text-align: center; }
      .breach { min-height: 1.4rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["energy", "readings"]);
  }

  override render() {
    const energy = store.state?.energy;
    const input = (name: string) => store.state?.readings.find((each) => each.name === name);
    return html`<pv-card heading=${words.headroom}>
      ${this.gauge(energy)}
      <dl>
        <dt>${words.exported}</dt><dd><pv-value id="exported" text=${kilowattHours(energy?.exported_wh)} .reading=${input("exported_wh")}></pv-value></dd>
        <dt>${words.atMost}</dt><dd><pv-value id="exported-upper" text=${kilowattHours(energy?.exported_upper_wh)} .reading=${input("exported_wh")}></pv-value></dd>
        <dt>${words.allowed}</dt><dd><pv-value id="allowance" text=${kilowattHours(energy?.allowance_wh)} .reading=${input("produced_wh")}></pv-value></dd>
        <dt>${words.produced}</dt><dd><pv-value id="produced" text=${kilowattHours(energy?.produced_wh)} .reading=${input("produced_wh")}></pv-value></dd>
        <dt>${words.forecast}</dt><dd><pv-value id="forecast" text=${kilowattHours(energy?.forecast_wh)} .reading=${input("forecast_today_wh")}></pv-value></dd>
      </dl>
      <p class="breach bad">${energy?.breach ? words.breach : ""}</p>
    </pv-card>`;
  }

  private gauge(energy: EnergyView | undefined) {
    const part = (wh: number | null | undefined): string =>
      (share(wh, energy?.allowance_wh) * 2.513).toFixed(1); // of an arc of 80 π
    const left = energy?.left_wh;
    const over = energy?.breach === true || (left ?? 0) < 0;
    const said = words.of(kilowattHours(energy?.exported_wh), kilowattHours(energy?.allowance_wh));
    return html`<div class="gauge ${over ? "over" : ""}" id="headroom" role="meter" aria-label=${words.gauge}
        aria-valuemin="0" aria-valuemax="100" aria-valuetext=${said}
        aria-valuenow=${Math.round(share(energy?.exported_wh, energy?.allowance_wh))}>
      <svg viewBox="0 0 200 116" aria-hidden="true">
        <path d=${ARC}></path>
        ${svg`<path class="most" d=${ARC} stroke-dasharray="${part(energy?.exported_upper_wh)} 999"></path>
          <path class="best" d=${ARC} stroke-dasharray="${part(energy?.exported_wh)} 999"></path>`}
      </svg>
      <div class="middle">
        <pv-value id="left" class="big" text=${kilowattHours(left)} .age=${store.state?.data_staleness_s ?? null}></pv-value>
        <div><small id="left-words">${(left ?? 0) < 0 ? words.overLeave : words.mayLeave}${
          energy?.period === "rolling_24h" ? `, ${words.rolling}` : ""}</small></div>
      </div>
    </div>`;
  }
}
