"""
What a simulated day is judged by, measured at the house and not at its controller.

A breach is energy: exported more than produced and 10 Wh, while a lease was open or at the end of
a day that had one. An excursion is power: seconds in which a dispatch took the connection point
above its limit. Replayed by the rules of G100, excursions become lock-outs.

Source: control.md, sections 1 (G100 Issue 2) and 5 (T1 to T6, T10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.simulator.plant import Plant

LIMIT_SLACK_W = 50.0
"""Above the limit by less than this is the meter's noise (control.md, section 4.4)."""
RECORDED_S = 15.0
"""G100 only records a shorter excursion."""
_LOCKOUT_S = 60.0
_PAIR_S = 600.0
_TRIPLE_S = 86_400.0
_TRIPLE = 3
_STOPPED_W = 250.0
_LONG_BAD_S = 60.0
_HOUR_S = 3600.0
NEVER_WH = -1e9


@dataclass(frozen=True, slots=True)
class Excursion:
    """One stretch above the power limit."""

    begins_s: float
    lasts_s: float


def lockouts(excursions: Sequence[Excursion]) -> int:
    """
    Return how often G100 Issue 2 would have locked the house out.

    One excursion above 60 s, two of 15 s within 10 minutes, or three within 24 hours; each
    lock-out begins the count anew. The two implementations known differ on the third rule; this
    is the stricter.
    """
    count, recent = 0, list[float]()
    for excursion in excursions:
        if excursion.lasts_s < RECORDED_S:
            continue
        ends_s = excursion.begins_s + excursion.lasts_s
        recent = [at_s for at_s in recent if ends_s - at_s <= _TRIPLE_S] + [ends_s]
        pair = len(recent) > 1 and recent[-1] - recent[-2] <= _PAIR_S
        if excursion.lasts_s > _LOCKOUT_S or pair or len(recent) >= _TRIPLE:
            count, recent = count + 1, []
    return count


@dataclass(slots=True)
class DayResult:
    """Figures of one day; energies in Wh, times in seconds."""

    number: int
    fault: str
    ours: bool
    """False where no controller can answer for a breach."""
    leased: bool = False
    """A discharge was commanded on this day."""
    over_wh: float = NEVER_WH
    """Most that was exported above what was produced, while it counts."""
    over_at_s: float = 0.0
    produced_wh: float = 0.0
    exported_wh: float = 0.0
    budget_bound: bool = False
    """The allowance, and neither battery nor time, ended the export."""
    excursions: list[Excursion] = field(default_factory=list)
    writes: int = 0
    writes_idle: int = 0
    """Commands while nothing was wanted and nothing had to be stopped."""
    writes_unneeded: int = 0
    """Leases that changed nothing, before a renewal was due."""
    processor_s: float = 0.0
    """Of the machine, for this day: what tells the bench's speed where others work too."""
    forecast_wh: float | None = None
    """The last forecast that was shown for the day."""
    discharge_s: float = 0.0
    killed: bool = False
    kill_wh: float = 0.0
    """Forced export after a kill."""
    kill_s: float = 0.0
    """How long it ran on."""
    stop_s: list[float] = field(default_factory=list)
    """From a fault of the data to the end of the forced discharge."""
    stop_wh: list[float] = field(default_factory=list)
    """What left the house in each of these times."""
    noticed_s: list[float] = field(default_factory=list)
    """From a foreign start to the word about it."""
    counter_writes: int = 0
    """Stops written against a foreign dispatch."""
    back_s: list[float] = field(default_factory=list)
    """From a restart until what runs is judged and a command could leave."""
    events: dict[str, int] = field(default_factory=dict)

    @property
    def over_limit_s(self) -> float:
        """Seconds above the power limit."""
        return sum(excursion.lasts_s for excursion in self.excursions)


class Judge:
    """Watches the plant second by second; seconds count from midnight."""

    def __init__(self, plant: Plant, limit_w: float, result: DayResult) -> None:
        self._plant = plant
        self._limit_w = limit_w
        self.result = result
        self._exported_wh = plant.true_exported_wh
        self._produced_wh = plant.true_produced_wh
        self._above_since_s: float | None = None
        self._stopping_s: float | None = None
        self._stopping_wh = 0.0
        self._died_s: float | None = None

    @property
    def exported_wh(self) -> float:
        """What left the house on this local day."""
        return self._plant.true_exported_wh - self._exported_wh

    @property
    def produced_wh(self) -> float:
        """What the sun gave on this local day."""
        return self._plant.true_produced_wh - self._produced_wh

    @property
    def forcing(self) -> bool:
        """True while a dispatch sends the battery's energy to the grid."""
        return forced_export_w(self._plant) > _STOPPED_W

    def tick(self, now_s: float, dt_s: float, *, leased: bool) -> None:
        """Look at one second; `leased` says that a lease is open or still paid for."""
        plant, result = self._plant, self.result
        acting = plant.dispatch.acting
        discharging = acting is not None and acting.power_w > 0
        if leased or discharging:
            over_wh = self.exported_wh - self.produced_wh
            if over_wh > result.over_wh:
                result.over_wh, result.over_at_s = over_wh, now_s
        if discharging:
            result.discharge_s += dt_s
        above = discharging and -plant.true_grid_w > self._limit_w + LIMIT_SLACK_W
        if above and self._above_since_s is None:
            self._above_since_s = now_s - dt_s
        elif not above and self._above_since_s is not None:
            since_s, self._above_since_s = self._above_since_s, None
            result.excursions.append(Excursion(since_s, now_s - dt_s - since_s))
        if self._stopping_s is not None and not self.forcing:
            self._stopped(now_s)
        if self._died_s is not None and self.forcing:
            result.kill_wh += forced_export_w(plant) * dt_s / _HOUR_S
            result.kill_s = now_s - self._died_s

    def data_went_bad(self, now_s: float) -> None:
        """Begin to wait for the discharge to stop, if one runs."""
        if self._stopping_s is None and self.forcing:
            self._stopping_s, self._stopping_wh = now_s, self._plant.true_exported_wh

    def data_are_back(self, now_s: float) -> None:
        """Take a stop that has not come within a minute for one that never came."""
        if self._stopping_s is not None and now_s - self._stopping_s > _LONG_BAD_S:
            self._stopped(now_s)
        self._stopping_s = None

    def _stopped(self, now_s: float) -> None:
        """Take down how long it took from bad data to the stop, and what left meanwhile."""
        if self._stopping_s is not None:
            self.result.stop_s.append(now_s - self._stopping_s)
            self.result.stop_wh.append(self._plant.true_exported_wh - self._stopping_wh)
        self._stopping_s = None

    def died(self, now_s: float) -> None:
        """The controller is gone for the rest of the day."""
        self._died_s, self.result.killed = now_s, True

    def midnight(self, now_s: float) -> None:
        """Close the day's account."""
        result = self.result
        result.exported_wh, result.produced_wh = self.exported_wh, self.produced_wh
        over_wh = self.exported_wh - self.produced_wh
        if result.leased and over_wh > result.over_wh:
            result.over_wh, result.over_at_s = over_wh, now_s
        self._exported_wh = self._plant.true_exported_wh
        self._produced_wh = self._plant.true_produced_wh


def forced_export_w(plant: Plant) -> float:
    """Return the battery power that a dispatch sends to the grid now."""
    acting = plant.dispatch.acting
    if acting is None or acting.power_w <= 0:
        return 0.0
    return min(max(0.0, plant.true_battery_w), max(0.0, -plant.true_grid_w))
