"""
Whether the house's values can be what they claim to be.

Entity, unit, range and age of each input come from its reading. What single values cannot tell,
several can: a house does not produce power, so an inverted sign shows in their sum.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.doctor_facts import (
    NEEDS_CORE,
    Facts,
    Finding,
    InputFacts,
    Verdict,
    failure,
    linked,
    ok,
    sentence,
    skipped,
    warning,
)
from agent.house.readings import CounterKind, Quality, SourceTraits

IMPOSSIBLE_DAY_WH = 250_000.0
"""No house has a daily counter above this; a lifetime counter passes it within a year or two."""
IMPOSSIBLE_LOAD_W = -150.0
IMPOSSIBLE_GRID_W = 30_000.0
LEAST_SAMPLES = 3
_POWERS = ("grid_w", "battery_w")


def mapping(facts: Facts) -> Iterator[Finding]:
    """Tell what the detection of entities could not settle."""
    code, title, watch = "entities", "Entities", facts.watch
    if watch is None or (facts.core is not None and not linked(facts)):
        yield skipped(code, title, NEEDS_CORE)
        return
    for text in watch.findings:
        said, _, repair = text.partition("; ")
        yield warning(code, title, f"{said}.", sentence(repair) or "Choose it in the settings.")
    if not watch.findings:
        yield ok(code, title, "Every entity that is needed was found.")


def inputs(facts: Facts) -> Iterator[Finding]:
    """Judge every input by itself: entity, unit, range, age."""
    if facts.watch is None or (facts.core is not None and not linked(facts)):
        return
    for each in facts.watch.inputs:
        yield _input(each, facts)


_OPTIONAL = frozenset({"forecast_today_wh", "reserve_soc_percent"})


def _input(each: InputFacts, facts: Facts) -> Finding:
    reading = each.reading
    code, title = f"input_{each.name}", each.name
    if reading.quality is Quality.MISSING and each.name in _OPTIONAL:
        return skipped(code, title, "Not configured; it is optional.")
    if not reading.good or reading.value is None:
        said, _, repair = reading.detail.partition("; ")
        text = f"{said or f'{reading.source} gives no usable value'}."
        repair = sentence(repair) or "Look at the integration that feeds it, or choose another."
        verdict = Verdict.WARNING if each.name in _OPTIONAL else Verdict.FAILURE
        return Finding(code, title, verdict, text, repair)
    return _aged(each, f"{reading.source} = {reading.value:g}", facts)


def _aged(each: InputFacts, text: str, facts: Facts) -> Finding:
    code, title, settings = f"input_{each.name}", each.name, facts.settings
    if each.age_s is None:
        return ok(code, title, text)
    text = f"{text}, {each.age_s:.0f} s old"
    power, soc = each.name in _POWERS, each.name == "soc_percent"
    # Where only changes are told, a state of charge may well stand still for long.
    soc = soc and each.reading.reported_s is not None
    limit_s = settings.stale_after_s if power else settings.soc_stale_after_s
    if (power or soc) and each.age_s > limit_s:
        repair = f"Check the inverter's connection; older than {limit_s:g} s ends a discharge."
        return failure(code, title, f"{text}: too old.", repair)
    if power and each.age_s > settings.stale_warning_s:
        repair = "Shorten the scan_interval of this sensor, or lighten the Modbus hub."
        return warning(code, title, f"{text}: often this late is too late.", repair)
    return ok(code, title, text)


def reports(facts: Facts) -> Iterator[Finding]:
    """Tell how often the powers were reported while they were watched."""
    code, title, watch = "scan_intervals", "Scan intervals", facts.watch
    if watch is None or not watch.inputs or (facts.core is not None and not linked(facts)):
        yield skipped(code, title, NEEDS_CORE)
        return
    powers = [each for each in watch.inputs if each.name in _POWERS and each.reading.good]
    told = ", ".join(f"{each.name} {each.reports}" for each in powers)
    text = f"New reports within {watch.seconds:.0f} s: {told or 'none'}."
    silent = [each for each in powers if each.reports == 0]
    patience_s = watch.traits.power_poll_s if watch.traits else 0.0
    if silent and watch.seconds >= min(patience_s, 10.0):
        names = " and ".join(each.reading.source for each in silent)
        repair = "Set scan_interval to 1 to 5 s for it, or lighten the Modbus hub."
        yield warning(code, title, f"{text} {names} said nothing.", repair)
    elif any(each.reading.reported_s is None for each in powers):
        yield ok(code, title, f"{text} This Home Assistant tells changes only.")
    else:
        yield ok(code, title, text)


def signs(facts: Facts) -> Iterator[Finding]:
    """Find an inverted sign by the sum of the powers."""
    code, title = "signs", "Signs"
    powers = facts.watch.powers if facts.watch else ()
    if len(powers) < LEAST_SAMPLES:
        yield skipped(code, title, "Not enough powers were seen together.")
        return
    impossible = [p for p in powers if sum(p) < IMPOSSIBLE_LOAD_W]
    if len(impossible) * 5 < len(powers) * 4:
        text = "Grid, battery and PV power add up to a load that a house can have."
        yield ok(code, title, text)
        return
    flips = {"grid_power": (-1, 1, 1), "battery_power": (1, -1, 1)}
    suspects = [
        name
        for name, signs in flips.items()
        if all(
            sum(s * p for s, p in zip(signs, each, strict=True)) >= IMPOSSIBLE_LOAD_W
            for each in impossible
        )
    ]
    load_w = sum(impossible[-1])
    blamed = " or ".join(suspects) or "one of the three"
    yield failure(
        code,
        title,
        f"Grid + battery + PV is {load_w:.0f} W, which no house can use: the sign of {blamed} "
        "looks inverted.",
        "Grid must be positive for import, battery positive for discharge; choose the entity that "
        "is, or correct it with a template.",
    )


def plausible(facts: Facts) -> Iterator[Finding]:
    """Find values that cannot be what they claim."""
    code, title, watch = "plausibility", "Plausibility", facts.watch
    values = {e.name: e.reading.value for e in watch.inputs if e.reading.good} if watch else {}
    if watch is None or not values:
        yield skipped(code, title, "No values were seen.")
        return
    strange = list(_strange(values, watch.traits))
    for text, repair in strange:
        yield warning(code, title, text, repair)
    if not strange:
        yield ok(code, title, "No value contradicts another.")


def _strange(
    values: dict[str, float | None], traits: SourceTraits | None
) -> Iterator[tuple[str, str]]:
    kinds = {
        "exported_wh": traits.exported_kind if traits else None,
        "produced_wh": traits.produced_kind if traits else None,
    }
    for name, kind in kinds.items():
        if kind is CounterKind.DAILY and (values.get(name) or 0.0) > IMPOSSIBLE_DAY_WH:
            text = f"{name} stands at {(values[name] or 0) / 1000:.0f} kWh for one day."
            yield text, "Choose the daily counter (a utility meter), not the lifetime one."
    if abs(values.get("grid_w") or 0.0) > IMPOSSIBLE_GRID_W:
        yield f"Grid power is {values['grid_w']:.0f} W.", "Check unit and scale of that sensor."
    if values.get("dispatch_start") == 1:
        yield "A dispatch runs at this moment.", "If nobody wanted it, find out who started it."
