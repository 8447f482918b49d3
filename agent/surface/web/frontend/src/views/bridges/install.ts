import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { AgainstView, BridgeView, JobView, OfferView } from "../../api.js";
import { byCable, bytes, here, jobOn, offerFor, rate } from "../../fleet.js";
import { day, seconds } from "../../format.js";
import { named } from "../../language.js";
import { tell } from "../../parts/answers.js";
import { confirmed } from "../../parts/confirm.js";
import { send } from "../../send.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/progress.js";
import { aged } from "../../parts/value.js";
import { words } from "./words.js";

const INSTALLS = ["update", "change", "older", "current"];

/** What a bridge is offered, what speaks against it, and the way to install it; or its progress. */
@customElement("pv-install")
export class Install extends LitElement {
  @property({ attribute: false }) bridge!: BridgeView;
  /** What somebody has ticked, for the offer that it was ticked for. */
  @state() private accepted: ReadonlySet<string> = new Set();
  private acceptedFor = "";

  static override styles = [
    base,
    controls,
    css`
      :host { min-height: 9rem; }
      .notes { white-space: pre-line; }
      summary { cursor: pointer; }
      ul { list-style: none; padding: 0; }
      select { width: 100%; }
      label[for="channel"] { margin-top: .6rem; }
      .row { margin: .6rem 0; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["releases", "flashing"]);
  }

  override render() {
    const job = jobOn(this.bridge.mac);
    const offer = offerFor(this.bridge.mac);
    return html`<h3>${words.firmware}</h3>
      ${job ? (byCable(job) ? html`<p><a href="#/recovery">${words.byCable}</a></p>` : progress(job)) : offer ? this.offer(offer) : html`<p class="quiet">${store.state?.releases ? words.offerNone : words.noReleases}</p>`}
      ${!job && store.state?.flashing?.may_go_back.includes(this.bridge.mac) ? this.back() : nothing}`;
  }

  private offer(it: OfferView) {
    const key = `${it.mac} ${it.latest ?? ""} ${it.sha256 ?? ""}`;
    if (key !== this.acceptedFor) {
      this.acceptedFor = key;
      this.accepted = new Set();
    }
    const blocked = it.refusals.some((each) => !each.ack);
    const may = it.latest && store.state?.flashing && INSTALLS.includes(it.standing) && !blocked;
    return html`${it.latest ? html`<p id="offer"><strong>${words.offered(it.latest)}</strong>
          <small>${[named(words.standings, it.standing), it.released ? day(it.released) : "", bytes(it.size)].filter(Boolean).join(", ")}</small>
          ${it.security && it.security !== "none" ? html`<span class="bad">${words.security(it.security)}</span>` : nothing}</p>`
        : html`<p id="offer">${words.offerNone}</p>`}
      ${it.why ? html`<p>${it.why}</p>` : nothing}
      ${it.notes && it.latest ? notes(it, it.latest) : nothing}
      ${it.latest ? against(it.refusals) : nothing}
      ${may && it.latest ? this.wish(it, it.latest) : blocked ? html`<p class="quiet">${words.blocked}</p>` : nothing}
      ${this.channel(it)}`;
  }

  /** What is accepted by name, and the button once it is. */
  private wish(it: OfferView, version: string) {
    const needed = it.refusals.map((each) => each.ack ?? "");
    const ready = needed.every((ack) => this.accepted.has(ack));
    const body = { mac: it.mac, version, acks: [...this.accepted] };
    return html`${it.refusals.map((each) => html`<label class="ack"><input type="checkbox" name=${each.ack ?? ""}
        .checked=${this.accepted.has(each.ack ?? "")} @change=${this.ticked}>${words.accept(each.ack ?? "", each.text)}</label>`)}
      <div class="row">
        <pv-action label=${words.install(version)} look="primary" path="flashing/install" ?off=${!ready} .body=${body}
          .asks=${() => this.sure(it, version)}></pv-action>
        ${ready ? nothing : html`<small>${words.acceptFirst}</small>`}
      </div>`;
  }

  private readonly ticked = (event: Event): void => {
    const box = event.target as HTMLInputElement;
    const now = new Set(this.accepted);
    if (box.checked) now.add(box.name);
    else now.delete(box.name);
    this.accepted = now;
  };

  private sure(it: OfferView, version: string): Promise<boolean> {
    const change = it.standing === "change";
    const text = [words.installText(it.mac, it.installed ?? "–", `${it.project ?? ""} ${version}`), words.installHow];
    const question = { title: words.installTitle(version, this.bridge.title), act: words.install(version) };
    return change ? confirmed({ ...question, text: [...text, words.installChange], typed: version })
      : confirmed({ ...question, text });
  }

  private back() {
    const body = { mac: this.bridge.mac, acks: ["ack_downgrade"] };
    const sure = () => confirmed({
      title: words.backTitle(this.bridge.title), text: [this.bridge.mac, words.backText], act: words.back,
    });
    return html`<div class="row"><pv-action label=${words.back} path="flashing/back" .body=${body} .asks=${sure}></pv-action></div>`;
  }

  /** The channel of this bridge; the first choice is that of the rest. */
  private channel(it: OfferView) {
    const releases = store.state?.releases;
    if (!releases) return nothing;
    return html`<label for="channel">${words.channel}</label>
      <select id="channel" ?disabled=${!here()} @change=${(event: Event) => void this.choose(it, event.target as HTMLSelectElement)}>
        <option value="" ?selected=${!it.own_channel}>${words.asRest(releases.channel)}</option>
        ${releases.channels.map((each) => html`<option value=${each} ?selected=${each === it.own_channel}>${each}</option>`)}
      </select>`;
  }

  private async choose(it: OfferView, select: HTMLSelectElement): Promise<void> {
    const reply = await send("PUT", "releases/channel", { mac: it.mac, channel: select.value || null });
    tell(words.channel, reply);
    if (reply.outcome !== "accepted") select.value = it.own_channel ?? "";
  }
}

function notes(it: OfferView, version: string) {
  const url = it.notes_url?.startsWith("https://") ? it.notes_url : null;
  return html`<details><summary>${words.notes(version)}</summary><p class="notes">${it.notes}</p>
    ${url ? html`<a href=${url} target="_blank" rel="noopener noreferrer">${words.more}</a>` : nothing}</details>`;
}

function against(refusals: readonly AgainstView[]) {
  if (!refusals.length) return html`<p class="quiet">${words.nothingAgainst}</p>`;
  return html`<p>${words.against}:</p><ul>${refusals.map((each) => html`<li>
    <span class=${each.ack ? "warn" : "bad"}>${each.text}</span>
    <small>${each.next_step} ${each.ack ? words.canAccept(each.ack) : ""}</small></li>`)}</ul>`;
}

function progress(job: JobView) {
  const pace = words.pace(job.rate_bytes_s ? rate(job.rate_bytes_s) : "", job.left_s ? words.left(seconds(job.left_s)) : "");
  return html`<p>${words.job(job.goes_back, job.version, job.by)}</p>
    <pv-progress label=${`${named(words.stages, job.stage)}: ${job.text || "…"}`} .percent=${job.percent}></pv-progress>
    <p class="pace quiet" title=${aged(0)}>${pace}</p>
    ${job.may_cancel ? html`<pv-action label=${words.cancel} path="flashing/cancel" .body=${{ job: job.job }}></pv-action>` : nothing}`;
}
