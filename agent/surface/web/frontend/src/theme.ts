/**
 * Home Assistant's theme of the moment, laid over ours. Ingress frames the page on Home Assistant's
 * own origin, so its colours can be read; alone, the system's light or dark is followed.
 */
const TAKEN = [
  "--primary-background-color",
  "--card-background-color",
  "--primary-text-color",
  "--secondary-text-color",
  "--divider-color",
  "--ha-card-border-radius",
];

/** Tells that colours may have changed; charts are painted, not styled. */
export const themes = new EventTarget();

export function followTheme(): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  const above = aboveUs();
  if (!above) return;
  take(above);
  new MutationObserver(() => { take(above); }).observe(above, { attributeFilter: ["style", "class"] });
}

/** Returns a colour of the theme as a canvas can use it. */
export function colour(host: Element, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  (host.shadowRoot ?? host).append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The same colour, so thin that lines behind it are seen. */
export function faint(solid: string): string {
  return solid.replace(/^rgb\((.*)\)$/, "rgba($1, 0.3)");
}

function aboveUs(): HTMLElement | null {
  try {
    return window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    return null; // another origin frames us
  }
}

function take(above: HTMLElement): void {
  const theirs = getComputedStyle(above);
  const ours = document.documentElement.style;
  for (const name of TAKEN) {
    const value = theirs.getPropertyValue(name).trim();
    if (value) ours.setProperty(name, value);
  }
  const text = colour(document.body, "--primary-text-color").match(/[\d.]+/g)?.map(Number);
  const [red = 0, green = 0, blue = 0] = text ?? [];
  if (theirs.getPropertyValue("--primary-text-color")) {
    ours.colorScheme = red * 0.3 + green * 0.6 + blue * 0.1 > 128 ? "dark" : "light";
  }
  changed();
}

function changed(): void {
  themes.dispatchEvent(new Event("change"));
}
