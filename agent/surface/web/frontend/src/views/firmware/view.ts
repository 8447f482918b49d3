import { html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { store, Watch } from "../../store.js";
import { base, grid } from "../../styles.js";
import "../../parts/card.js";
import "./builds.js";
import "./campaigns.js";
import "./channels.js";
import "./offers.js";
import "./publisher.js";
import "./trust.js";
import { words } from "./words.js";

/** How good our knowledge of releases is, what there is, and what a person brings. */
@customElement("pv-view-firmware")
export class FirmwareView extends LitElement {
  static override styles = [base, grid];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    if (store.state && !store.state.releases) {
      return html`<pv-card heading=${words.trust}><p>${words.nowhere}</p><p><a href="#/settings">${words.nowhereNext}</a></p></pv-card>`;
    }
    return html`<div class="grid">
      <pv-trust class="wide"></pv-trust>
      <pv-channels class="wide"></pv-channels>
      <pv-offers class="wide"></pv-offers>
      <pv-campaigns class="wide"></pv-campaigns>
      <pv-builds></pv-builds>
      <pv-publisher></pv-publisher>
    </div>`;
  }
}
