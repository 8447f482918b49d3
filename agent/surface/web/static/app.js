// The page: shows the guard's picture as it comes, and hands in wishes.
// Everything from outside is set as text, never as markup.

import { Bridges } from "./bridges.js";
import { Chart } from "./chart.js";
import { Flashing } from "./flashing.js";
import { Migration } from "./migration.js";
import { Plan } from "./plan.js";
import { Recovery } from "./recovery.js";
import { Releases } from "./releases.js";
import { Secrets } from "./secrets.js";
import { Settings } from "./settings.js";
import { once } from "./once.js";
import { follow } from "./stream.js";
import { Support } from "./support.js";
import { render, tick } from "./view.js";

const SHOW_ANSWER_MS = 12_000;
const QUIET_AFTER_MS = 20_000; // the guard looks at the house every few seconds
const TOKEN = "pv-edge-agent-token";
const byId = (id) => document.getElementById(id);

let state = null;
let heardAt = 0;

function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function send(method, path, body) {
  const request = { method, headers: { ...headers(), ...once(), "X-Requested-With": "pv-edge-agent" }, cache: "no-store" };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(path, request);
    return { status: response.status, body: await response.json().catch(() => ({})) };
  } catch {
    return { status: 0, body: { text: "The agent could not be reached; nothing was sent. Try again." } };
  }
}

async function upload(path, file) {
  const sent = { ...headers(), ...once(), "X-Requested-With": "pv-edge-agent", "Content-Type": "application/octet-stream" };
  try {
    const response = await fetch(path, { method: "POST", headers: sent, body: file, cache: "no-store" });
    return { status: response.status, body: await response.json().catch(() => ({})) };
  } catch {
    return { status: 0, body: { text: "The agent could not be reached, or did not take the file. Try again." } };
  }
}

// Links and banners.

function showLink(link, words, banner = "") {
  if (document.body.dataset.link !== link) document.body.dataset.link = link;
  setText(byId("link"), words);
  const box = byId("banner");
  setText(box, banner);
  box.hidden = !banner;
  enable();
}

function enable() {
  const live = ["live", "stale"].includes(document.body.dataset.link);
  for (const button of document.querySelectorAll("main button")) button.disabled = !live;
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.disabled = !live;
  if (!state?.latched) byId("acknowledge").disabled = true;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

showLink("loading", "Loading…");

// Wishes.

let answerTimer;

function showAnswer(text, kind) {
  const box = byId("answer");
  box.className = `answer ${kind}`;
  box.hidden = false;
  box.textContent = text;
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => { box.hidden = true; }, SHOW_ANSWER_MS);
}

for (const button of document.querySelectorAll("button[data-kind]")) {
  button.addEventListener("click", async () => {
    const name = button.textContent;
    const { status, body } = await send("POST", "api/requests", { kind: button.dataset.kind });
    if (status === 200) showAnswer(`${name}: ${body.text}`, "accepted");
    else if (status === 409 || status === 403) showAnswer(`${name} was refused: ${body.text}`, "refused");
    else showAnswer(`${name} did not work: ${body.text || `the agent answered with ${status}`}`, "failed");
  });
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = "";
  stream.hurry();
});

// The picture.

const chart = new Chart(byId("chart"), byId("legend"));
const plan = new Plan();
const settings = new Settings(send);
const bridges = new Bridges(send, showAnswer);
const releases = new Releases(send, upload, showAnswer);
const flashing = new Flashing(send, showAnswer);
const support = new Support(headers, () => settings.load());
const recovery = new Recovery(send, showAnswer, (path) => support.download(path));
const migration = new Migration(send, showAnswer, () => settings.load());
new Secrets(send);

async function loadRest() {
  settings.load();
  const { status, body } = await send("GET", "api/history?seconds=3600");
  if (status !== 200) return;
  chart.load(body);
  drawNow();
}

function drawNow() {
  chart.add(Date.parse(state.at) / 1000, state.power);
}

const stream = follow("api/stream", headers, {
  event(name, data) {
    if (name === "heartbeat") return;
    heardAt = performance.now();
    if (name === "snapshot") {
      state = data;
      byId("token-form").hidden = true;
      loadRest();
    } else {
      Object.assign(state, data);
      if ("mode" in data) settings.showMode(data.mode);
    }
    render(state);
    plan.show(state);
    bridges.show(state);
    releases.show(state);
    flashing.show(state);
    recovery.show(state);
    migration.show(state);
    drawNow();
    showLink("live", `Live, ${state.mode === "control" ? "in control" : "observing"}`);
  },
  lost(text) {
    showLink("lost", "Disconnected", `${text} ${state ? "What you see is old. " : ""}Trying again…`);
  },
  refused(status, text) {
    byId("token-form").hidden = status !== 401;
    showLink("refused", "Refused", status === 401 ? "" : text);
  },
});

setInterval(() => {
  if (!state) return;
  const since = performance.now() - heardAt;
  tick(state, since / 1000);
  if (document.body.dataset.link === "live" && since > QUIET_AFTER_MS) {
    showLink("stale", "Stale", "The agent answers, but its guard has said nothing new for a while. See its log.");
  }
}, 1000);
