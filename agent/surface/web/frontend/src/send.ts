/** Wishes to the agent, and what became of them in words. */
import type { RequestKind } from "./api.js";
import { inBoth } from "./language.js";
import { api } from "./place.js";
import { answered } from "./plain.js";

const TOKEN = "pv-edge-agent-token";
const DEADLINE_MS = 60_000;
const TOO_LARGE = 413; // of ingress too, which does not say more
const words = inBoth(
  {
    unreached: "The agent could not be reached; nothing was sent. Try again.",
    silent: "The agent did not answer in time. Look at the state before you try again.",
    large: "This is larger than Home Assistant lets through, or than the agent takes.",
    answered: (status: number) => `The agent answered with status ${status}. See its log.`,
  },
  {
    unreached: "Der Agent ist nicht erreichbar; es wurde nichts gesendet. Bitte noch einmal versuchen.",
    silent: "Der Agent hat nicht rechtzeitig geantwortet. Vor einem neuen Versuch den Zustand ansehen.",
    large: "Das ist größer, als Home Assistant durchlässt oder der Agent annimmt.",
    answered: (status: number) => `Der Agent antwortete mit Status ${status}. Siehe sein Protokoll.`,
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

/**
 * Sends one request below `api/`; never throws. `body` is sent as JSON, a `Blob` as it is.
 */
export async function send<T>(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<Reply<T>> {
  const sent: Record<string, string> = { ...headers(), "X-Requested-With": "pv-edge-agent", ...once() };
  const request: RequestInit = {
    method,
    headers: sent,
    cache: "no-store",
    signal: AbortSignal.timeout(DEADLINE_MS),
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
    return told<T>(response.status, await answered(response));
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    return {
      outcome: "failed", status: 0, code: late ? "silent" : "unreached", key: "", body: null,
      text: late ? words.silent : words.unreached,
    };
  }
}

/** Asks the guard for something. */
export function ask(kind: RequestKind): Promise<Reply> {
  return send("POST", "requests", { kind });
}

function told<T>(status: number, body: unknown): Reply<T> {
  const said = isRecord(body) ? body : {};
  const text = typeof said["text"] === "string" ? said["text"] : "";
  const ok = status >= 200 && status < 300;
  return {
    outcome: ok ? "accepted" : text && status < 500 ? "refused" : "failed",
    status,
    code: typeof said["code"] === "string" ? said["code"] : "",
    key: typeof said["key"] === "string" ? said["key"] : "",
    text: text || (ok ? "" : status === TOO_LARGE ? words.large : words.answered(status)),
    body: ok ? (body as T) : null,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
