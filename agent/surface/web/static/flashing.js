// Updates: one bridge at a time, with its acknowledgements, its progress and its verdict; and many.
// What devices, people and publishers say is set as text, never as markup.

import { cell, element, keep, moment } from "./dom.js";

const byId = (id) => document.getElementById(id);
const TONES = { confirmed: "good", rolled_back: "bad", unchanged: "warn", lost: "bad", ambiguous: "warn" };
const VERDICTS = {
  confirmed: "Confirmed", rolled_back: "Rolled back", unchanged: "Unchanged", lost: "Lost", ambiguous: "Not certain",
};
const STAGES = {
  init: "Waits for its turn", preflight: "Preflight", download: "Download", verify: "Verify", upload: "Upload",
  postcheck: "On trial", complete: "Complete", failed: "Failed",
};
const STEERS = { running: ["pause", "abort"], paused: ["resume", "abort"], stopped: ["resume", "abort"] };
const INSTALLS = new Set(["update", "change", "older", "current"]);

export class Flashing {
  /** `send(method, path, body)` resolves to {status, body}; `answer(text, kind)` shows it. */
  constructor(send, answer) {
    this.send = send;
    this.answer = answer;
    this.accepted = new Map(); // by bridge and version, what somebody has ticked
    this.shown = null;
    byId("campaign-form").addEventListener("submit", (event) => this.plan(event));
  }

  show(state) {
    const now = state.flashing;
    byId("flashing").hidden = !now;
    if (!now || (now === this.shown && state.releases === this.releases)) return;
    this.shown = now;
    this.releases = state.releases;
    byId("flashing-fault").textContent = now.fault;
    const busy = new Set(now.jobs.filter((job) => job.open).map((job) => job.mac));
    const back = new Set(now.may_go_back);
    const bridges = state.releases?.bridges ?? [];
    for (const bridge of bridges) this.offer(bridge, busy.has(bridge.mac), back.has(bridge.mac));
    for (const build of state.releases?.builds ?? []) this.own(build, bridges.filter((it) => !busy.has(it.mac)));
    const over = now.jobs.filter((job) => job.way !== "serial"); // the others are shown where the cable is
    keep(byId("flash-jobs"), over.filter((job) => job.open), (job) => job.job, (job, old) => this.job(job, old));
    byId("flash-history-table").hidden = !over.some((job) => !job.open);
    keep(byId("flash-history"), over.filter((job) => !job.open), (job) => job.job, (job, old) => old ?? this.past(job));
    byId("campaigns").replaceChildren(...now.campaigns.map((it) => this.campaign(it)));
    this.choices(bridges.filter((it) => it.standing === "update" || it.standing === "change"), busy);
  }

  /** Acknowledgements and buttons in the bridge's own line of the table of releases. */
  offer(bridge, busy, back) {
    const place = document.querySelector(`tr[data-offer="${CSS.escape(bridge.mac)}"] td:last-child`);
    if (!place) return;
    place.querySelector(".install")?.remove();
    const box = element("div", "install");
    const blocked = bridge.refusals.some((each) => !each.ack);
    if (bridge.latest && INSTALLS.has(bridge.standing) && !blocked && !busy) this.wishes(box, bridge);
    if (back && !busy) {
      const wish = { mac: bridge.mac, acks: ["ack_downgrade"] };
      const text = "Put the firmware back that ran before (this accepts ack_downgrade)";
      box.append(this.button("Go back", `Go back on ${bridge.title}. ${text}`, () => this.post("back", wish)));
    }
    if (box.childElementCount) place.append(box);
  }

  /** An own build goes where a person says, who accepts that nobody else has signed it. */
  own(build, bridges) {
    const place = document.querySelector(`tr[data-build="${CSS.escape(build.sha256)}"] td:last-child`);
    if (!place || place.querySelector(".install") || !bridges.length) return;
    const box = element("div", "install");
    const which = element("select");
    which.setAttribute("aria-label", `Bridge for ${build.project} ${build.version}`);
    which.append(...bridges.map((it) => new Option(`${it.title} (${it.mac})`, it.mac)));
    const tick = element("input");
    tick.type = "checkbox";
    const label = element("label", "ack");
    label.append(tick, " I accept (ack_unsigned): nobody but this house has signed it.");
    const install = this.button("Install", `Install ${build.project} ${build.version}`, () => {
      const acks = tick.checked ? ["ack_unsigned"] : [];
      return this.post("install", { mac: which.value, version: build.sha256, own: true, acks });
    });
    box.append(which, label, install);
    place.append(box);
  }

