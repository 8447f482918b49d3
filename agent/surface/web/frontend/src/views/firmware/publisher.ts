import { css, html, LitElement } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { here } from "../../fleet.js";
import { send } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/upload.js";
import { words } from "./words.js";

const FIELDS = ["name", "mirror", "channel", "fingerprint"] as const;
const EXAMPLES = { name: "acme", mirror: "https://…", channel: "x-acme", fingerprint: "" };

/** An installer who signs releases of his own, and releases that come without the internet. */
@customElement("pv-publisher")
export class Publisher extends LitElement {
  @state() private said = "";
  @query("form") private form!: HTMLFormElement;

  static override styles = [
    base,
    controls,
    css`pv-card + pv-card { margin-top: .9rem; } input { width: 100%; } form > div { margin-bottom: .5rem; } #said { min-height: 1.6rem; }`,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    return html`<pv-card heading=${words.publisher}>
        <p class="quiet">${words.publisherText}</p>
        <form @submit=${this.added} autocomplete="off">
          ${FIELDS.map((each) => html`<div><label for=${each}>${words[each]}</label>
            <input id=${each} name=${each} autocomplete="off" autocapitalize="off" spellcheck="false" placeholder=${EXAMPLES[each]}>
            ${each === "channel" ? html`<small>${words.channelHelp}</small>` : ""}</div>`)}
          <button type="submit" aria-disabled=${!here()}>${words.add}</button>
          <p id="said" role="status">${this.said}</p>
        </form>
      </pv-card>
      <pv-card heading=${words.bundle}>
        <p class="quiet">${words.bundleText}</p>
        <pv-upload label=${words.bundleFile} act=${words.bundleTake} accept=".zip" path="releases/bundle"></pv-upload>
      </pv-card>`;
  }

  private readonly added = async (event: Event): Promise<void> => {
    event.preventDefault();
    this.said = words.asking;
    const reply = await send("POST", "releases/sources", Object.fromEntries(new FormData(this.form)));
    this.said = reply.text;
    if (reply.outcome === "accepted") this.form.reset();
  };
}
