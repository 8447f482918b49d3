/** What the kinds of events are called. In English the agent's own words are enough. */
import { inBoth } from "../../language.js";

type Names = Readonly<Record<string, string>>;

const names = inBoth<{ all: Names }>(
  { all: { audit: "by a person" } },
  {
    all: {
      audit: "von Hand", request: "Wunsch", lease: "Dispatch", renewal: "Erneuerung", resumed: "geht weiter", error: "Fehler",
      start_discharge: "Entladen gewünscht", start_charge: "Laden gewünscht", start_rest: "Ruhe gewünscht",
      start_share_sun: "Sonne teilen gewünscht", start_failed: "Start fehlgeschlagen",
      discharge_started: "Entladen begonnen", charge_started: "Laden begonnen", rest_started: "Ruhe begonnen",
      share_sun_started: "Sonne wird geteilt", rest_failed: "Ruhe fehlgeschlagen",
      stop: "Stopp", stop_verified: "Stopp bestätigt", stop_by_timer: "vom Zeitgeber beendet", stop_refused: "Stopp abgelehnt",
      stop_unconfirmed: "Stopp unbestätigt", write_refused: "Befehl abgelehnt", write_unconfirmed: "Befehl unbestätigt",
      lease_ran_out: "Dispatch abgelaufen", reset_by_other: "von anderen zurückgesetzt", yielded: "nachgegeben",
      foreign_dispatch: "fremder Dispatch", foreign_gone: "fremder Dispatch beendet",
      input_lost: "Eingang verloren", inputs_back: "Eingänge wieder da", breaker_opened: "Schutzschalter offen",
      adopted: "übernommen", stopped_at_start: "beim Start angehalten", found_idle: "nichts lief", new_day: "neuer Tag",
      path_taken_over: "Weg übernommen", limit: "Grenze", settings: "Einstellungen",
      commissioning_sent: "Test begonnen", commissioning_passed: "Test bestanden", commissioning_repeated: "Test wiederholt",
      commissioning_failed: "Test nicht bestanden", firmware_noted: "Firmware vermerkt",
      bridge_online: "Bridge verbunden", bridge_goodbye: "Bridge verabschiedet", bridge_crashed: "Bridge abgestürzt",
      bridge_hung: "Bridge hängt", bridge_lost: "Bridge verloren", bridge_safe_mode: "Bridge im Safe Mode",
      bridge_key_missing: "Schlüssel fehlt", bridge_wrong_key: "Schlüssel falsch", bridge_not_encrypted: "nicht verschlüsselt",
      bridge_wrong_device: "falsches Gerät", cable_identified: "am Kabel erkannt",
      releases_looked: "Releases nachgesehen", releases_alarm: "Releases: Alarm", releases_failed: "Releases fehlgeschlagen",
      release_floor: "Release-Untergrenze", flash_job: "Update", flash_campaign: "Sammel-Update",
    },
  },
);

/** The kind in words; one without words of its own as it is written down. */
export function kindName(kind: string): string {
  return (names.all[kind] ?? kind).replaceAll("_", " ");
}
