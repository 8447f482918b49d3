import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { BuildShown, BuildView } from "../../api.js";
import { bytes, jobOn, moment, offers } from "../../fleet.js";
import { confirmed } from "../../parts/confirm.js";
import type { Reply } from "../../send.js";
import { store, Watch } from "../../store.js";
import { base, controls } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/upload.js";
import { words } from "./words.js";

const ACKS = ["ack_unsigned", "ack_project_change", "ack_downgrade"] as const;

/** Firmware that a person has built: shown, accepted, installed where he says. */
@customElement("pv-builds")
export class Builds extends LitElement {
  @state() private shown: BuildShown | null = null;

  static override styles = [base, controls, css`dl { grid-template-columns: fit-content(45%) minmax(0, 1fr); } dd { overflow-wrap: anywhere; min-width: 0; text-align: left; }`];

  constructor() {
    super();
    new Watch(this, ["releases"]);
  }

  override render() {
    const builds = store.state?.releases?.builds ?? [];
    const gone = (reply: Reply) => { if (reply.outcome === "accepted") this.shown = null; };
    return html`<pv-card heading=${words.builds}>
      <p class="quiet">${words.buildsText}</p>
      <pv-upload label=${words.buildFile} act=${words.buildShow} accept=".bin" path="releases/own"
        .answered=${(reply: Reply) => { this.shown = reply.body as BuildShown | null; }}></pv-upload>
      ${this.shown ? html`<div id="shown">${pairs(this.shown)}
        <p class="warn">${this.shown.sentence}</p>
        <pv-action label=${words.accept} path="releases/own/accept" .body=${{ sha256: this.shown.sha256 }} .answered=${gone}></pv-action></div>` : nothing}
      ${builds.length ? repeat(builds, (each) => each.sha256, (each) => html`<pv-build .build=${each} data-build=${each.sha256}></pv-build>`)
        : html`<p class="quiet">${words.noBuilds}</p>`}
    </pv-card>`;
  }
}

function pairs(it: BuildShown) {
  const told: Record<keyof typeof words.buildPairs, string | null> = {
    chip: it.chip, layout: it.layout, project: it.project, version: it.version, built: it.built ? moment(it.built) : null,
    sha256: it.sha256, size: bytes(it.size), whole: it.whole ? words.fits : words.fitsNot,
  };
  return html`<dl>${Object.entries(words.buildPairs).map(([name, label]) => html`<dt>${label}</dt>
    <dd class=${name === "whole" && !it.whole ? "bad" : ""}>${told[name as keyof typeof told] ?? words.notTold}</dd>`)}</dl>`;
}

/** One accepted build, and the way to a bridge. */
@customElement("pv-build")
export class Build extends LitElement {
  @property({ attribute: false }) build!: BuildView;
  @state() private accepted: ReadonlySet<string> = new Set();
  @state() private mac = "";

  static override styles = [
    base,
    controls,
    css`
      :host { border-top: 1px solid var(--divider-color); margin-top: .75rem; padding-top: .75rem; }
      select { width: 100%; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["releases", "flashing"]);
  }

  override render() {
    const it = this.build;
    return html`<h3>${it.project || words.noProject} ${it.version}</h3>
      <p>${it.chip}, ${it.layout}, ${bytes(it.size)} <small>${it.accepted ? moment(it.accepted) : ""} ${it.notes}</small></p>
      <p><small>${it.sha256}</small></p>
      ${store.state?.flashing ? this.way(`${it.project} ${it.version}`) : nothing}`;
  }

  private way(what: string) {
    const free = offers().filter((each) => !jobOn(each.mac));
    if (!free.length) return nothing;
    const mac = free.some((each) => each.mac === this.mac) ? this.mac : free[0]?.mac ?? "";
    const body = { mac, version: this.build.sha256, own: true, acks: [...this.accepted] };
    const sure = () => confirmed({
      title: words.installTitle(what, mac), text: [words.installText], act: words.install(what), typed: mac,
    });
    return html`<label for="bridge">${words.target(what)}</label>
      <select id="bridge" @change=${(event: Event) => { this.mac = (event.target as HTMLSelectElement).value; }}>
        ${free.map((each) => html`<option value=${each.mac} ?selected=${each.mac === mac}>${each.title ?? ""} (${each.mac})</option>`)}
      </select>
      ${ACKS.map((ack) => html`<label class="ack"><input type="checkbox" name=${ack} @change=${this.ticked}>${words.iAccept(ack, words.acks[ack])}</label>`)}
      <pv-action label=${words.install(what)} path="flashing/install" ?off=${!this.accepted.has("ack_unsigned")} .body=${body} .asks=${sure}></pv-action>`;
  }

  private readonly ticked = (event: Event): void => {
    const box = event.target as HTMLInputElement;
    const now = new Set(this.accepted);
    if (box.checked) now.add(box.name);
    else now.delete(box.name);
    this.accepted = now;
  };
}
