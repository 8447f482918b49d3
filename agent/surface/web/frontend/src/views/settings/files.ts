import { css, html, LitElement } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import type { SettingsTold } from "../../api.js";
import { here } from "../../fleet.js";
import { confirmed } from "../../parts/confirm.js";
import { send } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/take.js";
import { settings } from "./store.js";
import { words } from "./words.js";

/** What travels as a file: diagnostics out, settings out and in. */
@customElement("pv-files")
export class Files extends LitElement {
  @state() private said = "";
  @query("input") private field!: HTMLInputElement;

  static override styles = [base, controls, css`input { width: 100%; margin-bottom: .5rem; } form { margin: .75rem 0; } #said { min-height: 1.6rem; }`];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    return html`<pv-card heading=${words.help}>
      <div class="row">
        <pv-download label=${words.diagnostics} path="diagnostics"></pv-download>
        <pv-download label=${words.exportSettings} path="settings/export"></pv-download>
        <pv-action label=${words.clear} path="notifications/clear"></pv-action>
      </div>
      <p class="quiet">${words.diagnosticsText}</p>
      <form @submit=${this.taken}>
        <label for="file">${words.importFile}</label><input id="file" type="file" accept=".json">
        <button type="submit" aria-disabled=${!here()}>${words.importSettings}</button>
        <p id="said" role="status">${this.said}</p>
      </form>
    </pv-card>`;
  }

  private readonly taken = async (event: Event): Promise<void> => {
    event.preventDefault();
    const file = this.field.files?.[0];
    if (!file) { this.said = words.chooseFile; return; }
    this.said = "";
    if (!(await confirmed({ title: words.importTitle, text: [file.name, words.importText], act: words.importSettings }))) return;
    const reply = await send<SettingsTold>("POST", "settings/import", file, { holds: "fields" });
    this.said = reply.text;
    if (!reply.body) return;
    this.field.value = "";
    settings.discard();
    await settings.load();
  };
}
