/** Brings a file of the agent to the browser's downloads; a plain link could carry no token. */
import { inBoth } from "../language.js";
import { api } from "../place.js";
import { answered } from "../plain.js";
import { because, headers, missed, WISH_MS, type Outcome } from "../send.js";

const words = inBoth(
  {
    saved: (name: string) => `${name} was downloaded.`,
    cut: "The file was cut off on its way and is not kept; try again.",
  },
  {
    saved: (name: string) => `${name} wurde heruntergeladen.`,
    cut: "Die Datei wurde unterwegs abgeschnitten und nicht behalten; bitte noch einmal versuchen.",
  },
);
const KEPT_MS = 10_000;

export interface Fetched {
  outcome: Outcome;
  text: string;
  response: Response | null;
}

/** Asks for something that is no JSON; never throws. The header is what a wish carries too. */
export async function fetched(path: string): Promise<Fetched> {
  const abort = new AbortController();
  const timer = setTimeout(() => { abort.abort(); }, WISH_MS); // until it begins; a long file may take longer
  try {
    const sent = { ...headers(), "X-Requested-With": "pv-edge-agent" };
    const response = await fetch(api(path), { headers: sent, cache: "no-store", signal: abort.signal });
    if (response.ok) return { outcome: "accepted", text: "", response };
    const body = (await answered(response)) as { text?: unknown } | null;
    const text = typeof body?.text === "string" ? body.text : "";
    return { outcome: text && response.status < 500 ? "refused" : "failed", text: text || because(response.status), response: null };
  } catch {
    return { outcome: "failed", text: missed(abort.signal.aborted), response: null };
  } finally {
    clearTimeout(timer);
  }
}

/** Downloads a file under the name that the agent gives it. */
export async function download(path: string): Promise<Pick<Fetched, "outcome" | "text">> {
  const { outcome, text, response } = await fetched(path);
  if (!response) return { outcome, text };
  try {
    const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "pv-edge-agent.json";
    save(name, await whole(response));
    return { outcome, text: words.saved(name) };
  } catch {
    return { outcome: "failed", text: words.cut };
  }
}

/** A long file may take its time, but not be silent in the middle. */
async function whole(response: Response): Promise<Blob> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let ended = !reader; !ended;) {
    let timer = 0;
    const silence = new Promise<never>((_, fail) => {
      timer = window.setTimeout(() => { fail(new Error("silent")); }, WISH_MS);
    });
    const piece = await Promise.race([reader?.read(), silence]).finally(() => { clearTimeout(timer); });
    if (piece?.value) pieces.push(piece.value);
    ended = !piece || piece.done;
  }
  return new Blob(pieces, { type: response.headers.get("Content-Type") ?? "" });
}

export function save(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => { URL.revokeObjectURL(link.href); }, KEPT_MS);
}
