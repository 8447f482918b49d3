import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";
import type { ChipView, PartView, PortView } from "../../api.js";
import { moment } from "../../fleet.js";
import { number } from "../../format.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/problem.js";
import "../../parts/progress.js";
import "./wish.js";
import { words } from "./words.js";

const KIB = 1024;

/** One port: what hangs on it, as far as its USB says, and once it was asked as its chip says. */
@customElement("pv-cable-port")
export class CablePort extends LitElement {
  @property({ attribute: false }) port!: PortView;
  /** A bridge on it is being written. */
  @property({ attribute: false }) busy = false;
  /** Somebody says that it is a bridge all the same. */
  @state() private insists = false;

  static override styles = [
    base,
    controls,
    css`
      :host { border-top: 1px solid var(--divider-color); margin-top: .75rem; padding-top: .75rem; overflow-wrap: anywhere; }
      .chip { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); align-items: start; margin-top: .6rem; }
      dl { grid-template-columns: fit-content(45%) minmax(0, 1fr); }
      dd { min-width: 0; text-align: left; }
      summary { cursor: pointer; padding: .5rem 0; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get("port");
    if (before && (before.title !== this.port.title || before.mac !== this.port.mac)) this.insists = false;
  }

  override render() {
    const it = this.port;
    const chip = this.busy ? null : it.device;
    return html`<div role="group" aria-label=${it.title}>
      <h3>${it.title} <small>${[it.kind, it.mac].filter(Boolean).join(", ")}</small></h3>
      <p class="quiet">${[it.port, it.socket].filter(Boolean).join(", ")}</p>
      ${it.stick ? html`<p class="warn">${words.stick}</p>` : nothing}
      ${it.used_by.length ? html`<p class="warn">${words.used(it.used_by.join(", "))}</p>` : nothing}
      ${it.stick || it.used_by.length ? this.insist() : nothing}
      ${this.busy ? html`<p class="quiet">${words.busy}</p>` : it.phase ? this.asking() : this.identify()}
      ${chip ? html`<div class="chip"><div>${facts(chip)}</div>
        ${keyed(`${chip.mac} ${chip.at ?? ""}`, this.wish(chip))}</div>` : nothing}
    </div>`;
  }

  private insist() {
    return html`<label class="ack"><input type="checkbox" .checked=${this.insists}
      @change=${(event: Event) => { this.insists = (event.target as HTMLInputElement).checked; }}>${words.insist}</label>`;
  }

  private asking() {
    const it = this.port;
    return html`<pv-progress label=${words.asking(named(words.phases, it.phase))}></pv-progress>
      <pv-action label=${words.leave} path="recovery/cancel" .body=${{ job: it.port }}></pv-action>`;
  }

  private identify() {
    const it = this.port;
    return html`<pv-action label=${words.identify} path="recovery/identify" .body=${{ port: it.port, insist: this.insists }}></pv-action>
      ${it.text ? html`<p class="told warn" role="status">${it.text}</p>` : nothing}`;
  }

  private wish(chip: ChipView) {
    const now = store.state?.recovery;
    if (chip.locks.length) return html`<pv-problem text=${words.locked} next=${words.lockedNext}></pv-problem>`;
    if (!now?.writes) return nothing; // why is said above
    if (!chip.mac) return html`<pv-problem text=${words.noMac}></pv-problem>`;
    if (!chip.releases.length) return html`<pv-problem tone="warn" text=${words.noReleases} next=${words.noReleasesNext}></pv-problem>`;
    return html`<pv-cable-wish .port=${this.port} .chip=${chip} .insists=${this.insists}></pv-cable-wish>`;
  }
}

function facts(it: ChipView) {
  const known = it.known || words.stranger;
  const told: Record<keyof typeof words.facts, string> = {
    chip: it.description || it.chip, revision: it.revision ?? words.notTold, mac: it.mac || words.hidden,
    flash: it.flash_size ? `${number(it.flash_size / KIB / KIB)} MiB` : words.mute,
    locks: it.locks.join(", ") || words.nothing, app: it.app || words.notTold,
    known: it.needs_flashing ? words.knownNeeds(known) : known,
  };
  return html`<dl title=${it.at ? words.read(moment(it.at)) : ""}>${Object.entries(words.facts).map(([name, label]) => html`<dt>${label}</dt>
      <dd>${told[name as keyof typeof told]}</dd>`)}</dl>
    <details><summary>${words.table}</summary>${it.table.length
      ? html`<ul>${it.table.map(part)}</ul>` : html`<p>${words.noTable}</p>`}</details>`;
}

function part(it: PartView) {
  return html`<li>${words.part(it.label || words.noLabel, number(it.size / KIB), `0x${it.offset.toString(16)}`)}</li>`;
}
