/**
 * The settings as this view knows them: what is set, and what somebody has typed and not saved.
 * They are read anew whenever the page comes (back) to the agent.
 */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { SettingField, SettingsTold } from "../../api.js";
import { send } from "../../send.js";
import { store } from "../../store.js";

const NUMBERS = ["number", "integer"];

/** Renders its element again when the settings, or what was typed, changed. */
export class WatchSettings implements ReactiveController {
  constructor(private readonly host: ReactiveControllerHost) {
    host.addController(this);
  }

  hostConnected(): void {
    settings.addEventListener("change", this.changed);
  }

  hostDisconnected(): void {
    settings.removeEventListener("change", this.changed);
  }

  private readonly changed = (): void => {
    this.host.requestUpdate();
  };
}

class SettingsStore extends EventTarget {
  fields: readonly SettingField[] = [];
  /** Why they could not be read; empty once they were. */
  problem = "";
  /** What was typed, by key; only what differs from what is set. */
  readonly drafts = new Map<string, string>();
  /** The key that the agent refused, and its sentence. */
  refused = { key: "", text: "" };
  private started = false;

  start(): void {
    if (!this.started) store.addEventListener("snapshot", () => void this.load());
    this.started = true;
    void this.load();
  }

  async load(): Promise<void> {
    const reply = await send<SettingsTold>("GET", "settings", undefined, { holds: "fields" });
    this.problem = reply.body ? "" : reply.text;
    if (reply.body) this.take(reply.body);
    this.tell();
  }

  field(key: string): SettingField | undefined {
    return this.fields.find((each) => each.key === key);
  }

  /** What stands in a field: what was typed, or what is set. */
  text(field: SettingField): string {
    return this.drafts.get(field.key) ?? written(field.value);
  }

  type(field: SettingField, text: string): void {
    if (text === written(field.value)) this.drafts.delete(field.key);
    else this.drafts.set(field.key, text);
    if (this.refused.key === field.key) this.refused = { key: "", text: "" };
    this.tell();
  }

  discard(): void {
    this.drafts.clear();
    this.refused = { key: "", text: "" };
    this.tell();
  }

  /** Saves what was typed, all of it or nothing; returns whether it was taken. */
  async save(): Promise<boolean> {
    const changes: Record<string, unknown> = {};
    for (const field of this.fields) {
      const text = this.drafts.get(field.key);
      if (text !== undefined) changes[field.key] = meant(field.kind, text.trim());
    }
    return this.change(changes);
  }

  async change(changes: Record<string, unknown>): Promise<boolean> {
    const sent = new Map(this.drafts);
    const reply = await send<SettingsTold>("PATCH", "settings", changes, { holds: "fields" });
    this.refused = reply.body ? { key: "", text: "" } : { key: reply.key, text: reply.text };
    if (reply.body) {
      for (const [key, text] of sent) if (key in changes && this.drafts.get(key) === text) this.drafts.delete(key);
      this.take(reply.body);
    }
    this.tell();
    return reply.body !== null;
  }

  take(told: SettingsTold): void {
    this.fields = told.fields;
    for (const field of told.fields) if (this.drafts.get(field.key) === written(field.value)) this.drafts.delete(field.key);
  }

  private tell(): void {
    this.dispatchEvent(new Event("change"));
  }
}

export const settings = new SettingsStore();

function written(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(written).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What goes to the agent; what is wrong goes as it is, because the agent knows the words for it. */
function meant(kind: string, text: string): unknown {
  if (kind === "boolean") return text === "true";
  if (NUMBERS.includes(kind)) {
    const number = Number(text.replace(",", "."));
    return text === "" ? null : Number.isNaN(number) ? text : number;
  }
  return kind.startsWith("entit") && text === "" ? null : text;
}
