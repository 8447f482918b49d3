/**
 * The event stream, read with fetch: unlike EventSource it can carry a token, tells why the server
 * refused, and notices a connection that died without a word. Whoever missed a delta asks again,
 * and the first event is the whole picture.
 */
import { answered, parsed } from "./plain.js";
import { framed } from "./reload.js";
import { headers, isRecord } from "./send.js";

const SILENCE_MS = 40_000; // the server says something at least every 15 s
const FIRST_MS = 10_000;
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];
/** Home Assistant cannot reach the agent; its address here is still right. */
const AGENT_AWAY = [502, 504];
const PATIENCE = 4;

export interface Listener {
  event: (name: "snapshot" | "delta", data: object) => void;
  lost: () => void;
  /** Home Assistant answers in the agent's place: our session or address there is over. */
  astray: (status: number) => void;
  refused: (status: number, text: string) => void;
}

/** Reads for ever; the result hurries the next attempt. */
export function follow(url: string, on: Listener): () => void {
  let attempt = 0;
  let wake = (): void => undefined;
  const hurry = (): void => {
    attempt = 0;
    wake();
  };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) hurry();
  });
  void (async () => {
    for (;;) {
      try {
        await read(url, on, () => { attempt = 0; });
        on.lost();
      } catch (error) {
        if (error instanceof Refusal) on.refused(error.status, error.message);
        else if (error instanceof Astray && (attempt >= PATIENCE || !AGENT_AWAY.includes(error.status))) on.astray(error.status);
        else on.lost();
      }
      const delay = RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)];
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, delay);
      });
    }
  })();
  return hurry;
}

class Refusal extends Error {
  constructor(readonly status: number, text: string) {
    super(text);
  }
}

class Astray extends Error {
  constructor(readonly status: number) {
    super("not the agent");
  }
}

async function read(url: string, on: Listener, settled: () => void): Promise<void> {
  const abort = new AbortController();
  let timer = 0;
  const wait = (ms: number): void => {
    clearTimeout(timer);
    timer = window.setTimeout(() => { abort.abort(); }, ms);
  };
  wait(FIRST_MS);
  try {
    const request = { headers: headers(), signal: abort.signal, cache: "no-store" } as const;
    const response = await fetch(url, request);
    if (!response.ok || !response.body) throw await refusal(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let sequence = -1;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      wait(SILENCE_MS);
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = told(text.slice(0, end));
        text = text.slice(end + 2);
        if (!event) continue; // a heartbeat
        if (event.name === "delta" && event.id !== sequence + 1) throw new Error("missed one");
        sequence = event.id;
        settled();
        on.event(event.name, event.data);
      }
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

async function refusal(response: Response): Promise<Error> {
  const said = await answered(response);
  const text = isRecord(said) && typeof said["text"] === "string" ? said["text"] : "";
  const { status } = response;
  if (framed && !text && !response.ok) return new Astray(status);
  return status === 401 || status === 403 ? new Refusal(status, text) : new Error("no stream");
}

function told(block: string): { id: number; name: "snapshot" | "delta"; data: object } | null {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const name = fields.get("event");
  if (name !== "snapshot" && name !== "delta") return null;
  const data = parsed(fields.get("data") ?? "{}") as object;
  return { id: Number(fields.get("id")), name, data };
}
