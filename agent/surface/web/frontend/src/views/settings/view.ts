import { html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { base, grid } from "../../styles.js";
import "../../parts/commissioning.js";
import "./doctor.js";
import "./files.js";
import "./form.js";
import "./mapping.js";
import { settings } from "./store.js";

/** What people change while the agent runs, and what helps them. */
@customElement("pv-view-settings")
export class SettingsView extends LitElement {
  static override styles = [base, grid];

  override connectedCallback(): void {
    super.connectedCallback();
    settings.start();
  }

  override render() {
    return html`<div class="grid">
      <pv-settings-form class="wide"></pv-settings-form>
      <pv-mapping class="wide"></pv-mapping>
      <pv-commissioning class="wide"></pv-commissioning>
      <pv-files class="wide"></pv-files>
      <pv-doctor class="wide"></pv-doctor>
    </div>`;
  }
}
