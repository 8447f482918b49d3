// Firmware releases: how good our knowledge is, what each bridge is offered, own builds, publishers.
// What publishers, files and devices say is set as text, never as markup. Nothing here flashes: see flashing.js.

import { cell, element, moment, day } from "./dom.js";

const byId = (id) => document.getElementById(id);
const TONES = { fresh: "good", stale: "warn", none: "bad" };
const STATES = {
  fresh: "Everything is valid now.",
  stale: "What is known was right when it was last confirmed. Only a person may use it, knowingly.",
  none: "Nothing is verified, so nothing can be installed.",
};
const STANDINGS = {
  update: "Update", current: "Runs the newest", older: "Runs something newer", change: "For this factory image", none: "",
};
const LARGEST = 8 * 1024 * 1024;

export class Releases {
  /** `send(method, path, body)` and `upload(path, file)` resolve to {status, body}; `answer(text, kind)` shows it. */
  constructor(send, upload, answer) {
    this.send = send;
    this.upload = upload;
    this.answer = answer;
    this.shown = null;
    this.open = new Set(); // notes that somebody reads
    byId("firmware-look").addEventListener("click", () => this.post("POST", "api/releases/look"));
    byId("bundle-form").addEventListener("submit", (event) => this.hand(event, "bundle-file", "bundle"));
    byId("build-form").addEventListener("submit", (event) => this.hand(event, "build-file", "own"));
    byId("source-form").addEventListener("submit", (event) => this.add(event));
  }

  show(state) {
    const now = state.releases;
    byId("firmware-card").hidden = !now;
    if (!now || now === this.shown || document.activeElement?.closest("#firmware-bridges select")) return;
    this.shown = now;
    const words = byId("firmware-state");
    words.className = `phase small ${TONES[now.state] ?? ""}`;
    words.textContent = now.looking ? "Looking…" : `${now.state}: ${STATES[now.state] ?? ""}`;
    byId("firmware-hint").textContent = [now.warning, now.hint].filter(Boolean).join(" ");
    byId("firmware-development").hidden = !now.sources.some((source) => source.development);
    byId("firmware-sources").replaceChildren(...now.sources.map((source) => this.source(source)));
    byId("firmware-table").hidden = !now.bridges.length;
    byId("firmware-bridges").replaceChildren(...now.bridges.flatMap((bridge) => this.bridge(bridge)));
    byId("builds").replaceChildren(...now.builds.map((build) => this.build(build)));
    byId("builds-table").hidden = !now.builds.length;
  }

  source(source) {
    const row = document.createElement("tr");
    row.dataset.source = source.name;
    const projects = { own: "own builds of this house", added: `added by a person, for ${source.channels.map((channel) => channel.name).join(", ") || "his channel"}` }[source.kind] ?? "the publisher of the app";
    const name = cell(row, source.name, source.development ? `${projects}; DEVELOPMENT ONLY` : projects);
    if (source.kind === "added") name.append(this.removal(source));
    const state = cell(row, source.freshness, [source.why, source.words].filter(Boolean).join(" "));
    state.className = TONES[source.freshness] ?? "";
    const latest = source.channels.flatMap((channel) => Object.entries(channel.latest).map(([project, version]) => `${channel.name}: ${project} ${version}`));
    const paused = source.channels.filter((channel) => channel.paused).map((channel) => `${channel.name} is paused. ${channel.reason}`);
    cell(row, latest.join(", ") || "–", paused.join(" "));
    cell(row, source.roles.map((role) => `${role.role} until ${day(role.expires)}`).join(", ") || "–");
    const confirmed = source.confirmed ? moment(source.confirmed) : "never online";
    cell(row, confirmed, source.carrier ? `from ${source.carrier}` : "");
    return row;
  }

  removal(source) {
    const button = element("button", "", "Remove");
    button.type = "button";
    button.setAttribute("aria-label", `Remove the source ${source.name}`);
    button.addEventListener("click", () => this.post("DELETE", "api/releases/sources", { name: source.name }));
    return button;
  }

