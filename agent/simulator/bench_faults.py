"""
What goes wrong on a simulated day, and when.

Fourteen ways in which data, commands or processes fail, two ways in which somebody else does
something, four habits of inverters, forecasts that flap, days on which the clock changes, and
storms of several at once. Each class draws its own
moments; kills choose the worst ones: the instant a lease leaves, the instant it arrives, a raise
of power, the last watt-hours.

Source: control.md, sections 4.3 and 4.5.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.simulator.bench_site import DAY_S, HOUR_S, Day, with_clock_change
from agent.simulator.dispatch import DispatchSettings

MINUTE_S = 60.0
_FOREIGN_W = 5000.0
DATA = frozenset({"grid_w", "battery_w", "soc_percent", "exported_wh", "produced_wh", "dispatch"})
"""Values without which no discharge may go on."""
POWERS = frozenset({"grid_w", "battery_w", "pv_w"})
EXPORT_COUNTER = frozenset({"exported_wh"})
EVERYTHING = DATA | POWERS
NOT_OURS = frozenset({"foreign_controller", "inverter_ignores_timer"})
"""What no controller can answer for: their breaches are counted apart."""
BAD_DATA = (
    "unavailable",
    "dropout",
    "freeze_power",
    "freeze_counter",
    "freeze_all",
    "unavailable_as_zero",
    "negative_jump",
    "counter_reset",
)
"""Faults after which a discharge has to stop; how soon is promised, but for a counter that stands
still: that shows when enough has flowed to move it."""
CLASSES = (
    *BAD_DATA,
    "restart",
    "core_restart",
    "kill",
    "command_outage",
    "link_down",
    "command_loss",
    "foreign_controller",
    "late_counter",
    "inverter_rounds",
    "inverter_lags",
    "inverter_gain",
    "inverter_ignores_timer",
    "forecast_flaps",
    "short_day",
    "long_day",
    "storm",
)
_CLOCK = ("short_day", "long_day")
_IN_STORMS = tuple(
    name
    for name in CLASSES
    if name not in NOT_OURS | {"storm", "kill", "late_counter", *_CLOCK} and "inverter" not in name
)


class Moment(StrEnum):
    """What a kill waits for."""

    TIME = "time"
    SENT = "sent"
    """A command was journaled and leaves, or not."""
    WRITTEN = "written"
    """A command has just reached the registers."""
    RAISED = "raised"
    """The same, with more power than before."""
    LEFT = "left"
    """Less than so many Wh are left of the allowance."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance, in seconds since the day's midnight."""

    kind: str
    begins_s: float
    ends_s: float = 2 * DAY_S
    values: frozenset[str] = frozenset()
    amount: float = 0.0
    """Wh of a fall, W of a foreign dispatch, share of lost commands, Wh of a forecast (below zero
    there is none)."""
    moment: Moment = Moment.TIME
    """For kills: what is waited for after `begins_s`."""
    after: float = 0.0
    """So many of these moments, or Wh."""


def draw_faults(kind: str, day: Day) -> tuple[Fault, ...]:
    """Return the disturbances of a day, in the order of time."""
    source = random.Random(f"{kind} {day.seed}")  # noqa: S311 - weather, not keys
    if kind == "storm":
        kinds = [source.choice(_IN_STORMS) for _ in range(source.randint(2, 5))]
        kinds += ["kill"] * (source.random() < 0.5)  # noqa: PLR2004 - every other one
    else:
        kinds = [kind]
    found = [fault for each in kinds for fault in _draw(each, day, source)]
    return tuple(sorted(found, key=lambda fault: fault.begins_s))


def with_habit(kind: str, day: Day) -> Day:
    """Return the day with the inverter that this class is about."""
    source = random.Random(f"{kind} {day.seed}")  # noqa: S311 - weather, not keys
    dispatch, plant = day.plant.dispatch, day.plant

    def habit(changed: DispatchSettings) -> Day:
        return replace(day, plant=replace(plant, dispatch=changed))

    match kind:
        case "inverter_rounds":
            return habit(replace(dispatch, timer_step_s=60))
        case "inverter_lags":
            lag_s = float(source.randint(2, 30))
            changed = replace(dispatch, exit_lag_s=lag_s)
            return replace(day, plant=replace(plant, dispatch=changed, lag_s=source.uniform(2, 4)))
        case "inverter_gain":
            return replace(day, plant=replace(plant, gain=source.uniform(0.93, 1.10)))
        case "inverter_ignores_timer":
            return habit(replace(dispatch, timer_ignored=True))
        case "short_day" | "long_day":
            forward, to_midnight = kind == "short_day", source.random() < 0.5  # noqa: PLR2004 - half
            return with_clock_change(day, forward=forward, to_midnight=to_midnight)
        case _:
            return day


