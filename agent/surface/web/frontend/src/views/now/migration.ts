import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import type { OldEntryView, OldPlanView, OldSettings, ProposalView } from "../../api.js";
import type { Tone } from "../../fleet.js";
import { named } from "../../language.js";
import { confirmed } from "../../parts/confirm.js";
import { send, type Reply } from "../../send.js";
import { store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import { words } from "./migration_words.js";

const LOCK = "second_controller";
const TONES: Readonly<Record<string, Tone>> = { active: "bad", asleep: "warn", off: "good" };

/** One owner at a time, and the settings of the old one as a list to choose from. */
@customElement("pv-migration")
export class Migration extends LitElement {
  @state() private told: OldSettings | null = null;
  @state() private problem = "";
  @state() private ticked: ReadonlySet<string> = new Set();
  /** Whether the lock was there when it was asked for last. */
  private known: boolean | null = null;
  private asked = 0;

  static override styles = [
    base,
    controls,
    tables,
    css`
      h3 { margin-top: .9rem; }
      td, label, li { overflow-wrap: anywhere; }
      td { min-width: 7rem; }
      label.ack { padding: .25rem 0; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["blockers"]);
  }

  /** The picture tells when the lock comes or goes; the rest is asked for then. */
  override willUpdate(): void {
    const locked = store.state?.blockers.some((each) => each.code === LOCK);
    if (locked === undefined || locked === this.known) return;
    this.known = locked;
    void this.load();
  }

  override render() {
    const it = this.told;
    if (!it) return this.known ? this.waiting() : nothing;
    if (!it.entries.length && !it.lingering.length && !it.locked.length) return nothing;
    return html`<pv-card heading=${words.title}>
      <p class="quiet">${words.text}</p>
      ${it.locked.map((each) => html`<pv-problem text=${each}></pv-problem>`)}
      ${it.doubt ? html`<p class="warn">${it.doubt}</p>` : nothing}
      ${it.entries.length ? this.entries(it.entries) : nothing}
      ${it.lingering.map((each) => html`<p class="warn">${each.name}: ${each.text}</p>`)}
      ${it.plan ? this.plan(it.plan) : nothing}
    </pv-card>`;
  }

  private waiting() {
    const again = html`<button type="button" @click=${() => void this.load()}>${words.again}</button>`;
    return html`<pv-card heading=${words.title}>${this.problem
      ? html`<pv-problem text=${words.failed} next=${this.problem}>${again}</pv-problem>` : html`<p>${words.loading}</p>`}</pv-card>`;
  }

  private entries(all: readonly OldEntryView[]) {
    return html`<div class="scroll" tabindex="0" role="group" aria-label=${words.title}><table id="old">
        <thead><tr>${words.columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${all.map((each) => this.entry(each))}</tbody></table></div>
      <pv-action label=${words.look} path="migration/look" .body=${{}} .answered=${this.looked}></pv-action>`;
  }

  private entry(it: OldEntryView) {
    const standing = named(words.standings, it.standing);
    const passes = it.accepted && it.standing === "active";
    const off = () => confirmed({ title: words.offTitle(it.name), text: [it.title, words.offText], act: words.off });
    const choice = (label: string, what: string, asks?: () => Promise<boolean>) => html`<pv-action label=${label}
      path="migration/choose" .body=${{ entry_id: it.entry_id, choice: what }} .asks=${asks} .answered=${() => void this.load()}></pv-action>`;
    return html`<tr>
      <td>${it.name} ${it.title === it.name ? nothing : html`<small>${it.title}</small>`}</td>
      <td class=${it.accepted ? "warn" : TONES[it.standing] ?? ""}>${passes ? words.accepted(standing) : standing} <small>${it.state}</small></td>
      <td><div class="row" role="group" aria-label=${it.name}>
        ${it.can_be_turned_off ? choice(words.off, "turn_off", off) : nothing}
        ${it.accepted ? choice(words.undo, "undo") : it.standing === "active" ? choice(words.accept, "accept") : nothing}</div></td>
    </tr>`;
  }

  private plan(it: OldPlanView) {
    const some = it.proposals.some((each) => this.ticked.has(each.key));
    const taken = (reply: Reply) => { if (reply.outcome === "accepted") void this.load(); };
    return html`<h3>${words.proposals}</h3>
      <div id="proposals">${it.proposals.length ? it.proposals.map((each) => this.proposal(each)) : html`<p>${words.nothing}</p>`}</div>
      ${it.proposals.length ? html`<div class="row"><pv-action label=${words.take} look="primary" path="migration/take" ?off=${!some}
        .body=${{ keys: [...this.ticked] }} .answered=${taken}></pv-action>${some ? nothing : html`<small>${words.tickSome}</small>`}</div>` : nothing}
      <h3>${words.left}</h3>
      <ul id="left">${it.left.length ? it.left.map((each) => html`<li>${each.old_key} ${each.old_value}: ${each.text}</li>`) : html`<li>${words.leftNothing}</li>`}</ul>
      ${it.changes.length ? html`<h3>${words.changes}</h3><ul id="changes">${it.changes.map((each) => html`<li>${each}</li>`)}</ul>` : nothing}`;
  }

  private proposal(it: ProposalView) {
    return html`<label class="ack"><input type="checkbox" name=${it.key} .checked=${this.ticked.has(it.key)} @change=${this.changed}>
      <span>${words.proposal(it.key, it.now, it.value, it.old_key, it.old_value)} ${it.text ? html`<small>${it.text}</small>` : nothing}</span></label>`;
  }

  private readonly changed = (event: Event): void => {
    const box = event.target as HTMLInputElement;
    const now = new Set(this.ticked);
    if (box.checked) now.add(box.name);
    else now.delete(box.name);
    this.ticked = now;
  };

  private readonly looked = (reply: Reply): void => {
    if (reply.outcome === "accepted") this.take(reply.body as OldSettings);
  };

  private async load(): Promise<void> {
    const asked = ++this.asked;
    const reply = await send<OldSettings>("GET", "migration", undefined, { holds: "entries" });
    if (asked !== this.asked) return;
    this.problem = reply.body ? "" : reply.text;
    if (reply.body) this.take(reply.body);
  }

  /** Ticks are proposed anew with each plan that was read, and kept while the same one is shown. */
  private take(told: OldSettings): void {
    const keys = (plan: OldPlanView | null | undefined): string => JSON.stringify(plan?.proposals ?? []);
    if (keys(told.plan) !== keys(this.told?.plan)) {
      this.ticked = new Set(told.plan?.proposals.filter((each) => each.chosen).map((each) => each.key));
    }
    this.told = told;
  }
}
