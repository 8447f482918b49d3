import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { bridges } from "../../fleet.js";
import { store, Watch } from "../../store.js";
import { base, grid } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "./adopt.js";
import "./card.js";
import "./secrets.js";
import "./verdicts.js";
import { words } from "./words.js";

/** Who is there, what each one needs, and what became of its updates. */
@customElement("pv-view-bridges")
export class BridgesView extends LitElement {
  static override styles = [
    base,
    grid,
    css`
      .cards { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); align-items: start; }
      .cards:empty { display: none; }
      .top { min-height: 3.5rem; display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; justify-content: space-between; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["bridges"]);
  }

  override render() {
    const all = bridges();
    const well = all.filter((each) => each.state === "online").length;
    return html`<div class="grid">
      <pv-card class="wide" heading=${words.title}><div class="top">
        ${!store.state ? html`<p>${words.loading}</p>`
          : all.length ? html`<p id="count">${words.count(all.length, well)}</p>`
          : html`<div id="none"><p>${words.none}</p><p><a href="#/settings">${words.noneNext}</a></p></div>`}
        <pv-action label=${words.discover} path="bridges/ask" .body=${{ op: "discover" }}></pv-action>
      </div></pv-card>
      <div class="cards wide">${repeat(all, (each) => each.mac || each.address,
        (each) => html`<pv-bridge .bridge=${each} data-mac=${each.mac || nothing}></pv-bridge>`)}</div>
      <pv-adopt class="wide"></pv-adopt>
      <pv-verdicts class="wide"></pv-verdicts>
      <pv-secrets class="wide"></pv-secrets>
    </div>`;
  }
}
