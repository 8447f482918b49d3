/**
 * What people with a keyboard or a screen reader need and a browser does not do by itself: the
 * focus stays where it is. A button that is switched off while it has the focus would lose it, so
 * ours are off by `aria-disabled`, and a press on them ends here. What goes away with the focus,
 * by an event or by its own deed, hands it to the nearest named thing that stood around it.
 *
 * Source: WAI-ARIA Authoring Practices, "Developing a Keyboard Interface" (focusability of disabled
 * controls, persistence of focus).
 */
import { store } from "./store.js";

const AROUND = "section, fieldset, [role=group], [role=region], main";

/** What has the focus, or had it last, and after it all that it stands in. */
let stood: readonly HTMLElement[] = [];

/** Looks after the focus for as long as the page lives; `home` has it where nothing else is left. */
export function keepFocus(home: () => HTMLElement | null): void {
  addEventListener("click", barred, { capture: true });
  // Who presses beside everything means to; and a finger wants no keyboard on the screen again.
  addEventListener("pointerdown", () => { stood = []; }, { capture: true });
  const look = (): void => { // before anything is rendered, and once everything is
    if (document.activeElement !== document.body) stood = surroundings();
    setTimeout(() => { restore(home); });
  };
  // A move within one shadow is no event outside of it; so we look when something may happen.
  for (const each of ["change", "link", "tick"]) store.addEventListener(each, look);
  addEventListener("keyup", look);
}

function surroundings(): HTMLElement[] {
  let at: Element | null = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  const found: HTMLElement[] = [];
  while (at) {
    if (at instanceof HTMLElement) found.push(at);
    const root: Node = at.getRootNode();
    at = at.assignedSlot ?? at.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
  return found;
}

function barred(event: Event): void {
  const off = event.composedPath().some((each) => each instanceof Element && each.ariaDisabled === "true");
  if (!off) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

function restore(home: () => HTMLElement | null): void {
  const [had, ...around] = stood;
  if (!had || document.activeElement !== document.body || !document.hasFocus()) return;
  had.focus(); // it was moved in the page, or is on again
  if (had.isConnected) return;
  const place = around.find((each) => each.isConnected && each.matches(AROUND)) ?? home();
  if (!place) return;
  if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
  place.focus({ preventScroll: true });
}
