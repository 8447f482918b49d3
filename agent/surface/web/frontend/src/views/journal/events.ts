/** The journal's table of events, as the agent writes it (RFC 4180), and what of it is wanted. */
import { isRecord } from "../../send.js";

export interface JournalEvent {
  id: string;
  at: string;
  kind: string;
  /** What the event says of itself; may be empty. */
  text: string;
  data: Readonly<Record<string, unknown>>;
  /** Everything in small letters, to be searched. */
  hay: string;
}

export interface Wanted {
  /** Empty for every kind. */
  kind: string;
  text: string;
}

/** Reads the table; its header tells which column is which, and a broken last line is left out. */
export function events(table: string): JournalEvent[] {
  const [head = [], ...rows] = lines(table);
  const column = (row: readonly string[], name: string): string => row[head.indexOf(name)] ?? "";
  return rows.filter((row) => row.length === head.length).map((row) => {
    const data = parsed(column(row, "data_json"));
    const [kind, text] = [column(row, "kind"), column(row, "text")];
    return { id: column(row, "id"), at: column(row, "at"), kind, text, data, hay: row.join(" ").toLowerCase() };
  });
}

export function kinds(all: readonly JournalEvent[]): string[] {
  return [...new Set(all.map((each) => each.kind))].sort();
}

/** The newest first. Every word of the search has to be there, in whatever order. */
export function chosen(all: readonly JournalEvent[], { kind, text }: Wanted): JournalEvent[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (each: JournalEvent): boolean =>
    (!kind || each.kind === kind) && words.every((word) => each.hay.includes(word));
  return all.filter(fits).reverse();
}

function lines(table: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < table.length; at++) {
    const sign = table.charAt(at);
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (table.charAt(at + 1) === '"') {
        cell += sign;
        at++;
      } else quoted = false;
    } else if (sign === '"') quoted = true;
    else if (sign === ",") {
      row.push(cell);
      cell = "";
    } else if (sign === "\n") {
      rows.push([...row, cell.replace(/\r$/, "")]);
      row = [];
      cell = "";
    } else cell += sign;
  }
  return rows;
}

function parsed(text: string): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse(text);
    return isRecord(data) ? data : {};
  } catch {
    return {};
  }
}
