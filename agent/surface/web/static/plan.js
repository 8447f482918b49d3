// The plan: what the battery is to do today and tomorrow, drawn as SVG, and why in words.

import { label, make } from "./svg.js";

const byId = (id) => document.getElementById(id);
const MARGIN = { left: 52, right: 44 };
const UPPER = { top: 18, height: 74 }; // carbon or price
const LOWER = { top: 118, height: 120 }; // powers and charge
const BOTTOM = 34;
const ACTIONS = { discharge: "Discharge", charge: "Charge", hold: "Rest", share_sun: "Store a part of the sun", self_consumption: "By itself" };
const SUN_LEAVES = "Let the sun leave";
/** Less is shown as 0.00 kWh. */
const NOTHING_WH = 5;
const SWITCHES = { charge: "automatic charge", hold: "carrying out rests", share_sun: "carrying out rests" };
const METHODS = { solver: "by the solver", greedy: "by rule of thumb", self_consumption: "nothing is commanded" };
const NAMES = { pv: "Sun", load: "House", carbon: "Carbon intensity", buy: "Price of import", sell: "Price of export" };
const MADE_UP = "made up";

export class Plan {
  constructor() {
    this.box = byId("plan-chart");
    this.outlook = undefined;
    this.key = null;
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Shows the plan of a whole picture; redraws only when the plan is another one. */
  show(state) {
    this.now = Date.parse(state.at);
    put(byId("plan-now"), running(state));
    byId("plan-now").hidden = !byId("plan-now").textContent;
    const key = state.outlook && state.outlook.made_at;
    if (this.outlook !== undefined && key === this.key) return;
    this.key = key;
    this.outlook = state.outlook;
    this.words();
    this.draw();
  }

  words() {
    const outlook = this.outlook;
    byId("plan-none").hidden = Boolean(outlook);
    byId("plan-some").hidden = !outlook;
    if (!outlook) return;
    const sold = total(outlook, "discharge");
    const bought = total(outlook, "charge");
    const parts = [];
    if (sold) parts.push(`export ${kwh(sold)} from the battery`);
    if (bought) parts.push(`charge ${kwh(bought)}`);
    put(byId("plan-phase"), parts.length ? `To ${parts.join(", ")}` : "Nothing is commanded");
    const gain = outlook.gain > 0 ? ` Saves ${saved(outlook)} against leaving the battery alone, by its own forecast.` : "";
    put(byId("plan-reason"), `${outlook.reason.text} Made at ${clock(outlook.made_at)}, ${METHODS[outlook.method] ?? outlook.method}.${gain}`);
    const invented = outlook.sources.some((each) => each.source.startsWith(MADE_UP));
    byId("plan-invented").hidden = !invented;
    rows(byId("plan-windows"), outlook.windows.map((each) => [
      span(each.begins, each.ends),
      each.action === "hold" || does(each) === SUN_LEAVES ? does(each) : `${does(each)} ${kwh(each.energy_wh)}`,
      `to ${Math.round(each.soc_percent)} %`,
      each.why.text,
    ]));
    byId("plan-table").hidden = !outlook.windows.length;
    rows(byId("plan-sources"), outlook.sources.map((each) => [
      NAMES[each.name] ?? each.name,
      each.ends ? `until ${day(each.ends)} ${clock(each.ends)}` : "nothing is known",
      each.source || "–",
      each.text,
    ]));
  }

  draw() {
    const width = this.box.clientWidth;
    const points = this.outlook?.points ?? [];
    if (!width || !points.length) { this.box.replaceChildren(); return; }
    const height = LOWER.top + LOWER.height + BOTTOM;
    const begin = Date.parse(points[0].begins);
    const end = Date.parse(points.at(-1).ends);
    const x = (at) => MARGIN.left + ((at - begin) / (end - begin)) * (width - MARGIN.left - MARGIN.right);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", height });
    svg.setAttribute("aria-label", `Plan from ${clock(begin)} on: ${byId("plan-phase").textContent}`);
    this.shade(svg, x);
    this.hours(svg, x, begin, end, width);
    this.worth(svg, x, points);
    this.powers(svg, x, points, width);
    this.box.replaceChildren(svg);
  }

  /** Marks each window behind everything else. */
  shade(svg, x) {
    for (const each of this.outlook.windows) {
      const [from, to] = [x(Date.parse(each.begins)), x(Date.parse(each.ends))];
      const band = make("rect", { x: from, y: UPPER.top, width: Math.max(1, to - from), height: LOWER.top + LOWER.height - UPPER.top, class: `window ${each.action}` });
      const title = make("title", {});
      title.textContent = `${does(each)} ${span(each.begins, each.ends)}: ${each.why.text}`;
      band.append(title);
      svg.append(band);
    }
  }

  hours(svg, x, begin, end, width) {
    const every = (width < 560 ? 12 : width < 900 ? 6 : 3) * 3_600_000;
    const base = LOWER.top + LOWER.height;
    const first = new Date(begin);
    first.setHours(0, 0, 0, 0);
    for (let at = first.getTime(); at <= end; at += 3_600_000) {
      if (at < begin || (at - first.getTime()) % every) continue;
      const midnight = new Date(at).getHours() === 0;
      svg.append(make("line", { x1: x(at), x2: x(at), y1: midnight ? UPPER.top : base, y2: base + 4, class: midnight ? "midnight" : "zero" }));
      svg.append(label(midnight ? day(at) : clock(at), x(at), base + 18, "middle"));
    }
    svg.append(label("Local time", width - 4, base + BOTTOM - 2, "end"));
  }

  /** The upper panel: what a kWh from the grid emits or costs. */
  worth(svg, x, points) {
    const money = this.outlook.aim !== "carbon";
    const lines = money ? [["buy_per_kwh", "buy"], ["sell_per_kwh", "sell"]] : [["carbon_g_per_kwh", "carbon"]];
    const seen = points.flatMap((each) => lines.map(([key]) => each[key])).filter((value) => value !== null);
    const title = money ? `${this.outlook.currency} per kWh: import, export (dashed)` : "Carbon intensity, g per kWh";
    svg.append(label(title, 4, 11, "start"));
    if (!seen.length) { svg.append(label("not known", MARGIN.left + 8, UPPER.top + 30, "start")); return; }
    const low = Math.min(0, ...seen);
    const high = Math.max(...seen) * 1.08 || 1;
    const y = (value) => UPPER.top + ((high - value) / (high - low)) * UPPER.height;
    const top = Math.max(...seen);
    for (const value of [Math.min(0, low), top]) {
      svg.append(make("line", { x1: MARGIN.left, x2: x(Date.parse(points.at(-1).ends)), y1: y(value), y2: y(value), class: "axis" }));
      svg.append(label(money ? value.toFixed(2) : String(Math.round(value)), MARGIN.left - 6, y(value) + 4, "end"));
    }
    for (const [key, name] of lines) svg.append(make("path", { d: steps(points, (each) => each[key], x, y), class: name }));
  }

  /** The lower panel: the battery as bars, the sun as a line, the charge as another. */
  powers(svg, x, points, width) {
    const most = Math.max(1000, ...points.flatMap((each) => [Math.abs(each.battery_w), each.pv_w]));
    const middle = LOWER.top + LOWER.height / 2;
    const y = (w) => middle - (w / most) * (LOWER.height / 2);
    svg.append(label("Battery and sun, kW", 4, LOWER.top - 7, "start"));
    svg.append(label("Charge, %", width - 4, LOWER.top - 7, "end"));
    for (const w of [most, 0, -most]) {
      svg.append(make("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(w), y2: y(w), class: w ? "axis" : "zero" }));
      svg.append(label((w / 1000).toFixed(1).replace("-", "−"), MARGIN.left - 6, y(w) + 4, "end"));
    }
    for (const each of points) {
      const [from, to] = [x(Date.parse(each.begins)), x(Date.parse(each.ends))];
      const bar = { x: from, y: Math.min(y(0), y(each.battery_w)), width: Math.max(0.5, to - from - 0.5), height: Math.abs(y(0) - y(each.battery_w)) };
      svg.append(make("rect", { ...bar, class: `block ${each.action}` }));
    }
    svg.append(make("path", { d: steps(points, (each) => each.pv_w, x, y), class: "pv" }));
    const soc = (percent) => LOWER.top + (1 - percent / 100) * LOWER.height;
    for (const percent of [0, 50, 100]) svg.append(label(String(percent), width - MARGIN.right + 6, soc(percent) + 4, "start"));
    const line = points.map((each, index) => `${index ? "L" : "M"}${x(Date.parse(each.ends)).toFixed(1)} ${soc(each.soc_percent).toFixed(1)}`);
    svg.append(make("path", { d: line.join(""), class: "soc" }));
  }
}

/** What becomes of the window that contains the present. */
function running(state) {
  const window = state.outlook?.windows.find((each) => Date.parse(each.begins) <= Date.parse(state.at) && Date.parse(state.at) < Date.parse(each.ends));
  if (!window) return "";
  const on = carriedOut(window.action, state.plan);
  const name = `${does(window)} until ${clock(window.ends)}`;
  if (!on) return `${name} is planned now; it is not carried out, because ${SWITCHES[window.action] ?? "automatic discharge"} is off.`;
  if (state.plan_waits) return `${name} is planned now and waits: ${state.plan_waits.text}`;
  return `${name} is planned now and carried out.`;
}

function carriedOut(action, plan) {
  if (action === "charge") return plan?.auto_charge;
  if (action === "hold") return plan?.auto_rest;
  return action === "share_sun" ? plan?.auto_rest && plan?.auto_discharge : plan?.auto_discharge;
}

function total(outlook, action) {
  return outlook.windows.filter((each) => each.action === action).reduce((sum, each) => sum + each.energy_wh, 0);
}

function saved(outlook) {
  if (outlook.aim !== "carbon") return `${outlook.gain.toFixed(2)} ${outlook.currency}`;
  return outlook.gain < 1000 ? `${Math.round(outlook.gain)} g of CO₂` : `${(outlook.gain / 1000).toFixed(1)} kg of CO₂`;
}

function steps(points, of, x, y) {
  let d = "";
  let end = null;
  for (const each of points) {
    const value = of(each);
    if (value === null) { end = null; continue; }
    const from = Date.parse(each.begins);
    d += `${end === from ? "L" : "M"}${x(from).toFixed(1)} ${y(value).toFixed(1)}H${x(Date.parse(each.ends)).toFixed(1)}`;
    end = Date.parse(each.ends);
  }
  return d;
}

function rows(body, lines) {
  body.replaceChildren(...lines.map((line) => {
    const row = document.createElement("tr");
    for (const words of line) {
      const cell = document.createElement("td");
      cell.textContent = words;
      row.append(cell);
    }
    return row;
  }));
}

/** What a window does, in words. */
const does = (window) => (window.action === "share_sun" && window.energy_wh < NOTHING_WH ? SUN_LEAVES : (ACTIONS[window.action] ?? window.action));
const kwh = (wh) => `${(wh / 1000).toFixed(2)} kWh`;
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (at) => new Date(at).toLocaleDateString([], { weekday: "short" });
const span = (begins, ends) => `${day(begins)} ${clock(begins)} – ${clock(ends)}`;

function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
