import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { Phase, RequestKind, State } from "../../api.js";
import { clockWithSeconds, seconds, watts } from "../../format.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import { aged } from "../../parts/value.js";
import { words } from "./words.js";

const TONES: Partial<Record<Phase, string>> = {
  DISCHARGE_ACTIVE: "good", DISCHARGE_COMPLETE: "good", CHARGE_ACTIVE: "good", REST_ACTIVE: "good",
  ERROR_STATE: "bad",
};

/** The state with its reason in words, what a start would meet, and the buttons. */
@customElement("pv-now-state")
export class NowState extends LitElement {
  static override styles = [
    base,
    controls,
    css`
      pv-card { height: 100%; }
      .head { min-height: 6.2rem; }
      .lease { min-height: 3rem; }
      .row { margin: .6rem 0; }
      .note { background: var(--pv-soft); border-radius: 8px; padding: .5rem .75rem; min-height: 5.2rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["phase", "reason", "latched", "blockers", "last_action", "lease"], true);
  }

  override render() {
    const state = store.state;
    const runs = state?.phase === "DISCHARGE_ACTIVE";
    return html`<pv-card heading=${words.state}>
      <div class="head" aria-live="polite">
        <p id="phase" class="big ${state ? (TONES[state.phase] ?? "") : ""}">${state ? words.phases[state.phase] : words.loading}</p>
        <p id="reason">${state?.reason.text ?? ""}</p>
      </div>
      <p id="lease" class="lease quiet" title=${state ? aged(0, state.path) : ""}>${state ? lease(state) : ""}</p>
      <div class="row">
        ${wish(words.start, "start_discharge", runs ? "" : "primary")} ${wish(words.stop, "stop_discharge", runs ? "primary" : "")}
        ${wish(words.acknowledge, "acknowledge", "", !state?.latched)}
      </div>
      <div class="note">
        <p id="blockers-title">${state ? title(state) : ""}</p>
        ${state?.blockers.length ? html`<ul id="blockers">${state.blockers.map((each) => html`<li>${each.text} ${each.code === "second_controller" ? this.choose() : nothing}</li>`)}</ul>` : nothing}
      </div>
      <p id="last-action" class="quiet">${state ? last(state) : ""}</p>
    </pv-card>`;
  }

  private choose() {
    return html`<button type="button" class="link" @click=${() => this.dispatchEvent(new Event("pv-to-migration", { bubbles: true, composed: true }))}>${words.chooseOwner}</button>`;
  }
}

function wish(label: string, kind: RequestKind, look: "" | "primary" = "", off = false) {
  return html`<pv-action label=${label} path="requests" .body=${{ kind }} .look=${look} .off=${off}></pv-action>`;
}

function title(state: State): string {
  if (state.blockers.length) return words.refusedBecause;
  return state.phase === "DISCHARGE_ACTIVE" ? words.running : words.wouldRun;
}

function lease({ lease: it }: State): string {
  if (!it) return words.noLease;
  const left = Math.max(0, Math.round(it.remaining_s - store.since));
  const seen = it.confirmed ? words.confirmed : words.unconfirmed;
  return words.lease(named(words.kinds, it.kind), watts(it.power_w), seconds(left), seen);
}

function last({ last_action: it }: State): string {
  if (!it) return words.nothingDone;
  const plain = (code: string): string => code.replaceAll("_", " ");
  const action = plain(named(words.actions, it.action));
  return words.last(action, clockWithSeconds(it.at), it.by, plain(named(words.whys, it.reason)));
}
