import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import type { ReadingView, State } from "../../api.js";
import { number, seconds, UNKNOWN } from "../../format.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/value.js";
import { words } from "./words.js";

const TONES: Record<State["health"], string> = {
  Healthy: "good", "Stale Data": "warn", "Circuit Breaker Open": "warn", Error: "bad",
};

/** What is wrong, and every input with its age and source. */
@customElement("pv-now-health")
export class Health extends LitElement {
  static override styles = [
    base,
    tables,
    css`
      .two { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); align-items: start; }
      h3 { margin-top: .75rem; }
      .problems { min-height: 3.5rem; }
      @media (min-width: 561px) { tbody tr { height: 2.2rem; } }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["health", "problems", "breaker", "path", "linked", "readings", "data_staleness_s"], true);
  }

  override render() {
    const state = store.state;
    if (!state) return html`<pv-card heading=${words.health}><p>${words.loading}</p></pv-card>`;
    const { breaker } = state;
    const problems = state.problems.length ? state.problems : [{ text: words.nothingWrong, source: "" }];
    return html`<pv-card heading=${words.health}>
      <div class="two">
        <div class="problems">
          <p id="health" class="big ${TONES[state.health]}">${words.healths[state.health]}</p>
          <ul id="problems">${problems.map((each) => html`<li>${each.source ? `${each.text} (${each.source})` : each.text}</li>`)}</ul>
        </div>
        <dl>
          <dt>${words.gridAge}</dt><dd id="staleness">${aged(state.data_staleness_s)}</dd>
          <dt>${words.breaker}</dt><dd>${breaker.is_open
            ? words.breakerOpen(seconds(Math.ceil(Math.max(0, breaker.retry_in_s - store.since))))
            : words.breakerClosed(breaker.failures)}</dd>
          <dt>${words.path}</dt><dd id="path">${state.linked ? words.linked(state.path) : words.unlinked(state.path)}</dd>
        </dl>
      </div>
      <h3>${words.inputs}</h3>
      <div class="scroll" tabindex="0" role="region" aria-label=${words.inputs}><table>
        <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody id="inputs">${state.readings.map(row)}</tbody>
      </table></div>
    </pv-card>`;
  }
}

function row(reading: ReadingView) {
  const { value, quality, detail } = reading;
  const amount = value === null ? UNKNOWN : `${number(value, Math.abs(value) < 100 && value % 1 ? 1 : 0)} ${reading.unit}`;
  const how = quality !== "good" ? quality : reading.fresh ? words.fresh : words.stale;
  return html`<tr>
    <td>${named(words.names, reading.name)}</td>
    <td><pv-value text=${amount} .reading=${reading}></pv-value></td>
    <td>${aged(reading.age_s)}</td>
    <td class=${reading.fresh && quality === "good" ? "good" : "warn"}>${detail ? `${how}: ${detail}` : how}</td>
    <td>${reading.source}</td>
  </tr>`;
}

function aged(age: number | null): string {
  return seconds(age === null ? null : age + store.since);
}
