import { css, html, LitElement } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { here, LARGEST_FILE_BYTES } from "../fleet.js";
import { inBoth } from "../language.js";
import { send, type Reply } from "../send.js";
import { Watch } from "../store.js";
import { base, controls } from "../styles.js";

const words = inBoth(
  { choose: "Choose a file first.", large: "This file is larger than 8 MiB.", reading: "Reading…" },
  { choose: "Bitte zuerst eine Datei wählen.", large: "Diese Datei ist größer als 8 MiB.", reading: "Wird gelesen…" },
);

/** Hands in one file as it is: `<pv-upload label="Bundle" act="Take it" accept=".zip" path="releases/bundle">`. */
@customElement("pv-upload")
export class Upload extends LitElement {
  @property() label = "";
  @property() act = "";
  @property() accept = "";
  @property() path = "";
  /** Told of the answer, beside the words below the field. */
  @property({ attribute: false }) answered: ((reply: Reply) => void) | undefined;
  @state() private said = "";
  @state() private busy = false;
  @query("input") private field!: HTMLInputElement;

  static override styles = [base, controls, css`input { width: 100%; margin-bottom: .5rem; } p { min-height: 1.6rem; }`];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    return html`<form @submit=${this.handed}>
      <label for="file">${this.label}</label><input id="file" type="file" accept=${this.accept}>
      <button type="submit" aria-disabled=${this.busy || !here()}>${this.act}</button>
      <p role="status">${this.said}</p>
    </form>`;
  }

  private readonly handed = async (event: Event): Promise<void> => {
    event.preventDefault();
    const file = this.field.files?.[0];
    if (!file) { this.said = words.choose; return; }
    if (file.size > LARGEST_FILE_BYTES) { this.said = words.large; return; }
    this.said = words.reading;
    this.busy = true;
    const reply = await send("POST", this.path, file);
    this.busy = false;
    this.said = reply.text;
    this.answered?.(reply);
  };
}
