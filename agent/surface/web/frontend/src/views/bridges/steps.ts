/** The way from a factory image to a production bridge, ticked by what the agent sees. */
import type { BridgeView, JobView, OfferView, VerdictView } from "../../api.js";

export const STEPS = ["found", "contact", "gates", "offer", "install", "trial"] as const;
export type Step = (typeof STEPS)[number];

/** A key of `words.adoptNext`. */
export type NextStep = Step | "gatesFailed" | "offerBlocked" | "trialFailed";

export interface Way {
  done: readonly Step[];
  /** What helps now; `null` at the end of the way. */
  next: NextStep | null;
  at: Step | null;
  /** Whether something stands in the way, rather than only being next. */
  stuck: boolean;
}

/** A bridge is on this way while it runs a factory image, or as its newest update took it off. */
export function onTheWay(bridge: BridgeView, newest: JobView | undefined): boolean {
  return bridge.mac !== "" && (bridge.kind === "factory" || (newest !== undefined && changes(newest)));
}

/** Whether an update makes another device of a bridge: its project is not that of before. */
function changes(job: JobView): boolean {
  return job.before !== "" && job.before.split(" ")[0] !== job.project;
}

/**
 * `fresh` says whether the verdict of the gates is still believed; `newest` is the newest update of
 * this bridge, open or ended.
 */
export function way(
  bridge: BridgeView, verdict: VerdictView | undefined, fresh: boolean, offer: OfferView | undefined, newest: JobView | undefined,
): Way {
  if (bridge.kind === "production") {
    const kept = newest?.result === "confirmed";
    return kept ? { done: STEPS, next: null, at: null, stuck: false } : upTo("trial", "trial");
  }
  if (newest?.open && changes(newest)) {
    return newest.stage === "postcheck" ? upTo("trial", "trial") : upTo("install", "install");
  }
  if (!bridge.address) return upTo("found", "found");
  if (bridge.state !== "online") return upTo("contact", "contact");
  if (!verdict || !fresh) return upTo("gates", "gates");
  if (verdict.overall === "fail" || (verdict.overall === "warn" && verdict.strict)) return upTo("gates", "gatesFailed", true);
  if (!offer?.latest || offer.standing !== "change") return upTo("offer", "offer", true);
  if (offer.refusals.some((each) => !each.ack)) return upTo("offer", "offerBlocked", true);
  if (newest?.result && newest.result !== "confirmed" && changes(newest)) return upTo("install", "trialFailed", true);
  return upTo("install", "install");
}

function upTo(at: Step, next: NextStep, stuck = false): Way {
  return { done: STEPS.slice(0, STEPS.indexOf(at)), next, at, stuck };
}
