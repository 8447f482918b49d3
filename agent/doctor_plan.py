"""
Whether plans can be made from what their sources tell: sun, load, carbon intensity and prices.

For each source: does it answer, how far does it reach, in which unit, what is missing. Slots are
cut and priced by the planner's own code. Without a plan the battery is left to the inverter, so
nothing here is a failure unless plans are switched on and cannot be made.

Source: export_monitor.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agent.doctor_facts import (
    NEEDS_CORE,
    AheadFacts,
    Facts,
    Finding,
    Verdict,
    linked,
    ok,
    skipped,
    warning,
)
from agent.export.plan_problem import Aim, worth
from agent.export.plan_slots import LONGEST, slots
from agent.house.series import Series, Stretch
from agent.plan_inputs import named
from agent.plan_question import objective, outlook, planned
from agent.settings import Settings

LEAST_AHEAD = timedelta(hours=12)
"""From the evening to the next morning; a plan that sees less cannot weigh night against peak."""
_HALF_HOUR = timedelta(minutes=30)
_TITLES = {
    "pv": "Forecast of the sun",
    "load": "Expected load",
    "carbon": "Carbon intensity",
    "buy": "Price of import",
    "sell": "Price of export",
}
_REPAIRS = {
    "pv": "Look at the entity; Solcast needs detailedForecast switched on in its options. "
    "Or choose entities.forecast_today and entities.forecast_tomorrow, or fill in roof.",
    "load": "Look at grid, battery and PV power above; half an hour with all three teaches it.",
    "carbon": "Look at the entity, or choose entities.ci_forecast; in Great Britain carbon_region.",
    "buy": "Look at the entity, choose entities.buy_rates, or write buy_tariff down.",
    "sell": "Look at the entity, choose entities.sell_rates, or write sell_tariff down.",
}
_PRICES = frozenset({"buy", "sell"})
_AIMS = {
    Aim.CARBON: frozenset({"carbon"}),
    Aim.MONEY: _PRICES,
    Aim.BOTH: _PRICES | {"carbon"},
}


def sources(facts: Facts) -> Iterator[Finding]:
    """Judge each source of plans by itself, and then whether a plan comes out."""
    code, title = "plan_reach", "Plan"
    if facts.core is not None and not linked(facts):
        yield skipped(code, title, NEEDS_CORE)
    elif facts.ahead is None:
        yield skipped(code, title, "Its sources were not asked.")
    else:
        for name in _TITLES:
            yield _source(name, facts.ahead, facts.settings)
        yield _reach(facts.ahead, facts.settings)


def _needs(name: str, settings: Settings) -> bool:
    """Return True when no plan is made without this source."""
    return name in {"pv", "load"} or name in _AIMS[Aim(settings.plan_aim)]


def _on(settings: Settings) -> bool:
    wanted = planned(settings)
    return wanted.discharge or wanted.charge


def _source(name: str, ahead: AheadFacts, settings: Settings) -> Finding:
    code, title, repair = f"plan_{name}", _TITLES[name], _REPAIRS[name]
    series: Series | None = ahead.load if name == "load" else getattr(ahead.known, name)
    if series is None:
        text = "The running agent learns it: run the check-up on its page to see it."
        return skipped(code, title, text)
    needs = _needs(name, settings)
    if name in ahead.known.unset:
        aim = settings.plan_aim
        use = f"plans with the aim {aim} need it" if needs else f"the aim {aim} does not need it"
        if needs and _on(settings):
            return warning(code, title, f"Not configured; {use}.", repair)
        return skipped(code, title, f"Not configured; {use}.")
    troubles = list(_troubles(name, series, ahead, settings))
    nothing = series.ends is None or series.ends <= ahead.now
    if not nothing and not troubles:
        told = f" {series.reason}." if series.reason else ""
        return ok(code, title, f"{series.source}: {_known(series, ahead)}.{told}")
    if not _on(settings) and name not in named(settings):
        verdict = Verdict.SKIPPED  # nobody has asked for it, and nobody uses it
    elif nothing and needs and _on(settings) and name != "load":  # a load comes by waiting
        verdict = Verdict.FAILURE
    else:
        verdict = Verdict.WARNING
    text = f"{series.source}: {_known(series, ahead)}. {' '.join(troubles)}"
    return Finding(code, title, verdict, _nothing(series, ahead) if nothing else text, repair)


def _nothing(series: Series, ahead: AheadFacts) -> str:
    ended = f"it ended {_when(series.ends, ahead)}" if series.ends else ""
    why = "; ".join(each for each in (ended, series.reason) if each)
    return f"{series.source}: {why}."


def _known(series: Series, ahead: AheadFacts) -> str:
    ends = series.ends or ahead.now
    hours = (ends - ahead.now).total_seconds() / 3600
    here = series.at(ahead.now)
    present = f"{here.value:g} {series.unit} now" if here else f"in {series.unit}"
    return f"{present}, known until {_when(ends, ahead)}, {hours:.0f} h ahead"


def _when(moment: datetime, ahead: AheadFacts) -> str:
    return f"{moment.astimezone(ahead.zone):%a %d %b %H:%M}"


def _troubles(name: str, series: Series, ahead: AheadFacts, settings: Settings) -> Iterator[str]:
    """Yield what is amiss with a source that does tell something, as sentences."""
    until = ahead.now + LONGEST
    # Prices of tomorrow come out in the afternoon; until then plans take today's.
    taken = series.repeated(until) if name in _PRICES else series
    looked_at, unknown = _half_hours(taken, ahead.now)
    if unknown:
        some = f"{len(unknown)} of {looked_at} half hours are missing"
        yield f"{some}, the first {_when(unknown[0], ahead)}."
    if name in _PRICES:
        if not series.unit.startswith(f"{settings.currency}/"):
            yield f"The unit is {series.unit}, and the setting currency says {settings.currency}."
        return
    if series.ends is not None and series.ends - ahead.now < LEAST_AHEAD:
        yield f"That is less than {LEAST_AHEAD.total_seconds() / 3600:.0f} h."
    if series.reason:
        yield f"{series.reason}."


def _half_hours(series: Series, now: datetime) -> tuple[int, list[datetime]]:
    """Return how many half hours up to its end were looked at, and begins of unknown ones."""
    now = now.astimezone(UTC)
    ends = min(series.ends or now, now + LONGEST)
    begins = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    looked_at, unknown = 0, []
    while begins + _HALF_HOUR <= ends:
        after = begins + _HALF_HOUR
        looked_at += 1
        if series.mean(max(begins, now), after) is None:
            unknown.append(max(begins, now))
        begins = after
    return looked_at, unknown


def _reach(ahead: AheadFacts, settings: Settings) -> Finding:
    """Tell what the planner would make of all of it together."""
    code, title, aim = "plan_reach", "Plan", settings.plan_aim
    # Not learned here: any load shows how far the rest would reach.
    load = ahead.load if ahead.load is not None else _any_load(ahead)
    found = slots(outlook(settings, ahead.known, load, ahead.now), ahead.now, ahead.zone)
    aimed = objective(settings)
    unpriced = [slot for slot in found if worth(aimed, slot) is None]
    known = len(found) - len(unpriced)
    until = _when(found[-1].ends, ahead) if found else ""
    text = f"{len(found)} slots until {until}, {known} of them with what the aim {aim} needs."
    if not known:
        missing = "sun and load at this moment" if not found else f"what the aim {aim} needs"
        text = f"No plan can be made without {missing}."
    if not _on(settings):
        return skipped(code, title, f"Nothing is planned: both switches are off. {text}")
    repair = "Repair the source named above that is no longer well; until then nothing is planned."
    if not known:
        waits = ahead.load is not None and not ahead.load
        unset = any(_needs(name, settings) for name in ahead.known.unset)
        verdict = Verdict.WARNING if waits or unset else Verdict.FAILURE
        return Finding(code, title, verdict, text, repair)
    soon = ahead.now + LEAST_AHEAD
    if any(slot.begins < soon for slot in unpriced):
        repair = "Nothing is commanded in a slot without; repair the source named above."
        return warning(code, title, text, repair)
    return ok(code, title, text)


def _any_load(ahead: AheadFacts) -> Series:
    now = ahead.now.astimezone(UTC)
    return Series("W", "", (Stretch(now - _HALF_HOUR, now + 2 * LONGEST, 0.0),))
