import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import { seconds } from "../format.js";
import { inBoth } from "../language.js";
import { store, Watch } from "../store.js";
import { controls } from "../styles.js";

const words = inBoth(
  {
    name: "Connection",
    lost: "The agent cannot be reached.",
    old: (age: string) => `What you see is old: last known ${age} ago.`,
    again: "Trying again by itself.",
    now: "Try now",
    stale: "The agent answers, but its guard has said nothing new for a while. See its log.",
    refused: "Home Assistant refused the connection.",
    step: "Log in to Home Assistant again, or ask an administrator of it.",
  },
  {
    name: "Verbindung",
    lost: "Der Agent ist nicht erreichbar.",
    old: (age: string) => `Was hier steht, ist alt: zuletzt bekannt vor ${age}.`,
    again: "Es wird von selbst weiter versucht.",
    now: "Jetzt versuchen",
    stale: "Der Agent antwortet, aber sein Wächter hat eine Weile nichts Neues gesagt. Siehe sein Protokoll.",
    refused: "Home Assistant hat die Verbindung abgelehnt.",
    step: "Bitte neu bei Home Assistant anmelden oder einen Administrator fragen.",
  },
);

/** Says how good the connection is when it is not; lies over the page, so that nothing moves. */
@customElement("pv-banner")
export class Banner extends LitElement {
  static override styles = [
    controls,
    css`
      div {
        position: fixed; left: 50%; top: 7.2rem; transform: translateX(-50%); z-index: 3;
        width: min(92vw, 44rem); padding: .7rem 1rem; border-radius: 10px; border: 1px solid var(--pv-bad);
        box-shadow: 0 3px 14px #0005; background: var(--pv-bad-soft); color: var(--pv-bad);
        display: flex; gap: .75rem; align-items: center; justify-content: space-between;
        max-height: 40vh; overflow-y: auto; overflow-wrap: anywhere;
      }
      div.stale { border-color: var(--pv-warn); background: var(--pv-warn-soft); color: var(--pv-warn); }
    `,
  ];

  constructor() {
    super();
    new Watch(this, [], true);
  }

  override render() {
    const text = said();
    if (!text) return nothing;
    return html`<div class=${store.link} role="region" aria-label=${words.name}>
      <span><span role="alert">${text}</span> ${age()}</span>
      ${store.link === "stale" ? nothing
        : html`<button type="button" @click=${() => { store.hurry(); }}>${words.now}</button>`}
    </div>`;
  }
}

function said(): string {
  switch (store.link) {
    case "lost":
      return `${words.lost} ${words.again}`;
    case "refused":
      return `${store.refusal || words.refused} ${words.step}`;
    case "stale":
      return words.stale;
    default:
      return "";
  }
}

/** Beside the alert, not in it: what counts each second would be read out each second. */
function age(): string {
  return store.link === "lost" && store.state ? words.old(seconds(store.since)) : "";
}
