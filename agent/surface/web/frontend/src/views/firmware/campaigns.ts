import { css, html, LitElement, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { CampaignView } from "../../api.js";
import { here, jobOn, offers } from "../../fleet.js";
import { number } from "../../format.js";
import { named } from "../../language.js";
import { tell } from "../../parts/answers.js";
import { confirmed } from "../../parts/confirm.js";
import { send } from "../../send.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/progress.js";
import { words } from "./words.js";

type Steer = keyof typeof words.steers;
const STEERS: Readonly<Record<string, readonly Steer[]>> = {
  running: ["pause", "abort"], paused: ["resume", "abort"], stopped: ["resume", "abort"],
};

/** The update of many bridges in stages. */
@customElement("pv-campaigns")
export class Campaigns extends LitElement {
  @state() private said = "";
  @query("form") private form!: HTMLFormElement;

  static override styles = [
    base,
    controls,
    css`
      summary { cursor: pointer; min-height: 2rem; }
      label.tick { display: flex; gap: .5rem; align-items: center; min-height: 2.75rem; }
      input[type="checkbox"] { min-height: 1.25rem; width: 1.25rem; flex: none; }
      .choice { display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
      .one { border-bottom: 1px solid var(--divider-color); padding-bottom: .6rem; margin-bottom: .6rem; }
      #said { min-height: 1.6rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["releases", "flashing"]);
  }

  override render() {
    const waiting = offers().filter((each) => ["update", "change"].includes(each.standing) && !jobOn(each.mac));
    return html`<pv-card heading=${words.campaigns}>
      ${repeat(store.state?.flashing?.campaigns ?? [], (each) => each.campaign, one)}
      <p class="quiet">${words.campaignsText}</p>
      ${waiting.length < 2 ? html`<p class="quiet">${words.campaignFew}</p>` : html`<form @submit=${this.planned}>
        ${repeat(waiting, (each) => `${each.mac} ${each.latest ?? ""}`, (each) => {
          const title = each.title ?? each.mac;
          return html`<div class="choice">
            <label class="tick"><input type="checkbox" name="macs" value=${each.mac}>${words.member(title, each.mac, each.latest ?? "")}</label>
            <label class="tick"><input type="checkbox" name="canaries" value=${each.mac} aria-label=${words.firstOf(title)}>${words.first}</label>
          </div>`;
        })}
        <label class="tick"><input type="checkbox" name="acks" value="ack_stale">${words.stale}</label>
        <button type="submit" aria-disabled=${!here()}>${words.plan}</button>
        <p id="said" role="status">${this.said}</p>
      </form>`}
    </pv-card>`;
  }

  private readonly planned = async (event: Event): Promise<void> => {
    event.preventDefault();
    const data = new FormData(this.form);
    const wish = { macs: data.getAll("macs"), canaries: data.getAll("canaries"), acks: data.getAll("acks") };
    if (!wish.macs.length) { this.said = words.chooseSome; return; }
    this.said = "";
    const title = words.planTitle(wish.macs.length);
    if (!(await confirmed({ title, text: [words.planText], act: words.plan }))) return;
    const reply = await send("POST", "flashing/campaigns", wish);
    tell(words.plan, reply);
    if (reply.outcome === "accepted") this.form.reset();
  };
}

function one(it: CampaignView) {
  const ended = (it.counts["confirmed"] ?? 0) + (it.counts["failed"] ?? 0);
  const counts = Object.entries(it.counts).filter(([, count]) => count)
    .map(([standing, count]) => `${number(count)} ${named(words.standing, standing)}`);
  const what = `${it.project} ${it.version}`;
  return html`<div class="one" data-campaign=${it.campaign}>
    <p>${words.together(it.members.length, what, it.parallel, it.by)}:
      <strong class=${it.status === "stopped" ? "bad" : ""}>${named(words.statuses, it.status)}</strong></p>
    <pv-progress label=${words.done} .percent=${(ended / Math.max(1, it.members.length)) * 100}></pv-progress>
    ${it.why ? html`<p class=${it.status === "stopped" ? "bad" : ""}>${it.why}</p>` : nothing}
    <p class="quiet">${counts.join(", ")}</p>
    <details><summary>${words.order}</summary><ol>${it.members.map((each) => html`<li>${each.title} (${each.mac}):
      ${named(words.standing, each.standing)}${each.canary ? `, ${words.first}` : ""}</li>`)}</ol></details>
    <div class="row">${(STEERS[it.status] ?? []).map((each) => html`<pv-action label=${words.steers[each]} path="flashing/campaigns/steer"
      .body=${{ campaign: it.campaign, what: each }} .asks=${each === "abort" ? abort : undefined}></pv-action>`)}</div>
  </div>`;
}

function abort(): Promise<boolean> {
  return confirmed({ title: words.abortTitle, text: [words.abortText], act: words.steers.abort });
}
