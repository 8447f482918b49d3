/** Brings a file of the agent to the browser's downloads; a plain link could carry no token. */
import { inBoth } from "../language.js";
import { api } from "../place.js";
import { answered } from "../plain.js";
import { headers, type Outcome } from "../send.js";

const words = inBoth(
  {
    unreached: "The agent could not be reached; try again.",
    answered: (status: number) => `The agent answered with status ${status}. See its log.`,
    saved: (name: string) => `${name} was downloaded.`,
  },
  {
    unreached: "Der Agent ist nicht erreichbar; bitte noch einmal versuchen.",
    answered: (status: number) => `Der Agent antwortete mit Status ${status}. Siehe sein Protokoll.`,
    saved: (name: string) => `${name} wurde heruntergeladen.`,
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
  try {
    const asked = { headers: { ...headers(), "X-Requested-With": "pv-edge-agent" }, cache: "no-store" } as const;
    const response = await fetch(api(path), asked);
    if (response.ok) return { outcome: "accepted", text: "", response };
    const body = (await answered(response)) as { text?: unknown } | null;
    const text = typeof body?.text === "string" ? body.text : "";
    return { outcome: text && response.status < 500 ? "refused" : "failed", text: text || words.answered(response.status), response: null };
  } catch {
    return { outcome: "failed", text: words.unreached, response: null };
  }
}

/** Downloads a file under the name that the agent gives it. */
export async function download(path: string): Promise<Pick<Fetched, "outcome" | "text">> {
  const { outcome, text, response } = await fetched(path);
  if (!response) return { outcome, text };
  try {
    const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "pv-edge-agent.json";
    save(name, await response.blob());
    return { outcome, text: words.saved(name) };
  } catch {
    return { outcome: "failed", text: words.unreached };
  }
}

export function save(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => { URL.revokeObjectURL(link.href); }, KEPT_MS);
}
