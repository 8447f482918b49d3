import { css, html, LitElement, nothing } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import type { BridgeView } from "../../api.js";
import { here, moment, type Tone } from "../../fleet.js";
import { named } from "../../language.js";
import { tell } from "../../parts/answers.js";
import { confirmed } from "../../parts/confirm.js";
import { send } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "./gates.js";
import "./install.js";
import { words } from "./words.js";

const TONES: Readonly<Record<string, Tone>> = {
  online: "good", restarting: "warn", crashed: "warn", safe_mode: "warn", key_missing: "warn",
  wrong_key: "bad", not_encrypted: "bad", wrong_device: "bad", hung: "bad", unreachable: "bad",
};
const GONE = ["", "unreachable", "wrong_device"];
const WANTS_KEY = ["key_missing", "wrong_key"];

/** One bridge: who it is, how it is, and the one step that helps. */
@customElement("pv-bridge")
export class Bridge extends LitElement {
  @property({ attribute: false }) bridge!: BridgeView;
  @query("input") private key!: HTMLInputElement;

  static override styles = [
    base,
    controls,
    css`
      :host { min-width: 0; }
      dl { grid-template-columns: fit-content(45%) minmax(0, 1fr); }
      dd { overflow-wrap: anywhere; min-width: 0; text-align: left; }
      .row { margin-top: .6rem; }
      .state { font-weight: 600; }
      .state small { font-weight: 400; }
      .next { min-height: 1.5rem; }
      form { margin: .5rem 0; }
      form input { flex: 1 1 12rem; min-width: 0; }
      pv-gates, pv-install { border-top: 1px solid var(--divider-color); margin-top: .6rem; padding-top: .6rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    const it = this.bridge;
    const said = it.findings.map((each) => each.text).filter((each) => each !== it.next_step);
    return html`<pv-card heading=${it.title}>
      <p class="state ${TONES[it.state] ?? ""}">${words.states[it.state || "none"] ?? it.words}${it.since ? html` <small>${words.since(moment(it.since))}</small>` : nothing}</p>
      <p class="next">${it.next_step || (said.length ? "" : words.nothingToDo)}
        ${said.map((each) => html`<small>${each} </small>`)}</p>
      ${this.identity()}
      ${it.mac && WANTS_KEY.includes(it.state) ? this.form() : nothing}
      ${it.mac ? this.work() : nothing}
      ${it.mac ? html`<pv-gates .bridge=${it}></pv-gates><pv-install .bridge=${it}></pv-install>` : nothing}
    </pv-card>`;
  }

  private identity() {
    const it = this.bridge;
    const firmware = [it.project, it.version].filter(Boolean).join(" ");
    return html`<dl>
      <dt>MAC</dt><dd>${it.mac || words.noMac}</dd>
      <dt>${words.address}</dt><dd>${it.address || words.noAddress}${it.name && it.name !== it.title ? html` <small>${it.name}</small>` : nothing}</dd>
      <dt>${words.runs}</dt><dd>${firmware || "–"} <small>${named(words.kinds, it.kind)}${it.esphome ? `, ESPHome ${it.esphome}` : ""}</small></dd>
      ${it.board ? html`<dt>${words.board}</dt><dd>${it.board}</dd>` : nothing}
    </dl>`;
  }

  /** What can be asked of it. */
  private work() {
    const it = this.bridge;
    const body = (op: string) => ({ op, mac: it.mac });
    const restart = () => confirmed({ title: words.restartTitle(it.title), text: [it.mac, words.restartText], act: words.restart });
    const forget = () => confirmed({ title: words.removeTitle(it.title), text: [it.mac, words.removeText], act: words.remove });
    return html`<div class="row">
      <pv-action label=${words.runGates} path="bridges/ask" .body=${body("run_gates")}></pv-action>
      ${it.state === "online" ? html`<pv-action label=${words.restart} path="bridges/ask" .body=${body("restart_device")} .asks=${restart}></pv-action>` : nothing}
      ${GONE.includes(it.state) ? html`<pv-action label=${words.remove} path="bridges/forget" .body=${{ mac: it.mac }} .asks=${forget}></pv-action>` : nothing}
    </div>`;
  }

  private form() {
    const clear = () => { this.key.value = ""; };
    return html`<form @submit=${this.save}>
      <label for="key">${words.key}</label>
      <div class="row">
        <input id="key" type="password" autocomplete="off">
        <button type="submit" aria-disabled=${!here()}>${words.saveKey}</button>
        <pv-action label=${words.askKey} path="bridges/ask-key" .body=${{ mac: this.bridge.mac }}
          .answered=${(reply: { outcome: string }) => { if (reply.outcome === "accepted") clear(); }}></pv-action>
      </div>
    </form>`;
  }

  private readonly save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const reply = await send("POST", "bridges/key", { mac: this.bridge.mac, key: this.key.value });
    tell(words.saveKey, reply);
    if (reply.outcome === "accepted") this.key.value = "";
  };
}
