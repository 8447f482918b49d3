import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { CableJobView } from "../../api.js";
import { rate } from "../../fleet.js";
import { seconds } from "../../format.js";
import { named } from "../../language.js";
import type { Reply } from "../../send.js";
import { base } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/progress.js";
import { aged } from "../../parts/value.js";
import { words } from "./words.js";

/** One recovery that is under way. Whoever stops a write is told first what that leaves. */
@customElement("pv-cable-job")
export class CableJob extends LitElement {
  @property({ attribute: false }) job!: CableJobView;
  @state() private warned = "";

  static override styles = [
    base,
    css`
      :host { border-top: 1px solid var(--divider-color); margin-top: .75rem; padding-top: .75rem; overflow-wrap: anywhere; }
      .pace { min-height: 1.6rem; }
      pre {
        white-space: pre-wrap; overflow-y: auto; height: 9rem; margin: .25rem 0 .5rem; padding: .5rem .75rem;
        background: var(--pv-soft); border-radius: 6px; font-size: .85rem;
      }
    `,
  ];

  override render() {
    const it = this.job;
    const name = words.job(`${it.project} ${it.version}`, it.mac, it.by);
    const pace = [it.rate_bytes_s ? rate(it.rate_bytes_s) : "", it.left_s ? words.left(seconds(it.left_s)) : ""];
    return html`<div role="group" aria-label=${name}>
      <h3>${name}</h3>
      <pv-progress label=${`${named(words.stages, it.stage)}: ${it.text || "…"}`} .percent=${it.percent}></pv-progress>
      <p class="pace quiet" title=${aged(0)}>${pace.filter(Boolean).join(", ")}</p>
      <pre tabindex="0" role="group" aria-label=${words.log}>${it.log.join("\n")}</pre>
      ${it.may_cancel || it.writes ? html`<pv-action label=${words.cancel} path="recovery/cancel" .body=${{ job: it.job }} .answered=${this.heard}></pv-action>` : nothing}
      ${it.writes && this.warned ? html`<div class="warned"><p class="bad">${this.warned}</p>
        <pv-action label=${words.cancelAll} look="danger" path="recovery/cancel" .body=${{ job: it.job, insist: true }}></pv-action></div>` : nothing}
    </div>`;
  }

  private readonly heard = (reply: Reply): void => {
    this.warned = reply.code === "writes" ? reply.text : "";
  };
}
