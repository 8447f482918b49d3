// A key of its own for each wish, so that the agent knows a copy when it sees one.

export function once() {
  // Not randomUUID: a page that came over plain http has none.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { "Idempotency-Key": [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
}
