import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { html as staticHtml, unsafeStatic } from "lit/static-html.js";
import { keepFocus } from "./focus.js";
import { inBoth, language, speak } from "./language.js";
import { LOAD, loadAgain } from "./reload.js";
import { here, load, NAMES, type Name } from "./router.js";
import { store, Watch } from "./store.js";
import { base, controls } from "./styles.js";
import "./parts/answers.js";
import "./parts/banner.js";
import "./parts/card.js";
import "./parts/problem.js";
import "./parts/stop.js";
import "./parts/token.js";

const words = inBoth(
  {
    views: {
      now: "Now", plan: "Plan", bridges: "Bridges", recovery: "Recovery", firmware: "Firmware",
      journal: "Journal", settings: "Settings",
    },
    navigation: "Views",
    skip: "To the content",
    links: {
      loading: "Loading…", live: "Live", stale: "Stale", lost: "Disconnected", astray: "Disconnected", refused: "Refused", token: "Locked",
    },
    modes: { control: "in control", observe: "observing" },
    language: "Deutsch",
    gone: "This view could not be loaded.",
    goneNext: "The agent was updated since this page was opened, or it cannot be reached.",
    loading: "Loading…",
    never: "Nothing is known of the house yet: the agent has not answered since this page was opened.",
    neverNext: "See that the app runs, and what its log says. The page goes on trying by itself.",
  },
  {
    views: {
      now: "Jetzt", plan: "Plan", bridges: "Bridges", recovery: "Rettung", firmware: "Firmware",
      journal: "Journal", settings: "Einstellungen",
    },
    navigation: "Ansichten",
    skip: "Zum Inhalt",
    links: {
      loading: "Lädt…", live: "Live", stale: "Veraltet", lost: "Getrennt", astray: "Getrennt", refused: "Abgelehnt", token: "Gesperrt",
    },
    modes: { control: "steuert", observe: "beobachtet" },
    language: "English",
    gone: "Diese Ansicht konnte nicht geladen werden.",
    goneNext: "Der Agent wurde seit dem Öffnen der Seite erneuert, oder er ist nicht erreichbar.",
    loading: "Lädt…",
    never: "Vom Haus ist noch nichts bekannt: der Agent hat seit dem Öffnen der Seite nicht geantwortet.",
    neverNext: "Bitte sehen, ob die App läuft und was ihr Protokoll sagt. Die Seite versucht es von selbst weiter.",
  },
);

const LATE_MS = 20_000; // a view's file is small; what has not come by then does not come

/** Header with emergency stop, the views' names, and the view that is looked at. */
@customElement("pv-app")
export class App extends LitElement {
  @state() private name: Name = here();
  @state() private loaded: "loading" | "ready" | "failed" = "loading";
  /** What a person has to do where the page may not. */
  @state() private yourself = "";
  @query("main") private main!: HTMLElement | null;

