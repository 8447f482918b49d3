"""
Steps one day of a simulated house, with a controller in it, from event to event.

Readings arrive at the pace of the path, commands after its delay, deadlines when the controller
set them; faults come and go in between. While nothing is wanted the controller looks once a
minute, at the mean of that minute; the plant is stepped by the second from before the window to
the end of the day, because what leaks out after the last lease counts too.

Source: control.md, sections 4.3 and 5.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from agent.export.states import Command, GuardConfig, Reply
from agent.house.alphaess import DispatchBlock
from agent.simulator.bench_faults import (
    BAD_DATA,
    DATA,
    NOT_OURS,
    Fault,
    Moment,
    draw_faults,
    with_habit,
)
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_house import Meter
from agent.simulator.bench_measure import DayResult, Judge
from agent.simulator.bench_site import (
    MIN_SOC_PERCENT,
    MONOTONIC_S,
    TAIL_S,
    Day,
    config_of,
)
from agent.simulator.bench_wire import Wire
from agent.simulator.plant import Plant

_MINUTE_S = 60.0
_WARM_UP_S = 660.0
"""The window of the limiter's lowest net load, and a little."""
_FILLED_BEFORE_S = 1200.0
"""The battery is filled by hand this long before the window: the guard has to believe the jump."""
_CUTOFF_ROOM_PERCENT = 4.0
_WINDOW_SHARE = 0.6
"""Of a window's energy: a day whose headroom is more may be ended by time."""
_RAISED_W = 300
_FOREIGN_S = 7200
"""No lease of ours, and so known for somebody else's."""

Controllers = Callable[[GuardConfig, Day, Plant], Controller]


def guard_of(config: GuardConfig, day: Day, _: Plant) -> Controller:
    """Return our guard for a day."""
    return GuardController(config, day.instant(0.0))


