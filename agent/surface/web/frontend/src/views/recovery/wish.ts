import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { AgainstView, CableReleaseView, CableChecked, ChipView, PortView } from "../../api.js";
import { here } from "../../fleet.js";
import { confirmed } from "../../parts/confirm.js";
import { send } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import { words } from "./words.js";

type Backup = keyof typeof words.backups;
const BACKUPS = Object.keys(words.backups) as Backup[];

/**
 * What is to be written to a chip. The agent's policy is asked first; what speaks against it is
 * accepted by name, one by one, and any change of the form asks anew.
 */
@customElement("pv-cable-wish")
export class CableWish extends LitElement {
  @property({ attribute: false }) port!: PortView;
  @property({ attribute: false }) chip!: ChipView;
  @property({ attribute: false }) insists = false;
  @state() private chosen = "";
  @state() private reason = "";
  @state() private backup: Backup = "quick";
  @state() private erases = false;
  @state() private keeps = false;
  @state() private acks: readonly string[] = [];
  @state() private told: CableChecked | null = null;
  @state() private said = "";
  @state() private busy = false;
  private asked = 0;

  static override styles = [
    base,
    controls,
    css`
      form { display: grid; gap: .5rem; margin-top: .75rem; }
      form > div > input, select { width: 100%; }
      .decided { min-height: 7rem; margin-top: .5rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("chip") && !this.chip.releases.some((each) => keyOf(each) === this.chosen)) {
      const first = this.chip.releases[0];
      this.chosen = first ? keyOf(first) : "";
      this.stale();
    }
    if (changed.has("insists") && changed.get("insists") !== undefined) this.stale();
  }

  override render() {
    return html`<form @submit=${this.submitted}>
        <div><label for="release">${words.release}</label><select id="release" @change=${(event: Event) => { this.chosen = valueOf(event); this.stale(); }}>
          ${this.chip.releases.map((each) => html`<option value=${keyOf(each)} ?selected=${keyOf(each) === this.chosen}>${words.releaseOf(each.project, each.version, each.channel)}</option>`)}</select></div>
        <div><label for="reason">${words.reason}</label><input id="reason" autocomplete="off" maxlength="256" .value=${this.reason}
          @input=${(event: Event) => { this.reason = valueOf(event); this.stale(); }}></div>
        <div><label for="backup">${words.backup}</label><select id="backup" @change=${(event: Event) => { this.backup = valueOf(event) as Backup; this.stale(); }}>
          ${BACKUPS.map((each) => html`<option value=${each} ?selected=${each === this.backup}>${words.backups[each]}</option>`)}</select></div>
        ${tick(words.erase, this.erases, (on) => { this.erases = on; this.stale(); })}
        ${tick(words.keep, this.keeps, (on) => { this.keeps = on; this.stale(); })}
        <div><button type="submit" aria-disabled=${this.busy || !here()}>${words.check}</button></div>
      </form>
      <div class="decided" role="status">${this.busy ? words.checking : this.said ? html`<p class="bad">${this.said}</p>` : this.decided()}</div>`;
  }

  /** The policy's word. */
  private decided() {
    const told = this.told;
    if (!told) return nothing;
    if (!told.accepted) {
      return told.refusals.length ? told.refusals.map((each) => this.against(each)) : html`<p class="bad">${told.text}</p>`;
    }
    const body = { ...this.wish(), digest: told.digest, typed: this.erases ? this.chip.mac : "" };
    return html`<p>${told.text}</p>
      ${this.acks.length ? html`<p class="quiet">${words.accepted(this.acks.join(", "))}</p>` : nothing}
      <pv-action label=${words.write} look=${this.erases ? "danger" : "primary"} path="recovery/write" .body=${body} .asks=${() => this.sure(told)}></pv-action>`;
  }

  private against(it: AgainstView) {
    const ack = it.ack;
    if (!ack) return html`<p><span class="bad">${it.text}</span> <small>${it.next_step}</small></p>`;
    return tick(words.accept(ack, it.text), false, () => {
      this.acks = [...this.acks, ack];
      void this.check();
    });
  }

  /** Who is written with what is said once more; who loses his settings is typed. */
  private sure(told: CableChecked): Promise<boolean> {
    const { chip, port } = this;
    const it = this.release();
    const text = [told.text, words.writeWhere(chip.description || chip.chip, port.title)];
    const question = { title: words.writeTitle(`${it.project} ${it.version}`, chip.mac), act: words.write };
    return this.erases ? confirmed({ ...question, text: [...text, words.eraseText], typed: chip.mac })
      : confirmed({ ...question, text });
  }

  private release(): CableReleaseView {
    const found = this.chip.releases.find((each) => keyOf(each) === this.chosen);
    return found ?? { channel: "", project: "", version: "" };
  }

  private wish() {
    return {
      ...this.release(), port: this.port.port, mac: this.chip.mac, reason: this.reason, acks: this.acks,
      erase_settings: this.erases, backup: this.backup, keep_backup: this.keeps, insist: this.insists,
    };
  }

  private readonly submitted = (event: Event): void => {
    event.preventDefault();
    void this.check();
  };

  private async check(): Promise<void> {
    const asked = ++this.asked;
    this.busy = true;
    const reply = await send<CableChecked>("POST", "recovery/check", this.wish(), { holds: "refusals" });
    if (asked !== this.asked) return; // the form was changed meanwhile
    this.busy = false;
    this.told = reply.body;
    this.said = reply.body ? "" : reply.text;
  }

  private stale(): void {
    this.asked++;
    this.busy = false;
    this.acks = [];
    this.told = null;
    this.said = "";
  }
}

function tick(text: string, on: boolean, changed: (on: boolean) => void) {
  return html`<label class="ack"><input type="checkbox" .checked=${on}
    @change=${(event: Event) => { changed((event.target as HTMLInputElement).checked); }}>${text}</label>`;
}

function keyOf(it: CableReleaseView): string {
  return JSON.stringify([it.channel, it.project, it.version]);
}

function valueOf(event: Event): string {
  return (event.target as HTMLInputElement | HTMLSelectElement).value;
}
