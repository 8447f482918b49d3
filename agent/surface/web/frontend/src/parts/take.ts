import { html, LitElement } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { here } from "../fleet.js";
import { inBoth } from "../language.js";
import { Watch } from "../store.js";
import { controls } from "../styles.js";
import { tell } from "./answers.js";
import { download } from "./download.js";

const words = inBoth({ making: "being made…" }, { making: "wird erstellt…" });

/** A button that brings a file of the agent: `<pv-download label="Report as CSV" path="report.csv">`. */
@customElement("pv-download")
export class Download extends LitElement {
  @property() label = "";
  @property() path = "";
  @state() private busy = false;

  static override styles = controls;

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    return html`<button type="button" aria-disabled=${this.busy || !here()} aria-busy=${this.busy} @click=${() => void this.clicked()}>
      ${this.label}${this.busy ? ` (${words.making})` : ""}
    </button>`;
  }

  private async clicked(): Promise<void> {
    this.busy = true;
    const became = await download(this.path);
    this.busy = false;
    tell(this.label, became);
  }
}
