// The bridges of the house: one line each, with its gates, and where a key is missing, room to enter it.
// Everything a device says about itself is set as text, never as markup.

import { cell, element, moment } from "./dom.js";

const byId = (id) => document.getElementById(id);
const TONES = {
  online: "good", connecting: "", restarting: "warn", crashed: "warn", safe_mode: "warn",
  key_missing: "warn", wrong_key: "bad", not_encrypted: "bad", wrong_device: "bad", hung: "bad", unreachable: "bad",
};
const KINDS = { factory: "factory image", production: "production image", foreign: "not one of ours" };
const GONE = ["", "unreachable", "wrong_device"];
const RESULTS = { pass: "good", warn: "warn", fail: "bad" };
const WANTS_KEY = ["key_missing", "wrong_key"];

export class Bridges {
  /** `send(method, path, body)` resolves to {status, body}; `answer(text, kind)` shows it. */
  constructor(send, answer) {
    this.send = send;
    this.answer = answer;
    this.shown = null;
    this.gates = null;
    this.open = new Set(); // MACs whose gates somebody looks at
    byId("bridges-discover").addEventListener("click", () => this.post("ask", { op: "discover" }));
  }

  show(state) {
    const bridges = state.bridges ?? [];
    const gates = state.gates ?? {};
    if ((bridges === this.shown && gates === this.gates) || this.busy()) return;
    this.shown = bridges;
    this.gates = gates;
    byId("bridges-none").hidden = bridges.length > 0;
    byId("bridges-table").hidden = !bridges.length;
    byId("bridges").replaceChildren(...bridges.flatMap((bridge) => [this.line(bridge), ...this.verdicts(bridge)]));
  }

  /** What somebody is typing stays until it was sent or cleared. */
  busy() {
    return [...byId("bridges").querySelectorAll("input")].some((input) => input.value !== "");
  }

  line(bridge) {
    const row = document.createElement("tr");
    row.dataset.mac = bridge.mac;
    cell(row, bridge.title, bridge.mac || "MAC not known yet");
    cell(row, bridge.address || "–", bridge.name && bridge.name !== bridge.title ? bridge.name : "");
    const firmware = [bridge.project, bridge.version].filter(Boolean).join(" ");
    const esphome = bridge.esphome ? `ESPHome ${bridge.esphome}` : "";
    cell(row, firmware || esphome || "–", [firmware ? esphome : "", KINDS[bridge.kind] ?? ""].filter(Boolean).join(", "));
    const state = cell(row, bridge.words, bridge.since ? `since ${moment(bridge.since)}` : "");
    state.className = TONES[bridge.state] ?? "";
    const said = bridge.findings.map((each) => each.text).filter((text) => text !== bridge.next_step);
    const next = cell(row, bridge.next_step || (said.length ? "" : "Nothing to do."), said.join(" "));
    if (bridge.mac && WANTS_KEY.includes(bridge.state)) next.append(this.form(bridge));
    if (bridge.mac && GONE.includes(bridge.state)) next.append(this.removal(bridge));
    if (bridge.mac) next.append(this.work(bridge));
    return row;
  }

  /** What can be asked of a bridge. */
  work(bridge) {
    const buttons = element("div", "buttons");
    buttons.append(this.asking(bridge, "run_gates", "Run gates", "Run the gates of"));
    if (bridge.state === "online") buttons.append(this.asking(bridge, "restart_device", "Restart", "Restart"));
    return buttons;
  }

  /** What its gates said last, in a row of its own below it; nothing before they were run. */
  verdicts(bridge) {
    const told = this.gates[bridge.mac];
    if (!told) return [];
    const row = document.createElement("tr");
    row.dataset.gates = bridge.mac;
    const place = row.insertCell();
    place.colSpan = 5;
    place.append(this.verdict(bridge, told));
    return [row];
  }

  asking(bridge, op, name, what) {
    const button = element("button", "", name);
    button.type = "button";
    button.setAttribute("aria-label", `${what} ${bridge.title}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      await this.post("ask", { op, mac: bridge.mac });
      button.disabled = false;
    });
    return button;
  }

  verdict(bridge, told) {
    const details = element("details", "gates");
    details.open = this.open.has(bridge.mac);
    details.addEventListener("toggle", () => {
      if (details.open) this.open.add(bridge.mac);
      else this.open.delete(bridge.mac);
    });
    const old = Date.now() - Date.parse(told.at) > told.holds_s * 1000 ? ", no longer believed" : "";
    const blocks = told.overall === "warn" ? (told.strict ? ", which blocks" : ", which does not block") : "";
    details.append(element("summary", "", `Gates: ${told.overall}${blocks}, ${moment(told.at)}${old}`));
    const table = element("table", "inputs");
    const head = table.createTHead().insertRow();
    for (const name of ["Gate", "Result", "Evidence", "Time"]) {
      const title = element("th", "", name);
      title.scope = "col";
      head.append(title);
    }
    const body = table.createTBody();
    for (const gate of told.gates) {
      const row = body.insertRow();
      cell(row, gate.name, gate.gate);
      cell(row, gate.result).className = RESULTS[gate.result] ?? "";
      cell(row, gate.evidence);
      cell(row, moment(gate.at));
    }
    details.append(table);
    return details;
  }

  removal(bridge) {
    const button = element("button", "", "Remove");
    button.type = "button";
    button.setAttribute("aria-label", `Remove ${bridge.title} from the list`);
    button.addEventListener("click", () => this.post("forget", { mac: bridge.mac }));
    return button;
  }

  async post(what, wish) {
    const { status, body } = await this.send("POST", `api/bridges/${what}`, wish);
    this.answer(body.text || `The agent answered with ${status}.`, status === 200 ? "accepted" : "refused");
    return status === 200;
  }

  form(bridge) {
    const form = element("form");
    const input = element("input", "long");
    input.type = "password";
    input.autocomplete = "off";
    input.placeholder = "Encryption key";
    input.setAttribute("aria-label", `Encryption key of ${bridge.title}`);
    const button = element("button", "", "Save key");
    button.type = "submit";
    const ask = element("button", "", "Ask Home Assistant");
    ask.type = "button";
    ask.setAttribute("aria-label", `Ask Home Assistant for the key of ${bridge.title}`);
    form.append(input, button, ask);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.post("key", { mac: bridge.mac, key: input.value })) input.value = "";
    });
    ask.addEventListener("click", async () => {
      if (await this.post("ask-key", { mac: bridge.mac })) input.value = "";
    });
    return form;
  }
}
