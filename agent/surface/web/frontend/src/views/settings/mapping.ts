import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Checked, EntityCheck, SettingField } from "../../api.js";
import { here, moment } from "../../fleet.js";
import { send } from "../../send.js";
import { Returned, store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "./check.js";
import "./field.js";
import { groupName, nameOf } from "./names.js";
import { settings, WatchSettings } from "./store.js";
import { words } from "./words.js";

const READ = "Entities read";
const WRITTEN = "Entities written (path ha_helpers)";
const SETTLED_MS = 3_000; // so long it takes until another entity is listened to

/** Which entity serves what: chosen or found, whether it can, and another one to choose. */
@customElement("pv-mapping")
export class Mapping extends LitElement {
  @state() private said = "";
  @state() private told: Checked | null = null;
  @state() private at = "";
  @state() private problem = "";
  @state() private busy = false;
  private timer = 0;
  private asked = 0;

  static override styles = [
    base,
    controls,
    tables,
    css`
      :host { min-height: 20rem; }
      @media (min-width: 561px) { td:first-child { width: 26%; } }
      td pv-setting { min-width: 12rem; }
      td pv-check { min-width: 14rem; }
      .used { overflow-wrap: anywhere; }
      .head { min-height: 3.5rem; }
      details > summary { cursor: pointer; padding: .7rem 0; font-weight: 600; min-height: 2.75rem; }
      #said { min-height: 1.6rem; }
    `,
  ];

  constructor() {
    super();
    new WatchSettings(this);
    new Watch(this, []);
    new Returned(this, () => void this.check());
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (store.state) void this.check();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
  }

  override render() {
    const drafted = [...settings.drafts.keys()].some((each) => each.startsWith("entities."));
    return html`<pv-card heading=${words.mapping}>
      <p class="quiet">${words.mappingText}</p>
      ${this.head()}
      ${settings.fields.length ? html`<form @submit=${this.saved} novalidate>
        ${this.table(READ)}
        <details><summary>${groupName(WRITTEN)}</summary><p class="quiet">${words.helpers}</p>${this.table(WRITTEN)}</details>
        <div class="row"><button type="submit" class="primary" aria-disabled=${!here() || !drafted}>${words.save}</button>
          <span id="said" role="status">${this.said}</span></div>
      </form>` : html`<p>${settings.problem || words.loading}</p>`}
    </pv-card>`;
  }

  /** What became of all of them, what nobody could settle, and asking again. */
  private head() {
    const count = (verdict: string) => this.told?.entities.filter((each) => each.verdict === verdict).length ?? 0;
    const found = this.told ? words.checked(moment(this.at), count("ok"), count("failure") + count("warning")) : "";
    return html`<div class="head row">
        <button type="button" id="check" aria-disabled=${!here() || this.busy} aria-busy=${this.busy} @click=${() => void this.check()}>${words.checkAgain}</button>
        <span id="checked" role="status">${this.busy ? words.checking : found}</span>
      </div>
      ${this.problem ? html`<pv-problem tone="warn" text=${words.checkFailed} next=${this.problem}></pv-problem>` : nothing}
      ${this.told?.findings.length ? html`<ul id="unsettled">${this.told.findings.map((each) => html`<li class="warn">${each}</li>`)}</ul>` : nothing}`;
  }

  private table(group: string) {
    const fields = settings.fields.filter((each) => each.group === group);
    const checks = new Map(this.told?.entities.map((each) => [each.key, each]));
    return html`<div class="scroll" tabindex="0" role="group" aria-label=${groupName(group)}><table>
      <thead><tr>${words.mappingColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
      <tbody>${repeat(fields, (each) => each.key, (each) => line(each, checks.get(each.key)))}</tbody></table></div>`;
  }

  private readonly saved = async (event: Event): Promise<void> => {
    event.preventDefault();
    this.said = words.saving;
    const taken = await settings.save();
    this.said = taken ? words.saved : settings.refused.text;
    if (!taken) return;
    await this.check();
    clearTimeout(this.timer);
    if (this.isConnected) this.timer = window.setTimeout(() => void this.check(), SETTLED_MS);
  };

  private async check(): Promise<void> {
    const asked = ++this.asked;
    this.busy = true;
    const reply = await send<Checked>("GET", "settings/entities", undefined, { holds: "entities" });
    if (asked !== this.asked) return; // something was chosen meanwhile
    this.busy = false;
    this.problem = reply.body ? "" : reply.text;
    this.told = reply.body;
    this.at = new Date(Date.parse(store.state?.at ?? "") + store.since * 1000 || Date.now()).toISOString();
  }
}

function line(it: SettingField, check: EntityCheck | undefined) {
  return html`<tr data-entity=${it.key}><td>${nameOf(it.key)} <small>${it.sentence.replaceAll("`", "")}</small></td>
    <td><pv-setting bare .field=${it}></pv-setting>${check ? html`<small class="used">${used(check)}</small>` : nothing}</td>
    <td><pv-check .key=${it.key} .check=${check}></pv-check></td></tr>`;
}

function used(it: EntityCheck): string {
  if (!it.used.length) return words.usesNone;
  const which = it.used.join(" + ");
  return it.chosen.length ? words.usesChosen(which) : words.usesFound(which);
}
