import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { base } from "../styles.js";

/** Something that went wrong, with the next step: what happened, and buttons in its slot. */
@customElement("pv-problem")
export class Problem extends LitElement {
  @property() text = "";
  /** What helps. */
  @property() next = "";
  /** `warn` for what a person may leave as it is. */
  @property() tone: "bad" | "warn" = "bad";

  static override styles = [
    base,
    css`
      div { border: 1px solid; border-radius: 10px; padding: .6rem .9rem; margin: .5rem 0; }
      .bad { background: var(--pv-bad-soft); color: var(--pv-bad); }
      .warn { background: var(--pv-warn-soft); color: var(--pv-warn); }
      p.next { color: var(--primary-text-color); }
    `,
  ];

  override render() {
    return html`<div class=${this.tone} role="alert">
      <p>${this.text}</p>
      ${this.next ? html`<p class="next">${this.next}</p>` : ""}
      <slot></slot>
    </div>`;
  }
}
