/** What a plan says, in words; pure, for every view that shows one. */
import type { PlanPicture, PlanView, PlanWindow, State } from "./api.js";
import { clock, kilowattHours, number } from "./format.js";
import { inBoth, named } from "./language.js";

/** Less is shown as 0.00 kWh. */
const NOTHING_WH = 5;

export const words = inBoth(
  {
    actions: {
      discharge: "Discharge", charge: "Charge", hold: "Rest", share_sun: "Store a part of the sun",
      self_consumption: "By itself",
    },
    sunLeaves: "Let the sun leave",
    switches: {
      charge: "automatic charge", hold: "carrying out rests", share_sun: "carrying out rests",
      discharge: "automatic discharge",
    },
    off: (what: string, why: string) => `${what} is planned now; it is not carried out, because ${why} is off.`,
    waits: (what: string, why: string) => `${what} is planned now and waits: ${why}`,
    runs: (what: string) => `${what} is planned now and carried out.`,
    until: (what: string, when: string) => `${what} until ${when}`,
    exports: (energy: string) => `export ${energy} from the battery`,
    charges: (energy: string) => `charge ${energy}`,
    to: (parts: string) => `Planned: ${parts}`,
    nothing: "Nothing is commanded",
    source: "the plan",
    grams: "g of CO₂",
    kilograms: "kg of CO₂",
  },
  {
    actions: {
      discharge: "Entladen", charge: "Laden", hold: "Ruhen", share_sun: "Einen Teil der Sonne speichern",
      self_consumption: "Von selbst",
    },
    sunLeaves: "Die Sonne einspeisen",
    switches: {
      charge: "automatisches Laden", hold: "das Ausführen von Ruhe", share_sun: "das Ausführen von Ruhe",
      discharge: "automatisches Entladen",
    },
    off: (what: string, why: string) => `${what} ist jetzt geplant und wird nicht ausgeführt: ${why} ist aus.`,
    waits: (what: string, why: string) => `${what} ist jetzt geplant und wartet: ${why}`,
    runs: (what: string) => `${what} ist jetzt geplant und wird ausgeführt.`,
    until: (what: string, when: string) => `${what} bis ${when}`,
    exports: (energy: string) => `${energy} aus der Batterie einspeisen`,
    charges: (energy: string) => `${energy} laden`,
    to: (parts: string) => `Geplant: ${parts}`,
    nothing: "Es wird nichts befohlen",
    source: "dem Plan",
    grams: "g CO₂",
    kilograms: "kg CO₂",
  },
);

/** What a window does. */
export function does(window: PlanWindow): string {
  if (window.action === "share_sun" && window.energy_wh < NOTHING_WH) return words.sunLeaves;
  return named(words.actions, window.action);
}

/** Whether a window has an energy worth telling. */
export function moves(window: PlanWindow): boolean {
  return window.action !== "hold" && does(window) !== words.sunLeaves;
}

/** What all windows of one kind move, in Wh. */
export function total(plan: PlanPicture, action: string): number {
  const same = plan.windows.filter((each) => each.action === action);
  return same.reduce((sum, each) => sum + each.energy_wh, 0);
}

/** The whole plan in one line. */
export function summary(plan: PlanPicture): string {
  const [sold, bought] = [total(plan, "discharge"), total(plan, "charge")];
  const parts = [
    ...(sold ? [words.exports(kilowattHours(sold))] : []),
    ...(bought ? [words.charges(kilowattHours(bought))] : []),
  ];
  return parts.length ? words.to(parts.join(", ")) : words.nothing;
}

/** What it saves by its own forecast, in CO₂ or money. */
export function saving(plan: PlanPicture): string {
  if (plan.aim !== "carbon") return `${number(plan.gain, 2)} ${plan.currency}`;
  return Math.abs(plan.gain) < 1000
    ? `${number(plan.gain)} ${words.grams}` : `${number(plan.gain / 1000, 1)} ${words.kilograms}`;
}

/** The window that contains the present. */
export function current(state: State): PlanWindow | undefined {
  const at = Date.parse(state.at);
  return state.outlook?.windows.find((each) => Date.parse(each.begins) <= at && at < Date.parse(each.ends));
}

/** What becomes of the present window; empty outside of one. */
export function running(state: State): string {
  const window = current(state);
  if (!window) return "";
  const name = words.until(does(window), clock(window.ends));
  if (!carriedOut(window.action, state.plan)) {
    return words.off(name, named(words.switches, window.action));
  }
  return state.plan_waits ? words.waits(name, state.plan_waits.text) : words.runs(name);
}

function carriedOut(action: string, plan: PlanView | null): boolean {
  if (!plan) return false;
  if (action === "charge") return plan.auto_charge;
  if (action === "hold") return plan.auto_rest;
  return action === "share_sun" ? plan.auto_rest && plan.auto_discharge : plan.auto_discharge;
}
