import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { base } from "../styles.js";

/** A titled box: `<pv-card heading="Export today">…</pv-card>`. */
@customElement("pv-card")
export class Card extends LitElement {
  @property() heading = "";

  static override styles = [
    base,
    css`
      :host { min-width: 0; }
      section {
        background: var(--card-background-color); border: 1px solid var(--divider-color);
        border-radius: var(--ha-card-border-radius, 12px); padding: .9rem 1rem; height: 100%;
      }
      h2 { font-size: .95rem; color: var(--secondary-text-color); }
    `,
  ];

  override render() {
    return html`<section aria-labelledby="title">
      <h2 id="title">${this.heading}</h2>
      <slot></slot>
    </section>`;
  }
}
