import { css, html, LitElement } from "lit";
import { customElement, query } from "lit/decorators.js";
import { inBoth } from "../language.js";
import { keepToken } from "../send.js";
import { store } from "../store.js";
import { base, controls } from "../styles.js";
import "./card.js";

const words = inBoth(
  {
    title: "Access token",
    text: "This agent was started with an access token. Enter it to see the page.",
    token: "Token",
    open: "Open",
  },
  {
    title: "Zugangs-Token",
    text: "Dieser Agent wurde mit einem Zugangs-Token gestartet. Mit ihm öffnet sich die Seite.",
    token: "Token",
    open: "Öffnen",
  },
);

/** Asked for outside of Home Assistant, where the agent was started with a token. */
@customElement("pv-token")
export class Token extends LitElement {
  @query("input") private field!: HTMLInputElement;

  static override styles = [base, controls, css`:host { max-width: 26rem; margin: 1rem auto; } input { width: 100%; margin: .25rem 0 .75rem; }`];

  override render() {
    return html`<pv-card heading=${words.title}>
      <form @submit=${this.opened}>
        <p>${words.text}</p>
        <label for="token">${words.token}</label>
        <input id="token" type="password" autocomplete="off" required>
        <button type="submit" class="primary">${words.open}</button>
      </form>
    </pv-card>`;
  }

  private readonly opened = (event: Event): void => {
    event.preventDefault();
    keepToken(this.field.value.trim());
    this.field.value = "";
    store.hurry();
  };
}