class Bench:
    """One day, one controller, its faults."""

    def __init__(
        self, day: Day, number: int, fault: str = "none", controllers: Controllers = guard_of
    ) -> None:
        self.day = day = with_habit(fault, day)
        source = random.Random(f"bench {day.seed}")  # noqa: S311 - weather, not keys
        self.plant = Plant(day.plant)
        self.meter = Meter(self.plant, day, source)
        self.wire = Wire(self.plant.dispatch, day, source)
        self.config = config_of(day, source)
        self.controller = controllers(self.config, day, self.plant)
        self.result = DayResult(number, fault, fault not in NOT_OURS)
        self.judge = Judge(self.plant, day.limit_w, self.result)
        self.faults = draw_faults(fault, day) if fault != "none" else ()
        self._source = source
        self._single = fault != "storm"
        self._edges = sorted({edge for f in self.faults for edge in (f.begins_s, f.ends_s)})
        self._active: tuple[Fault, ...] = ()
        self._kills = [f for f in self.faults if f.kind in ("kill", "restart")]
        self._seen_moments = Counter[Moment]()
        self.alive = True
        self._revives_s: float | None = None
        self._revived_s: float | None = None
        self._foreign_s: float | None = None
        self._lost_from_wh = 0.0
        self._kinds = Counter[str]()
        self._power_w = 0
        self._sent_s: float | None = None
        self._bad_from_s: float | None = None
        self.now_s = 0.0
        self._headroom_wh = self._closing_soc = 0.0
        self._minute: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        self.on_write: Callable[[float, DispatchBlock], None] = lambda _at, _block: None

    def run(self) -> DayResult:
        """Run the day and a little of the next, and return its figures."""
        self.start()
        day = self.day
        self.run_to(day.length_s + TAIL_S)
        evening = day.plant.sunset_s <= day.closes_s < day.length_s
        window_wh = day.target_w * (day.closes_s - day.opens_s) / 3600
        self.result.budget_bound = (
            evening
            and self._headroom_wh <= _WINDOW_SHARE * window_wh
            and self._closing_soc > MIN_SOC_PERCENT + _CUTOFF_ROOM_PERCENT
        )
        self.result.events = dict(self._kinds)
        return self.result

    def start(self) -> None:
        """Have everything read for the first time."""
        self.meter.begin(self.now_s)
        self._remember_minute()

    def run_to(self, until_s: float) -> None:
        """Go on to this time at least; while nothing is wanted that is a whole minute."""
        while self.now_s < until_s:
            if self._fine():
                self._second()
            else:
                self._rest()

    def _fine(self) -> bool:
        """Return True while seconds count."""
        if self.plant.dispatch.active or self.plant.dispatch.acting is not None:
            return True
        if not self.wire.idle or self._revives_s is not None:
            return True
        if not self.alive:
            return False
        if self.controller.busy:
            return True
        day = self.day
        return day.opens_s - _WARM_UP_S <= self.now_s < day.opens_s + _WARM_UP_S

    def _second(self) -> None:
        """Let a second pass, and whatever happens in it."""
        before_s, now_s = self.now_s, self.now_s + 1.0
        self.now_s = now_s
        self.plant.step(1.0)
        self._turn(before_s, now_s)
        arrived, replies = self.wire.arrive(now_s)
        if arrived:
            self.meter.refresh(now_s + round(self._source.uniform(*self.day.way.shown_s)))
            self._moment(Moment.WRITTEN, arrived)
        self.judge.tick(now_s, 1.0, leased=self.alive and self.controller.leased)
        if self._edges and self._edges[0] <= now_s:
            self._bend(now_s)
        read = self.meter.poll(now_s)
        if self._bad_from_s is not None and now_s >= self._bad_from_s:
            self._bad_from_s = None
            self.judge.data_went_bad(now_s)
        if self.alive:
            if read or replies or MONOTONIC_S + now_s >= self.controller.wake_s:
                self._look(tuple(replies))
        elif self._revives_s is not None and now_s >= self._revives_s:
            self._revive(now_s)
        if now_s % _MINUTE_S == 0:
            self._remember_minute()

    def _rest(self) -> None:
        """Let the rest of a minute pass in which nothing is commanded."""
        before_s = self.now_s
        now_s = before_s + _MINUTE_S - before_s % _MINUTE_S
        day = self.day
        detailed = day.opens_s - 2 * _WARM_UP_S <= now_s
        if detailed:
            self.plant.step(now_s - before_s)
        else:
            self.plant.coast(now_s - before_s)
        self.now_s = now_s
        self._turn(before_s, now_s)
        self.judge.tick(now_s, now_s - before_s, leased=self.alive and self.controller.leased)
        if self._edges and self._edges[0] <= now_s:
            self._bend(now_s)
        if self.meter.linked:
            self.meter.rest(now_s, *self._means())
        self._remember_minute()
        if self.alive:
            self._look(())
        if self._fine():
            self.meter.begin(now_s)

    def _turn(self, before_s: float, now_s: float) -> None:
        """Pass midnight and the window's edges."""
        day = self.day
        if before_s < day.opens_s - _FILLED_BEFORE_S <= now_s:
            self.plant.soc_percent = day.window_soc_percent
        if before_s < day.opens_s <= now_s:
            self._headroom_wh = self.judge.produced_wh - self.judge.exported_wh
        if before_s < day.closes_s <= now_s:
            self._closing_soc = self.plant.soc_percent
        if before_s < day.length_s <= now_s:
            self.judge.midnight(now_s)
            self.result.forecast_wh = self.meter.forecast_wh
            self.meter.midnight()

    def _look(self, replies: tuple[Reply, ...]) -> None:
        now_s, day = self.now_s, self.day
        was_leased = self.controller.leased
        busy = self.controller.busy
        window = day.opens_s <= now_s < day.closes_s
        commands, events = self.controller.look(
            day.instant(now_s), self.meter.sample(), replies, window=window
        )
        for event in events:
            self._kinds[event.kind] += 1
            if event.kind == "foreign_dispatch" and self._foreign_s is not None:
                self.result.noticed_s.append(now_s - self._foreign_s)
                self._foreign_s = None
        if self._revived_s is not None and self.controller.ready:
            self.result.back_s.append(now_s - self._revived_s)
            self._revived_s = None
        killed = self._kills and self._doomed(commands)
        if killed:
            self._kill(now_s, commands)
            return
        for command in commands:
            self._send(command, idle=not busy and not was_leased and not self.controller.busy)

    def _send(self, command: Command, *, idle: bool) -> None:
        leaves = self.wire.send(command, self.now_s)
        self.result.writes += leaves
        self.result.writes_idle += idle and leaves
        self.result.writes_unneeded += leaves and self._unneeded(command)
        self.result.leased = self.result.leased or command.block.start
        if not command.block.start and self.plant.dispatch.duration_s == _FOREIGN_S:
            self.result.counter_writes += self.plant.dispatch.active
        self._power_w = command.block.power_w
        self._sent_s = self.now_s if command.block.start else None
        self.on_write(self.now_s, command.block)

    def _unneeded(self, command: Command) -> bool:
        """
        Return True for a lease that changes nothing, and comes before its renewal was due.

        One that repeats what never arrived, or was reset by somebody else, is needed.
        """
        if not command.block.start or self._sent_s is None or not self.plant.dispatch.active:
            return False
        early = self.now_s - self._sent_s < self.config.path.renew_after_s
        same = command.block.power_w == self._power_w == self.plant.dispatch.power_w
        return early and same

    def _doomed(self, commands: tuple[Command, ...]) -> bool:
        """Return True when a kill has found its moment."""
        starts = [command for command in commands if command.block.start]
        if starts:
            self._moment(Moment.SENT)
            if starts[-1].block.power_w > self._power_w + _RAISED_W:
                self._moment(Moment.RAISED)
        fault = self._kills[0]
        if self.now_s < fault.begins_s:
            return False
        match fault.moment:
            case Moment.TIME:
                return True
            case Moment.LEFT:
                return self.controller.leased and self.controller.left_wh < fault.after
            case _:
                return self._seen_moments[fault.moment] >= fault.after

    def _moment(self, moment: Moment, count: int = 1) -> None:
        if self._kills and self.now_s >= self._kills[0].begins_s:
            self._seen_moments[moment] += count

    def _kill(self, now_s: float, commands: tuple[Command, ...]) -> None:
        """End the controller; what it had just journaled may leave, or not."""
        fault = self._kills.pop(0)
        self._seen_moments.clear()
        leaves = self._source.random() < 0.5  # noqa: PLR2004 - either may happen
        for command in commands if leaves else ():
            self._send(command, idle=False)
        self.wire.die(commands_leave=leaves)
        self.alive = False
        if fault.kind == "restart":
            self._revives_s = now_s + fault.ends_s - fault.begins_s
        else:
            self._kills.clear()
            self.judge.died(now_s)

    def _revive(self, now_s: float) -> None:
        self._revives_s = None
        self.alive = True
        self.controller.restart(self.day.instant(now_s))
        self._revived_s = now_s if self._single else None

    def _bend(self, now_s: float) -> None:
        """Let faults begin and end."""
        self._edges = [edge for edge in self._edges if edge > now_s]
        before = set(self._active)
        self._active = tuple(
            f
            for f in self.faults
            if f.begins_s <= now_s < f.ends_s and f.kind not in ("kill", "restart")
        )
        self.meter.bend(self._active, now_s)
        self.wire.bend(self._active)
        for fault in self._active:
            if fault not in before:
                self._begin(fault, now_s)
        for fault in before - set(self._active):
            self._end(fault, now_s)

    def _begin(self, fault: Fault, now_s: float) -> None:
        through_core = self.day.way.through_core
        if self._single and fault.kind in BAD_DATA and fault.values & DATA:
            # A counter's fall is there to be seen when the counter is read, and not before.
            falls = fault.kind in ("negative_jump", "counter_reset")
            self._bad_from_s = max(now_s, self.meter.next_s("exported_wh") if falls else 0.0)
        if fault.kind == "counter_reset":
            self.meter.reset_counter()
        elif fault.kind == "core_restart" and through_core:
            self._lost_from_wh = self.meter.last_exported_wh
        elif fault.kind == "foreign_controller":
            self._foreign_s = now_s
            block = [1, 0, 32_000 + int(fault.amount), 0, 32_000, 2, 26, 0, _FOREIGN_S]
            self.wire.put(block, now_s)

    def _end(self, fault: Fault, now_s: float) -> None:
        if fault.kind in BAD_DATA:
            self._bad_from_s = None
            self.judge.data_are_back(self.now_s)
        if fault.kind == "core_restart" and self.day.way.through_core:
            self.meter.lose_flow(self.plant.true_exported_wh - self._lost_from_wh)
            self.wire.core_started(now_s)

    def _remember_minute(self) -> None:
        plant = self.plant
        self._minute = (
            self.now_s,
            plant.true_imported_wh - plant.true_exported_wh,
            plant.true_discharged_wh - plant.true_charged_wh,
            plant.true_produced_wh,
        )

    def _means(self) -> tuple[float, float, float]:
        """Return the mean powers of grid, battery and PV since the last full minute, in W."""
        plant, (since_s, grid_wh, battery_wh, produced_wh) = self.plant, self._minute
        hours = (self.now_s - since_s) / 3600
        if hours <= 0:
            return plant.grid_w, plant.battery_w, plant.pv_w
        return (
            (plant.true_imported_wh - plant.true_exported_wh - grid_wh) / hours,
            (plant.true_discharged_wh - plant.true_charged_wh - battery_wh) / hours,
            (plant.true_produced_wh - produced_wh) / hours,
        )
