/**
 * The day's history for charts: asked for once after each whole picture, then grown from what the
 * stream tells. One point a minute, so a day is 1440 of them, whatever lies behind it.
 */
import type { History, State } from "./api.js";
import { midnight } from "./format.js";
import { send } from "./send.js";
import { store } from "./store.js";

const EVERY_S = 60;
const NEWEST_S = 2;
const DAY_S = 86_400;

export type Column = keyof History;
const COLUMNS: readonly Column[] = [
  "at", "grid_w", "battery_w", "pv_w", "load_w", "limit_w", "commanded_w", "soc_percent",
  "exported_wh", "allowance_wh",
];

class DayHistory extends EventTarget {
  columns: History = empty();
  status: "loading" | "ready" | "failed" = "loading";
  /** Why it failed. */
  text = "";
  private asking = false;

  /** Begins with the first chart; further calls change nothing. */
  start = (): void => {
    this.start = () => undefined;
    store.addEventListener("snapshot", () => void this.load());
    store.addEventListener("change", () => {
      if (store.state) this.grow(store.state);
    });
    void this.load();
  };

  /** Asks again; what is shown stays until the answer is there. */
  async load(): Promise<void> {
    if (this.asking || !store.state) return;
    this.asking = true;
    const reply = await send<History>("GET", `history?seconds=${DAY_S}&every=${EVERY_S}`, undefined, { holds: "at" });
    this.asking = false;
    this.text = reply.text;
    this.status = reply.body ? "ready" : "failed";
    if (reply.body) this.columns = reply.body;
    this.grow(store.state);
    this.dispatchEvent(new Event("change"));
  }

  private grow(state: State): void {
    const at = Date.parse(state.at) / 1000;
    const { power, energy } = state;
    const last = this.columns.at.at(-1) ?? 0;
    if (at < last + NEWEST_S) return;
    // The newest point stands for its minute until the next one begins.
    const same = Math.floor(last / EVERY_S) === Math.floor(at / EVERY_S);
    const now: Record<Column, number | null> = {
      at, ...pick(power), soc_percent: state.soc_percent,
      exported_wh: energy.exported_wh, allowance_wh: energy.allowance_wh,
    };
    const drop = same ? 1 : 0;
    const keep = this.columns.at.findIndex((each) => each > at - DAY_S);
    const grown = Object.fromEntries(COLUMNS.map((name) => {
      const old: (number | null)[] = this.columns[name];
      return [name, [...old.slice(Math.max(0, keep), old.length - drop), now[name]]];
    }));
    this.columns = grown as unknown as History;
    this.dispatchEvent(new Event("change"));
  }
}

export const history = new DayHistory();

/** The columns since the site's midnight. */
export function today(columns: History, nowMs: number): History {
  const since = midnight(nowMs) / 1000;
  const first = columns.at.findIndex((at) => at >= since);
  const from = first < 0 ? columns.at.length : first;
  return Object.fromEntries(COLUMNS.map((name) => [name, columns[name].slice(from)])) as unknown as History;
}

function pick(power: State["power"]): Omit<Record<Column, number | null>, "at" | "soc_percent" | "exported_wh" | "allowance_wh"> {
  const { grid_w, battery_w, pv_w, load_w, limit_w, commanded_w } = power;
  return { grid_w, battery_w, pv_w, load_w, limit_w, commanded_w };
}

function empty(): History {
  return Object.fromEntries(COLUMNS.map((name) => [name, []])) as unknown as History;
}
