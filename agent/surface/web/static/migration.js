// Moving from an old integration: one owner at a time, and its settings as a list to choose from.
// What Home Assistant says is set as text, never as markup.

import { cell, element } from "./dom.js";

const byId = (id) => document.getElementById(id);
const STANDINGS = { active: ["Active", "bad"], asleep: ["Not running", "warn"], off: ["Disabled", "good"] };
const LOCK = "second_controller";

export class Migration {
  /** `send(method, path, body)` resolves to {status, body}; `saved()` is told after an import. */
  constructor(send, answer, saved) {
    this.send = send;
    this.answer = answer;
    this.saved = saved;
    this.known = null;
    byId("migration-look").addEventListener("click", () => this.look());
    byId("migration-form").addEventListener("submit", (event) => this.take(event));
  }

  /** The picture tells when the lock comes or goes; the rest is asked for then. */
  show(state) {
    const locked = state.blockers.some((each) => each.code === LOCK);
    if (locked === this.known) return;
    this.known = locked;
    this.load();
  }

  async load() {
    const { status, body } = await this.send("GET", "api/migration");
    if (status === 200) this.draw(body);
  }

  draw(now) {
    byId("migration-card").hidden = !now.entries.length && !now.lingering.length;
    byId("migration-card").style.order = now.locked.length ? "" : "1"; // last, where nothing waits for it
    byId("migration-locks").replaceChildren(...now.locked.map((text) => element("li", "bad", text)));
    byId("migration-doubt").textContent = now.doubt;
    byId("migration-entries").replaceChildren();
    for (const entry of now.entries) this.entry(entry);
    byId("migration-table").hidden = !now.entries.length;
    byId("migration-look").hidden = !now.entries.length;
    const words = now.lingering.map((each) => element("li", "warn", `${each.name}: ${each.text}`));
    byId("migration-lingering").replaceChildren(...words);
    byId("migration-form").hidden = !now.plan;
    if (now.plan) this.plan(now.plan);
  }

  entry(entry) {
    const row = byId("migration-entries").insertRow();
    cell(row, entry.name, entry.title === entry.name ? "" : entry.title);
    const [words, tone] = STANDINGS[entry.standing];
    cell(row, entry.accepted && entry.standing === "active" ? `${words}, accepted` : words, entry.state);
    row.cells[1].className = entry.accepted ? "warn" : tone;
    const choices = row.insertCell();
    const add = (text, choice) => {
      const button = element("button", "", text);
      button.type = "button";
      button.setAttribute("aria-label", `${text}: ${entry.name}`);
      button.addEventListener("click", () => this.choose(entry, choice));
      choices.append(button);
    };
    if (entry.can_be_turned_off) add("Turn it off", "turn_off");
    if (entry.accepted) add("Do not accept it any more", "undo");
    else if (entry.standing === "active") add("It may stay", "accept");
  }

  plan(plan) {
    const rows = plan.proposals.map((each) => {
      const label = element("label", "ack");
      const box = element("input");
      box.type = "checkbox";
      box.name = "proposal";
      box.value = each.key;
      box.checked = each.chosen;
      label.append(box, element("span", "", `${each.key}: ${each.now} → ${each.value} (was ${each.old_key}, ${each.old_value})`));
      if (each.text) label.append(element("small", "", each.text));
      return label;
    });
    if (!rows.length) rows.push(element("p", "", "There is nothing to take over that is not set already."));
    byId("migration-proposals").replaceChildren(...rows);
    const left = plan.left.map((each) => element("li", "", `${each.old_key} ${each.old_value}: ${each.text}`));
    byId("migration-left").replaceChildren(...(left.length ? left : [element("li", "", "Nothing.")]));
    byId("migration-changes").replaceChildren(...plan.changes.map((text) => element("li", "", text)));
  }

  async look() {
    byId("migration-message").textContent = "Reading…";
    const { status, body } = await this.send("POST", "api/migration/look", {});
    byId("migration-message").textContent = status === 200 ? "" : body.text || `The agent answered with ${status}.`;
    if (status === 200) this.draw(body);
  }

  async choose(entry, choice) {
    const { status, body } = await this.send("POST", "api/migration/choose", { entry_id: entry.entry_id, choice });
    this.answer(body.text || `The agent answered with ${status}.`, status === 200 ? "accepted" : "refused");
    this.load();
  }

  async take(event) {
    event.preventDefault();
    const keys = [...byId("migration-form").querySelectorAll("input[name=proposal]:checked")].map((box) => box.value);
    const { status, body } = await this.send("POST", "api/migration/take", { keys });
    byId("migration-message").textContent = body.text || `The agent answered with ${status}.`;
    if (status !== 200) return;
    byId("migration-form").hidden = true;
    this.saved();
  }
}
