// Turns the guard's picture into words, numbers and bars. No request leaves from here.

const byId = (id) => document.getElementById(id);

const PHASES = {
  IDLE: ["Idle", ""],
  DISCHARGE_NEEDED: ["Energy could be exported", ""],
  DISCHARGE_ACTIVE: ["Discharging", "good"],
  DISCHARGE_COMPLETE: ["Discharge complete", "good"],
  CHARGE_ACTIVE: ["Charging", "good"],
  REST_ACTIVE: ["Resting", "good"],
  ERROR_STATE: ["Stopped by an error", "bad"],
};
const HEALTH = { Healthy: "good", "Stale Data": "warn", "Circuit Breaker Open": "warn", Error: "bad" };
const INPUTS = {
  grid_w: "Grid power",
  battery_w: "Battery power",
  pv_w: "PV power",
  soc_percent: "Battery charge",
  exported_wh: "Exported energy",
  produced_wh: "Produced energy",
  forecast_today_wh: "Forecast for today",
  reserve_soc_percent: "Reserve charge",
  dispatch_start: "Dispatch runs",
  dispatch_power_w: "Dispatch power",
  dispatch_mode: "Dispatch mode",
  dispatch_cutoff_soc_percent: "Dispatch cut-off",
  dispatch_duration_s: "Dispatch time",
};
const STAGES = {
  none: ["Not run yet", "warn"],
  waiting: ["Waiting", ""],
  running: ["Running", ""],
  ending: ["Watching it end", ""],
  passed: ["Passed", "good"],
  failed: ["Failed", "bad"],
};

export function render(state) {
  renderNow(state);
  renderEnergy(state.energy);
  renderPower(state);
  renderHealth(state);
  renderCommissioning(state.commissioning);
  renderInputs(state.readings);
  tick(state, 0);
}

/** What moves with the clock alone: countdown and ages. */
export function tick(state, since) {
  const lease = state.lease;
  let words = "";
  if (lease) {
    const left = Math.max(0, lease.remaining_s - since);
    const shown = lease.confirmed ? "confirmed by the inverter" : "not confirmed by the inverter yet";
    words = `${capital(plain(lease.kind))} at ${watts(lease.power_w)}, ends unaided in ${Math.round(left)} s; ${shown}.`;
  }
  text("lease", words || "No dispatch runs.");
  text("staleness", seconds(state.data_staleness_s === null ? null : state.data_staleness_s + since));
  state.readings.forEach((reading, index) => {
    const cell = byId("inputs").children[index]?.children[2];
    if (cell) put(cell, seconds(reading.age_s === null ? null : reading.age_s + since));
  });
}

function renderNow(state) {
  const [words, tone] = PHASES[state.phase] ?? [state.phase, ""];
  text("phase", words, `phase ${tone}`);
  text("reason", state.reason.text);
  byId("acknowledge").disabled = !state.latched;
  const ready = state.phase === "DISCHARGE_ACTIVE" ? "A discharge is running." : "A start would run.";
  text("blockers-title", state.blockers.length ? "A start would be refused because:" : ready);
  list(byId("blockers"), state.blockers);
  const last = state.last_action;
  text("last-action", last ? `Last: ${plain(last.action)} at ${time(last.at)} by ${last.by} (${plain(last.reason)}).` : "Nothing was done yet.");
}

function renderEnergy(energy) {
  text("left", kwh(energy.left_wh));
  const words = energy.left_wh !== null && energy.left_wh < 0 ? "over what may leave" : "may still leave";
  text("left-words", energy.period === "rolling_24h" ? `${words}, by the last 24 hours` : words);
  text("exported", kwh(energy.exported_wh));
  text("exported-upper", kwh(energy.exported_upper_wh));
  text("allowance", kwh(energy.allowance_wh));
  text("produced", kwh(energy.produced_wh));
  text("forecast", kwh(energy.forecast_wh));
  const part = (wh) => share(wh, energy.allowance_wh);
  width("bar-exported", part(energy.exported_wh));
  width("bar-upper", part(energy.exported_upper_wh));
  meter("headroom", part(energy.exported_wh), `${kwh(energy.exported_wh)} of ${kwh(energy.allowance_wh)}`, energy.breach);
}

function renderPower({ power, soc_percent: soc }) {
  text("pv", watts(power.pv_w));
  text("load", watts(power.load_w));
  text("battery", watts(absolute(power.battery_w)));
  text("battery-words", direction(power.battery_w, "discharges", "charges", "rests"));
  text("grid", watts(absolute(power.grid_w)));
  text("grid-words", direction(power.grid_w, "imports", "exports", "balanced"));
  text("soc", soc === null ? "" : `${Math.round(soc)} %`);
  const exported = power.grid_w === null ? null : Math.max(0, -power.grid_w);
  const over = power.limit_w !== null && exported !== null && exported > power.limit_w;
  width("bar-grid", over ? 100 : share(exported, power.limit_w));
  meter("limit-bar", over ? 100 : share(exported, power.limit_w), `${watts(exported)} of ${watts(power.limit_w)}`, over);
  const limit = power.limit_w === null
    ? "No export limit set: nothing is commanded before it is."
    : `Exports ${watts(exported)} of at most ${watts(power.limit_w)}; target ${watts(power.target_w)}.`;
  text("limit", limit);
}

