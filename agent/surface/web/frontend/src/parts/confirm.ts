import { css, html, LitElement } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { inBoth } from "../language.js";
import { base, controls } from "../styles.js";

const words = inBoth(
  { cancel: "Cancel", type: (word: string) => `To go on, type: ${word}` },
  { cancel: "Abbrechen", type: (word: string) => `Zum Fortfahren eingeben: ${word}` },
);

export interface Question {
  title: string;
  /** What will happen, one paragraph each. */
  text: readonly string[];
  /** On the button that does it. */
  act: string;
  /** What has to be typed for what cannot be undone; without it, the button is enough. */
  typed?: string;
}

/** The dialog behind `confirmed`. */
@customElement("pv-confirm")
export class Confirm extends LitElement {
  @property({ attribute: false }) question!: Question;
  @state() private entered = "";
  @query("dialog") private dialog!: HTMLDialogElement;
  answered: (yes: boolean) => void = () => undefined;

  static override styles = [
    base,
    controls,
    css`
      dialog {
        border: 1px solid var(--divider-color); border-radius: var(--ha-card-border-radius, 12px);
        background: var(--card-background-color); color: var(--primary-text-color);
        width: min(92vw, 32rem); overflow-wrap: anywhere;
      }
      dialog::backdrop { background: #0008; }
      .row { justify-content: flex-end; margin-top: .9rem; }
      input { width: 100%; }
    `,
  ];

  override firstUpdated(): void {
    this.dialog.showModal();
  }

  override render() {
    const { title, text, act, typed } = this.question;
    const may = typed === undefined || this.entered.trim() === typed;
    return html`<dialog aria-labelledby="title" @close=${() => { this.answered(this.dialog.returnValue === "yes"); }}>
      <form @submit=${(event: Event) => { event.preventDefault(); this.dialog.close("yes"); }}>
        <h2 id="title">${title}</h2>
        ${text.map((each) => html`<p>${each}</p>`)}
        ${typed === undefined ? "" : html`<label for="typed">${words.type(typed)}</label>
          <input id="typed" autocomplete="off" autocapitalize="off" spellcheck="false"
            @input=${(event: Event) => { this.entered = (event.target as HTMLInputElement).value; }}>`}
        <div class="row">
          <button type="button" @click=${() => { this.dialog.close("no"); }}>${words.cancel}</button>
          <button type="submit" class=${typed === undefined ? "primary" : "danger"} aria-disabled=${!may}>${act}</button>
        </div>
      </form>
    </dialog>`;
  }
}

/** Asks before something is done; resolves to whether the person wants it. */
export async function confirmed(question: Question): Promise<boolean> {
  const dialog = new Confirm();
  dialog.question = question;
  const yes = await new Promise<boolean>((resolve) => {
    dialog.answered = resolve;
    document.body.append(dialog);
  });
  dialog.remove(); // the browser has given the focus back to who had it
  return yes;
}
