import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import type { SettingField } from "../../api.js";
import { here } from "../../fleet.js";
import { number } from "../../format.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import { nameOf } from "./names.js";
import { settings, WatchSettings } from "./store.js";
import { words } from "./words.js";

const NUMBERS = ["number", "integer"];

/** One setting: its control, its unit and range, its sentence, and what is wrong with it. */
@customElement("pv-setting")
export class Setting extends LitElement {
  @property({ attribute: false }) field!: SettingField;
  /** Without sentence and range, for a table that has them elsewhere. */
  @property({ type: Boolean }) bare = false;

  static override styles = [
    base,
    controls,
    css`
      :host { min-width: 0; }
      .row { flex-wrap: nowrap; }
      input, select { flex: 1 1 auto; min-width: 0; width: 100%; }
      input[type="checkbox"] { flex: none; width: 1.5rem; min-height: 1.5rem; }
      .number input { flex: 0 1 9rem; }
      label { font-weight: 600; }
      .switch { min-height: 2.75rem; }
      .error:empty { display: none; }
      .drafted input, .drafted select { border-color: var(--primary-color); border-width: 2px; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
    new WatchSettings(this);
  }

  override focus(): void {
    this.renderRoot.querySelector<HTMLElement>("#control")?.focus();
  }

  override render() {
    const it = this.field;
    const wrong = settings.refused.key === it.key ? settings.refused.text : "";
    const name = nameOf(it.key);
    const drafted = settings.drafts.has(it.key) ? "drafted" : "";
    return html`<div class=${drafted}>
      <label for="control" ?hidden=${this.bare}>${name}</label>
      <div class="row ${NUMBERS.includes(it.kind) ? "number" : ""} ${it.kind === "boolean" ? "switch" : ""}">
        ${this.control(name, wrong !== "")}${it.unit ? html`<span class="quiet">${it.unit}</span>` : ""}
      </div>
      <small id="help" ?hidden=${this.bare}>${help(it)}</small>
      <p id="error" class="error bad" role="alert">${wrong}</p>
    </div>`;
  }

  private control(name: string, wrong: boolean) {
    const it = this.field;
    const text = settings.text(it);
    const described = wrong ? "error help" : "help";
    if (it.kind === "boolean") {
      return html`<input id="control" type="checkbox" role="switch" aria-label=${name} aria-describedby=${described} aria-invalid=${wrong}
        .checked=${live(text === "true")} ?disabled=${!here()}
        @change=${(event: Event) => { settings.type(it, String((event.target as HTMLInputElement).checked)); }}>
        <span>${text === "true" ? words.on : words.off}</span>`;
    }
    if (it.kind === "choice") {
      return html`<select id="control" aria-label=${name} aria-describedby=${described} aria-invalid=${wrong} ?disabled=${!here()}
        .value=${live(text)} @change=${this.typed}>
        ${(it.choices ?? []).map((each) => html`<option value=${String(each)} ?selected=${String(each) === text}>${each}</option>`)}</select>`;
    }
    const found = it.kind.startsWith("entit") ? words.found : words.notSet;
    return html`<input id="control" aria-label=${name} aria-describedby=${described} aria-invalid=${wrong} autocomplete="off" autocapitalize="off"
      spellcheck="false" inputmode=${NUMBERS.includes(it.kind) ? "decimal" : "text"} placeholder=${found} ?disabled=${!here()}
      .value=${live(text)} @input=${this.typed} @keydown=${this.entered}>`;
  }

  /** Enter saves, as in any form; a field in its own shadow belongs to none. */
  private readonly entered = (event: KeyboardEvent): void => {
    if (event.key === "Enter") this.closest("form")?.querySelector<HTMLButtonElement>("[type=submit]")?.click();
  };

  private readonly typed = (event: Event): void => {
    settings.type(this.field, (event.target as HTMLInputElement).value);
  };
}

function help(it: SettingField): string {
  const parts = [it.sentence];
  if (it.minimum !== null && it.maximum !== null) parts.push(words.range(shown(it.minimum), shown(it.maximum), it.unit));
  if (it.step !== null) parts.push(words.step(shown(it.step), it.unit));
  const usual = typeof it.default === "number" ? `${shown(it.default)} ${it.unit}`.trim() : it.kind === "choice" ? it.default : null;
  if (typeof usual === "string" && usual) parts.push(words.usual(usual));
  return parts.join(" ").replaceAll("`", "");
}

function shown(value: number): string {
  const digits = String(value).split(".")[1]?.length ?? 0;
  return number(value, digits);
}
