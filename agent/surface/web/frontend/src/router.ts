/**
 * The views and where they are: `#/plan`. A view exists when `views/<name>/view.ts` does; it
 * defines the element `pv-view-<name>`, and is loaded when it is looked at.
 */
export const NAMES = ["now", "plan", "bridges", "recovery", "firmware", "journal", "settings"] as const;
export type Name = (typeof NAMES)[number];

const found = import.meta.glob("./views/*/view.ts");

/** Loads a view; rejects when its file is gone, as after an update of the agent. */
export async function load(name: Name): Promise<void> {
  await found[`./views/${name}/view.ts`]?.();
}

export function here(): Name {
  const name = location.hash.replace(/^#\//, "").split("/")[0];
  return NAMES.find((each) => each === name) ?? "now";
}
