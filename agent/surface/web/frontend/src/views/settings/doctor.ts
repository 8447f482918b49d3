import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { here, type Tone } from "../../fleet.js";
import { seconds } from "../../format.js";
import { named } from "../../language.js";
import { fetched } from "../../parts/download.js";
import { parsed } from "../../plain.js";
import { isRecord } from "../../send.js";
import { Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "../../parts/progress.js";
import { words } from "./words.js";

interface Finding {
  verdict: string;
  title: string;
  text: string;
  next_step: string;
}
interface Report {
  exit_code: number;
  took_s: number;
  findings: Finding[];
}
const TONES: Readonly<Record<string, Tone>> = { ok: "good", warning: "warn", failure: "bad" };
const SILENCE_MS = 60_000; // its longest step watches for ten seconds

/** The check-up: its progress as it goes, and its report. */
@customElement("pv-doctor")
export class Doctor extends LitElement {
  @state() private doing: { label: string; percent: number } | null = null;
  @state() private report: Report | null = null;
  @state() private problem = "";

  static override styles = [base, controls, tables, css`.now { min-height: 3rem; margin-top: .5rem; }`];

  constructor() {
    super();
    new Watch(this, []);
  }

  override render() {
    return html`<pv-card heading=${words.doctor}>
      <p class="quiet">${words.doctorText}</p>
      <button type="button" aria-disabled=${!here() || this.doing !== null} aria-busy=${this.doing !== null} @click=${() => void this.examine()}>${words.examine}</button>
      <div class="now">${this.problem ? html`<pv-problem text=${this.problem}></pv-problem>`
        : this.doing ? html`<pv-progress label=${`${this.doing.label}…`} .percent=${this.doing.percent}></pv-progress>`
        : this.report ? html`<p id="verdict" role="status">${words.ended[this.report.exit_code] ?? ""} ${words.counted(this.report.findings.length, seconds(this.report.took_s))}</p>` : nothing}</div>
      ${this.report ? findings(this.report) : nothing}
    </pv-card>`;
  }

  private async examine(): Promise<void> {
    this.problem = "";
    this.report = null;
    this.doing = { label: words.starting, percent: 0 };
    const { response, text } = await fetched("doctor");
    try {
      if (response?.body) await this.follow(response.body);
      else this.problem = text;
    } catch {
      this.problem = words.cut;
    }
    this.doing = null;
  }

  /** One JSON object per line: progress, and the report last. */
  private async follow(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const timer = setTimeout(() => void reader.cancel(), SILENCE_MS);
      const { value, done } = await reader.read();
      clearTimeout(timer);
      if (done) break;
      text += value;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        this.heard(parsed(text.slice(0, end)));
        text = text.slice(end + 1);
      }
    }
    if (!this.reported && !this.problem) this.problem = words.cut;
  }

  private get reported(): boolean {
    return this.report !== null;
  }

  private heard(line: unknown): void {
    if (!isRecord(line)) return;
    if (typeof line["doing"] === "string") this.doing = { label: line["doing"], percent: Number(line["percent"]) };
    if (typeof line["failed"] === "string") this.problem = line["failed"];
    if (isRecord(line["report"])) this.report = line["report"] as unknown as Report;
  }
}

function findings(report: Report) {
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${words.doctor}><table id="findings">
    <thead><tr>${words.doctorColumns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
    <tbody>${report.findings.map((each) => html`<tr><td class=${TONES[each.verdict] ?? "quiet"}>${named(words.verdicts, each.verdict)}</td>
      <td>${each.title}</td><td>${each.text} ${each.next_step ? html`<small>${words.next(each.next_step)}</small>` : nothing}</td></tr>`)}</tbody>
  </table></div>`;
}