  bridge(bridge) {
    const row = document.createElement("tr");
    row.dataset.offer = bridge.mac;
    cell(row, bridge.title, bridge.mac).append(this.channel(bridge));
    cell(row, bridge.installed || "–", bridge.project || "");
    const offered = cell(row, bridge.latest || "–", bridge.latest ? [STANDINGS[bridge.standing], bridge.released ? day(bridge.released) : ""].filter(Boolean).join(", ") : "");
    if (bridge.security && bridge.security !== "none") offered.append(element("small", "bad", `security: ${bridge.security}`));
    const notes = cell(row, "");
    if (bridge.notes) notes.append(this.notes(bridge));
    const against = cell(row, bridge.why || (bridge.refusals.length ? "" : "Nothing speaks against it."));
    for (const each of bridge.refusals) {
      const said = element("p", "", each.text);
      said.append(element("small", "", each.ack ? `${each.next_step} A person can accept this (${each.ack}).` : each.next_step));
      against.append(said);
    }
    return [row];
  }

  notes(bridge) {
    const details = element("details");
    details.open = this.open.has(bridge.mac);
    details.addEventListener("toggle", () => {
      if (details.open) this.open.add(bridge.mac);
      else this.open.delete(bridge.mac);
    });
    details.append(element("summary", "", `Notes of ${bridge.latest}`), element("p", "notes", bridge.notes));
    if (bridge.notes_url?.startsWith("https://")) {
      const link = element("a", "", "More");
      link.href = bridge.notes_url;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      details.append(link);
    }
    return details;
  }

  /** The channel of one bridge; the first choice is that of the rest. */
  channel(bridge) {
    const select = element("select");
    select.setAttribute("aria-label", `Channel of ${bridge.title}`);
    select.append(new Option(`as the rest (${this.shown.channel})`, ""), ...this.shown.channels.map((name) => new Option(name, name)));
    select.value = bridge.own_channel ?? "";
    select.addEventListener("change", async () => {
      const wish = { mac: bridge.mac, channel: select.value || null };
      select.blur();
      if (!(await this.post("PUT", "api/releases/channel", wish))) select.value = bridge.own_channel ?? "";
    });
    return select;
  }

  build(build) {
    const row = document.createElement("tr");
    row.dataset.build = build.sha256;
    cell(row, build.project || "no project", build.version || "");
    cell(row, build.chip, build.layout);
    cell(row, build.accepted ? moment(build.accepted) : "–", `${build.size} bytes`);
    cell(row, build.sha256, build.notes);
    return row;
  }

  /** Hand in a file as it is. */
  async hand(event, id, what) {
    event.preventDefault();
    const file = byId(id).files[0];
    const place = byId(`${what}-message`);
    byId("build-shown").replaceChildren();
    if (!file) { place.textContent = "Choose a file first."; return; }
    if (file.size > LARGEST) { place.textContent = "This file is larger than 8 MiB."; return; }
    place.textContent = "Reading…";
    const { status, body } = await this.upload(`api/releases/${what}`, file);
    place.textContent = body.text || (status === 200 ? "" : `The agent answered with ${status}.`);
    if (status === 200 && what === "own") this.offer(body);
  }

  /** What an own build says of itself, and the button that accepts exactly this file. */
  offer(build) {
    const list = element("dl", "pairs");
    const rows = { Chip: build.chip, "Made for": build.layout, Project: build.project, Version: build.version,
      Built: build.built ? moment(build.built) : "", "SHA-256": build.sha256, "Checksum and hash": build.whole ? "fit" : "do not fit" };
    for (const [name, value] of Object.entries(rows)) list.append(element("dt", "", name), element("dd", "", value || "not told"));
    const accept = element("button", "", "Accept this build");
    accept.type = "button";
    accept.addEventListener("click", async () => {
      accept.disabled = true;
      if (await this.post("POST", "api/releases/own/accept", { sha256: build.sha256 })) byId("build-shown").replaceChildren();
      accept.disabled = false;
    });
    byId("build-shown").replaceChildren(list, element("p", "note", build.sentence), accept);
  }

  async add(event) {
    event.preventDefault();
    const wish = {};
    for (const name of ["name", "mirror", "fingerprint", "channel"]) wish[name] = byId(`source-${name}`).value;
    byId("source-message").textContent = "Asking…";
    const { status, body } = await this.send("POST", "api/releases/sources", wish);
    byId("source-message").textContent = body.text || `The agent answered with ${status}.`;
    if (status === 200) byId("source-form").reset();
  }

  async post(method, path, wish) {
    const { status, body } = await this.send(method, path, wish);
    this.answer(body.text || `The agent answered with ${status}.`, status === 200 ? "accepted" : "refused");
    return status === 200;
  }
}
