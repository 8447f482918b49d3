// The doctor's table, and what travels as a file. For administrators; the agent says so if not.

import { once } from "./once.js";

const byId = (id) => document.getElementById(id);
const WORDS = { ok: ["OK", "good"], skipped: ["Skipped", "quiet"], warning: ["Warning", "warn"], failure: ["Failure", "bad"] };
const UNREACHED = "The agent could not be reached; try again.";

export class Support {
  /** `headers()` are those of every request; `saved()` is told after an import. */
  constructor(headers, saved) {
    this.headers = () => ({ ...headers(), "X-Requested-With": "pv-edge-agent" });
    this.saved = saved;
    byId("doctor-run").addEventListener("click", () => this.examine());
    byId("diagnostics").addEventListener("click", () => this.download("api/diagnostics"));
    byId("events-csv").addEventListener("click", () => this.download("api/journal.csv?what=events&days=30"));
    byId("samples-csv").addEventListener("click", () => this.download("api/journal.csv?what=samples&days=7"));
    byId("settings-export").addEventListener("click", () => this.download("api/settings/export"));
    byId("settings-import").addEventListener("click", () => byId("settings-file").click());
    byId("settings-file").addEventListener("change", () => this.take());
    byId("notifications-clear").addEventListener("click", () => this.clear());
  }

  say(text) {
    byId("support-message").textContent = text;
  }

  async ask(path, method = "GET", body = undefined) {
    try {
      return await fetch(path, { method, body, headers: { ...this.headers(), ...once() }, cache: "no-store" });
    } catch {
      return null;
    }
  }

  async refusal(response) {
    if (!response) return UNREACHED;
    const body = await response.json().catch(() => ({}));
    return body.text || `The agent answered with ${response.status}.`;
  }

  async examine() {
    const button = byId("doctor-run");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    this.progress("Starting", 0);
    try {
      const response = await this.ask("api/doctor");
      if (!response?.ok) this.progress(await this.refusal(response), 0);
      else await this.follow(response);
    } catch {
      this.progress("The check-up was cut off; run it again.", 0);
    } finally {
      button.setAttribute("aria-busy", "false");
    }
  }

  /** One JSON object per line: progress, and the report last. */
  async follow(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let reported = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      let end;
      while ((end = text.indexOf("\n")) >= 0) {
        const line = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        if (line.report) { this.show(line.report); reported = true; }
        else if (line.doing) this.progress(`${line.doing}…`, line.percent);
      }
    }
    if (!reported) this.progress("The check-up failed; see the agent's log.", 0);
  }

  progress(words, percent) {
    byId("doctor-progress").textContent = words;
    byId("doctor-bar").hidden = false;
    byId("bar-doctor").style.width = `${percent}%`;
    byId("doctor-bar").setAttribute("aria-valuenow", Math.round(percent));
  }

  show(report) {
    const body = byId("doctor");
    body.replaceChildren();
    for (const finding of report.findings) {
      const row = body.insertRow();
      const [words, tone] = WORDS[finding.verdict] ?? [finding.verdict, ""];
      const state = row.insertCell();
      state.textContent = words;
      state.className = tone;
      row.insertCell().textContent = finding.title;
      const said = row.insertCell();
      said.textContent = finding.text;
      if (finding.next_step) {
        const next = document.createElement("small");
        next.textContent = `Next: ${finding.next_step}`;
        said.append(next);
      }
    }
    byId("doctor-table").hidden = false;
    const words = ["Everything is well.", "There are warnings.", "Something has to be repaired."];
    this.progress(`${words[report.exit_code]} ${report.findings.length} checks in ${Math.round(report.took_s)} s.`, 100);
  }

  async download(path) {
    const response = await this.ask(path);
    if (!response?.ok) { this.say(await this.refusal(response)); return; }
    const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name ?? "pv-edge-agent.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    this.say(`${link.download} was downloaded.`);
  }

  async take() {
    const input = byId("settings-file");
    const file = input.files[0];
    input.value = "";
    if (!file) return;
    const response = await this.ask("api/settings/import", "POST", await file.text());
    this.say(await this.refusal(response));
    if (response?.ok) this.saved();
  }

  async clear() {
    this.say(await this.refusal(await this.ask("api/notifications/clear", "POST")));
  }
}