  static override styles = [
    base,
    controls,
    css`
      header {
        position: sticky; top: 0; z-index: 2; background: var(--card-background-color);
        border-bottom: 1px solid var(--divider-color);
      }
      .top { display: flex; gap: .75rem; align-items: center; justify-content: space-between; padding: .5rem 1rem; }
      h1 { margin: 0; white-space: nowrap; }
      @media (max-width: 400px) { h1 { font-size: 1rem; } }
      .link { margin: 0; font-size: .85rem; color: var(--secondary-text-color); white-space: nowrap; }
      .link::before { content: "●"; margin-right: .35em; }
      .link.live::before { color: var(--pv-good); }
      .link.stale::before { color: var(--pv-warn); }
      .link.lost::before, .link.astray::before, .link.refused::before { color: var(--pv-bad); }
      .skip { position: absolute; left: 1rem; top: .5rem; z-index: 5; }
      .skip:not(:focus) { clip-path: inset(50%); }
      nav { display: flex; overflow-x: auto; padding: 0 .5rem; }
      nav a {
        padding: .55rem .75rem; min-height: 2.75rem; flex: none; white-space: nowrap; text-decoration: none;
        color: var(--secondary-text-color); border-bottom: 3px solid transparent;
      }
      nav a[aria-current] { color: var(--primary-text-color); border-color: var(--primary-color); font-weight: 600; }
      nav button { margin-left: auto; flex: none; white-space: nowrap; border: 0; background: none; min-height: 2.75rem; color: var(--secondary-text-color); }
      main { display: block; padding: .9rem .9rem 7rem; /* an answer at the foot covers no control */ max-width: 1200px; margin: 0 auto; min-height: 80vh; outline: none; }
      @media (max-width: 600px) { main { padding-bottom: 13rem; } } /* where the same words take more lines */
      .arriving { animation: arrive 0s .4s both; } /* most views are there before one could read it */
      @keyframes arrive { from { opacity: 0; } }
      main.old { filter: grayscale(1); --pv-value-color: var(--secondary-text-color); }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["mode"]);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener("hashchange", this.moved);
    keepFocus(() => this.main);
    void this.show();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener("hashchange", this.moved);
  }

  /** On a phone not every view's name fits; the one that is shown is in sight. */
  override updated(changed: PropertyValues): void {
    if (!changed.has("name")) return;
    const link = this.renderRoot.querySelector<HTMLElement>("nav [aria-current]");
    const nav = link?.parentElement;
    if (nav) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
  }

  private readonly moved = (): void => {
    const name = here();
    if (name === this.name) return;
    this.name = name;
    void this.show().then(() => this.main?.focus());
  };

  private readonly skip = (event: Event): void => {
    event.preventDefault();
    this.main?.focus();
  };

  private async show(): Promise<void> {
    const name = this.name;
    this.loaded = "loading";
    const ended = (how: "ready" | "failed") => { if (name === this.name) this.loaded = how; };
    const timer = setTimeout(() => { ended("failed"); }, LATE_MS);
    await load(name).then(() => { ended("ready"); }, () => { ended("failed"); });
    clearTimeout(timer);
  }

  override render() {
    return html`<header>
        <div class="top">
          <div>
            <h1>PV Edge Agent</h1>
            <p id="link" class="link ${store.link}" role="status">${this.link()}</p>
          </div>
          <pv-stop></pv-stop>
        </div>
        <a class="skip button" href="#/${this.name}" @click=${this.skip}>${words.skip}</a>
        <nav aria-label=${words.navigation}>
          ${NAMES.map((name) => html`<a href="#/${name}" aria-current=${name === this.name ? "page" : nothing}>${words.views[name]}</a>`)}
          <button type="button" lang=${language === "en" ? "de" : "en"} @click=${() => { speak(language === "en" ? "de" : "en"); }}>${words.language}</button>
        </nav>
      </header>
      <pv-banner></pv-banner>
      <main tabindex="-1" class=${old() ? "old" : ""} data-link=${store.link} aria-label=${words.views[this.name]}>
        ${store.link === "token" ? html`<pv-token></pv-token>` : this.view()}
      </main>
      <pv-answers></pv-answers>`;
  }

  private link(): string {
    const mode = store.state?.mode;
    const live = store.link === "live" && mode;
    return live ? `${words.links.live}, ${words.modes[mode]}` : words.links[store.link];
  }

  private view() {
    if (this.loaded === "failed") {
      return html`<pv-problem text=${words.gone} next=${this.yourself || words.goneNext}>
        <button type="button" @click=${async () => { this.yourself = await loadAgain(); }}>${LOAD}</button>
      </pv-problem>`;
    }
    if (!store.state && old()) return html`<pv-problem text=${words.never} next=${words.neverNext}></pv-problem>`;
    // A view that is there before its figures would move when they come.
    if (this.loaded === "loading" || !store.state) return html`<p class="quiet arriving" role="status">${words.loading}</p>`;
    const tag = unsafeStatic(`pv-view-${this.name}`); // one of NAMES, never what somebody typed
    return staticHtml`<${tag}></${tag}>`;
  }
}

/** Whether what is shown is what was, and not what is. */
function old(): boolean {
  return ["stale", "lost", "astray", "refused"].includes(store.link);
}
