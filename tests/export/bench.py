"""
The guard's own decisions, stepped through virtual time against the simulated house.

No I/O and no waiting: the plant advances by a second, values are polled at the cadence of a
real adapter, and every command reaches the dispatch registers after a delay, or not, as the
test wants. What runs is `agent.export.decide.step`, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import Instant
from agent.export import memory, view
from agent.export.advice import Advice
from agent.export.allowance import AllowanceRule
from agent.export.commissioning import Commissioning, Stage
from agent.export.decide import step
from agent.export.freshness import Thresholds
from agent.export.lease import HA_REGISTER
from agent.export.ledger import CounterRules
from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import GuardSnapshot, Mode
from agent.export.states import Command, Event, GuardConfig, GuardState, Look, Reply
from agent.house import alphaess
from agent.house.alphaess import DispatchBlock, decode
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import (
    CounterKind,
    DispatchReadings,
    HouseSample,
    Quality,
    Reading,
    missing,
)
from agent.simulator.plant import Plant, PlantSettings

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 7, 1, 11, 0, tzinfo=UTC)
COMMISSIONED = Commissioning(Stage.PASSED, "", path="bench", delay_s=3, exit_lag_s=2, gain=1.0)

CONFIG = GuardConfig(
    mode=Mode.CONTROL,
    path=HA_REGISTER,
    path_identity="bench",
    export_limit_w=3680,
    target_export_w=3000,
    min_soc_percent=20,
    observe_reserve_soc=False,
    charge_power_w=3000,
    charge_target_soc_percent=100,
    allowance=AllowanceRule(safety_margin_wh=0),
    thresholds=Thresholds(),
    exported_rules=CounterRules(CounterKind.DAILY, 10, 60, 10_000, conservative_up=True),
    produced_rules=CounterRules(CounterKind.DAILY, 100, 60, 10_000, conservative_up=False),
    readback_poll_s=10,
    breaker_failures=5,
    breaker_pause_s=60,
    minimum_off_s=60,
    write_deadline_s=30,
)

_POLLS_S = {
    "grid_w": 2,
    "battery_w": 2,
    "pv_w": 4,
    "soc_percent": 10,
    "exported_wh": 60,
    "produced_wh": 60,
    "dispatch": 5,
}

_PHASE_S = {"battery_w": 1, "pv_w": 1, "dispatch": 3}
"""Values are never read at the same instant."""


@dataclass
class Pending:
    """A command on its way to the registers."""

    at_s: float
    command: Command
    runs: bool
    outcome: WriteOutcome


class Bench:
    """One virtual house with the guard's decisions."""

    def __init__(
        self,
        config: GuardConfig = CONFIG,
        *,
        begin: datetime = NOON,
        produced_wh: float = 5000.0,
        exported_wh: float = 0.0,
        load_w: float = 400.0,
        pv_w: float = 0.0,
        soc_percent: float = 80.0,
        report_times: bool = True,
        commissioned: bool = True,
        **plant: Any,
    ) -> None:
        settings = PlantSettings(soc_percent=soc_percent, **plant)
        self.plant = Plant(settings)
        self.plant.load_override_w = load_w
        self.plant.pv_override_w = pv_w
        self.config = config
        self.begin = begin
        self.now_s = 1000.0
        self.report_times = report_times
        self.polls_s = dict(_POLLS_S)
        self.linked = True
        self.base = {
            "exported_wh": self.plant.true_exported_wh - exported_wh,
            "produced_wh": self.plant.true_produced_wh - produced_wh,
        }
        self.values: dict[str, Reading] = {}
        self.twists: dict[str, Callable[[Reading], Reading]] = {}
        self.frozen: set[str] = set()
        self.write_delay_s = 2.0
        self.unconfirmed_after_s = 30.0
        self.fate: Callable[[DispatchBlock], tuple[bool, WriteStatus]] = lambda _: (
            True,
            WriteStatus.DELIVERED,
        )
        self.advise: Callable[[datetime], Advice | None] = lambda _: None
        self.pending: list[Pending] = []
        self.replies: list[Reply] = []
        self.events: list[Event] = []
        self.writes: list[tuple[float, DispatchBlock]] = []
        self.alive = True
        self.wake_s = 0.0
        self.state: GuardState = memory.fresh(self.now())
        if commissioned:
            self.state = replace(self.state, commissioning=COMMISSIONED)
        self.poll_everything()
        self.run(8)

    def now(self) -> Instant:
        """Return the virtual moment."""
        wall = self.begin + timedelta(seconds=self.now_s - 1000.0)
        return Instant(self.now_s, wall.astimezone(LONDON))

    @property
    def exported_today_wh(self) -> float:
        """Energy that really left the house today, by the plant's own account."""
        return self.plant.true_exported_wh - self.base["exported_wh"]

    @property
    def produced_today_wh(self) -> float:
        """PV energy of today by the plant's own account."""
        return self.plant.true_produced_wh - self.base["produced_wh"]

    @property
    def dispatching(self) -> bool:
        """True while the inverter's registers show a dispatch."""
        return bool(self.plant.dispatch.active)

    def _raw(self, name: str) -> float:
        plant = self.plant
        match name:
            case "grid_w" | "battery_w" | "pv_w" | "soc_percent":
                return round(getattr(plant, name), 1 if name == "soc_percent" else 0)
            case "exported_wh":
                return self.exported_today_wh // 10 * 10
            case _:
                return self.produced_today_wh // 100 * 100

    def _take(self, name: str, value: float) -> None:
        old = self.values.get(name)
        changed_s = old.changed_s if old and old.value == value else self.now_s
        reported_s = self.now_s if self.report_times else None
        self.values[name] = Reading(value, Quality.GOOD, f"sensor.{name}", changed_s, reported_s)

    def _poll(self, name: str) -> None:
        if name in self.frozen:
            old = self.values[name if name != "dispatch" else "start"]
            if self.report_times and name != "dispatch":
                self.values[name] = replace(old, reported_s=self.now_s)
            return
        if name != "dispatch":
            self._take(name, self._raw(name))
            return
        words = self.plant.dispatch.readable()
        self._take("start", words[0])
        self._take("power_w", words[1] * 65536 + words[2] - alphaess.POWER_OFFSET)
        self._take("mode", words[5])
        self._take("cutoff_soc_percent", words[6] * alphaess.SOC_SCALE_FIELD)
        self._take("duration_s", words[7] * 65536 + words[8])

    def poll_everything(self) -> None:
        """Read every value now."""
        for name in self.polls_s:
            self._poll(name)

    def sample(self) -> HouseSample:
        """Return what an adapter would deliver now."""

        def of(name: str) -> Reading:
            reading = self.values[name]
            if not self.linked:
                return Reading(None, Quality.UNAVAILABLE, reading.source, reading.changed_s)
            twist = self.twists.get(name)
            return twist(reading) if twist else reading

        names = ("start", "power_w", "mode", "cutoff_soc_percent", "duration_s")
        plain = ("grid_w", "battery_w", "pv_w", "soc_percent", "exported_wh", "produced_wh")
        return HouseSample(
            linked=self.linked,
            **{name: of(name) for name in plain},
            forecast_today_wh=self.values.get("forecast_today_wh", missing("")),
            reserve_soc_percent=self.values.get("reserve_soc_percent", missing("")),
            dispatch=DispatchReadings(*(of(name) for name in names)),
        )

    def look(self, *kinds: RequestKind, by: str = "test") -> tuple[Answer, ...]:
        """Let the guard decide once."""
        requests = tuple(Request(kind, by) for kind in kinds)
        now = self.now()
        look = Look(now, self.sample(), requests, tuple(self.replies), self.advise(now.local))
        self.replies.clear()
        result = step(self.state, look, self.config)
        self.state, self.wake_s = result.state, result.wake_s
        self.events += result.events
        for command in result.commands:
            self.writes.append((self.now_s, command.block))
            runs, status = self.fate(command.block)
            if not self.linked:
                runs, status = False, WriteStatus.REFUSED
            delay_s = self.write_delay_s if status is not WriteStatus.UNCONFIRMED else 0.0
            delay_s = delay_s or self.unconfirmed_after_s
            outcome = WriteOutcome(status, "" if status is WriteStatus.DELIVERED else "bench")
            self.pending.append(Pending(self.now_s + delay_s, command, runs, outcome))
        return result.answers

    def ask(self, kind: RequestKind) -> Answer:
        """Ask for one thing now."""
        return self.look(kind)[0]

    def start(self) -> Answer:
        """Ask for a discharge."""
        return self.ask(RequestKind.START_DISCHARGE)

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        for _ in range(round(seconds)):
            self._second()

    def run_until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Let time pass until something is so; return the seconds it took, or fail."""
        for elapsed in range(round(within_s) + 1):
            if condition():
                return float(elapsed)
            self._second()
        raise AssertionError(
            f"not within {within_s} s; last events: {[e.kind for e in self.events[-8:]]}, "
            f"phase {self.view().phase} {self.view().reason}"
        )

    def _second(self) -> None:
        before = self.now().local.date()
        self.now_s += 1.0
        self.plant.step(1.0)
        if self.now().local.date() != before:
            self.base = {
                "exported_wh": self.plant.true_exported_wh,
                "produced_wh": self.plant.true_produced_wh,
            }
        for pending in [p for p in self.pending if p.at_s <= self.now_s]:
            self.pending.remove(pending)
            if pending.runs:
                self.plant.dispatch.write(0, pending.command.block.registers())
            if self.alive:
                self.replies.append(Reply(pending.command.number, pending.outcome))
        changed = bool(self.replies)
        if self.linked:
            for name, period in self.polls_s.items():
                if (self.now_s + _PHASE_S.get(name, 0)) % period == 0:
                    self._poll(name)
                    changed = True
        if self.alive and (changed or self.now_s >= self.wake_s):
            self.look()

    def kill(self) -> dict[str, Any]:
        """End the agent without warning; return what its journal holds."""
        self.alive = False
        self.replies.clear()
        return memory.journaled(self.state, self.now())

    def restart(self, journaled: dict[str, Any]) -> None:
        """Start the agent again from its journal."""
        self.state = memory.recalled(journaled, self.now(), self.config)
        self.alive = True

    def view(self) -> GuardSnapshot:
        """Return what a person would see."""
        return view.snapshot(
            self.state,
            Look(self.now(), self.sample(), advice=self.advise(self.now().local)),
            self.config,
        )

    def kinds(self) -> list[str]:
        """Return the kinds of the journal's lines so far."""
        return [event.kind for event in self.events]


__all__ = ["CONFIG", "LONDON", "Bench", "decode"]
