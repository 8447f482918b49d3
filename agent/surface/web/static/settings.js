// The settings that people change while the agent runs, with unit, range and sentence.

const SHOWN = [
  ["export_limit_w", "Export limit"],
  ["target_export_w", "Target export"],
  ["min_soc_percent", "Minimum SOC"],
  ["safety_margin_kwh", "Safety margin"],
];
const PLANS = "Plans and windows";
const BRIDGES = "Bridges";
const RELEASES = "Firmware releases";
const RELEASE_NAMES = {
  "releases.channel": "Channel",
  "releases.channels": "Bridges of another channel",
  "releases.mirrors": "Mirrors",
  "releases.hosts": "Further hosts of the mirrors",
};
const BRIDGE_NAMES = {
  bridges: "Bridges of the house",
  bridge_list: "Bridges that nobody announces",
  bridge_networks: "Networks to listen on",
  strict_gates: "Warnings block an update",
  gates_fresh_min: "A verdict holds for",
  path: "Path to the inverter",
  path_bridge: "Bridge of the path",
  fallback_path: "Path while that one is away",
};
const PLAN_NAMES = {
  enable_ci_planning: "Plan discharge",
  enable_charge_planning: "Plan charge",
  enable_auto_discharge: "Carry out discharge",
  enable_auto_charge: "Carry out charge",
  enable_rest: "Let the battery rest",
  plan_aim: "Aim",
  carbon_price_per_kg: "Carbon price",
  wear_per_kwh: "Wear of the battery",
  buy_tariff: "Import tariff",
  sell_tariff: "Export tariff",
  import_limit_w: "Import limit",
  round_trip_percent: "Round trip",
  battery_floor_percent: "Battery floor",
  "entities.forecast_today": "PV forecast of today (entity)",
  "entities.forecast_tomorrow": "PV forecast of tomorrow (entity)",
  "entities.ci_forecast": "Carbon intensity (entities)",
  "entities.buy_rates": "Import prices (entities)",
  "entities.sell_rates": "Export prices (entities)",
};
const SOURCES = ["forecast_today", "forecast_tomorrow", "ci_forecast", "buy_rates", "sell_rates"];
const FOUND = ["forecast_today", "forecast_tomorrow", "ci_forecast"].map((name) => `entities.${name}`);
const NUMBERS = ["number", "integer"];
const SHORT = [...NUMBERS, "time", "currency", "region"];

export class Settings {
  /** `send(method, path, body)` resolves to {status, body}. */
  constructor(send) {
    this.send = send;
    this.inputs = new Map();
    this.fields = document.getElementById("fields");
    this.message = document.getElementById("settings-message");
    this.modes = [...document.querySelectorAll("input[name=mode]")];
    document.getElementById("settings").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    for (const radio of this.modes) {
      radio.addEventListener("change", () => this.change({ mode: radio.value }));
    }
  }

  async load() {
    const { status, body } = await this.send("GET", "api/settings");
    if (status === 200) this.show(body);
  }

  /** The mode as the guard reports it; it may have been changed elsewhere. */
  showMode(mode) {
    for (const radio of this.modes) radio.checked = radio.value === mode;
  }

  show({ values, fields }) {
    if (!this.inputs.size) this.build(fields);
    for (const [key, input] of this.inputs) {
      const value = values[key];
      const text = value === null || value === undefined ? "" : Array.isArray(value) ? value.join(", ") : String(value);
      // What somebody is typing stays.
      if (typed(input) === input.dataset.saved || input.dataset.saved === undefined) fill(input, text);
      input.dataset.saved = text;
    }
    this.showMode(values.mode);
  }

