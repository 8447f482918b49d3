import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { aged } from "./value.js";

/**
 * How far something is: `<pv-progress label="Sending" percent="40">`. Without a percentage it says
 * what is waited for; whoever shows it ends it, and there is none without words.
 */
@customElement("pv-progress")
export class Progress extends LitElement {
  @property() label = "";
  @property({ type: Number }) percent: number | null = null;

  constructor() {
    super();
    this.addEventListener("pointerenter", () => { this.title = aged(0); });
  }

  static override styles = css`
    :host { display: block; }
    .bar { height: .5rem; border-radius: .25rem; background: var(--pv-soft); overflow: hidden; }
    .fill { height: 100%; background: var(--primary-color); }
    p { margin: 0 0 .25rem; font-size: .92rem; }
  `;

  override updated(): void {
    this.title = aged(0);
  }

  override render() {
    const percent = this.percent;
    // What it does is read out; each percent is not.
    return html`<p><span role="status">${this.label}</span>${percent === null ? "" : ` ${Math.round(percent).toString()} %`}</p>
      ${percent === null ? "" : html`<div class="bar" role="progressbar" aria-label=${this.label}
        aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(percent)}>
        <div class="fill" .style=${`width: ${percent}%`}></div>
      </div>`}`;
  }
}