_LASTING_MIN = {
    "unavailable": (0.5, 30),
    "unavailable_as_zero": (0.5, 30),
    "dropout": (0.5, 30),
    "freeze_power": (2, 120),
    "freeze_counter": (5, 240),
    "freeze_all": (5, 240),
    "negative_jump": (0.5, 12),
    "core_restart": (2, 5),
    "link_down": (1, 120),
    "command_outage": (1, 60),
    "foreign_controller": (120, 120),
}
"""Shortest and longest of a fault that passes, in minutes; the others stay."""
_VALUES = {
    "dropout": EVERYTHING,
    "freeze_power": POWERS,
    "freeze_counter": EXPORT_COUNTER,
    "freeze_all": EVERYTHING - {"dispatch"},
}


def _draw(kind: str, day: Day, source: random.Random) -> list[Fault]:
    if kind.startswith("inverter") or kind in _CLOCK:
        return []
    if kind == "forecast_flaps":
        return _flaps(day, source)
    if kind in ("command_loss", "late_counter"):
        return [Fault(kind, day.opens_s, amount=0.2)]
    begins_s = source.uniform(day.opens_s, day.opens_s + 0.5 * (day.closes_s - day.opens_s))
    if kind == "kill":
        return [_kill(Fault(kind, begins_s), day, source)]
    if kind == "restart":
        return _restarts(begins_s, day, source)
    ends_s = 2 * DAY_S
    if kind in _LASTING_MIN:
        ends_s = begins_s + source.uniform(*_LASTING_MIN[kind]) * MINUTE_S
    values = _VALUES.get(kind, DATA)
    if kind.startswith("unavailable"):
        # A zero of the registers is a dispatch that has ended; that is the class core_restart.
        names = sorted(DATA if kind == "unavailable" else DATA - {"dispatch"})
        values = frozenset(source.sample(names, source.randint(1, len(names))))
    amount = _FOREIGN_W if kind == "foreign_controller" else source.uniform(50, 5000)
    return [Fault(kind, begins_s, ends_s, values, amount)]


def _flaps(day: Day, source: random.Random) -> list[Fault]:
    """Return about eight revisions of the day's forecast, some of them absurd (case 20)."""
    plant = day.plant
    typical_wh = 0.4 * plant.pv_peak_w * (plant.sunset_s - plant.sunrise_s) / HOUR_S
    times_s = sorted(source.uniform(0, day.closes_s) for _ in range(source.randint(6, 10)))
    ends_s = [*times_s[1:], 2 * DAY_S]
    shares = [source.choice((0.0, source.uniform(0.3, 1.7), 10.0, -1.0)) for _ in times_s]
    return [
        Fault("forecast_flaps", begins, ends, amount=share * typical_wh)
        for begins, ends, share in zip(times_s, ends_s, shares, strict=True)
    ]


def _restarts(begins_s: float, day: Day, source: random.Random) -> list[Fault]:
    found = []
    for _ in range(source.randint(1, 4)):
        # Some come back while their lease still runs, and have to adopt it.
        away_s = source.choice((source.uniform(5, 50), source.uniform(120, 300)))
        # The end counts from the kill, which may wait for its moment.
        found.append(_kill(Fault("restart", begins_s, begins_s + away_s), day, source))
        begins_s += away_s + source.uniform(2, 20) * MINUTE_S
    return found


def _kill(fault: Fault, day: Day, source: random.Random) -> Fault:
    moment = source.choice(list(Moment))
    begins_s = fault.begins_s
    if fault.kind == "kill" and moment is not Moment.TIME:
        begins_s = day.opens_s
    if day.closes_s >= day.length_s and moment is Moment.TIME and fault.kind == "kill":
        begins_s = day.length_s - source.uniform(0, 2 * MINUTE_S)
    after = 10 ** source.uniform(0.7, 3.0) if moment is Moment.LEFT else source.randint(1, 120)
    return Fault(
        fault.kind, begins_s, begins_s + fault.ends_s - fault.begins_s, moment=moment,
        after=float(after),
    )  # fmt: skip
