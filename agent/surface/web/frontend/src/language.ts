/**
 * English and German. A table is written in both where it is used; a key that one of them lacks
 * does not compile. What the agent itself says (reasons, refusals) comes as it says it.
 */
export type Language = "en" | "de";

const KEPT = "pv-edge-agent-language";

/** The language of this page view; another one is a reload. */
export const language: Language = chosen();
document.documentElement.lang = language;

type Same<T> = { readonly [K in keyof T]: T[K] extends string ? string : T[K] };

/** Returns the table in the page's language. */
export function inBoth<T extends object>(en: T, de: NoInfer<Same<T>>): Same<T> {
  return language === "de" ? de : (en as unknown as Same<T>);
}

/** Returns the word for what the agent calls `code`; the code itself where there is none. */
export function named(table: Readonly<Record<string, string>>, code: string): string {
  return table[code] ?? code;
}

/** Keeps the language for this browser and shows the page in it. */
export function speak(wanted: Language): void {
  localStorage.setItem(KEPT, wanted);
  location.reload();
}

function chosen(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "de") return kept;
  return (ofHomeAssistant() || navigator.language).startsWith("de") ? "de" : "en";
}

function ofHomeAssistant(): string {
  try {
    return window.parent === window ? "" : window.parent.document.documentElement.lang;
  } catch {
    return ""; // another origin frames us, or none that we may see
  }
}
