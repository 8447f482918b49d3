import { html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { base, grid } from "../../styles.js";
import "./list.js";
import "./report.js";

/** What each day was worth beside its limits, and everything that happened. */
@customElement("pv-view-journal")
export class JournalView extends LitElement {
  static override styles = [base, grid];

  override render() {
    return html`<div class="grid">
      <pv-journal-list class="wide"></pv-journal-list>
      <pv-report class="wide"></pv-report>
    </div>`;
  }
}
