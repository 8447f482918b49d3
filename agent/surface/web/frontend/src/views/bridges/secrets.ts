import { css, html, LitElement, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { here } from "../../fleet.js";
import { send } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/card.js";
import { words } from "./words.js";

const LARGEST_BYTES = 60_000; // of both together: the agent reads no longer request

interface Answer {
  text: string;
  stored?: string;
  bridges?: { mac: string; title: string }[];
  names?: string[];
}

/**
 * Files of ESPHome that hold a bridge's key: read here, handed in, and never shown. Where a file
 * does not say whose a key is, a person chooses.
 */
@customElement("pv-secrets")
export class Secrets extends LitElement {
  @state() private said = "";
  @state() private answer: Answer = { text: "" };
  @query("form") private form!: HTMLFormElement;

  static override styles = [
    base,
    controls,
    css`
      summary { cursor: pointer; min-height: 2.75rem; padding-top: .5rem; }
      form { display: grid; gap: .6rem; max-width: 32rem; margin: .5rem 0; }
      input, select { width: 100%; }
      #said { min-height: 1.6rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    const { bridges = [], names = [] } = this.answer;
    return html`<pv-card heading=${words.keys}><details>
      <summary>${words.secrets}</summary>
      <p class="quiet">${words.secretsText}</p>
      <form @submit=${this.taken} @change=${this.changed}>
        <div><label for="device">${words.secretsDevice}</label><input id="device" type="file" accept=".yaml,.yml"></div>
        <div><label for="secrets">${words.secretsFile}</label><input id="secrets" type="file" accept=".yaml,.yml"></div>
        ${bridges.length ? html`<div><label for="bridge">${words.secretsBridge}</label><select id="bridge">
          ${bridges.map((each) => html`<option value=${each.mac}>${each.title} (${each.mac})</option>`)}</select></div>` : nothing}
        ${names.length ? html`<div><label for="name">${words.secretsName}</label><select id="name">
          ${names.map((each) => html`<option value=${each}>${each}</option>`)}</select></div>` : nothing}
        <div><button type="submit" aria-disabled=${!here()}>${words.secretsTake}</button></div>
      </form>
      <p id="said" role="status">${this.said}</p>
    </details></pv-card>`;
  }

  private readonly changed = (event: Event): void => {
    if ((event.target as HTMLInputElement).type !== "file") return;
    this.answer = { text: "" };
    this.said = "";
  };

  private readonly taken = async (event: Event): Promise<void> => {
    event.preventDefault();
    const [configuration, secrets] = await Promise.all([this.text("#device"), this.text("#secrets")]);
    if (!configuration && !secrets) { this.said = words.chooseFile; return; }
    if (configuration.length + secrets.length > LARGEST_BYTES) { this.said = words.tooLarge; return; }
    this.said = words.reading;
    const wish = { configuration, secrets, mac: this.chosen("#bridge"), name: this.chosen("#name") };
    const reply = await send<Answer>("POST", "bridges/secrets", wish);
    this.said = reply.text;
    if (!reply.body) return;
    this.answer = reply.body;
    if (reply.body.stored) this.form.reset();
  };

  private chosen(id: string): string {
    return this.renderRoot.querySelector<HTMLSelectElement>(id)?.value ?? "";
  }

  private async text(id: string): Promise<string> {
    const file = this.renderRoot.querySelector<HTMLInputElement>(id)?.files?.[0];
    if (!file) return "";
    return file.size > LARGEST_BYTES ? "x".repeat(LARGEST_BYTES + 1) : file.text();
  }
}
