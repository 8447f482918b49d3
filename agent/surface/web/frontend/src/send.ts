/** Wishes to the agent, and what became of them in words. */
import type { RequestKind } from "./api.js";
import { inBoth } from "./language.js";
import { api } from "./place.js";
import { parsed } from "./plain.js";

const TOKEN = "pv-edge-agent-token";
/** For an answer that somebody waits for; a wish may take a while. */
const READ_MS = 20_000;
export const WISH_MS = 60_000;
/** Told by whoever is in between: a session that ended, an agent or a Core that is not there. */
const IN_BETWEEN = [401, 502, 503, 504];
const words = inBoth(
  {
    unreached: "The agent could not be reached; nothing was sent. Try again.",
    silent: "The agent did not answer in time. Look at the state before you try again.",
    answered: (status: number) => `The agent answered with status ${status}. See its log.`,
    between: (status: number) => `It did not get to the agent (status ${status}). Wait a moment and try again; if that does not help, load the page again.`,
    large: "It is too large to be passed on (status 413): Home Assistant takes 16 MB at most. Choose something smaller.",
    garbled: "The answer is not the agent's: something in between changed it. Look at the state, then load the page again.",
  },
  {
    unreached: "Der Agent ist nicht erreichbar; es wurde nichts gesendet. Bitte noch einmal versuchen.",
    silent: "Der Agent hat nicht rechtzeitig geantwortet. Vor einem neuen Versuch den Zustand ansehen.",
    answered: (status: number) => `Der Agent antwortete mit Status ${status}. Siehe sein Protokoll.`,
    between: (status: number) => `Es kam nicht bis zum Agenten (Status ${status}). Bitte kurz warten und noch einmal versuchen; sonst die Seite neu laden.`,
    large: "Es ist zu groß, um weitergereicht zu werden (Status 413): Home Assistant nimmt höchstens 16 MB. Bitte etwas Kleineres wählen.",
    garbled: "Die Antwort ist nicht die des Agenten: etwas auf dem Weg hat sie verändert. Bitte den Zustand ansehen, dann die Seite neu laden.",
  },
);

/** `refused`: the agent said no and why. `failed`: it could not be asked, or did not answer. */
export type Outcome = "accepted" | "refused" | "failed";

export interface Reply<T = unknown> {
  outcome: Outcome;
  /** 0 where there was no answer. */
  status: number;
  /** One sentence: what the agent said, or why nothing came back. */
  text: string;
  /** Stable word of a refusal. */
  code: string;
  /** The setting that is wrong, where the agent names one. */
  key: string;
  body: T | null;
}

export interface Expected<T> {
  /** A field that every right answer has; without it the answer is nobody's we know. */
  holds?: keyof T & string;
  /** How long the answer may take. */
  within_ms?: number;
}

export function headers(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

/** A key of its own for each wish; not randomUUID, which a page that came over plain http lacks. */
function once(): Record<string, string> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { "Idempotency-Key": Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join("") };
}

/** Why there is no answer but a status, and what helps. */
export function because(status: number): string {
  if (status === 413) return words.large;
  return IN_BETWEEN.includes(status) ? words.between(status) : words.answered(status);
}

/** Why there is no answer at all, and what helps. */
export function missed(late: boolean): string {
  return late ? words.silent : words.unreached;
}

/**
 * Sends one request below `api/`; never throws. `body` is sent as JSON, a `Blob` as it is.
 */
export async function send<T>(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  { holds, within_ms = method === "GET" ? READ_MS : WISH_MS }: Expected<T> = {},
): Promise<Reply<T>> {
  const abort = new AbortController();
  const timer = setTimeout(() => { abort.abort(); }, within_ms);
  const sent: Record<string, string> = { ...headers(), "X-Requested-With": "pv-edge-agent", ...once() };
  const request: RequestInit = {
    method,
    headers: sent,
    cache: "no-store",
    signal: abort.signal,
  };
  if (body instanceof Blob) {
    sent["Content-Type"] = "application/octet-stream";
    request.body = body;
  } else if (body !== undefined) {
    sent["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(api(path), request);
    const text = await response.text();
    return told<T>(response.status, read(text), holds);
  } catch {
    const late = abort.signal.aborted;
    return {
      outcome: "failed", status: 0, code: late ? "silent" : "unreached", key: "", body: null, text: missed(late),
    };
  } finally {
    clearTimeout(timer);
  }
}

/** Asks the guard for something. */
export function ask(kind: RequestKind): Promise<Reply> {
  return send("POST", "requests", { kind });
}

function told<T>(status: number, body: unknown, holds: string | undefined): Reply<T> {
  const said = isRecord(body) ? body : {};
  const text = typeof said["text"] === "string" ? said["text"] : "";
  const good = status >= 200 && status < 300;
  const ok = good && isRecord(body) && (holds === undefined || holds in body);
  return {
    outcome: ok ? "accepted" : text && status < 500 ? "refused" : "failed",
    status,
    code: typeof said["code"] === "string" ? said["code"] : "",
    key: typeof said["key"] === "string" ? said["key"] : "",
    text: text || (ok ? "" : good ? words.garbled : because(status)),
    body: ok ? (body as T) : null,
  };
}

function read(text: string): unknown {
  try {
    return parsed(text);
  } catch {
    return null;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
