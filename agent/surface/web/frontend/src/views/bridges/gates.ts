import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { BridgeView, VerdictView } from "../../api.js";
import { moment, type Tone } from "../../fleet.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, tables } from "../../styles.js";
import { words } from "./words.js";

export const RESULTS: Readonly<Record<string, Tone>> = { pass: "good", warn: "warn", fail: "bad" };

const AHEAD_S = 60; // a clock that was set back makes no verdict good for ever

/** Whether a verdict is still believed. */
export function holds(verdict: VerdictView): boolean {
  if (!verdict.at || !store.state) return false;
  const age = (Date.parse(store.state.at) - Date.parse(verdict.at)) / 1000 + store.since;
  return age > -AHEAD_S && age <= verdict.holds_s;
}

/** What the gates of one bridge said last, each with its evidence. */
@customElement("pv-gates")
export class Gates extends LitElement {
  @property({ attribute: false }) bridge!: BridgeView;

  static override styles = [base, tables, css`summary { cursor: pointer; min-height: 1.6rem; } p { min-height: 1.6rem; }`];

  constructor() {
    super();
    new Watch(this, ["gates"], true);
  }

  override render() {
    const told = store.state?.gates[this.bridge.mac];
    if (!told) return html`<p class="quiet">${words.gatesNever}</p>`;
    const more = [
      told.overall === "warn" ? (told.strict ? words.blocks : words.passes) : "",
      moment(told.at), holds(told) ? "" : words.old,
    ];
    return html`<details>
      <summary>${words.gates}: <strong class=${RESULTS[told.overall] ?? ""}>${named(words.results, told.overall)}</strong>
        <small>${more.filter(Boolean).join(", ")}</small></summary>
      <div class="scroll" tabindex="0" role="group" aria-label=${words.gates}><table>
        <thead><tr>${words.gateColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${told.gates.map((each) => html`<tr>
          <td>${words.gateNames[each.gate] ?? each.name} <small>${each.gate}</small></td>
          <td class=${RESULTS[each.result] ?? ""}>${named(words.results, each.result)}</td>
          <td>${each.evidence}</td><td>${each.at ? moment(each.at) : nothing}</td></tr>`)}</tbody>
      </table></div>
    </details>`;
  }
}
