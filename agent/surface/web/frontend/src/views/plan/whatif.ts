import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Changes, PlanPicture, SettingField, SettingsTold } from "../../api.js";
import { kilowattHours, number, percent } from "../../format.js";
import { saving, total, words as ofPlan } from "../../plan.js";
import { send, type Reply } from "../../send.js";
import { Returned, store, Watch } from "../../store.js";
import { base, controls, tables } from "../../styles.js";
import "../../parts/card.js";
import "../../parts/problem.js";
import "../../parts/progress.js";
import "../../parts/value.js";
import { words } from "./words.js";

type Name = keyof Changes;
const NAMES = Object.keys(words.sliders) as Name[];
const SETTLED_MS = 400;

interface Slider {
  name: Name;
  unit: string;
  minimum: number;
  maximum: number;
  step: number;
  /** Where it stands now. */
  usual: number;
}

const FORECASTS: readonly Slider[] = [
  { name: "sun_percent", unit: "%", minimum: 0, maximum: 200, step: 10, usual: 100 },
  { name: "load_percent", unit: "%", minimum: 0, maximum: 200, step: 10, usual: 100 },
];

/** Sliders that ask the planner what it would do; nothing of it is kept or carried out. */
@customElement("pv-plan-whatif")
export class WhatIf extends LitElement {
  @property({ attribute: false }) plan: PlanPicture | null = null;
  @property({ attribute: false }) found: PlanPicture | null = null;
  @property({ attribute: false }) told: (found: PlanPicture | null) => void = () => undefined;
  @state() private sliders: readonly Slider[] = [];
  @state() private changes: Changes = {};
  @state() private busy = false;
  @state() private problem = "";
  @state() private unread = "";
  private timer = 0;
  private asked = 0;

  static override styles = [
    base,
    controls,
    tables,
    css`
      .sliders { display: grid; gap: .25rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); min-height: 11rem; }
      label { display: flex; justify-content: space-between; gap: .75rem; }
      output { font-variant-numeric: tabular-nums; white-space: nowrap; }
      .changed output { font-weight: 700; }
      .answer { min-height: 13rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, []);
    new Returned(this, () => { if (!this.sliders.length || this.unread) void this.load(); });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
  }

  override render() {
    return html`<pv-card heading=${words.what}>
      ${this.unread ? html`<pv-problem tone="warn" text=${words.settingsFailed} next=${this.unread}>
        <button type="button" @click=${() => void this.load()}>${words.retry}</button></pv-problem>` : nothing}
      <div class="sliders">${this.sliders.length || this.unread ? this.sliders.map((each) => this.slider(each)) : words.loading}</div>
      <div class="row"><button type="button" aria-disabled=${!Object.keys(this.changes).length} @click=${this.reset}>${words.reset}</button></div>
      <div class="answer" id="whatif">${this.answer()}</div>
    </pv-card>`;
  }

  private slider({ name, unit, minimum, maximum, step, usual }: Slider) {
    const value = this.changes[name] ?? usual;
    return html`<div class=${name in this.changes ? "changed" : ""}>
      <label for=${name}><span>${words.sliders[name]}</span><output>${number(value, step < 1 ? 1 : 0)} ${unit}</output></label>
      <input type="range" id=${name} min=${minimum} max=${maximum} step=${step} .value=${String(value)} ?disabled=${!store.live}
        @input=${(event: Event) => { this.turn(name, Number((event.target as HTMLInputElement).value), usual); }}>
    </div>`;
  }

  private answer() {
    if (this.busy) return html`<pv-progress label=${words.planning}></pv-progress>`;
    if (this.problem) {
      return html`<pv-problem text=${words.failed} next=${this.problem}>
        <button type="button" @click=${() => void this.ask()}>${words.retry}</button></pv-problem>`;
    }
    return this.found ? compared(this.plan, this.found)
      : html`<p>${words.only}</p>`;
  }

  private turn(name: Name, value: number, usual: number): void {
    const others = Object.fromEntries(Object.entries(this.changes).filter(([key]) => key !== name));
    this.changes = value === usual ? others : { ...others, [name]: value };
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.ask(), SETTLED_MS);
  }

  private readonly reset = (): void => {
    clearTimeout(this.timer);
    this.asked++;
    this.changes = {};
    this.busy = false;
    this.problem = "";
    this.told(null);
  };

  private async ask(): Promise<void> {
    if (!Object.keys(this.changes).length) {
      this.reset();
      return;
    }
    if (this.busy) { // the answer under way is of older values; ask when it is there
      this.timer = window.setTimeout(() => void this.ask(), SETTLED_MS);
      return;
    }
    const number = ++this.asked;
    this.busy = true;
    const reply: Reply<PlanPicture> = await send("POST", "plan/preview", this.changes, { holds: "points" });
    if (number !== this.asked) return;
    this.busy = false;
    this.problem = reply.body ? "" : reply.text;
    this.told(reply.body);
  }

  private async load(): Promise<void> {
    const reply = await send<SettingsTold>("GET", "settings", undefined, { holds: "fields" });
    this.unread = reply.body ? "" : reply.text;
    if (!reply.body) return; // what can be turned stays as it was known
    const fields = new Map(reply.body.fields.map((each) => [each.key, each]));
    this.sliders = [
      ...FORECASTS,
      ...NAMES.flatMap((name) => {
        const field = fields.get(name);
        return field ? ofSetting(name, field) : [];
      }),
    ];
  }
}

function ofSetting(name: Name, { unit, minimum, maximum, step, value }: SettingField): Slider[] {
  if (minimum === null || maximum === null || typeof value !== "number") return [];
  // A house's battery, not a substation's: the rest of the range is there in the settings.
  const most = name === "battery_capacity_kwh" ? Math.min(maximum, Math.max(30, value * 2)) : maximum;
  return [{ name, unit, minimum, maximum: most, step: step ?? 1, usual: value }];
}

function compared(plan: PlanPicture | null, found: PlanPicture) {
  const of = (tell: (plan: PlanPicture) => string): [string, string] => [plan ? tell(plan) : "–", tell(found)];
  const lines: [string, [string, string]][] = [
    [words.sold, of((it) => kilowattHours(total(it, "discharge")))],
    [words.bought, of((it) => kilowattHours(total(it, "charge")))],
    [words.gain, of(saving)],
    [words.end, of((it) => percent(it.points.at(-1)?.soc_percent))],
    [words.why, of((it) => it.reason.text)],
  ];
  return html`<table>
    <thead><tr>${words.compared.map((each) => (each ? html`<th scope="col">${each}</th>` : html`<td></td>`))}</tr></thead>
    <tbody>${lines.map(([name, [now, then]]) => html`<tr><th scope="row">${name}</th><td>${plan ? html`<pv-value text=${now} at=${plan.made_at} source=${ofPlan.source}></pv-value>` : now}</td><td title=${words.preview}>${then}</td></tr>`)}</tbody>
  </table>`;
}
