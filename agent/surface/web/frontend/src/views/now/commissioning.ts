import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import type { CommissioningView } from "../../api.js";
import { day, number, seconds, UNKNOWN } from "../../format.js";
import { inBoth, named } from "../../language.js";
import { store, Watch } from "../../store.js";
import { base } from "../../styles.js";
import "../../parts/action.js";
import "../../parts/card.js";
import "../../parts/progress.js";

const words = inBoth(
  {
    title: "Commissioning test",
    stages: {
      none: "Not run yet", waiting: "Waiting", running: "Running", ending: "Watching it end", passed: "Passed", failed: "Failed",
    },
    verdicts: { passed: "Passed", failed: "Failed", open: "Open" },
    run: "Run the test",
    full: "Run the full test",
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
    run: "Test ausführen",
    full: "Vollen Test ausführen",
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
@customElement("pv-now-commissioning")
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
          <pv-action label=${words.run} path="requests" .body=${{ kind: "commission" }} .off=${test.running}></pv-action>
          <pv-action label=${words.full} path="requests" .body=${{ kind: "commission_full" }} .off=${test.running}></pv-action>
        </div>
        <ul id="commissioning-checks">${test.checks.map((check) => html`<li>${named(words.verdicts, check.verdict)}: ${check.text} ${check.next_step}</li>`)}</ul>
      </div>
      <dl>${figures(test).map(([name, id, value]) => html`<dt>${name}</dt><dd id="commissioning-${id}" title=${test.at ? words.measured(day(test.at)) : ""}>${value}</dd>`)}</dl>
    </div>`;
  }
}

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
