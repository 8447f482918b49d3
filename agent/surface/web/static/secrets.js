// Files of ESPHome that hold a bridge's key: read here, handed in, and never shown.
// Where a file does not say whose a key is, a person chooses.

const byId = (id) => document.getElementById(id);
const LARGEST = 60_000; // of both together: the agent reads no longer request

export class Secrets {
  /** `send(method, path, body)` resolves to {status, body}. */
  constructor(send) {
    this.send = send;
    byId("secrets-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.hand();
    });
    for (const id of ["secrets-device", "secrets-file"]) {
      byId(id).addEventListener("change", () => { this.choose([], []); this.say(""); });
    }
  }

  async hand() {
    const [configuration, secrets] = await Promise.all(["secrets-device", "secrets-file"].map(text));
    if (!configuration && !secrets) return this.say("Choose a file first.");
    if (configuration.length + secrets.length > LARGEST) return this.say("These files are too large to be ESPHome's.");
    const wish = { configuration, secrets, mac: byId("secrets-bridge").value, name: byId("secrets-name").value };
    const { status, body } = await this.send("POST", "api/bridges/secrets", wish);
    this.say(body.text || `The agent answered with ${status}.`);
    if (status !== 200) return;
    this.choose(body.bridges ?? [], body.names ?? []);
    if (body.stored) byId("secrets-form").reset();
  }

  choose(bridges, names) {
    fill("secrets-bridge", bridges.map((each) => [each.mac, `${each.title} (${each.mac})`]));
    fill("secrets-name", names.map((name) => [name, name]));
  }

  say(words) {
    byId("secrets-message").textContent = words;
  }
}

async function text(id) {
  const file = byId(id).files[0];
  if (!file) return "";
  return file.size > LARGEST ? "x".repeat(LARGEST + 1) : file.text();
}

/** Offer these values, or hide the question where there is none. */
function fill(id, values) {
  const select = byId(id);
  select.replaceChildren(...values.map(([value, words]) => new Option(words, value)));
  byId(`${id}-row`).hidden = !values.length;
}
