import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { base, grid } from "../../styles.js";
import "./chart.js";
import "../../parts/commissioning.js";
import "./flow.js";
import "./headroom.js";
import "./health.js";
import "./migration.js";
import "./state.js";
import "./timeline.js";

/** Is it safe, what is it doing and why, what will it do next. */
@customElement("pv-view-now")
export class NowView extends LitElement {
  static override styles = [
    base,
    grid,
    css`
      @media (min-width: 1060px) {
        .grid { grid-template-columns: repeat(3, 1fr); align-items: stretch; }
      }
    `,
  ];

  override render() {
    return html`<div class="grid" @pv-to-migration=${this.toMigration}>
      <pv-now-state></pv-now-state>
      <pv-now-headroom></pv-now-headroom>
      <pv-now-flow></pv-now-flow>
      <pv-now-timeline class="wide"></pv-now-timeline>
      <pv-now-chart class="wide"></pv-now-chart>
      <pv-now-health class="wide"></pv-now-health>
      <pv-commissioning class="wide"></pv-commissioning>
      <pv-migration class="wide" tabindex="-1"></pv-migration>
    </div>`;
  }

  /** The card comes and goes, so it is the last one and moves none; whoever needs it is led there. */
  private readonly toMigration = (): void => {
    const card = this.renderRoot.querySelector<HTMLElement>("pv-migration");
    card?.scrollIntoView({ block: "start" });
    card?.focus({ preventScroll: true });
  };
}
