import { html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { running } from "../plan.js";
import { store, Watch } from "../store.js";

/** What becomes of the planned window that contains the present; empty outside of one. */
@customElement("pv-running")
export class Running extends LitElement {
  constructor() {
    super();
    new Watch(this, ["at", "outlook", "plan", "plan_waits"]);
  }

  override render() {
    return html`${store.state ? running(store.state) : ""}`;
  }
}
