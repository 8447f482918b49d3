/**
 * The agent's state as the page knows it, and how good that knowledge is. One stream feeds it;
 * everything shown is read from here, so that no two views can disagree.
 */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { State } from "./api.js";
import { api } from "./place.js";
import { follow } from "./stream.js";

const QUIET_AFTER_MS = 20_000; // the guard looks at the house every few seconds

/**
 * `stale`: the agent answers, but its guard says nothing new. `astray`: Home Assistant answers, and
 * no longer leads from this page to the agent.
 */
export type Link = "loading" | "live" | "stale" | "lost" | "astray" | "refused" | "token";
export type Key = keyof State;

class Change extends Event {
  constructor(readonly keys: ReadonlySet<Key> | null) {
    super("change");
  }
}

class Store extends EventTarget {
  state: State | null = null;
  link: Link = "loading";
  /** What the server said when it refused, or the status that came in the agent's place. */
  refusal = "";
  private heardMs = 0;
  /** Tries again at once. */
  hurry = (): void => undefined;

  start(): void {
    this.hurry = follow(api("stream"), {
      event: (name, data) => { this.heard(name, data); },
      lost: () => { this.linked("lost"); },
      astray: (status) => { this.linked("astray", String(status)); },
      refused: (status, text) => { this.linked(status === 401 ? "token" : "refused", text); },
    });
    setInterval(() => {
      if (this.link === "live" && this.since * 1000 > QUIET_AFTER_MS) this.linked("stale");
      if (this.state) this.dispatchEvent(new Event("tick"));
    }, 1000);
  }

  /** Seconds since the state was told; to be added to every age in it. */
  get since(): number {
    return this.heardMs ? (performance.now() - this.heardMs) / 1000 : 0;
  }

  /** Whether what is shown is what is. */
  get live(): boolean {
    return this.link === "live";
  }

  private heard(name: "snapshot" | "delta", data: object): void {
    const whole = name === "snapshot";
    this.state = whole ? (data as State) : ({ ...this.state, ...data } as State);
    // Lists of bridges come on their own; only the guard's word makes its figures new.
    if ("at" in data) this.heardMs = performance.now();
    if ("at" in data || this.link !== "stale") this.linked("live");
    if (whole) this.dispatchEvent(new Event("snapshot"));
    this.dispatchEvent(new Change(whole ? null : new Set(Object.keys(data) as Key[])));
  }

  private linked(link: Link, refusal = ""): void {
    if (link === this.link && refusal === this.refusal) return;
    this.link = link;
    this.refusal = refusal;
    this.dispatchEvent(new Event("link"));
  }
}

export const store = new Store();

/**
 * Renders its element again when one of these parts of the state changed, when the connection
 * came or went, and with `ticks` every second, for what counts by itself.
 */
export class Watch implements ReactiveController {
  private readonly keys: ReadonlySet<Key>;

  constructor(
    private readonly host: ReactiveControllerHost,
    keys: readonly Key[],
    private readonly ticks = false,
  ) {
    this.keys = new Set(keys);
    host.addController(this);
  }

  hostConnected(): void {
    store.addEventListener("change", this.changed);
    store.addEventListener("link", this.update);
    if (this.ticks) store.addEventListener("tick", this.update);
  }

  hostDisconnected(): void {
    store.removeEventListener("change", this.changed);
    store.removeEventListener("link", this.update);
    store.removeEventListener("tick", this.update);
  }

  private readonly update = (): void => {
    this.host.requestUpdate();
  };

  private readonly changed = (event: Event): void => {
    const keys = event instanceof Change ? event.keys : null;
    if (!keys || [...keys].some((key) => this.keys.has(key))) this.update();
  };
}

/**
 * Calls with every whole picture: the first one, and each time the page came back to the agent,
 * so that what is asked for beside the stream is not left as it was.
 */
export class Returned implements ReactiveController {
  constructor(host: ReactiveControllerHost, private readonly back: () => void) {
    host.addController(this);
  }

  hostConnected(): void {
    store.addEventListener("snapshot", this.back);
  }

  hostDisconnected(): void {
    store.removeEventListener("snapshot", this.back);
  }
}