function renderHealth(state) {
  text("health", state.health, `phase ${HEALTH[state.health] ?? ""}`);
  list(byId("problems"), state.problems.length ? state.problems : [{ text: "Nothing is wrong." }]);
  const breaker = state.breaker;
  text("breaker", breaker.is_open
    ? `open, tries again in ${Math.ceil(breaker.retry_in_s)} s`
    : `closed, ${breaker.failures} failure${breaker.failures === 1 ? "" : "s"}`);
  text("path", `${state.path} (${state.linked ? "linked" : "link is down"})`);
}

function renderCommissioning(test) {
  const [words, tone] = STAGES[test.stage] ?? [test.stage, ""];
  text("commissioning", test.at && test.passed ? `${words}, ${date(test.at)}` : words, `phase small ${tone}`);
  text("commissioning-text", test.text);
  const done = Math.round(test.progress_percent);
  width("bar-commissioning", done);
  byId("commissioning-bar").setAttribute("aria-valuenow", done);
  text("commissioning-delay", seconds(test.delay_s));
  text("commissioning-lag", seconds(test.exit_lag_s));
  text("commissioning-gain", test.gain === null ? "unknown" : `${(test.gain * 100).toFixed(0)} % of commanded`);
  text("commissioning-dead", seconds(test.dead_s));
  text("commissioning-counter", test.counter_lag_s === null ? "not measured" : seconds(test.counter_lag_s));
  text("commissioning-rewrite", test.rewrite_extends === null ? "not tried" : test.rewrite_extends ? "yes" : "no");
  text("commissioning-firmware", test.firmware || "unknown");
  list(byId("commissioning-checks"), test.checks.map((check) => ({
    text: `${capital(check.verdict)}: ${check.text} ${check.next_step}`.trim(),
  })));
}

function renderInputs(readings) {
  const body = byId("inputs");
  while (body.children.length > readings.length) body.lastChild.remove();
  readings.forEach((reading, index) => {
    let row = body.children[index];
    if (!row) {
      row = body.insertRow();
      for (let n = 0; n < 5; n++) row.insertCell();
    }
    const [name, amount, , quality, source] = row.children;
    put(name, INPUTS[reading.name] ?? reading.name);
    put(amount, reading.value === null ? "unknown" : `${number(reading.value)} ${reading.unit}`);
    const state = reading.quality !== "good" ? reading.quality : reading.fresh ? "fresh" : "stale";
    put(quality, reading.detail ? `${state}: ${reading.detail}` : state);
    quality.className = state === "fresh" ? "good" : "warn";
    put(source, reading.source);
  });
}

// Words for numbers; unknown is said, never shown as 0.

function watts(w) {
  if (w === null || w === undefined) return "unknown";
  return Math.abs(w) < 1000 ? `${Math.round(w)} W` : `${(w / 1000).toFixed(2)} kW`;
}

const kwh = (wh) => (wh === null ? "unknown" : `${(wh / 1000).toFixed(2)} kWh`);
const seconds = (s) => (s === null ? "unknown" : `${s < 10 ? s.toFixed(1) : Math.round(s)} s`);
const number = (value) => String(Math.abs(value) < 100 ? Math.round(value * 10) / 10 : Math.round(value)).replace("-", "−");
const absolute = (w) => (w === null ? null : Math.abs(w));
const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
const time = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const plain = (code) => code.replaceAll("_", " ");
const date = (iso) => new Date(iso).toLocaleDateString();

function direction(w, positive, negative, still) {
  if (w === null) return "\u00a0";
  return Math.abs(w) < 20 ? still : w > 0 ? positive : negative;
}

function share(part, whole) {
  if (part === null || whole === null || whole <= 0) return 0;
  return Math.min(100, Math.max(0, (part / whole) * 100));
}

// Setting only what changed keeps screen readers quiet and selections alive.

function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function text(id, words, className) {
  const element = byId(id);
  put(element, words);
  if (className !== undefined && element.className !== className) element.className = className;
}

function list(box, reasons) {
  while (box.children.length > reasons.length) box.lastChild.remove();
  reasons.forEach((reason, index) => {
    const item = box.children[index] ?? box.appendChild(document.createElement("li"));
    put(item, reason.source ? `${reason.text} (${reason.source})` : reason.text);
  });
}

function width(id, percent) {
  byId(id).style.width = `${percent}%`;
}

function meter(id, percent, words, over) {
  const element = byId(id);
  element.setAttribute("aria-valuenow", Math.round(percent));
  element.setAttribute("aria-valuetext", words);
  element.classList.toggle("over", over);
}
