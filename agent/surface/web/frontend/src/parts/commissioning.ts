import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import type { CommissioningView } from "../api.js";
import { day, number, seconds, UNKNOWN } from "../format.js";
import { inBoth, named } from "../language.js";
import { store, Watch } from "../store.js";
import { base } from "../styles.js";
import { confirmed } from "./confirm.js";
import "./action.js";
import "./card.js";
import "./progress.js";

const words = inBoth(
  {
    title: "Commissioning test",
    stages: {
      none: "Not run yet", waiting: "Waiting", running: "Running", ending: "Watching it end", passed: "Passed", failed: "Failed",
    },
    verdicts: { passed: "Passed", failed: "Failed", open: "Open" },
    what: "Discharges 300 W for 30 s and watches it end by itself. Control on a real inverter needs it passed once.",
    more: "The full test adds a stronger dispatch that is written twice and moves the export counter; two to ten minutes. Control does not need it.",
    run: "Run the test",
    sure: "Run the test?",
    full: "Run the full test",
    sureFull: "Run the full test?",
    progress: "The test runs:",
    delay: "Delay of the power",
    lag: "Time to end",
    gain: "Power reached",
    ofCommanded: (percent: string) => `${percent} % of commanded`,
    dead: "Dead time",
    counter: "Counter is late by",
    measured: (at: string) => `measured ${at}`,
    notMeasured: "not measured",
    rewrite: "A lease can be renewed",
    notTried: "not tried",
    yes: "yes",
    no: "no",
    firmware: "Firmware of the inverter",
  },
  {
    title: "Inbetriebnahme-Test",
    stages: {
      none: "Noch nicht gelaufen", waiting: "Wartet", running: "Läuft", ending: "Beobachtet das Ende", passed: "Bestanden", failed: "Nicht bestanden",
    },
    verdicts: { passed: "Bestanden", failed: "Nicht bestanden", open: "Offen" },
    what: "Entlädt 300 W für 30 s und sieht zu, wie es von selbst endet. Steuern an einem echten Wechselrichter setzt voraus, dass der Test einmal bestanden ist.",
    more: "Der volle Test fügt einen stärkeren Dispatch hinzu, der zweimal geschrieben wird und den Einspeisezähler bewegt; zwei bis zehn Minuten. Steuern braucht ihn nicht.",
    run: "Test ausführen",
    sure: "Den Test ausführen?",
    full: "Vollen Test ausführen",
    sureFull: "Den vollen Test ausführen?",
    progress: "Der Test läuft:",
    delay: "Verzögerung der Leistung",
    lag: "Zeit bis zum Ende",
    gain: "Erreichte Leistung",
    ofCommanded: (percent: string) => `${percent} % des Befohlenen`,
    dead: "Totzeit",
    counter: "Zähler kommt später um",
    measured: (at: string) => `gemessen ${at}`,
    notMeasured: "nicht gemessen",
    rewrite: "Ein Dispatch lässt sich erneuern",
    notTried: "nicht versucht",
    yes: "ja",
    no: "nein",
    firmware: "Firmware des Wechselrichters",
  },
);

const TONES: Record<string, string> = { none: "warn", passed: "good", failed: "bad" };

/** The test that unlocks control: its stage, what it measured, and each thing it looked at. */
@customElement("pv-commissioning")
export class Commissioning extends LitElement {
  static override styles = [
    base,
    css`
      .two { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); align-items: start; }
      .progress { min-height: 2.6rem; }
    `,
  ];

  constructor() {
    super();
    new Watch(this, ["commissioning"]);
  }

  override render() {
    const test = store.state?.commissioning;
    return html`<pv-card heading=${words.title}>${test ? this.test(test) : ""}</pv-card>`;
  }

  private test(test: CommissioningView) {
    const stage = named(words.stages, test.stage);
    return html`<div class="two">
      <div>
        <p id="commissioning" class="big ${TONES[test.stage] ?? ""}">${test.at && test.passed ? `${stage}, ${day(test.at)}` : stage}</p>
        <p id="commissioning-text">${test.text}</p>
        <div class="progress">${test.running
          ? html`<pv-progress label=${words.progress} .percent=${test.progress_percent}></pv-progress>` : ""}</div>
        <div class="row">
          <pv-action label=${words.run} path="requests" .body=${{ kind: "commission" }} .off=${test.running} .asks=${run}></pv-action>
          <pv-action label=${words.full} path="requests" .body=${{ kind: "commission_full" }} .off=${test.running} .asks=${full}></pv-action>
        </div>
        <p class="quiet">${words.what} ${words.more}</p>
        <ul id="commissioning-checks">${test.checks.map((check) => html`<li>${named(words.verdicts, check.verdict)}: ${check.text} ${check.next_step}</li>`)}</ul>
      </div>
      <dl>${figures(test).map(([name, id, value]) => html`<dt>${name}</dt><dd id="commissioning-${id}" title=${test.at ? words.measured(day(test.at)) : ""}>${value}</dd>`)}</dl>
    </div>`;
  }
}

/** It discharges, so it asks first. */
const run = () => confirmed({ title: words.sure, text: [words.what], act: words.run });
const full = () => confirmed({ title: words.sureFull, text: [words.more], act: words.full });

function figures(test: CommissioningView): [string, string, string][] {
  const { gain, counter_lag_s: late, rewrite_extends: renews } = test;
  return [
    [words.delay, "delay", seconds(test.delay_s)],
    [words.lag, "lag", seconds(test.exit_lag_s)],
    [words.gain, "gain", gain === null ? UNKNOWN : words.ofCommanded(number(gain * 100))],
    [words.dead, "dead", seconds(test.dead_s)],
    [words.counter, "counter", late === null ? words.notMeasured : seconds(late)],
    [words.rewrite, "rewrite", renews === null ? words.notTried : renews ? words.yes : words.no],
    [words.firmware, "firmware", test.firmware || UNKNOWN],
  ];
}
