import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { PlanPicture } from "../../api.js";
import { clock, kilowattHours, percent, span, weekday } from "../../format.js";
import { named } from "../../language.js";
import { does, moves, saving, summary, words as ofPlan } from "../../plan.js";
import { store, Watch } from "../../store.js";
import { base, controls, grid, tables } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/running.js";
import "../../parts/value.js";
import "./charts.js";
import "./whatif.js";
import { words } from "./words.js";

const MADE_UP = "made up";

/** What the battery is to do today and tomorrow, why, and what would be otherwise. */
@customElement("pv-view-plan")
export class PlanPage extends LitElement {
  /** What somebody turned in the sliders. */
  @state() private preview: PlanPicture | null = null;

  static override styles = [
    base,
    controls,
    grid,
    tables,
    css`
      .head { min-height: 5rem; }
      .now { min-height: 1.5rem; }
      li { padding: .15rem 0; }
      @media (max-width: 560px) { .head { min-height: 10rem; } }
      td { overflow-wrap: anywhere; }
      @media (min-width: 561px) { #plan-windows td:nth-child(1), #plan-windows td:nth-child(3), #plan-windows td:nth-child(4) { white-space: nowrap; } }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["outlook", "zone"]);
  }

  override render() {
    const plan = store.state?.outlook ?? null;
    return html`<div class="grid">
      <pv-card class="wide" heading=${words.plan}>${!store.state ? html`<div class="head">${words.loading}</div>`
        : plan ? this.plan(plan) : html`<p id="plan-none">${words.none}</p><a href="#/settings">${words.settings}</a>`}</pv-card>
      ${store.state ? html`<pv-plan-whatif class="wide" .plan=${plan} .found=${this.preview}
        .told=${(preview: PlanPicture | null) => { this.preview = preview; }}></pv-plan-whatif>` : nothing}
      ${plan ? html`<pv-card class="wide" heading=${words.windows}>${windows(plan)}</pv-card>
        <pv-card class="wide" heading=${words.sources}>${sources(plan)}</pv-card>` : nothing}
    </div>`;
  }

  private plan(plan: PlanPicture) {
    const how = named(words.methods, plan.method);
    return html`<div class="head">
        <p id="plan-phase" class="big"><pv-value text=${summary(plan)} at=${plan.made_at} source=${ofPlan.source}></pv-value></p>
        <p id="plan-reason" class="quiet">${words.made(plan.reason.text, clock(plan.made_at), how)}
          ${plan.gain > 0 ? words.saves(saving(plan)) : ""}</p>
        ${plan.sources.some((each) => each.source.startsWith(MADE_UP)) ? html`<p id="plan-invented" class="warn">${words.invented}</p>` : nothing}
      </div>
      <p id="plan-now" class="now" aria-live="polite"><pv-running></pv-running></p>
      <pv-plan-charts .plan=${plan} .preview=${this.preview}></pv-plan-charts>
      <div class="row"><pv-action label=${words.again} path="requests" .body=${{ kind: "calculate" }}></pv-action></div>`;
  }
}

function windows(plan: PlanPicture) {
  if (!plan.windows.length) return html`<p>${words.noWindows}</p>`;
  return html`<table>
    <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody id="plan-windows">${plan.windows.map((each) => html`<tr>
      <td>${span(each.begins, each.ends)}</td>
      <td>${does(each)}</td>
      <td>${moves(each) ? html`<pv-value text=${kilowattHours(each.energy_wh)} at=${plan.made_at} source=${ofPlan.source}></pv-value>` : ""}</td>
      <td><pv-value text=${words.to(percent(each.soc_percent))} at=${plan.made_at} source=${ofPlan.source}></pv-value></td>
      <td>${each.why.text}</td>
    </tr>`)}</tbody>
  </table>`;
}

function sources(plan: PlanPicture) {
  return html`<table>
    <thead><tr>${words.sourceColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody id="plan-sources">${plan.sources.map((each) => html`<tr>
      <td>${named(words.names, each.name)}</td>
      <td>${each.ends ? words.known(`${weekday(each.ends)} ${clock(each.ends)}`) : words.unknown}</td>
      <td>${each.source || "–"}</td>
      <td>${each.text}</td>
    </tr>`)}</tbody>
  </table>`;
}
