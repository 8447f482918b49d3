// Bridges on USB cables: ports that come and go, who is there, what to write, and how far it is.
// What devices, programs and publishers say is set as text, never as markup.

import { cell, element, keep, moment } from "./dom.js";

const byId = (id) => document.getElementById(id);
const TONES = { confirmed: "good", unchanged: "warn", lost: "bad", ambiguous: "warn" };
const VERDICTS = { confirmed: "Confirmed", unchanged: "Unchanged", lost: "Needs flashing", ambiguous: "Not certain" };
const STAGES = {
  init: "Waits for its turn", connect: "Connect", identify: "Identify", check: "Check", backup: "Backup", erase: "Erase",
  write: "Write", verify: "Verify", reset: "Reset", observe: "Observe", complete: "Complete", failed: "Failed",
};
const BUTTONS_HELP = new Set(["no-answer", "wrong-boot-mode", "not-downloading", "too-slow"]);
const BACKUPS = [["quick", "settings, table and OTA data"], ["full", "all of the flash; takes minutes"], ["none", "nothing"]];

export class Recovery {
  /** `send(method, path, body)` resolves to {status, body}; `answer(text, kind)` shows it; `download(path)` saves a file. */
  constructor(send, answer, download) {
    this.send = send;
    this.answer = answer;
    this.download = download;
    this.shown = null;
    this.insists = new Set(); // ports of which somebody says that they are bridges all the same
  }

  show(state) {
    const now = state.recovery;
    byId("recovery-card").hidden = !now;
    if (!now || now === this.shown) return;
    this.shown = now;
    const open = now.jobs.filter((job) => job.open);
    const busy = new Set(open.map((job) => job.port));
    said(byId("recovery-fault"), now.fault);
    said(byId("recovery-needs"), now.needs_flashing.length ? `Needs flashing: ${now.needs_flashing.join(", ")}. Plug it in and write a release.` : "");
    byId("recovery-none").hidden = now.ports.length > 0;
    keep(byId("recovery-ports"), now.ports, (port) => port.port, (port, old) => this.port(port, old, busy.has(port.port)));
    keep(byId("recovery-jobs"), open, (job) => job.job, (job, old) => this.job(job, old));
    const past = now.jobs.filter((job) => !job.open);
    byId("recovery-history-table").hidden = !past.length;
    keep(byId("recovery-history"), past, (job) => job.job, (job, old) => old ?? this.past(job));
    if (now.ports.some((port) => BUTTONS_HELP.has(port.code)) && !this.helped) byId("recovery-picture").open = true;
    this.helped = now.ports.some((port) => BUTTONS_HELP.has(port.code));
  }

  /** One port; its form stays as it is while the same chip is on it. */
  port(port, old, busy) {
    const made = old ?? this.plugged(port);
    const used = port.used_by.length ? `In use by ${port.used_by.join(", ")}.` : "";
    said(made.querySelector(".used"), used);
    made.querySelector(".insist").hidden = !(port.stick || used);
    made.querySelector(".ask").hidden = busy || Boolean(port.phase);
    made.querySelector(".leave").hidden = busy || !port.phase;
    said(made.querySelector(".told"), port.phase ? `Asking the chip: ${port.phase}…` : port.text);
    const place = made.querySelector(".chip");
    const key = port.device && !busy ? `${port.device.mac} ${port.device.at} ${port.device.releases.length}` : "";
    if (place.dataset.key !== key) {
      place.dataset.key = key;
      place.replaceChildren(...(key ? [this.chip(port)] : []));
    }
    return made;
  }

  plugged(port) {
    const made = element("div", "job");
    made.dataset.port = port.port;
    const title = element("p", "", port.title);
    title.append(element("small", "quiet", ` ${port.kind}${port.mac ? `, ${port.mac}` : ""}`));
    const where = element("p", "quiet", [port.port, port.socket].filter(Boolean).join(", "));
    const [label, tick] = ticked("This is a bridge, whatever it looks like and whoever uses it.");
    label.classList.add("insist");
    tick.addEventListener("change", () => {
      if (tick.checked) this.insists.add(port.port);
      else this.insists.delete(port.port);
    });
    const ask = this.button("Identify", `Identify what is on ${port.title}`, () => this.post("identify", { port: port.port, insist: this.insists.has(port.port) }));
    ask.classList.add("ask");
    const leave = this.button("Stop asking", `Stop asking ${port.title}`, () => this.post("cancel", { job: port.port }));
    leave.classList.add("leave");
    made.append(title, where, element("p", "used warn"), label, ask, leave, element("p", "told"), element("div", "chip"));
    return made;
  }

