/**
 * What devices, manifests and people wrote, as plain text: a sign that turns the direction of the
 * words around it, or that no screen can show, is not let in. Markup needs no care here: the page
 * sets text as text.
 *
 * Source: Unicode Technical Report 36, section 2.5 (bidirectional text spoofing).
 */

/** Controls but tab and line feed, and the embeddings, overrides and isolates of direction. */
const UNPLAIN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]+/g;

/** Reads JSON of the agent; throws `SyntaxError` where it is none. */
export function parsed(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value === "string") return plain(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const names = Object.keys(value); // a manifest's projects are names too
    if (names.every((each) => each === plain(each))) return value;
    return Object.fromEntries(Object.entries(value).map(([name, of]) => [plain(name), of as unknown]));
  });
}

/** The JSON of an answer; `null` where it is none. */
export async function answered(response: Response): Promise<unknown> {
  return response.text().then(parsed).catch(() => null);
}

function plain(text: string): string {
  return text.replace(UNPLAIN, "");
}
