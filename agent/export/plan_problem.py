"""
The question that a planner answers: what is known of the hours to come, and what is allowed.

Power is the average of a slot in W, energy in Wh, prices per kWh in the site's currency. A price
or a carbon intensity that is not known is `None`, and a slot without one is never commanded in.
Everything here is plain data: the solver, its fallback and the tests read the same question.

Source: control.md, findings 6 and 10, and section 4.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

SECONDS_PER_HOUR = 3600.0
WH_PER_KWH = 1000.0
LEAST_WINDOW_WH = 150.0
"""
Least energy between battery and grid that a window is planned for.

It is what the least power that the guard commands, 300 W, moves in half an hour. A start takes some
ten seconds until the power is there, and as much wear of relays and cells for a little as for much;
below this a window buys nothing that a meter would show.
"""
_UTC = ZoneInfo("UTC")
_SURE = 0.95
"""A use after the forecast's end counts a little less than one within it."""


class Aim(StrEnum):
    """What a plan makes small."""

    CARBON = "carbon"
    """Imported minus exported energy, weighed with the grid's carbon intensity; in g."""
    MONEY = "money"
    """Paid minus earned; in the currency of the prices."""
    BOTH = "both"
    """Money, with a price on each kilogram of carbon dioxide."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What a plan makes small, and what it costs to move energy through the battery."""

    aim: Aim = Aim.CARBON
    wear_per_kwh: float = 0.0
    """Loss of the battery per kWh discharged, in the unit of the aim: g, or currency. Without it
    a plan would move energy for nothing."""
    carbon_price_per_kg: float = 0.0
    """What a kilogram of CO2 is worth to the site; only for `both`."""
    end_value_per_kwh: float | None = None
    """What a kWh in the battery is worth after the last slot; `None`: what its refill costs."""
    currency: str = ""
    """Of the prices, as `GBP`; only for sentences."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time in which price, carbon intensity and permissions stay the same."""

    begins: datetime
    """In UTC: two times of one zone are compared by the clock on the wall, which repeats hours."""
    ends: datetime
    day: date
    """The site's local day that it belongs to; a slot never crosses midnight."""
    pv_w: float
    load_w: float
    buy_per_kwh: float | None = None
    sell_per_kwh: float | None = None
    carbon_g_per_kwh: float | None = None
    may_discharge: bool = True
    """It lies in the window for discharge to the grid."""
    may_charge: bool = True
    """It lies in the window for charge from the grid."""
    pv_low_w: float | None = None
    """Pessimistic PV; what the allowance counts on where it is given."""

    def __post_init__(self) -> None:
        if self.begins.tzinfo is not UTC or self.ends.tzinfo is not UTC:
            raise ValueError(f"a slot is in UTC, not {self.begins.isoformat()}")
        if self.begins >= self.ends:
            raise ValueError(f"the slot at {self.begins.isoformat()} has no length")

    @property
    def hours(self) -> float:
        """Length in hours."""
        return (self.ends - self.begins).total_seconds() / SECONDS_PER_HOUR

    @property
    def net_w(self) -> float:
        """Load minus PV: what the house needs beyond its own sun, negative when it has more."""
        return self.load_w - self.pv_w

    @property
    def counted_pv_w(self) -> float:
        """PV that the allowance counts on."""
        return self.pv_w if self.pv_low_w is None else self.pv_low_w

    @property
    def spill_w(self) -> float:
        """What the sun gives beyond the load: it may leave the house unasked."""
        return max(0.0, -self.net_w)


@dataclass(frozen=True, slots=True)
class Battery:
    """The battery and its inverter; powers at the AC side."""

    capacity_wh: float
    stored_wh: float
    """Content now."""
    floor_wh: float = 0.0
    """The inverter's own protection: self-consumption ends here."""
    reserve_wh: float = 0.0
    """No discharge to the grid below this; the house itself may go on to the floor."""
    charge_to_wh: float | None = None
    """Forced charge ends here, `None`: at the capacity. The sun may fill it up."""
    max_charge_w: float = 5000.0
    max_discharge_w: float = 5000.0
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    ac_limit_w: float = 5000.0
    """PV and discharge together cannot pass more through a hybrid inverter."""

    @property
    def forced_charge_limit_wh(self) -> float:
        """Content at which forced charge ends."""
        return self.capacity_wh if self.charge_to_wh is None else self.charge_to_wh


