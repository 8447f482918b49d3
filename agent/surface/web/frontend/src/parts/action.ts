import { html, LitElement } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { send, type Reply } from "../send.js";
import { store, Watch } from "../store.js";
import { controls } from "../styles.js";
import { inBoth } from "../language.js";
import { tell } from "./answers.js";

const words = inBoth({ sending: "sending…" }, { sending: "wird gesendet…" });

/**
 * A button that asks the agent for something and says what became of it:
 * `<pv-action label="Start discharge" path="requests" .body=${{ kind: "start_discharge" }}>`.
 * It is off while the agent is not there, and while its own wish is under way.
 */
@customElement("pv-action")
export class Action extends LitElement {
  @property() label = "";
  @property() path = "";
  @property() method: "POST" | "PATCH" | "DELETE" = "POST";
  @property({ attribute: false }) body: unknown;
  @property() look: "" | "primary" | "danger" = "";
  @property({ type: Boolean }) off = false;
  /** Asked first; the wish is dropped where it says no. */
  @property({ attribute: false }) asks: (() => Promise<boolean>) | undefined;
  /** Told of the answer, beside the words at the foot of the page. */
  @property({ attribute: false }) answered: ((reply: Reply) => void) | undefined;
  @state() private busy = false;

  static override styles = controls;

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    const here = store.link === "live" || store.link === "stale";
    return html`<button type="button" class=${this.look} aria-disabled=${this.off || this.busy || !here}
      aria-busy=${this.busy} @click=${() => void this.clicked()}>
      ${this.label}${this.busy ? ` (${words.sending})` : ""}
    </button>`;
  }

  private async clicked(): Promise<void> {
    if (this.asks && !(await this.asks())) return;
    this.busy = true;
    const reply = await send(this.method, this.path, this.body);
    this.busy = false;
    tell(this.label, reply);
    this.answered?.(reply);
  }
}
