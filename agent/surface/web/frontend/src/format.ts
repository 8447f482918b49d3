/** Words for numbers. What is not known is said, never shown as 0. */
import { inBoth, language } from "./language.js";
import { store } from "./store.js";

type Maybe = number | null | undefined;

const words = inBoth(
  { unknown: "unknown", minutes: "min", hours: "h", days: "d" },
  { unknown: "unbekannt", minutes: "min", hours: "h", days: "d" },
);
export const UNKNOWN = words.unknown;

export function number(value: number, digits = 0): string {
  let format = numbers.get(digits);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    numbers.set(digits, format);
  }
  return format.format(value).replace("-", "−");
}

// To make one takes longer than to use it a hundred times, and a view uses dozens with each event.
const numbers = new Map<number, Intl.NumberFormat>();
const times = new Map<string, Intl.DateTimeFormat>();

export function watts(w: Maybe): string {
  if (w === null || w === undefined) return UNKNOWN;
  return Math.abs(w) < 1000 ? `${number(w)} W` : `${number(w / 1000, 2)} kW`;
}

/** Watts on an axis, in kW. */
export function kilowatts(_: unknown, values: number[]): string[] {
  const digits = values.some((w) => w % 1000) ? 1 : 0;
  return values.map((w) => number(w / 1000, digits));
}

export function kilowattHours(wh: Maybe): string {
  return wh === null || wh === undefined ? UNKNOWN : `${number(wh / 1000, 2)} kWh`;
}

export function percent(value: Maybe): string {
  return value === null || value === undefined ? UNKNOWN : `${number(value)} %`;
}

export function seconds(s: Maybe): string {
  if (s === null || s === undefined) return UNKNOWN;
  if (s < 120) return `${number(s, s < 10 ? 1 : 0)} s`;
  if (s < 7200) return `${number(s / 60)} ${words.minutes}`;
  return s < 172_800 ? `${number(s / 3600)} ${words.hours}` : `${number(s / 86_400)} ${words.days}`;
}

/** Of a whole, in percent, between 0 and 100; 0 where one of them is not known. */
export function share(part: Maybe, whole: Maybe): number {
  if (part === null || part === undefined || !whole || whole <= 0) return 0;
  return Math.min(100, Math.max(0, (part / whole) * 100));
}

/** The site's zone, so that a window is told in the time of the house; else the browser's. */
export function zone(): string | undefined {
  const name = store.state?.zone;
  if (!name) return undefined;
  if (known.get(name) === undefined) known.set(name, isZone(name));
  return known.get(name) ? name : undefined;
}

export function clock(at: string | number): string {
  return when(at, { hour: "2-digit", minute: "2-digit" });
}

export function clockWithSeconds(at: string | number): string {
  return when(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function weekday(at: string | number): string {
  return when(at, { weekday: "short" });
}

export function day(at: string | number): string {
  return when(at, { day: "numeric", month: "short", year: "numeric" });
}

/** A day of the site's calendar, as `2026-06-21`. */
export function date(iso: string): string {
  const how = { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" } as const;
  return new Intl.DateTimeFormat(language, how).format(new Date(`${iso}T12:00:00Z`));
}

/** A window: the day once, then from and to. */
export function span(begins: string, ends: string): string {
  return `${weekday(begins)} ${clock(begins)} – ${clock(ends)}`;
}

/** The last midnight of the site before a moment, in ms since the epoch. */
export function midnight(at: number): number {
  const first = Math.floor(at / 1000) * 1000 - passed(at) * 1000;
  // A day with 23 or 25 hours: what the clock has passed is not what went by.
  const over = passed(first);
  return first + (over > DAY_S / 2 ? DAY_S - over : -over) * 1000;
}

/** Seconds since midnight on the site's clock. */
function passed(at: number): number {
  const parts = timed("en-GB", { hour: "numeric", minute: "numeric", second: "numeric" }).formatToParts(at);
  const part = (name: string): number => Number(parts.find((each) => each.type === name)?.value ?? 0);
  return part("hour") * 3600 + part("minute") * 60 + part("second");
}

const DAY_S = 86_400;
const known = new Map<string, boolean>();

function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function when(at: string | number, how: Intl.DateTimeFormatOptions): string {
  return timed(language, { ...how, hourCycle: "h23" }).format(new Date(at));
}

/** A format in the site's zone. */
function timed(locale: string, how: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const timeZone = zone();
  const key = JSON.stringify([locale, timeZone, how]);
  const format = times.get(key) ?? new Intl.DateTimeFormat(locale, { ...how, timeZone });
  times.set(key, format);
  return format;
}