  /** What the chip said, and what may be written to it. */
  chip(port) {
    const device = port.device;
    const made = element("div");
    const list = element("dl", "pairs");
    const rows = {
      Chip: device.description || device.chip, Revision: device.revision, MAC: device.mac || "hidden",
      Flash: device.flash_size ? `${device.flash_size / 2 ** 20} MiB` : "does not answer",
      Locks: device.locks.join(", ") || "none", Program: device.app || "none",
      Known: device.known ? `${device.known}${device.needs_flashing ? ", needs flashing" : ""}` : "a stranger",
    };
    for (const [name, value] of Object.entries(rows)) list.append(element("dt", "", name), element("dd", "", value ?? "not told"));
    const table = element("details");
    const parts = element("ul");
    parts.append(...device.table.map((it) => element("li", "", `${it.label || "without a name"}: ${it.size / 1024} KiB at 0x${it.offset.toString(16)}`)));
    table.append(element("summary", "", "Partition table"), device.table.length ? parts : element("p", "", "There is none, or it is damaged."));
    made.append(list, table);
    if (device.locks.length) made.append(element("p", "bad", "A locked chip cannot be written: no image of ours would start there."));
    else if (!device.releases.length) made.append(element("p", "note", this.shown.writes ? "No trusted release is known for this chip. Look under Firmware." : this.shown.fault));
    else made.append(this.form(port));
    return made;
  }