@dataclass(frozen=True, slots=True)
class Site:
    """What the connection and the contract allow."""

    export_limit_w: float
    """Forced discharge never brings the grid export above this."""
    import_limit_w: float = 15_000.0
    """Forced charge never brings the grid import above this."""
    produced_wh: float = 0.0
    """PV energy of the first slot's day so far, its lower bound."""
    exported_wh: float = 0.0
    """Exported energy of that day so far, its upper bound."""
    tolerance_wh: float = 0.0
    """Granted by the contract on top of what was produced, each day."""
    margin_wh: float = 0.0
    """Kept back on purpose, each day."""
    min_command_w: float = 300.0
    """Less power is not worth a command."""
    least_window_wh: float = LEAST_WINDOW_WH
    """Less energy to or from the grid is not worth a window."""
    can_hold: bool = False
    """The battery can be told to rest, and to charge with less than the sun gives."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a plan is made from; the first slot begins now."""

    slots: tuple[Slot, ...]
    battery: Battery
    site: Site
    objective: Objective = Objective()
    zone: ZoneInfo = _UTC
    """The site's; for sentences."""
    goes_on: str = ""
    """Name of the action that runs at this moment; to go on with it takes no start."""

    def __post_init__(self) -> None:
        battery = self.battery
        efficiencies = (battery.charge_efficiency, battery.discharge_efficiency)
        if not all(0 < each <= 1 for each in efficiencies):
            raise ValueError(f"an efficiency is between 0 and 1, not {efficiencies}")
        if not 0 <= battery.floor_wh <= battery.capacity_wh or battery.capacity_wh <= 0:
            raise ValueError(
                f"a battery of {battery.capacity_wh:g} Wh cannot have a floor of "
                f"{battery.floor_wh:g} Wh"
            )
        if not 0 <= battery.stored_wh <= battery.capacity_wh:
            raise ValueError(
                f"a battery of {battery.capacity_wh:g} Wh cannot hold {battery.stored_wh:g} Wh"
            )
        for before, after in pairwise(self.slots):
            if before.ends > after.begins:
                raise ValueError(f"slots overlap at {after.begins.isoformat()}")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a kWh costs and gives in one slot, in the unit of the objective."""

    buy: float
    sell: float
    known: bool
    """False: filled up from other slots, so nothing may be commanded for its sake."""


def costs(problem: Problem) -> tuple[Costs, ...]:
    """
    Return what each slot's energy is worth by the objective.

    A slot whose price or carbon intensity is missing gets the average of the others, so that it
    neither attracts nor repels, and is marked as unknown.
    """
    pairs = [worth(problem.objective, slot) for slot in problem.slots]
    known = [pair for pair in pairs if pair is not None]
    mean = (
        (sum(buy for buy, _ in known) / len(known), sum(sell for _, sell in known) / len(known))
        if known
        else (0.0, 0.0)
    )
    return tuple(Costs(*(pair or mean), known=pair is not None) for pair in pairs)


def worth(objective: Objective, slot: Slot) -> tuple[float, float] | None:
    """Return what a kWh costs and gives in a slot by the objective; `None` where not known."""
    carbon, buy, sell = slot.carbon_g_per_kwh, slot.buy_per_kwh, slot.sell_per_kwh
    if objective.aim is Aim.CARBON:
        return None if carbon is None else (carbon, carbon)
    if buy is None or sell is None:
        return None
    if objective.aim is Aim.MONEY:
        return buy, sell
    if carbon is None:
        return None
    priced = carbon / 1000.0 * objective.carbon_price_per_kg
    return buy + priced, sell + priced


def end_value(problem: Problem, priced: tuple[Costs, ...]) -> float:
    """
    Return what a kWh in the battery is worth after the last slot, in the unit of the objective.

    It is what filling it again costs, but no more than what it could save or earn: with a flat
    tariff nobody refills, and what is stored is best used. The median price made plans hoard.
    """
    if problem.objective.end_value_per_kwh is not None:
        return problem.objective.end_value_per_kwh
    battery, wear = problem.battery, problem.objective.wear_per_kwh
    uses = [
        cost.buy if slot.net_w > 0 else cost.sell
        for slot, cost in zip(problem.slots, priced, strict=True)
        if cost.known
    ]
    use = (max(uses, default=0.0) - wear) * battery.discharge_efficiency
    return max(0.0, _SURE * min(refill_cost(problem, priced), use))


def refill_cost(problem: Problem, priced: tuple[Costs, ...]) -> float:
    """
    Return what it costs to store a kWh: the cheapest slot in which that may be done.

    Where the grid may not charge the battery, the sun does, and what is lost is the price that
    its surplus would have earned. Losses are included.
    """
    sources = [
        cost.buy if slot.may_charge else cost.sell
        for slot, cost in zip(problem.slots, priced, strict=True)
        if cost.known and (slot.may_charge or slot.spill_w > 0)
    ]
    return max(0.0, min(sources, default=0.0)) / problem.battery.charge_efficiency


def allowance_starts_wh(problem: Problem) -> dict[date, float]:
    """Return what each day may still export before its first slot's sun is counted."""
    site = problem.site
    granted = site.tolerance_wh - site.margin_wh
    starts: dict[date, float] = {}
    for slot in problem.slots:
        so_far_wh = 0.0 if starts else site.produced_wh - site.exported_wh
        starts.setdefault(slot.day, granted + so_far_wh)
    return starts
