import { css, html, LitElement, nothing } from "lit";
import { customElement } from "lit/decorators.js";
import type { ReleasesView, RoleView, SourceView } from "../../api.js";
import { moment, type Tone } from "../../fleet.js";
import { day, seconds } from "../../format.js";
import { named } from "../../language.js";
import { confirmed } from "../../parts/confirm.js";
import { store, Watch } from "../../store.js";
import { base, tables } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import { words } from "./words.js";

export const TONES: Readonly<Record<string, Tone>> = { fresh: "good", stale: "warn", none: "bad" };
const SOON_S = 3 * 86_400;

/** Per source: is it verified, by whom, and until when each of its roles is signed. */
@customElement("pv-trust")
export class Trust extends LitElement {
  static override styles = [
    base,
    tables,
    css`
      .head { min-height: 5.5rem; }
      section { border-top: 1px solid var(--divider-color); margin-top: .75rem; padding-top: .75rem; }
      dl { grid-template-columns: fit-content(45%) minmax(0, 1fr); margin-bottom: .6rem; }
      dd { overflow-wrap: anywhere; min-width: 0; text-align: left; }
      #trust::first-letter { text-transform: uppercase; }
      h3 small { font-weight: 400; }
      summary { cursor: pointer; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["releases"], true);
  }

  override render() {
    const now = store.state?.releases;
    return html`<pv-card heading=${words.trust}>
      <div class="head">${now ? head(now) : html`<p>${words.loading}</p>`}</div>
      <pv-action label=${words.look} path="releases/look"></pv-action>
      ${now?.sources.map(source)}
    </pv-card>`;
  }
}

function head(now: ReleasesView) {
  const hint = [now.warning, now.hint].filter(Boolean).join(" ");
  return html`${now.sources.some((each) => each.development) ? html`<pv-problem id="development" text=${words.development} tone="warn"></pv-problem>` : nothing}
    <p id="trust" class="big ${TONES[now.state] ?? ""}" aria-live="polite">${now.looking ? words.looking : named(words.states, now.state)}</p>
    <p>${named(words.stateTexts, now.state)} ${hint}</p>`;
}

function source(it: SourceView) {
  const remove = () => confirmed({ title: words.removeTitle(it.name), text: [words.removeText], act: words.remove, typed: it.name });
  return html`<section data-source=${it.name} role="group" aria-label=${it.name}>
    <h3>${it.name} <small>${named(words.kinds, it.kind)}</small>
      <span class=${TONES[it.freshness] ?? ""}>${named(words.states, it.freshness)}</span></h3>
    <p>${[it.why, it.words].filter(Boolean).join(" ")}</p>
    <dl>
      <dt>${words.confirmed}</dt><dd>${it.confirmed ? moment(it.confirmed) : words.never}
        <small>${[it.carrier ? words.by(it.carrier) : "", it.stale_since ? words.staleSince(moment(it.stale_since)) : ""].filter(Boolean).join(", ")}</small></dd>
      ${it.root_sha256 ? html`<dt>${words.root}</dt><dd><small>${it.root_sha256}</small></dd>` : nothing}
    </dl>
    ${it.roles.length ? html`<div class="scroll" tabindex="0" role="group" aria-label=${it.name}><table>
      <thead><tr>${words.roleColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
      <tbody title=${it.confirmed ? `${words.confirmed}: ${moment(it.confirmed)}` : words.never}>${it.roles.map(role)}</tbody></table></div>` : html`<p class="quiet">${words.noRoles}</p>`}
    ${it.events.length ? html`<details><summary>${words.events}</summary><ul>${it.events.map((each) => html`<li>
      ${moment(each.at)}: ${each.text} <small>${each.carrier}</small></li>`)}</ul></details>` : nothing}
    ${it.kind === "added" ? html`<pv-action label=${words.remove} path="releases/sources" method="DELETE" .body=${{ name: it.name }} .asks=${remove}></pv-action>` : nothing}
  </section>`;
}

function role(it: RoleView) {
  const left = it.expires && store.state ? (Date.parse(it.expires) - Date.parse(store.state.at)) / 1000 - store.since : null;
  const tone: Tone = left === null ? "" : left <= 0 ? "bad" : left < SOON_S ? "warn" : "good";
  const said = left === null ? "–" : left <= 0 ? words.expired(seconds(-left)) : words.left(seconds(left));
  return html`<tr><td>${it.role}</td><td>${it.version}</td><td>${it.expires ? day(it.expires) : "–"}</td><td class=${tone}>${said}</td></tr>`;
}
