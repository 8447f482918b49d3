import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { SettingField } from "../../api.js";
import { here } from "../../fleet.js";
import { confirmed } from "../../parts/confirm.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "./field.js";
import type { Setting } from "./field.js";
import { groupName } from "./names.js";
import { settings, WatchSettings } from "./store.js";
import { words } from "./words.js";

const MAPPED = "Entities ";
const OPEN = ["Limits"];
const MODES = ["observe", "control"] as const;

/** Every setting but the mapping, by group; what was typed is saved together. */
@customElement("pv-settings-form")
export class Form extends LitElement {
  @state() private said = "";
  /** Why the mode was not switched. */
  @state() private kept = "";

  static override styles = [
    base,
    controls,
    css`
      :host { min-height: 30rem; }
      details { border-top: 1px solid var(--divider-color); }
      summary { cursor: pointer; padding: .7rem 0; font-weight: 600; min-height: 2.75rem; }
      .fields { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); padding-bottom: 1rem; }
      fieldset { border: 0; padding: 0; margin: 0 0 .75rem; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; min-width: 0; }
      legend { padding: 0; font-weight: 600; }
      .mode { display: flex; gap: .5rem; align-items: center; min-height: 2.75rem; }
      input[type="radio"] { min-height: 1.25rem; width: 1.25rem; }
      .save { position: sticky; bottom: 0; background: var(--card-background-color); border-top: 1px solid var(--divider-color); padding: .6rem 0; min-height: 4rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["mode"]);
    new WatchSettings(this);
  }

  override render() {
    const groups = [...new Set(settings.fields.map((each) => each.group))].filter((each) => !each.startsWith(MAPPED));
    return html`<pv-card heading=${words.settings}>
      ${this.mode()}
      ${settings.problem ? html`<pv-problem text=${words.failed} next=${settings.problem}>
        <button type="button" @click=${() => void settings.load()}>${words.again}</button></pv-problem>`
        : settings.fields.length ? this.form(groups) : html`<p>${words.loading}</p>`}
    </pv-card>`;
  }

  private form(groups: readonly string[]) {
    const count = settings.drafts.size;
    return html`<form @submit=${this.saved} novalidate>
      ${repeat(groups, (each) => each, (each) => html`<details data-group=${each} ?open=${OPEN.includes(each)}><summary>${groupName(each)}</summary>
        <div class="fields">${repeat(of(each), (field) => field.key, (field) => html`<pv-setting data-key=${field.key} .field=${field}></pv-setting>`)}</div></details>`)}
      <div class="row save">
        <button type="submit" class="primary" aria-disabled=${!here() || !count}>${words.save}</button>
        <button type="button" aria-disabled=${!count} @click=${() => { this.said = ""; settings.discard(); }}>${words.discard}</button>
        <span id="said" role="status">${this.said || (count ? words.changed(count) : words.nothing)}</span>
      </div>
    </form>`;
  }

  private mode() {
    return html`<fieldset><legend>${words.mode}</legend>
      ${MODES.map((each) => html`<label class="mode"><input type="radio" name="mode" value=${each} .checked=${store.state?.mode === each}
        ?disabled=${!here()} @change=${(event: Event) => void this.switched(event.target as HTMLInputElement)}>
        <span>${words.modes[each]} <small>${words.modeTexts[each]}</small></span></label>`)}
      ${this.kept ? html`<p class="bad" role="alert">${this.kept}</p>` : nothing}
    </fieldset>`;
  }

  private async switched(radio: HTMLInputElement): Promise<void> {
    const wanted = radio.value;
    const sure = wanted === "observe"
      || (await confirmed({ title: words.controlTitle, text: [words.controlText], act: words.modes.control }));
    const taken = sure && (await settings.change({ mode: wanted }));
    this.kept = sure && !taken ? settings.refused.text : "";
    if (!taken) {
      for (const each of this.renderRoot.querySelectorAll<HTMLInputElement>("input[name=mode]")) each.checked = each.value === store.state?.mode;
    }
  }

  private readonly saved = async (event: Event): Promise<void> => {
    event.preventDefault();
    this.said = words.saving;
    this.said = (await settings.save()) ? words.saved : settings.refused.text;
    const wrong = settings.refused.key;
    if (!wrong) return;
    const place = this.renderRoot.querySelector<Setting>(`pv-setting[data-key="${CSS.escape(wrong)}"]`);
    const group = place?.closest("details");
    if (group) group.open = true;
    place?.focus();
  };

  override connectedCallback(): void {
    super.connectedCallback();
    settings.addEventListener("change", this.typed);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    settings.removeEventListener("change", this.typed);
  }

  /** What was said of the last save is over once somebody types again. */
  private readonly typed = (): void => {
    if (this.said === words.saved && settings.drafts.size) this.said = "";
  };
}

function of(group: string): SettingField[] {
  return settings.fields.filter((each) => each.group === group && each.key !== "mode");
}
