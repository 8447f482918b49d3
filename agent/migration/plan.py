"""
Which settings of an old integration can be taken over, with their units, and which cannot.

Every proposal has passed the check that a person's own change would pass, so an import cannot
fail half way. What means another thing here is proposed with the difference, and not ticked where
it would let more energy out or let the agent act by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.migration.mapping import CHANGES, EXPORT_MONITOR, NOT_OURS, PVAUTONOMY_OPS, Rule
from agent.migration.models import Domain, Left, Old, OldState, Plan, Proposal
from agent.setting_fields import SettingError, plain, shorten
from agent.settings import Settings, proposed

PREFIXES = ("energy_export_monitor", "export_monitor")
"""First parts of the old ids: what Core made of the name, and what its README said."""
LEAST_SOC_PERCENT = 4.0
_RULES: Mapping[Domain, Mapping[str, Rule]] = {
    Domain.EXPORT_MONITOR: EXPORT_MONITOR,
    Domain.PVAUTONOMY_OPS: PVAUTONOMY_OPS,
}
_TO_OURS: Mapping[tuple[str, str], float] = {
    ("kW", "W"): 1000.0,
    ("W", "kW"): 0.001,
    ("Wh", "kWh"): 0.001,
    ("MWh", "kWh"): 1000.0,
}
_WHOLE_DAY_ENDS = {"23:59", "24:00"}
_ON, _OFF = {"on", "true", "True"}, {"off", "false", "False"}
_NO_VALUE = {"", "unknown", "unavailable", "None"}


def plan(olds: Iterable[Old], states: Mapping[str, OldState], settings: Settings) -> Plan:
    """
    Return what can be taken over, what is left, and what is different from now on.

    Args:
        olds: what could be read of each old entry; of two entries the first that knows a key wins.
        states: every entity of Home Assistant.
        settings: those in force; what would change nothing is not proposed.
    """
    olds = tuple(olds)
    proposals: dict[str, Proposal] = {}
    left: dict[str, Left] = {}
    for old in olds:
        for found in _of_entry(old, states, settings):
            if isinstance(found, Left):
                left.setdefault(found.old_key, found)
            else:
                proposals.setdefault(found.key, found)
    battery = any(old.entry.domain is Domain.EXPORT_MONITOR for old in olds)
    if battery and (prefix := _prefix(olds, states, settings)) is not None:
        proposals[prefix.key] = prefix
    return Plan(tuple(proposals.values()), tuple(left.values()), CHANGES if battery else ())


def _of_entry(
    old: Old, states: Mapping[str, OldState], settings: Settings
) -> Iterator[Proposal | Left]:
    rules = _RULES[old.entry.domain]
    for old_key, rule in rules.items():
        given = _in_force(old, rule, states)
        if given is None and old_key in old.form:
            given = OldState(_words(old.form[old_key]), rule.unit)
        if given is not None and given.state not in _NO_VALUE:
            found = _taken_over(old_key, rule, given, states, settings)
            if found is not None:
                yield found
    for old_key in sorted(set(old.form) - set(rules)):
        value = old.form[old_key]
        if value is not None and old_key in NOT_OURS:
            yield Left(old_key, shorten(value).strip("'"), NOT_OURS[old_key])
    if old.unread:
        yield Left(old.entry.title, "", old.unread)


def _in_force(old: Old, rule: Rule, states: Mapping[str, OldState]) -> OldState | None:
    """Return what the old integration's own entity says; its form may show an older value."""
    if not rule.suffix:
        return None
    domain = "switch" if rule.kind == "switch" else "number"
    guesses = (f"{domain}.{prefix}_{_ID_OF.get(rule.suffix, rule.suffix)}" for prefix in PREFIXES)
    for entity_id in (old.ids.get(rule.suffix, ""), *(guesses if not old.ids else ())):
        found = states.get(entity_id)
        if found is not None and found.state not in _NO_VALUE:
            return found
    return None


_ID_OF = {"min_soc": "minimum_soc"}
"""Where the id says it in other words than the unique id."""


def _words(value: Any) -> str:
    return str(value) if value is not None else ""


def _taken_over(
    old_key: str,
    rule: Rule,
    given: OldState,
    states: Mapping[str, OldState],
    settings: Settings,
) -> Proposal | Left | None:
    """Return one setting as ours, or why not; `None` where ours has that value already."""
    shown = shorten(f"{given.state} {given.unit or rule.unit}".strip()).strip("'")
    value, text = _value(rule, given, states)
    if value is None:
        return Left(old_key, shown, text)
    try:
        wanted = proposed(settings, {rule.key: value})
    except SettingError as error:
        return Left(old_key, shown, f"It does not fit here: {error}.")
    if wanted == settings:
        return None
    said = " ".join(each for each in (text, rule.text) if each)
    return Proposal(rule.key, value, old_key, shown, said, chosen=rule.chosen)


def _value(rule: Rule, given: OldState, states: Mapping[str, OldState]) -> tuple[Any, str]:
    """Return the value in our form and what was done to it, or `None` and why there is none."""
    text = given.state
    if rule.kind == "number":
        return _number(rule, given)
    if rule.kind == "switch":
        if text in _ON | _OFF:
            return text in _ON, ""
        return None, "It is neither on nor off."
    if rule.kind == "time":
        at = text[:5]
        ends = rule.key.endswith("_end") and at in _WHOLE_DAY_ENDS
        return ("00:00", "The end of the day is written 00:00 here.") if ends else (at, "")
    if rule.kind in {"entity", "entities"} and text not in states:
        return None, "Home Assistant has no such entity now. Choose another one in the settings."
    return ([text] if rule.kind == "entities" else text), ""


def _number(rule: Rule, given: OldState) -> tuple[float | None, str]:
    try:
        number = float(given.state)
    except ValueError:
        return None, "It is not a number."
    unit = given.unit or rule.unit
    factor = 1.0 if unit == rule.unit else _TO_OURS.get((unit, rule.unit))
    if factor is None:
        return None, f"It is told in {shorten(unit)}, and {rule.key} is in {rule.unit}."
    number = round(number * factor, 6)
    if rule.key == "min_soc_percent" and number < LEAST_SOC_PERCENT:
        floor = plain(LEAST_SOC_PERCENT)
        return LEAST_SOC_PERCENT, f"Raised to {floor} %, the inverter's own floor."
    return number, ""


def _prefix(
    olds: Iterable[Old], states: Mapping[str, OldState], settings: Settings
) -> Proposal | None:
    """Return the prefix under which dashboards and automations know the old entities."""
    # Without the registry only the first can be told from the agent's own ids.
    guessed = (each for each in states if f".{PREFIXES[0]}_" in each)
    count = dict.fromkeys(PREFIXES, 0)
    for entity_id in [each for old in olds for each in old.ids.values()] or guessed:
        name = entity_id.partition(".")[2]
        prefix = next((it for it in PREFIXES if name.startswith(f"{it}_")), None)
        if prefix is not None:
            count[prefix] += 1
    best = max(PREFIXES, key=lambda it: count[it])
    if not count[best] or best == settings.entity_prefix:
        return None
    text = (
        "The agent's entities then take the ids that your dashboards and automations know. Remove "
        "the old integration first: while its entities exist, their ids are taken."
    )
    shown = f"{count[best]} entities named {best}_…"
    return Proposal("entity_prefix", best, "ids", shown, text, chosen=False)