  form(port) {
    const device = port.device;
    const form = element("form");
    const which = choice("Release", device.releases.map((it, at) => [String(at), `${it.project} ${it.version} (${it.channel})`]));
    const backup = choice("Copy before", BACKUPS);
    const reason = entry("Why is it recovered?");
    const [erases, erase] = ticked("Erase its Wi-Fi settings and keys too.");
    const [keeps, kept] = ticked("Keep the copy after a success; it holds secrets.");
    const check = element("button", "", "Check");
    check.type = "submit";
    const decided = element("div", "decided");
    const acks = new Set();
    const wish = () => ({
      ...device.releases[Number(which.input.value)], port: port.port, mac: device.mac, reason: reason.input.value, acks: [...acks],
      erase_settings: erase.checked, backup: backup.input.value, keep_backup: kept.checked, insist: this.insists.has(port.port),
    });
    const stale = () => { acks.clear(); decided.replaceChildren(); };
    for (const it of [which.input, backup.input, erase, kept]) it.addEventListener("change", stale);
    reason.input.addEventListener("input", stale);
    const look = async () => {
      const { status, body } = await this.send("POST", "api/recovery/check", wish());
      if (status === 200) decided.replaceChildren(...this.decision(body, wish, acks, look));
      else decided.replaceChildren(element("p", "bad", body.text || `The agent answered with ${status}.`));
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      check.disabled = true;
      await look();
      check.disabled = false;
    });
    form.append(which.row, reason.row, backup.row, erases, keeps, check, decided);
    return form;
  }

  /** The policy's word; what speaks against it is accepted by name, and then the last question is asked. */
  decision(told, wish, acks, look) {
    if (!told.accepted) {
      if (!told.refusals.length) return [element("p", "bad", told.text)];
      return told.refusals.map((each) => {
        const said = element("p", "bad", each.text);
        said.append(element("small", "", ` ${each.next_step}`));
        if (!each.ack) return said;
        const [label, tick] = ticked(`I accept (${each.ack}): ${each.text}`);
        tick.addEventListener("change", () => { acks.add(each.ack); look(); });
        return label;
      });
    }
    const asked = wish();
    const typed = entry(`Type ${asked.mac} to have its settings erased`);
    typed.row.hidden = !asked.erase_settings;
    const write = this.button("Write it", told.text, () => this.post("write", { ...wish(), digest: told.digest, typed: typed.input.value }));
    write.className = "primary";
    const passed = element("p", "quiet", acks.size ? `Accepted: ${[...acks].join(", ")}.` : "");
    return [element("p", "phase small", told.text), passed, typed.row, write];
  }

  /** One recovery that is under way. */
  job(job, old) {
    const made = old ?? this.card(job);
    made.querySelector("progress").value = job.percent;
    const pace = [`${job.percent} %`];
    if (job.rate_bytes_s) pace.push(`${(job.rate_bytes_s / 1000).toFixed(0)} kB/s`);
    if (job.left_s) pace.push(`about ${job.left_s} s left`);
    made.querySelector(".stage").textContent = `${STAGES[job.stage] ?? job.stage}: ${job.text || "…"}`;
    made.querySelector(".pace").textContent = pace.join(", ");
    made.querySelector(".said").textContent = job.log.join("\n");
    made.querySelector(".cancel").hidden = !(job.may_cancel || job.writes);
    if (!job.writes) made.querySelector(".warned").hidden = true;
    return made;
  }

  card(job) {
    const made = element("div", "job");
    made.dataset.job = job.job;
    const bar = element("progress");
    bar.max = 100;
    bar.setAttribute("aria-label", `Recovery of ${job.mac}`);
    const warned = element("div", "warned");
    warned.hidden = true;
    const text = element("p", "bad");
    warned.append(text, this.button("Stop the write all the same", `Stop the write of ${job.mac} all the same`, () => this.post("cancel", { job: job.job, insist: true })));
    const cancel = this.button("Cancel", `Cancel the recovery of ${job.mac}`, async () => {
      const body = await this.post("cancel", { job: job.job });
      if (body.code !== "writes") return;
      text.textContent = body.text;
      warned.hidden = false;
    });
    cancel.classList.add("cancel");
    made.append(element("p", "", `${job.project} ${job.version} for ${job.mac}, by ${job.by}`), bar, element("p", "stage"), element("p", "pace quiet"), element("pre", "said"), cancel, warned);
    return made;
  }

  past(job) {
    const row = element("tr");
    cell(row, job.ended ? moment(job.ended) : "–", job.by);
    cell(row, job.title || job.mac, job.title ? job.mac : "");
    cell(row, `${job.project} ${job.version}`, job.port);
    const verdict = cell(row, VERDICTS[job.result] ?? job.result ?? "–", job.failed_in ? `in ${STAGES[job.failed_in] ?? job.failed_in}` : "");
    verdict.className = TONES[job.result] ?? "";
    const told = cell(row, job.text, job.next_step);
    if (job.evidence.length) {
      const details = element("details");
      const list = element("ul");
      list.append(...job.evidence.map((each) => element("li", "", each)));
      details.append(element("summary", "", "What was seen"), list);
      told.append(details);
    }
    if (job.has_log) told.append(this.button("Download the log", `Download the log of ${job.mac}`, () => this.download(`api/recovery/log?job=${encodeURIComponent(job.job)}`)));
    return row;
  }

  button(text, label, act) {
    const made = element("button", "", text);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.addEventListener("click", async () => {
      made.disabled = true;
      await act();
      made.disabled = false;
    });
    return made;
  }

  async post(what, wish) {
    const { status, body } = await this.send("POST", `api/recovery/${what}`, wish);
    this.answer(body.text || `The agent answered with ${status}.`, status === 200 ? "accepted" : "refused");
    return body;
  }
}

function said(place, text) {
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
}

function ticked(text) {
  const label = element("label", "ack");
  const tick = element("input");
  tick.type = "checkbox";
  label.append(tick, ` ${text}`);
  return [label, tick];
}

function entry(text) {
  const row = element("label", "field", text);
  const input = element("input", "long");
  input.autocomplete = "off";
  row.append(input);
  return { row, input };
}

function choice(text, options) {
  const row = element("label", "field", text);
  const input = element("select", "long");
  input.append(...options.map(([value, words]) => new Option(words, value)));
  row.append(input);
  return { row, input };
}
