import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import type { OfferView } from "../../api.js";
import { offers } from "../../fleet.js";
import { day } from "../../format.js";
import { named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base, tables } from "../../styles.js";
import "../../parts/card.js";
import { words } from "./words.js";

/** The releases from the bridges' side: one line each. */
@customElement("pv-offers")
export class Offers extends LitElement {
  static override styles = [base, tables, css`.all { min-height: 4rem; }`];

  constructor() {
    super();
    new Watch(this, ["releases"]);
  }

  override render() {
    const all = offers();
    return html`<pv-card heading=${words.offers}><div class="all">
      ${all.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${words.offers}><table id="offers">
        <thead><tr>${words.offerColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${all.map(line)}</tbody></table></div>
        <p><a href="#/bridges">${words.toBridge}</a></p>` : html`<p class="quiet">${store.state ? words.noOffers : words.loading}</p>`}
    </div></pv-card>`;
  }
}

function line(it: OfferView) {
  const standing = [named(words.standings, it.standing), it.released ? day(it.released) : ""].filter(Boolean).join(", ");
  return html`<tr><td>${it.title ?? it.mac} <small>${it.mac}</small></td><td data-label=${words.offerColumns[1]}>${it.channel}</td>
    <td data-label=${words.offerColumns[2]}>${it.installed ?? "–"} <small>${it.project ?? ""}</small></td>
    <td data-label=${words.offerColumns[3]}>${it.latest ?? "–"} <small>${standing}</small></td>
    <td data-label=${words.offerColumns[4]}>${it.refusals.length ? it.refusals.map((each) => html`<div>${each.text}</div>`) : it.why || words.nothingAgainst}</td></tr>`;
}
