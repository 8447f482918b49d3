import { css, html, LitElement } from "lit";
import { customElement, state } from "lit/decorators.js";
import { inBoth } from "../language.js";
import type { Outcome, Reply } from "../send.js";

const SHOWN_MS = 12_000;
const words = inBoth(
  {
    accepted: (name: string, text: string) => (text ? `${name}: ${text}` : `${name}: done.`),
    refused: (name: string, text: string) => `${name} was refused: ${text}`,
    failed: (name: string, text: string) => `${name} did not work: ${text}`,
  },
  {
    accepted: (name: string, text: string) => (text ? `${name}: ${text}` : `${name}: erledigt.`),
    refused: (name: string, text: string) => `${name} wurde abgelehnt: ${text}`,
    failed: (name: string, text: string) => `${name} hat nicht geklappt: ${text}`,
  },
);
const told = new EventTarget();

class Answer extends Event {
  constructor(readonly outcome: Outcome, readonly text: string) {
    super("answer");
  }
}

/** Says at the foot of the page what became of a wish; `name` as on its button. */
export function tell(name: string, reply: Pick<Reply, "outcome" | "text">): void {
  told.dispatchEvent(new Answer(reply.outcome, words[reply.outcome](name, reply.text)));
}

/** Lies over the page, so that nothing moves when an answer comes and goes. */
@customElement("pv-answers")
export class Answers extends LitElement {
  @state() private text = "";
  @state() private outcome: Outcome = "accepted";
  private timer = 0;

  static override styles = css`
    p {
      position: fixed; left: 50%; bottom: 1rem; transform: translateX(-50%); z-index: 3; margin: 0;
      width: min(92vw, 44rem); padding: .7rem 1rem; border-radius: 10px;
      box-shadow: 0 3px 14px #0005; border: 1px solid var(--divider-color);
      background: var(--card-background-color); color: var(--primary-text-color);
      max-height: 40vh; overflow-y: auto; overflow-wrap: anywhere; /* the stop stays free */
    }
    p.refused { background: var(--pv-warn-soft); border-color: var(--pv-warn); }
    p.failed { background: var(--pv-bad-soft); border-color: var(--pv-bad); }
    p:empty { display: none; }
  `;

  override connectedCallback(): void {
    super.connectedCallback();
    told.addEventListener("answer", this.heard);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    told.removeEventListener("answer", this.heard);
  }

  private readonly heard = (event: Event): void => {
    if (!(event instanceof Answer)) return;
    this.outcome = event.outcome;
    this.text = event.text;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => { this.text = ""; }, SHOWN_MS);
  };

  override render() {
    // The region is always there: what appears together with its region is not read out.
    return html`<div role="status"><p id="answer" class=${this.outcome}>${this.text}</p></div>`;
  }
}
