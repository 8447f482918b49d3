// The last hour as lines: power against time, drawn as SVG. Missing values leave a gap.

import { label, make } from "./svg.js";

const SPAN_S = 3600;
const GAP_S = 30;
const SPACING_S = 4;
const MARGIN = { left: 52, right: 10, top: 22, bottom: 34 };
const LINES = [
  { key: "pv_w", name: "pv", label: "PV" },
  { key: "battery_w", name: "battery", label: "Battery (+ discharges, − charges)" },
  { key: "grid_w", name: "grid", label: "Grid (+ imports, − exports)" },
  { key: "limit_w", name: "limit", label: "Export limit", of: (w) => -w },
];

export class Chart {
  constructor(box, legend) {
    this.box = box;
    this.points = [];
    for (const line of LINES) {
      const item = document.createElement("li");
      item.className = line.name;
      item.textContent = line.label;
      legend.append(item);
    }
    new ResizeObserver(() => this.draw()).observe(box);
  }

  /** Takes the columns of /api/history. */
  load(columns) {
    this.points = columns.at.map((at, index) => {
      const point = { at };
      for (const line of LINES) point[line.key] = columns[line.key][index];
      return point;
    });
    this.draw();
  }

  /** Adds the newest moment, at most one every few seconds. */
  add(at, power) {
    const last = this.points.at(-1);
    if (last && at - last.at < SPACING_S) return;
    const point = { at };
    for (const line of LINES) point[line.key] = power[line.key];
    this.points.push(point);
    while (this.points.length && this.points[0].at < at - SPAN_S) this.points.shift();
    this.draw();
  }

  draw() {
    const width = this.box.clientWidth;
    const height = this.box.clientHeight;
    if (!width || !height) return;
    const newest = this.points.at(-1)?.at ?? Date.now() / 1000;
    const [low, high, step] = range(this.points);
    const x = (at) => MARGIN.left + (1 - (newest - at) / SPAN_S) * (width - MARGIN.left - MARGIN.right);
    const y = (w) => MARGIN.top + ((high - w) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);

    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", describe(this.points));
    svg.append(label("Power in kW", 4, 12, "start"));
    for (let w = low; w <= high + 1; w += step) {
      svg.append(make("line", {
        x1: MARGIN.left, x2: width - MARGIN.right, y1: y(w), y2: y(w),
        class: Math.abs(w) < 1 ? "zero" : "axis",
      }));
      svg.append(label((w / 1000).toFixed(step < 1000 ? 1 : 0).replace("-", "−"), MARGIN.left - 6, y(w) + 4, "end"));
    }
    const every = width < 500 ? 1200 : 600;
    for (let at = Math.ceil((newest - SPAN_S) / every) * every; at <= newest; at += every) {
      const here = x(at);
      if (here < MARGIN.left + 14 || here > width - MARGIN.right - 16) continue;
      svg.append(label(clock(at), here, height - MARGIN.bottom + 16, "middle"));
      svg.append(make("line", { x1: here, x2: here, y1: height - MARGIN.bottom, y2: height - MARGIN.bottom + 4, class: "zero" }));
    }
    svg.append(label("Local time", width - MARGIN.right, height - 2, "end"));
    for (const line of LINES) {
      svg.append(make("path", { d: path(this.points, line, x, y), class: line.name }));
    }
    if (!this.points.length) svg.append(label("No history yet", width / 2, height / 2, "middle"));
    this.box.replaceChildren(svg);
  }
}

function value(point, line) {
  const w = point[line.key];
  return w === null || w === undefined ? null : line.of ? line.of(w) : w;
}

function path(points, line, x, y) {
  let d = "";
  let previous = null;
  for (const point of points) {
    const w = value(point, line);
    if (w === null) { previous = null; continue; }
    const pen = previous !== null && point.at - previous < GAP_S ? "L" : "M";
    d += `${pen}${x(point.at).toFixed(1)} ${y(w).toFixed(1)}`;
    previous = point.at;
  }
  return d;
}

function range(points) {
  let low = -1000;
  let high = 1000;
  for (const point of points) {
    for (const line of LINES) {
      const w = value(point, line);
      if (w !== null) { low = Math.min(low, w); high = Math.max(high, w); }
    }
  }
  const step = [500, 1000, 2000, 5000, 10000, 20000].find((s) => (high - low) / s <= 6) ?? 50000;
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step, step];
}

function clock(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function describe(points) {
  const last = points.at(-1);
  if (!last) return "Power of the last hour: no history yet";
  const now = LINES.filter((line) => last[line.key] !== null && last[line.key] !== undefined)
    .map((line) => `${line.label} ${Math.round(last[line.key])} W`);
  return `Power of the last hour. Newest: ${now.join(", ")}`;
}