  build(fields) {
    for (const [key, name] of SHOWN) this.add(this.fields, fields.find((each) => each.key === key), name);
    const plans = document.getElementById("plan-fields");
    const wanted = [...fields.filter((each) => each.group === PLANS), ...SOURCES.map((name) => fields.find((each) => each.key === `entities.${name}`))];
    for (const field of wanted) this.add(plans, field, PLAN_NAMES[field?.key]);
    const bridges = document.getElementById("bridge-fields");
    for (const field of fields.filter((each) => each.group === BRIDGES || each.key === "path")) this.add(bridges, field, BRIDGE_NAMES[field.key]);
    const releases = document.getElementById("release-fields");
    for (const field of fields.filter((each) => each.group === RELEASES)) this.add(releases, field, RELEASE_NAMES[field.key]);
  }

  add(place, field, name) {
    if (!field) return;
    const key = field.key;
    const box = element("div", "field");
    const label = element("label", "", name ?? plain(key));
    label.htmlFor = `set-${key}`;
    const row = element("div", "row");
    const input = control(field);
    input.id = `set-${key}`;
    input.dataset.kind = field.kind;
    input.setAttribute("aria-describedby", `help-${key} error-${key}`);
    row.append(input, element("span", "quiet", field.unit || ""));
    const help = element("small", "", `${field.sentence || ""} ${rangeOf(field)}`.replaceAll("`", "").trim());
    help.id = `help-${key}`;
    const error = element("p", "error");
    error.id = `error-${key}`;
    box.append(label, row, help, error);
    place.append(box);
    this.inputs.set(key, input);
  }

  save() {
    const changes = {};
    for (const [key, input] of this.inputs) {
      const text = typed(input);
      if (text !== input.dataset.saved) changes[key] = meant(input.dataset.kind, text);
    }
    if (Object.keys(changes).length) this.change(changes);
    else this.message.textContent = "Nothing was changed.";
  }

  async change(changes) {
    this.invalid(null);
    this.message.textContent = "Saving…";
    const { status, body } = await this.send("PATCH", "api/settings", changes);
    if (status === 200) {
      for (const key of Object.keys(changes)) delete this.inputs.get(key)?.dataset.saved;
      this.show(body);
      this.message.textContent = "Saved.";
      return;
    }
    this.message.textContent = body.text || "The settings could not be saved; try again.";
    this.invalid(body.key, body.text);
    if (changes.mode) this.load();
  }

  invalid(key, text = "") {
    for (const [each, input] of this.inputs) {
      input.setAttribute("aria-invalid", String(each === key));
      document.getElementById(`error-${each}`).textContent = each === key ? text : "";
      if (each !== key) continue;
      const hidden = input.closest("details");
      if (hidden) hidden.open = true;
      input.focus();
    }
  }
}

function control(field) {
  if (field.kind === "boolean") {
    const box = element("input");
    box.type = "checkbox";
    return box;
  }
  if (field.kind === "choice") {
    const list = element("select");
    for (const choice of field.choices) list.append(element("option", "", String(choice)));
    return list;
  }
  const input = element("input", SHORT.includes(field.kind) ? "" : "long");
  if (NUMBERS.includes(field.kind)) input.inputMode = "decimal";
  input.autocomplete = "off";
  input.placeholder = FOUND.includes(field.key) ? "found by itself" : "not set";
  return input;
}

function typed(input) {
  if (input.type === "checkbox") return String(input.checked);
  const text = input.value.trim();
  return NUMBERS.includes(input.dataset.kind) ? text.replace(",", ".") : text;
}

function fill(input, text) {
  if (input.type === "checkbox") input.checked = text === "true";
  else input.value = text;
}

/** What goes to the agent; what is wrong goes as it is, because the agent knows the words for it. */
function meant(kind, text) {
  if (kind === "boolean") return text === "true";
  if (NUMBERS.includes(kind)) return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  return kind.startsWith("entit") && text === "" ? null : text;
}

function plain(key) {
  const words = key.replace("entities.", "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function rangeOf(field) {
  if (field.minimum === null || field.minimum === undefined) return "";
  return `From ${field.minimum} to ${field.maximum} ${field.unit || ""}.`;
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
