import { css, html, LitElement, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import type { State } from "../api.js";
import { seconds, watts } from "../format.js";
import { inBoth } from "../language.js";
import { ask, type Reply } from "../send.js";
import { store, Watch } from "../store.js";
import { base, controls } from "../styles.js";

const words = inBoth(
  {
    name: "Emergency stop",
    close: "Close",
    sending: "Sending the stop…",
    told: "The guard has it.",
    waiting: "Waiting for the inverter to confirm the stop.",
    verified: "Verified: the inverter's registers show no dispatch.",
    read: (age: string) => `Read ${age} ago.`,
    unread: "No dispatch of ours is open, but the inverter's registers cannot be read now.",
    runs: "Not verified: the inverter still shows a dispatch.",
    failed: "Not verified.",
    ends: (left: string) => `Whatever runs ends by itself in ${left} at the latest.`,
    battery: (power: string) => `Battery power now: ${power}.`,
    latched: "Nothing is started until it is acknowledged.",
    old: "What was last known:",
    left: "What is left: the stop button of the bridge, or stopping the app from the host. The inverter's own timer ends a dispatch without anybody.",
  },
  {
    name: "Not-Halt",
    close: "Schließen",
    sending: "Der Halt wird gesendet…",
    told: "Der Wächter hat ihn.",
    waiting: "Warten, dass der Wechselrichter den Halt bestätigt.",
    verified: "Geprüft: die Register des Wechselrichters zeigen keinen Dispatch.",
    read: (age: string) => `Gelesen vor ${age}.`,
    unread: "Kein Dispatch von uns ist offen, aber die Register des Wechselrichters sind gerade nicht lesbar.",
    runs: "Nicht bestätigt: der Wechselrichter zeigt noch einen Dispatch.",
    failed: "Nicht bestätigt.",
    ends: (left: string) => `Was läuft, endet von selbst in spätestens ${left}.`,
    battery: (power: string) => `Leistung der Batterie jetzt: ${power}.`,
    latched: "Nichts wird gestartet, bis es quittiert ist.",
    old: "Zuletzt bekannt:",
    left: "Was bleibt: die Stopp-Taste der Bridge, oder die App vom Host aus anhalten. Der Zeitgeber des Wechselrichters beendet einen Dispatch auch ohne uns.",
  },
);

/**
 * One click, from every view, also while the page is disconnected. Afterwards it says what the
 * inverter itself shows, and what is left where that could not be seen.
 */
@customElement("pv-stop")
export class Stop extends LitElement {
  @state() private reply: Reply | "sending" | null = null;
  @query("button.danger") private button!: HTMLButtonElement;

  static override styles = [
    base,
    controls,
    css`
      :host { position: relative; }
      button.danger { white-space: nowrap; }
      .told {
        position: absolute; right: 0; top: 3.2rem; z-index: 4; width: min(92vw, 26rem); padding: .8rem 1rem;
        border-radius: 10px; border: 2px solid var(--pv-danger); box-shadow: 0 3px 14px #0005;
        background: var(--card-background-color); color: var(--primary-text-color);
        max-height: 75vh; overflow-y: auto; overflow-wrap: anywhere;
      }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["reason", "latched", "lease", "readings", "error_state", "power"], true);
    this.addEventListener("keydown", this.pressed);
  }

  override render() {
    return html`<button type="button" class="danger" @click=${() => void this.clicked()}>${words.name}</button>
      ${this.reply === null ? nothing : this.panel(this.reply)}`;
  }

  private async clicked(): Promise<void> {
    this.reply = "sending";
    this.reply = await ask("emergency_stop");
  }

  private panel(reply: Reply | "sending") {
    const lines: Line[] = reply === "sending" ? [words.sending]
      : reply.outcome === "accepted" ? followed(store.state, reply.text)
      : [reply.text, ...known(store.state), words.left];
    return html`<div class="told" role="alert" aria-atomic="false">
      <strong>${words.name}</strong>
      ${lines.map((line) => typeof line === "string" ? html`<p>${line}</p>` : html`<p>${line.said} <span aria-live="off">${line.counted}</span></p>`)}
      <button type="button" @click=${this.closed}>${words.close}</button>
    </div>`;
  }

  private readonly closed = (): void => {
    this.reply = null;
    this.button.focus();
  };

  private readonly pressed = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && this.reply !== null) this.closed();
  };
}

/** A sentence, or one with seconds that are counted: not to be read out again each second. */
type Line = string | { said: string; counted: string };

/** What became of a stop that the guard took. */
function followed(state: State | null, answer: string): Line[] {
  if (!state?.latched) return [answer, words.waiting];
  const start = state.readings.find((each) => each.name === "dispatch_start");
  if (state.error_state === "discharge_stop_failed") {
    return [words.failed, state.reason.text, ...ends(state), words.left];
  }
  if (state.reason.code === "stopping") return [words.told, words.waiting, ...ends(state)];
  if (start?.fresh && start.value !== null && start.value !== 0) {
    return [words.runs, ...ends(state), words.left];
  }
  if (state.lease) return [words.told, words.waiting, ...ends(state)];
  const age = start?.fresh ? start.age_s : null;
  const verdict = age === null ? words.unread : { said: words.verified, counted: words.read(seconds(age + store.since)) };
  return [verdict, words.battery(watts(state.power.battery_w)), words.latched];
}

function known(state: State | null): Line[] {
  return state ? [words.old, state.reason.text, ...ends(state)] : [];
}

function ends(state: State): Line[] {
  const lease = state.lease;
  if (!lease) return [];
  return [{ said: "", counted: words.ends(seconds(Math.max(0, Math.round(lease.remaining_s - store.since)))) }];
}
