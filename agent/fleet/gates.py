"""
Says for one bridge and one firmware image whether it could be flashed now, and why not.

Each gate looks at one thing and answers pass, warn or fail with its evidence. A verdict belongs to
one MAC and one digest and is believed for a while: another bridge's troubles do not block this
one, and its health does not vouch for another. What nobody knows is a failure: a health sensor
that is unavailable is not a healthy bridge.

Pure functions: what was seen comes in as `Evidence`, with the time.

Source: pvautonomy.md, sections 3 and 4.1 and the defects D-04, D-05, D-08, D-10, D-11, D-17.
"""

from __future__ import annotations

from agent.fleet.chips import chip_of, plain_chip
from agent.fleet.contact import ContactState, Port
from agent.fleet.gate_models import (
    Block,
    Evidence,
    Gate,
    GateId,
    Image,
    Reading,
    Refusal,
    Release,
    Result,
    Rules,
    Verdict,
)
from agent.fleet.identity import Mac, written
from agent.fleet.sighting import Source

NO_RELEASE = "No release is offered to it; the page says why under Firmware."


def judge(
    evidence: Evidence, release: Release | None, image: Image | None, rules: Rules
) -> Verdict:
    """
    Return the verdict on flashing that image to that bridge, at the evidence's time.

    Without a release or an image all else is judged, and what depends on them fails.
    """
    words = {
        GateId.REACHABLE: _reachable(evidence),
        GateId.HEALTH: _health(evidence),
        GateId.IDENTITY: _identity(evidence, release),
        GateId.MODBUS: _modbus(evidence, rules),
        GateId.STABLE: _stable(evidence, rules),
        GateId.FIRMWARE_KNOWN: _firmware(evidence),
        GateId.UPLOAD_PORT: _upload_port(evidence),
        GateId.SIGNAL: _level(evidence.signal, rules.lost_dbm, rules.weak_dbm, "Signal", "dBm"),
        GateId.HEAP: _level(
            evidence.heap, rules.least_heap_bytes, rules.small_heap_bytes, "Free heap", "bytes"
        ),
        GateId.NOT_DISCHARGING: _not_discharging(evidence),
        GateId.NOT_BUSY: (Result.FAIL, f"{evidence.busy} is flashing it.")
        if evidence.busy
        else (Result.PASS, "Nothing else is flashing it."),
        GateId.IMAGE: _image(release, image),
    }
    gates = tuple(Gate(gate, *said, evidence.at) for gate, said in words.items())
    digest = image.digest if image else ""
    return Verdict(evidence.record.mac, digest, evidence.at_s, evidence.at, gates)


def flash_refusal(
    verdict: Verdict | None, mac: Mac, digest: str, now_s: float, rules: Rules
) -> Refusal | None:
    """Return why that image may not be flashed to that bridge now, `None` if it may."""
    if verdict is None:
        return Refusal(Block.MISSING, f"The gates of {written(mac)} have not been run. Run them.")
    if (verdict.mac, verdict.digest) != (mac, digest):
        text = f"The gates were run for another bridge or image. Run them for {written(mac)}."
        return Refusal(Block.ANOTHER, text)
    age_s = now_s - verdict.at_s
    if not 0 <= age_s <= rules.fresh_s:
        text = f"The gates were run {age_s / 60:.0f} min ago and hold {rules.fresh_s / 60:.0f} min."
        return Refusal(Block.STALE, f"{text} Run them again.")
    if verdict.overall is Result.FAIL:
        return Refusal(Block.FAILED, _said(verdict.of(Result.FAIL)))
    if verdict.overall is Result.WARN and rules.strict:
        return Refusal(Block.WARNED, _said(verdict.of(Result.WARN)))
    return None


def restart_refusal(
    mac: Mac, *, on_trial: bool, discharging_through: frozenset[Mac] | None, busy: str | None
) -> Refusal | None:
    """Return why a bridge may not be restarted now, `None` if it may."""
    if on_trial:
        text = "Its new firmware is on trial, and a restart would confirm it. Wait for the verdict."
        return Refusal(Block.ON_TRIAL, text)
    if busy:
        return Refusal(Block.BUSY, f"{busy} is flashing it. Wait until that has ended.")
    if discharging_through is None:
        text = "The guard does not say whether a discharge runs through it. Look at the guard."
        return Refusal(Block.DISCHARGING, text)
    if mac in discharging_through:
        return Refusal(Block.DISCHARGING, "A discharge runs through it. Stop that first.")
    return None


def attributes(verdict: Verdict | None) -> dict[str, object]:
    """Return the gates' attributes of the status entity, complete even before any verdict."""
    gates = verdict.gates if verdict else ()
    ids = {result: [str(it.gate) for it in gates if it.result is result] for result in Result}
    return {
        "gates_last_run": verdict.at.isoformat() if verdict else None,
        "gates_overall": str(verdict.overall) if verdict else None,
        "gates_passed_count": len(ids[Result.PASS]),
        "gates_failed_count": len(ids[Result.FAIL]),
        "gates_warn_count": len(ids[Result.WARN]),
        "gates_fail": ids[Result.FAIL],
        "gates_warn": ids[Result.WARN],
        "gates_details": {
            str(it.gate): {
                "gate_id": str(it.gate),
                "gate_name": it.gate.name.replace("_", " ").capitalize(),
                "status": str(it.result),
                "evidence": it.evidence,
                "checked_at": it.at.isoformat(),
            }
            for it in gates
        },
    }


Word = tuple[Result, str]


