// The event stream, read with fetch: unlike EventSource it can carry a token, tells why the
// server refused, and notices a connection that died without a word.

const SILENCE_MS = 40_000; // the server says something at least every 15 s
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];

/** Reads for ever. `on.open()`, `on.event(name, data)`, `on.lost(text)`, `on.refused(status, text)`. */
export function follow(url, headers, on) {
  let attempt = 0;
  let wake = () => {};
  const hurry = () => { attempt = 0; wake(); };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) hurry(); });

  (async () => {
    for (;;) {
      try {
        await read(url, headers(), on, () => { attempt = 0; });
        on.lost("The agent ended the connection.");
      } catch (error) {
        if (error instanceof Refusal) on.refused(error.status, error.message);
        else on.lost("The agent cannot be reached.");
      }
      const delay = RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)];
      await new Promise((resolve) => { wake = resolve; setTimeout(resolve, delay); });
    }
  })();
  return { hurry };
}

class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function read(url, headers, on, settled) {
  const abort = new AbortController();
  let timer;
  const heard = () => { clearTimeout(timer); timer = setTimeout(() => abort.abort(), SILENCE_MS); };
  heard();
  try {
    const response = await fetch(url, { headers, signal: abort.signal, cache: "no-store" });
    if (!response.ok) {
      const body = await response.json().catch(() => ({}));
      if (response.status === 401 || response.status === 403) {
        throw new Refusal(response.status, body.text || "Home Assistant refused the connection.");
      }
      throw new Error(`status ${response.status}`);
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let sequence = null;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      text += value;
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        const event = parse(text.slice(0, end));
        text = text.slice(end + 2);
        if (event === null) { on.event("heartbeat", null); continue; }
        if (event.name === "delta" && event.id !== sequence + 1) throw new Error("missed an event");
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

function parse(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (!fields.event) return null;
  return { id: Number(fields.id), name: fields.event, data: JSON.parse(fields.data) };
}
