/**
 * Loads the page anew where that helps. In Home Assistant's frame only the page around it knows
 * the address that leads here since its last restart; ours would load the dead one again.
 */
import { inBoth } from "./language.js";

const words = inBoth(
  {
    load: "Load the page again",
    away: "Nobody answers at the address of this page now, so there is nothing to load. Wait a moment and try again.",
    yourself: "This page may not do that here. Reload Home Assistant yourself: F5 in a browser, or close and open its app.",
  },
  {
    load: "Seite neu laden",
    away: "Unter der Adresse dieser Seite antwortet gerade niemand, es gibt also nichts zu laden. Bitte kurz warten und noch einmal versuchen.",
    yourself: "Diese Seite darf das hier nicht. Bitte Home Assistant selbst neu laden: F5 im Browser, oder seine App schließen und öffnen.",
  },
);
export const LOAD = words.load;

/** Whether another page, which is Home Assistant's, has us in a frame. */
export const framed = window.parent !== window;

/** On a click only, never by itself; resolves to what a person has to do where it does not help. */
export async function loadAgain(): Promise<string> {
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (!answer || !(answer.ok || framed)) return words.away; // an error of the browser would take its place
  try {
    (answer.ok ? window : window.top ?? window).location.reload();
    return "";
  } catch {
    return words.yourself; // a page of another origin has us
  }
}
