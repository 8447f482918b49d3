"""
What is wrong with a set-up, found before it hurts, each with the step that repairs it.

Every check is a function of facts that somebody else has gathered: no I/O, no clock. A check that
cannot be made says so and why, because silence would read as health. Nothing here, and nothing
that gathers the facts, writes to the inverter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from agent import doctor_inputs, doctor_plan
from agent.doctor_facts import (
    NEEDS_CORE,
    CoreFacts,
    Facts,
    Finding,
    Verdict,
    failure,
    linked,
    ok,
    skipped,
    warning,
)
from agent.homeassistant.link import LinkState
from agent.surface.mqtt import MqttStatus

OLDEST_CORE = (2024, 1)
LEAST_FREE_MB = 200
CLOCK_WARN_S = 5.0
CLOCK_FAIL_S = 120.0

Check = Callable[[Facts], Iterator[Finding]]


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Return the findings of all checks, in the order a person would repair them."""
    return tuple(finding for check in CHECKS for finding in check(facts))


def exit_code(findings: tuple[Finding, ...]) -> int:
    """Return 0 when all is well, 1 with warnings, 2 with failures."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.FAILURE in verdicts:
        return 2
    return 1 if Verdict.WARNING in verdicts else 0


def _disk(facts: Facts) -> Iterator[Finding]:
    code, title, disk = "data_dir", "Data directory", facts.disk
    if disk.error:
        yield failure(
            code,
            title,
            f"{disk.path}: {disk.error}.",
            "Make it writable for the agent; without it nothing can be started.",
        )
    elif disk.free_mb is not None and disk.free_mb < LEAST_FREE_MB:
        text = f"{disk.path}: only {disk.free_mb:.0f} MB are free."
        yield warning(code, title, text, f"Free space until there are at least {LEAST_FREE_MB} MB.")
    else:
        yield ok(code, title, f"{disk.path} is writable.")


def _settings(facts: Facts) -> Iterator[Finding]:
    code, title, settings = "settings", "Settings", facts.settings
    if facts.settings_warnings:
        yield failure(
            code, title, facts.settings_warnings[0], "Correct the file or set them again."
        )
    elif settings.export_limit_w is None:
        yield warning(
            code,
            title,
            "export_limit_w is not set, so nothing is ever commanded.",
            "Set it to the power your connection may export, for example 3680 W.",
        )
    elif settings.mode == "control" and settings.target_export_w <= 0:
        text = "The mode is control, but target_export_w is 0: every start is refused."
        yield warning(code, title, text, "Set target_export_w, for example to 3000 W.")
    else:
        text = f"mode {settings.mode}, limit {settings.export_limit_w:.0f} W, path {settings.path}"
        yield ok(code, title, text)


def _host(facts: Facts) -> Iterator[Finding]:
    core = facts.core
    if core is None:
        yield skipped("host", "Home Assistant", "This agent runs without Home Assistant.")
        return
    if core.state is LinkState.UP:
        yield ok("host", "Home Assistant", f"{core.url} answers.")
        yield ok("token", "Token", "It is accepted.")
        yield from _user(core)
        return
    if core.state is LinkState.REFUSED and core.answers:
        yield ok("host", "Home Assistant", f"{core.url} answers.")
        yield failure(
            "token",
            "Token",
            core.detail,
            "Create a long-lived access token of an administrator and set it as ha_token.",
        )
        return
    yield failure(
        "host",
        "Home Assistant",
        core.detail if core.detail and core.answers else f"{core.url} does not answer.",
        "Start Home Assistant, or set ha_url to the address that your browser opens.",
    )
    yield skipped("token", "Token", NEEDS_CORE)


def _user(core: CoreFacts) -> Iterator[Finding]:
    code, title = "administrator", "Administrator"
    if core.admin is None:
        yield skipped(code, title, "Home Assistant did not tell whose token it is.")
    elif core.admin:
        yield ok(code, title, f"The token belongs to the administrator {core.user!r}.")
    else:
        yield failure(
            code,
            title,
            f"The token belongs to {core.user!r}, who is no administrator: ages cannot be asked.",
            "Create the token as an administrator and set it as ha_token.",
        )


def _version(facts: Facts) -> Iterator[Finding]:
    code, title, core = "core_version", "Version of Home Assistant", facts.core
    if core is None or not linked(facts):
        yield skipped(code, title, NEEDS_CORE)
        return
    numbers = tuple(int(part) for part in re.findall(r"\d+", core.version)[:2])
    if numbers < OLDEST_CORE:
        text = f"{core.version} is older than any that was tried."
        yield warning(code, title, text, "Update Home Assistant to 2024.1 or later.")
    elif not core.running:
        text = f"{core.version} is still starting; entities may be missing."
        yield warning(code, title, text, "Wait a minute and run the doctor again.")
    else:
        yield ok(code, title, core.version)


def _time(facts: Facts) -> Iterator[Finding]:
    core, chosen = facts.core, facts.settings.time_zone
    zone = ("time_zone", "Time zone")
    if not facts.known_zone:
        text = f"{chosen or (core.time_zone if core else '')!r} is not known on this machine."
        yield failure(*zone, text, "Set time_zone to a zone such as Europe/London.")
    elif core is None or not linked(facts):
        yield skipped(*zone, NEEDS_CORE if core else f"Set to {chosen or 'UTC'}.")
    elif chosen and chosen != core.time_zone:
        yield warning(
            *zone,
            f"The setting says {chosen}, Home Assistant {core.time_zone}: their days differ.",
            "Empty the setting time_zone, or correct the zone in Home Assistant.",
        )
    else:
        yield ok(*zone, f"{core.time_zone}, as in Home Assistant.")
    clock = ("clock", "Clock")
    if core is None or core.clock_offset_s is None:
        yield skipped(*clock, "Home Assistant's clock could not be asked.")
        return
    off_s = max(0.0, abs(core.clock_offset_s) - core.clock_doubt_s)
    text = f"Home Assistant's clock is {core.clock_offset_s:+.1f} s from ours."
    repair = "Let both machines set their clocks by NTP; days begin by the clock."
    if off_s > CLOCK_FAIL_S:
        yield failure(*clock, text, repair)
    elif off_s > CLOCK_WARN_S:
        yield warning(*clock, text, repair)
    else:
        yield ok(*clock, text)


def _write_path(facts: Facts) -> Iterator[Finding]:
    code, title, core = "write_path", "Write path", facts.core
    if core is None:
        yield skipped(code, title, "The simulated inverter is written directly.")
    elif facts.settings.path == "bridge":
        text = (
            f"The bridge {facts.settings.path_bridge} is written directly; whether it obeys, the "
        )
        yield skipped(code, title, f"{text}commissioning test proves.")
    elif not linked(facts) or core.actions is None:
        yield skipped(code, title, NEEDS_CORE)
    elif facts.settings.path == "ha_helpers":
        yield from _helpers(facts)
    elif "modbus.write_register" not in core.actions:
        yield failure(
            code,
            title,
            "Home Assistant has no action modbus.write_register: no Modbus hub is configured.",
            "Load the inverter's package (its `modbus:` section) and restart Home Assistant.",
        )
    else:
        hub = facts.settings.modbus_hub
        text = f"modbus.write_register exists. Whether the hub {hub!r} exists cannot be asked "
        yield ok(code, title, f"{text}without writing; the commissioning test proves it.")


def _helpers(facts: Facts) -> Iterator[Finding]:
    code, title = "write_path", "Write path"
    bad = [(key, entity, state) for key, entity, state in facts.helpers if _dead(state)]
    for key, entity, state in bad:
        said = "does not exist" if state is None else f"is {state}"
        repair = f"Repair it, or set entities.{key} to the entity that your package has."
        yield failure(code, title, f"{entity} {said}.", repair)
    if not bad:
        yield ok(code, title, f"{len(facts.helpers)} helpers of the package are there.")


def _dead(state: str | None) -> bool:
    return state is None or state in {"unavailable", "unknown"}


def _broker(facts: Facts) -> Iterator[Finding]:
    code, title, broker = "broker", "MQTT broker", facts.broker
    if broker is None:
        yield skipped(code, title, "It was not asked.")
    elif broker.status is MqttStatus.CONNECTED:
        yield ok(code, title, f"{broker.text} lets the agent in.")
    elif broker.status is MqttStatus.NOT_CONFIGURED:
        repair = "Install the Mosquitto app or set mqtt_host, if you want the agent's entities."
        yield warning(code, title, "There is none: Home Assistant gets no entities.", repair)
    else:
        repair = "Check mqtt_host, mqtt_port, mqtt_username and mqtt_password."
        yield failure(code, title, broker.text, repair)
    if linked(facts) and facts.core and facts.core.components:
        code, title = "mqtt_integration", "MQTT in Home Assistant"
        if "mqtt" in facts.core.components:
            yield ok(code, title, "The MQTT integration is loaded.")
        else:
            repair = "Add the MQTT integration with the same broker, to see the agent's entities."
            yield warning(code, title, "The MQTT integration is not loaded.", repair)


def _rivals(facts: Facts) -> Iterator[Finding]:
    code, title, rivals = "second_controller", "Second controller", facts.rivals
    if facts.core is None or not linked(facts):
        yield skipped(code, title, NEEDS_CORE)
        return
    for name in rivals.integrations:
        repair = "Remove or disable that integration: two controllers fight over one battery."
        yield failure(code, title, f"The integration {name} is loaded.", repair)
    if rivals.toggles_on and facts.settings.path != "ha_helpers":
        repair = "Turn it off: it keeps a dispatch of its own running."
        yield failure(code, title, f"On now: {', '.join(rivals.toggles_on)}.", repair)
    if rivals.automations:
        repair = (
            "Disable them while the agent is in control, or let them press the agent's buttons."
        )
        text = f"These use the package's toggles: {', '.join(rivals.automations)}."
        yield warning(code, title, text, repair)
    if rivals.unasked:
        yield skipped(code, title, rivals.unasked)
    elif not (rivals.integrations or rivals.toggles_on or rivals.automations):
        known = " The package's own reset at Core's start is renewed." if rivals.resets else ""
        yield ok(code, title, f"None was found.{known}")


def _entity_ids(facts: Facts) -> Iterator[Finding]:
    code, title, taken = "entity_ids", "Ids of our entities", facts.rivals.taken_ids
    if facts.core is None or not linked(facts):
        return
    if not taken:
        yield ok(code, title, "None is held by somebody else.")
        return
    said, _, repair = taken[0].partition(". ")
    more = f" And {len(taken) - 1} more." if len(taken) > 1 else ""
    yield warning(code, title, f"{said}.{more}", repair or "Remove or rename the other one.")


CHECKS: tuple[Check, ...] = (
    _disk,
    _settings,
    _host,
    _version,
    _time,
    doctor_inputs.mapping,
    doctor_inputs.inputs,
    doctor_inputs.reports,
    doctor_inputs.signs,
    doctor_inputs.plausible,
    _write_path,
    _broker,
    _rivals,
    _entity_ids,
    doctor_plan.sources,
)