def _said(gates: tuple[Gate, ...]) -> str:
    return " ".join(it.evidence for it in gates)


def _reachable(evidence: Evidence) -> Word:
    contact = evidence.record.contact
    if contact is None:
        return Result.FAIL, "There is no connection to it."
    if contact.state is not ContactState.ONLINE:
        return Result.FAIL, f"It is {contact.state.replace('_', ' ')}. {contact.detail}".strip()
    return Result.PASS, "It is connected."


def _stable(evidence: Evidence, rules: Rules) -> Word:
    contact = evidence.record.contact
    if contact is None or not contact.online:
        return Result.FAIL, "It is not connected."
    # Every reboot and every reconnect begins a new connection.
    for_s = evidence.at_s - contact.since_s
    text = f"It has been connected without a break for {for_s / 60:.1f} min"
    if for_s < rules.stable_s:
        return Result.FAIL, f"{text}; wait until it is {rules.stable_s / 60:.0f}."
    return Result.PASS, f"{text}."


def _health(evidence: Evidence) -> Word:
    if not evidence.health:
        if evidence.expects_modbus:
            return Result.FAIL, "It has no health sensor."
        return Result.PASS, "A factory image has no health to tell."
    bad = [
        f"{name} is {'on' if value is True else value or 'unavailable'}"
        for name, value in evidence.health.items()
        if value is not False and value != "off"
    ]
    if bad:
        return Result.FAIL, f"{', '.join(bad)}."
    return Result.PASS, f"{', '.join(evidence.health)}: no problem."


def _identity(evidence: Evidence, release: Release | None) -> Word:
    told = evidence.record.told
    if release is None:
        what = f"{told.project_name or 'no project'} on {told.board or 'an unknown board'}"
        return Result.FAIL, f"There is no release to compare it with. It is {what}."
    wrong = []
    if told.project_name not in release.projects:
        wrong.append(f"project {told.project_name or 'not told'}")
    if release.boards and told.board not in release.boards:
        wrong.append(f"board {told.board or 'not told'}")
    chip = chip_of(told.platform, told.board)
    # A board that the release names vouches for its chip; one that is known must not contradict.
    if chip != plain_chip(release.chip) and (chip is not None or not release.boards):
        wrong.append(f"chip {chip or 'not known'}")
    if release.revisions and evidence.revision not in release.revisions:
        wrong.append(f"board revision {evidence.revision or 'not told'}")
    if wrong:
        return Result.FAIL, f"The release is not for its {', '.join(wrong)}."
    return Result.PASS, f"{written(evidence.record.mac)}: {told.project_name} on {told.board}."


def _firmware(evidence: Evidence) -> Word:
    own = evidence.record.sightings.get(Source.CONNECTION)
    if own is None or Source.CONNECTION not in evidence.record.live:
        return Result.FAIL, "What it runs is known from others only, not from itself now."
    if not own.project_version or not own.built:
        return Result.FAIL, "It does not say which version or build it runs."
    return Result.PASS, f"It runs {own.project_version}, built {own.built}."


def _upload_port(evidence: Evidence) -> Word:
    if evidence.upload_port is Port.OPEN:
        return Result.PASS, "It takes uploads."
    asked = str(evidence.upload_port) if evidence.upload_port else "not asked"
    return Result.FAIL, f"Its port for uploads is {asked}."


def _modbus(evidence: Evidence, rules: Rules) -> Word:
    if not evidence.expects_modbus:
        return Result.PASS, "A factory image reads nothing yet."
    if not evidence.modbus:
        return Result.WARN, "Nobody says which Modbus readings it has."
    silent = [
        name
        for name, it in evidence.modbus.items()
        if it is None or it.value is None or not 0 <= evidence.at_s - it.at_s <= rules.modbus_s
    ]
    if not silent:
        return Result.PASS, f"All {len(evidence.modbus)} Modbus readings are alive."
    result = Result.FAIL if len(silent) == len(evidence.modbus) else Result.WARN
    return result, f"No fresh reading of {', '.join(silent)}."


def _level(reading: Reading | None, least: float, low: float, what: str, unit: str) -> Word:
    if reading is None:
        return Result.PASS, f"{what} is not exposed."
    value = reading.value
    if isinstance(value, bool | str) or value is None:
        return Result.WARN, f"{what} is exposed and has no value."
    text = f"{what} is {value:.0f} {unit}."
    if value < least:
        return Result.FAIL, text
    return (Result.WARN if value < low else Result.PASS), text


def _not_discharging(evidence: Evidence) -> Word:
    if evidence.discharging_through is None:
        return Result.FAIL, "The guard does not say whether a discharge runs through it."
    if evidence.record.mac in evidence.discharging_through:
        return Result.FAIL, "A discharge runs through it now."
    return Result.PASS, "No discharge runs through it."


def _image(release: Release | None, image: Image | None) -> Word:
    if release is None or image is None:
        return Result.FAIL, NO_RELEASE
    if not release.verified:
        return Result.FAIL, "The manifest is not verified."
    if image.digest != release.digest:
        return Result.FAIL, "The image is not the one of the manifest."
    if image.size_bytes != release.size_bytes:
        text = f"The image has {image.size_bytes} bytes, the manifest says {release.size_bytes}."
        return Result.FAIL, text
    if not image.fetched:
        text = f"The verified manifest names {image.size_bytes} bytes"
        return Result.PASS, f"{text}; the file is compared with it when it is fetched."
    return Result.PASS, f"{image.size_bytes} bytes, as the verified manifest says."
