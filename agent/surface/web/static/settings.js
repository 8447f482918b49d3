// The few settings that people change while the agent runs, with unit, range and sentence.

const SHOWN = [
  ["export_limit_w", "Export limit"],
  ["target_export_w", "Target export"],
  ["min_soc_percent", "Minimum SOC"],
  ["safety_margin_kwh", "Safety margin"],
];

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
      const text = values[key] === null || values[key] === undefined ? "" : String(values[key]);
      // What somebody is typing stays.
      if (input.value === input.dataset.saved || input.dataset.saved === undefined) input.value = text;
      input.dataset.saved = text;
    }
    this.showMode(values.mode);
  }

  build(fields) {
    for (const [key, name] of SHOWN) {
      const field = fields.find((each) => each.key === key);
      if (!field) continue;
      const box = element("div", "field");
      const label = element("label", "", name);
      label.htmlFor = `set-${key}`;
      const row = element("div", "row");
      const input = element("input");
      input.id = `set-${key}`;
      input.inputMode = "decimal";
      input.autocomplete = "off";
      input.placeholder = "not set";
      input.setAttribute("aria-describedby", `help-${key} error-${key}`);
      row.append(input, element("span", "quiet", field.unit || ""));
      const help = element("small", "", `${field.sentence || ""} ${rangeOf(field)}`.replaceAll("`", "").trim());
      help.id = `help-${key}`;
      const error = element("p", "error");
      error.id = `error-${key}`;
      box.append(label, row, help, error);
      this.fields.append(box);
      this.inputs.set(key, input);
    }
  }

  save() {
    const changes = {};
    for (const [key, input] of this.inputs) {
      const text = input.value.trim().replace(",", ".");
      if (text === input.dataset.saved) continue;
      // What is no number goes as it is: the agent knows the words for it.
      changes[key] = text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
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
      if (each === key) input.focus();
    }
  }
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
