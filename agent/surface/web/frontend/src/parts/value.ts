import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { ReadingView } from "../api.js";
import { seconds, UNKNOWN } from "../format.js";
import { inBoth } from "../language.js";
import { store } from "../store.js";

const words = inBoth(
  {
    age: (age: string) => `${age} old`,
    noAge: "age unknown",
    from: (source: string) => `from ${source}`,
    stale: "stale",
  },
  {
    age: (age: string) => `${age} alt`,
    noAge: "Alter unbekannt",
    from: (source: string) => `von ${source}`,
    stale: "veraltet",
  },
);

/** What hovering tells of a figure: its age in seconds when the state was told, and whence it is. */
export function aged(age: number | null, source = ""): string {
  const told = age === null ? words.noAge : words.age(seconds(age + store.since));
  return source ? `${told}, ${words.from(source)}` : told;
}

/** How long ago something was when the state was told, in seconds. */
export function since(at: string): number | null {
  const now = store.state?.at;
  return now ? Math.max(0, (Date.parse(now) - Date.parse(at)) / 1000) : null;
}

/**
 * One number as words, with its unit: `<pv-value text="812 W" .age=${1.4}>`. Hovering, or focus
 * by a screen reader, tells how old it is and whence. Stale ones are grey and say so.
 */
@customElement("pv-value")
export class Value extends LitElement {
  /** With the unit, as `format.ts` writes it. */
  @property() text = "";
  /** Seconds, when the state was told; the time since then is added. */
  @property({ attribute: false }) age: number | null = null;
  /** In place of an age: when it was made, for what is told once and then stands for hours. */
  @property() at = "";
  @property() source = "";
  @property({ type: Boolean, reflect: true }) stale = false;
  /** In place of age, source and `stale`: the input that the number is. */
  @property({ attribute: false }) reading: ReadingView | undefined;

  static override styles = css`
    :host { font-variant-numeric: tabular-nums; color: var(--pv-value-color, inherit); }
    .stale { color: var(--secondary-text-color); font-style: italic; }
    small { font-size: .75em; font-style: normal; font-weight: 400; }
  `;

  constructor() {
    super();
    this.addEventListener("pointerenter", () => { this.title = this.told(); });
  }

  override updated(): void {
    this.title = this.told();
  }

  /** What hovering tells. */
  private told(): string {
    if (this.text === UNKNOWN) return this.reading?.detail ?? "";
    const age = this.reading ? this.reading.age_s : this.at ? since(this.at) : this.age;
    const source = this.reading ? this.reading.source : this.source;
    return `${this.text}, ${aged(age, source)}`;
  }

  override render() {
    const old = this.stale || this.reading?.fresh === false;
    const known = this.text !== UNKNOWN;
    return html`<span class=${old && known ? "stale" : ""}>${this.text}${
      old && known ? html` <small>${words.stale}</small>` : ""
    }</span>`;
  }
}
