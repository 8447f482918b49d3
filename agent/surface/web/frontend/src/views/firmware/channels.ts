import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { SourceChannelView } from "../../api.js";
import { here } from "../../fleet.js";
import { named } from "../../language.js";
import { tell } from "../../parts/answers.js";
import { send } from "../../send.js";
import { store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import { TONES } from "./trust.js";
import { words } from "./words.js";

const OF_ALL = ["stable", "beta"]; // a publisher's own channel is chosen for single bridges only

/** Which channels there are, what is newest in each, and which one the house follows. */
@customElement("pv-channels")
export class Channels extends LitElement {
  static override styles = [base, controls, tables, css`.all { min-height: 9rem; }`];

  constructor() {
    super();
    new Watch(this, ["releases"]);
  }

  override render() {
    const now = store.state?.releases;
    const lines = now?.sources.flatMap((source) => source.channels.map((channel) => line(source.name, channel))) ?? [];
    return html`<pv-card heading=${words.channels}><div class="all">
      ${lines.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${words.channels}><table id="channels">
        <thead><tr>${words.channelColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${lines}</tbody></table></div>` : html`<p class="quiet">${now ? words.noChannels : words.loading}</p>`}
      ${now ? html`<label for="house">${words.houseChannel}</label>
        <select id="house" ?disabled=${!here()} @change=${(event: Event) => void choose(event.target as HTMLSelectElement, now.channel)}>
          ${OF_ALL.map((each) => html`<option value=${each} ?selected=${each === now.channel}>${each}</option>`)}
        </select> <small>${words.houseText}</small>` : nothing}
    </div></pv-card>`;
  }
}

function line(source: string, it: SourceChannelView) {
  const newest = Object.entries(it.latest).map(([project, version]) => html`<div>${project} ${version}</div>`);
  return html`<tr><td>${source}</td><td>${it.name}</td>
    <td class=${TONES[it.freshness] ?? ""}>${named(words.states, it.freshness)}</td>
    <td>${newest.length ? newest : "–"}</td>
    <td class=${it.paused ? "warn" : ""}>${it.paused ? words.paused(it.reason) : words.running} ${it.why}</td></tr>`;
}

async function choose(select: HTMLSelectElement, before: string): Promise<void> {
  const reply = await send("PUT", "releases/channel", { mac: null, channel: select.value });
  tell(words.houseChannel, reply);
  if (reply.outcome !== "accepted") select.value = before;
}
