/** What the views of bridges and firmware both ask of the agent's state. */
import type { BridgeView, JobView, OfferView } from "./api.js";
import { clockWithSeconds, day, number } from "./format.js";
import { store } from "./store.js";

export type Tone = "good" | "warn" | "bad" | "";

const CABLE = "serial";

/** The newest image that an upload may have; the agent takes no larger file. */
export const LARGEST_FILE_BYTES = 8 * 1024 * 1024;

export function bridges(): BridgeView[] {
  return (store.state?.bridges ?? []) as unknown as BridgeView[];
}

export function offers(): OfferView[] {
  return store.state?.releases?.bridges ?? [];
}

export function offerFor(mac: string): OfferView | undefined {
  return offers().find((each) => each.mac === mac);
}

/** Updates over the air; those over a cable are shown where the cable is. */
export function jobs(): JobView[] {
  return (store.state?.flashing?.jobs ?? []).filter((each) => each.way !== CABLE);
}

/** What is under way on a bridge, over a cable too. */
export function jobOn(mac: string): JobView | undefined {
  return store.state?.flashing?.jobs.find((each) => each.open && each.mac === mac);
}

export function byCable(job: JobView): boolean {
  return job.way === CABLE;
}

/** The time of day, with its date where that is another one. */
export function moment(iso: string | null): string {
  if (!iso) return "–";
  const today = day(iso) === day(store.state?.at ?? Date.now());
  return today ? clockWithSeconds(iso) : `${day(iso)} ${clockWithSeconds(iso)}`;
}

export function bytes(size: number | null): string {
  if (size === null) return "";
  return size < 10_000 ? `${number(size)} B` : `${number(size / 1000)} kB`;
}

export function rate(bytesPerSecond: number): string {
  return `${number(bytesPerSecond / 1000)} kB/s`;
}

export function here(): boolean {
  return store.link === "live" || store.link === "stale";
}
