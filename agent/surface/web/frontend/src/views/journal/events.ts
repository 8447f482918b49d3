/** The journal page by page, and what of it is wanted. */
import type { Line, Lines } from "../../api.js";
import { send, type Reply } from "../../send.js";

const PAGE = 200;
const DAY_MS = 86_400_000;

/** Moments since which events are wanted, for the agent's clock now. */
export function since(now: string, days: number): string {
  return new Date(Date.parse(now) - days * DAY_MS).toISOString();
}

/** Asks for one page, newest first: of one kind or of all, and before an event. */
export function page(from: string, kind: string, before: number | null): Promise<Reply<Lines>> {
  const query = new URLSearchParams({ since: from, limit: PAGE.toString() });
  if (kind) query.set("kinds", kind);
  if (before !== null) query.set("before", before.toString());
  return send<Lines>("GET", `journal?${query.toString()}`, undefined, { holds: "events" });
}

/** Every word of the search has to be there, in whatever order. */
export function chosen(all: readonly Line[], search: string): Line[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [...all];
  return all.filter((each) => {
    const hay = [each.at, each.kind, each.text, JSON.stringify(each.data)].join(" ").toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}
