import { css, html, LitElement, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { base } from "../../styles.js";
import { words } from "./words.js";

/** Which buttons bring a chip into its loader; opens by itself when one has not answered. */
@customElement("pv-board")
export class Board extends LitElement {
  @property({ type: Boolean }) asked = false;
  @state() private open = false;

  static override styles = [
    base,
    css`
      summary { cursor: pointer; padding: .6rem 0; }
      svg { width: min(100%, 30rem); height: auto; color: var(--primary-text-color); }
      .pcb, .can, .plug, .wire, .knob, .finger { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
      .pcb { fill: var(--pv-soft); }
      .knob { fill: var(--card-background-color); }
      .finger { stroke: var(--primary-color); stroke-width: 3; stroke-linecap: round; }
      text { font-size: 13px; fill: currentColor; }
    `,
  ];

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("asked") && this.asked) this.open = true;
  }

  override render() {
    return html`<details .open=${this.open} @toggle=${(event: Event) => { this.open = (event.target as HTMLDetailsElement).open; }}>
      <summary>${words.buttons}</summary>
      <svg viewBox="0 0 420 170" role="img" aria-label=${words.board}>
        <rect class="pcb" x="90" y="20" width="240" height="120" rx="10"></rect>
        <rect class="can" x="190" y="34" width="110" height="92" rx="4"></rect>
        <path class="wire" d="M300 48h18v10h-14v10h14v10h-14v10h14"></path>
        <rect class="plug" x="66" y="64" width="38" height="32" rx="4"></rect>
        <path class="wire" d="M66 80C40 80 42 150 6 150"></path>
        <circle class="knob" cx="150" cy="44" r="11"></circle><circle class="knob" cx="150" cy="116" r="11"></circle>
        <text x="150" y="72" text-anchor="middle">BOOT</text><text x="150" y="97" text-anchor="middle">RESET</text>
        <path class="finger" d="M150 6v20m-6-7l6 7l6-7"></path><path class="finger" d="M150 164v-30m-6 7l6-7l6 7"></path>
        <text x="164" y="16">${words.first}</text><text x="164" y="162">${words.second}</text>
      </svg>
      <ol>${words.steps.map((each) => html`<li>${each}</li>`)}</ol>
    </details>`;
  }
}