  wishes(box, bridge) {
    const key = `${bridge.mac} ${bridge.latest}`;
    const ticked = this.accepted.get(key) ?? new Set();
    this.accepted.set(key, ticked);
    const install = this.button(`Install ${bridge.latest}`, `Install ${bridge.latest} on ${bridge.title}`, () => {
      this.post("install", { mac: bridge.mac, version: bridge.latest, acks: [...ticked] });
    });
    const needed = bridge.refusals.map((each) => each.ack);
    const ready = () => { install.hidden = !needed.every((ack) => ticked.has(ack)); };
    for (const each of bridge.refusals) {
      const tick = element("input");
      tick.type = "checkbox";
      tick.checked = ticked.has(each.ack);
      tick.addEventListener("change", () => {
        if (tick.checked) ticked.add(each.ack);
        else ticked.delete(each.ack);
        ready();
      });
      const label = element("label", "ack");
      label.append(tick, ` I accept (${each.ack}): ${each.text}`);
      box.append(label);
    }
    ready();
    box.append(install);
  }

  /** One update that is under way; `old` is its element, so that a bar moves and a button keeps its focus. */
  job(job, old) {
    const made = old ?? this.card(job);
    made.querySelector("progress").value = job.percent;
    const pace = [`${job.percent} %`];
    if (job.rate_bytes_s) pace.push(`${(job.rate_bytes_s / 1000).toFixed(0)} kB/s`);
    if (job.left_s) pace.push(`about ${job.left_s} s left`);
    made.querySelector(".stage").textContent = `${STAGES[job.stage] ?? job.stage}: ${job.text || "…"}`;
    made.querySelector(".pace").textContent = pace.join(", ");
    made.querySelector("button").hidden = !job.may_cancel;
    return made;
  }

  card(job) {
    const made = element("div", "job");
    const bar = element("progress");
    bar.max = 100;
    bar.setAttribute("aria-label", `Update of ${job.title}`);
    const name = job.goes_back ? "back to" : "to";
    made.append(
      element("p", "", `${job.title} (${job.mac}) ${name} ${job.version}, by ${job.by}`), bar,
      element("p", "stage"), element("p", "pace quiet"),
      this.button("Cancel", `Cancel the update of ${job.title}`, () => this.post("cancel", { job: job.job })),
    );
    return made;
  }

  past(job) {
    const row = element("tr");
    cell(row, job.ended ? moment(job.ended) : "–", job.by);
    cell(row, job.title, job.mac);
    cell(row, job.version, job.before ? `before: ${job.before}` : "");
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
    return row;
  }

  campaign(it) {
    const made = element("div", "job");
    made.dataset.campaign = it.campaign;
    const counts = Object.entries(it.counts).filter(([, number]) => number);
    const done = (it.counts.confirmed ?? 0) + (it.counts.failed ?? 0);
    const bar = element("progress");
    bar.max = it.members.length;
    bar.value = done;
    bar.setAttribute("aria-label", `Update of ${it.members.length} bridges`);
    made.append(
      element("p", "", `${it.members.length} bridges to ${it.project} ${it.version}, ${it.parallel} at once, by ${it.by}: ${it.status}`),
      bar,
      element("p", it.status === "stopped" ? "bad" : "", it.why),
      element("p", "quiet", counts.map(([word, number]) => `${number} ${word.replaceAll("_", " ")}`).join(", ")),
    );
    const order = element("ol");
    order.append(...it.members.map((member) => element("li", "", `${member.title} (${member.mac}): ${member.standing.replaceAll("_", " ")}${member.canary ? ", goes first" : ""}`)));
    const details = element("details");
    details.append(element("summary", "", "Order"), order);
    made.append(details);
    for (const what of STEERS[it.status] ?? []) {
      const name = what[0].toUpperCase() + what.slice(1);
      made.append(this.button(name, `${name} the update of ${it.members.length} bridges`, () => this.post("campaigns/steer", { campaign: it.campaign, what })));
    }
    return made;
  }

  /** Which bridges can be updated together, with a tick for each and one for who goes first. */
  choices(bridges, busy) {
    const place = byId("campaign-bridges");
    byId("campaign-plan").hidden = bridges.length < 2;
    const chosen = new Set([...place.querySelectorAll("input:checked")].map((it) => `${it.name} ${it.value}`));
    keep(place, bridges.filter((it) => !busy.has(it.mac)), (it) => `${it.mac} ${it.latest}`, (it, old) => old ?? choice(it, chosen));
  }

  async plan(event) {
    event.preventDefault();
    const of = (name) => [...byId("campaign-bridges").querySelectorAll(`input[name=${name}]:checked`)].map((it) => it.value);
    const acks = byId("campaign-stale").checked ? ["ack_stale"] : [];
    await this.post("campaigns", { macs: of("member"), canaries: of("canary"), acks });
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
    const { status, body } = await this.send("POST", `api/flashing/${what}`, wish);
    this.answer(body.text || `The agent answered with ${status}.`, status === 200 ? "accepted" : "refused");
  }
}

function choice(bridge, chosen) {
  const row = element("p");
  for (const [name, text] of [["member", `${bridge.title} (${bridge.mac}) to ${bridge.latest}`], ["canary", "goes first"]]) {
    const tick = element("input");
    tick.type = "checkbox";
    tick.name = name;
    tick.value = bridge.mac;
    tick.checked = chosen.has(`${name} ${bridge.mac}`);
    const label = element("label", "ack");
    label.append(tick, ` ${text}`);
    row.append(label);
  }
  return row;
}
