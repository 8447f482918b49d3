import { css, html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";
import { inBoth } from "../../language.js";
import { base } from "../../styles.js";
import "../../parts/card.js";

const words = inBoth(
  {
    title: "Bring a bridge back over USB",
    text: "A bridge that does not start any more, or never had our firmware, is written over its USB cable. With the bridge plugged into the machine that runs the agent, the page before this one does it; from any other machine, the command line. Nothing is written before the agent has said what hangs on the cable and you have agreed.",
    link: "Recovery on the page before this one",
    steps: [
      "Plug it in with a cable that carries data: many only charge.",
      "See which ports there are. Listing sends nothing to any of them:",
      "Ask the chip on the port who it is; it is reset for that and changed in nothing:",
      "Write a signed release. It names release, chip and MAC, and asks:",
    ],
    stuck: "If nothing answers: hold BOOT on the bridge, press and release RESET, release BOOT after two seconds, and try again.",
    more: "Every option, what is kept and how it ends: docs/recovery.md, in the documentation of the app.",
  },
  {
    title: "Eine Bridge über USB zurückbringen",
    text: "Eine Bridge, die nicht mehr startet oder nie unsere Firmware hatte, wird über ihr USB-Kabel beschrieben. Steckt sie an der Maschine, auf der der Agent läuft, geht es auf der bisherigen Seite; an jeder anderen auf der Kommandozeile. Nichts wird geschrieben, bevor der Agent gesagt hat, was am Kabel hängt, und ein Mensch zugestimmt hat.",
    link: "Rettung auf der bisherigen Seite",
    steps: [
      "Mit einem Kabel anstecken, das Daten trägt: viele laden nur.",
      "Nachsehen, welche Anschlüsse es gibt. Das Auflisten sendet keinem etwas:",
      "Den Chip am Anschluss fragen, wer er ist; er wird dafür neu gestartet und sonst nicht verändert:",
      "Ein signiertes Release schreiben. Es nennt Release, Chip und MAC und fragt nach:",
    ],
    stuck: "Wenn nichts antwortet: BOOT an der Bridge halten, RESET drücken und loslassen, BOOT nach zwei Sekunden loslassen, noch einmal versuchen.",
    more: "Alle Optionen, was erhalten bleibt und wie es endet: docs/recovery.md, in der Dokumentation der App.",
  },
);
const COMMANDS = [
  "",
  "python -m agent flash ports",
  "python -m agent flash identify --port /dev/serial/by-id/usb-…",
  'python -m agent flash serial --port /dev/serial/by-id/usb-… --release pv-edge.alphaess-bridge@1.1.0 --reason "…"',
];

/** What to do with a cable, until this page can do it. */
@customElement("pv-view-recovery")
export class RecoveryView extends LitElement {
  static override styles = [
    base,
    css`pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--pv-soft); border-radius: 6px; padding: .5rem .75rem; margin: .25rem 0; } li { padding: .25rem 0; }`,
  ];

  override render() {
    return html`<pv-card heading=${words.title}>
      <p>${words.text}</p>
      <p><a href="../#recovery-card">${words.link}</a></p>
      <ol>${words.steps.map((each, at) => html`<li>${each}${COMMANDS[at] ? html`<pre>${COMMANDS[at]}</pre>` : ""}</li>`)}</ol>
      <p>${words.stuck}</p>
      <p class="quiet">${words.more}</p>
    </pv-card>`;
  }
}
