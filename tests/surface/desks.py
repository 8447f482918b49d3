"""A guard desk made by hand: the tests say what it shows and read what it was asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.export.requests import Answer, Request
from agent.export.snapshot import (
    BreakerView,
    CommissioningView,
    EnergyView,
    ErrorState,
    GuardSnapshot,
    HealthStatus,
    LeaseView,
    Mode,
    Phase,
    PowerView,
    ReadingView,
    Reason,
)
from agent.fleet.gate_models import Refusal
from agent.fleet.identity import Mac
from agent.fleet.operations import Op, Operation, OpState, refused
from agent.settings import SettingsStore
from agent.surface.desk import HistoryPoint, NewSource, Upload
from agent.surface.fleet_view import FleetView, chosen

NOON = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)

QUIET = GuardSnapshot(
    at=NOON,
    mode=Mode.OBSERVE,
    path="ha_register",
    linked=True,
    phase=Phase.DISCHARGE_NEEDED,
    reason=Reason("headroom", "4.20 kWh may still be exported today; start discharge to use it."),
    latched=False,
    blockers=(Reason("observe_mode", "The agent only observes; switch the mode to control."),),
    problems=(),
    health=HealthStatus.HEALTHY,
    error_state=ErrorState.NONE,
    data_staleness_s=1.4,
    breaker=BreakerView(is_open=False, failures=0, last_failure=None, retry_in_s=0),
    energy=EnergyView(
        day="2026-06-21",
        produced_wh=9800,
        exported_wh=5100,
        exported_upper_wh=5290,
        allowance_wh=9300,
        headroom_wh=4200,
        left_wh=4010,
        forecast_wh=21_300,
        breach=False,
    ),
    power=PowerView(
        grid_w=-812,
        battery_w=-1240,
        pv_w=2710,
        load_w=658,
        limit_w=3680,
        target_w=3000,
        commanded_w=0,
    ),
    soc_percent=78.4,
    min_soc_percent=20,
    reserve_soc_percent=None,
    lease=None,
    commissioning=CommissioningView(
        passed=False,
        running=False,
        stage="none",
        text="Run the test once before control.",
        progress_percent=0,
        delay_s=None,
        exit_lag_s=None,
        gain=None,
        at=None,
    ),
    readings=(
        ReadingView("grid_w", -812, "W", 1.4, "good", "sensor.alphaess_power_grid", "", fresh=True),
        ReadingView("soc_percent", 78.4, "%", 4, "good", "sensor.alphaess_soc", "", fresh=True),
        ReadingView(
            "forecast_today_wh",
            None,
            "Wh",
            None,
            "missing",
            "",
            "No forecast is configured.",
            fresh=False,
        ),
    ),
    last_action=None,
)

DISCHARGING = dataclasses.replace(
    QUIET,
    mode=Mode.CONTROL,
    phase=Phase.DISCHARGE_ACTIVE,
    reason=Reason("discharging", "Exports 3.00 kW towards today's allowance."),
    blockers=(),
    power=dataclasses.replace(QUIET.power, grid_w=-2980, battery_w=928, commanded_w=930),
    lease=LeaseView(
        kind="discharge",
        power_w=930,
        duration_s=90,
        remaining_s=72,
        worst_case_wh=31,
        confirmed=True,
    ),
)


class HandGuard:
    """Shows what it is told to show."""

    def __init__(self, snapshot: GuardSnapshot = QUIET) -> None:
        self.shown = snapshot
        self.requests: list[Request] = []
        self.answer = Answer(accepted=True, code="accepted", text="It was taken.")
        self.health = (True, "alive")
        self.points: list[HistoryPoint] = []
        self._listeners: list[Callable[[], None]] = []

    def snapshot(self) -> GuardSnapshot:
        return self.shown

    def request(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.answer

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(wake)
        return lambda: self._listeners.remove(wake)

    @property
    def watched(self) -> bool:
        return bool(self._listeners)

    def history(self, seconds: float) -> list[HistoryPoint]:
        newest = self.points[-1].at if self.points else 0
        return [point for point in self.points if point.at >= newest - seconds]

    def healthy(self) -> tuple[bool, str]:
        return self.health

    def show(self, **changes: Any) -> None:
        """Show the next picture, a second later, with these fields changed."""
        later = self.shown.at + timedelta(seconds=1)
        self.shown = dataclasses.replace(self.shown, **{"at": later, **changes})
        for wake in list(self._listeners):
            wake()


class HandSettings:
    """The real settings in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._store = SettingsStore(folder)

    def current(self) -> dict[str, Any]:
        return self._store.values()

    def describe(self) -> list[dict[str, Any]]:
        return self._store.describe()

    async def update(self, changes: Mapping[str, Any], by: str) -> dict[str, Any]:
        await self._store.update(changes, by)
        return self._store.values()


class HandFleet:
    """`FleetDesk` with the view that a test gives it; it refuses as the real one does."""

    def __init__(self, view: FleetView) -> None:
        self.now = view
        self.pressed: list[tuple[Op, str]] = []
        self.installed: list[tuple[Mac, str]] = []
        self.refusal: Refusal | None = None
        self._wakes: list[Callable[[], None]] = []

    def view(self) -> FleetView:
        return self.now

    def show(self, **changes: Any) -> None:
        self.now = dataclasses.replace(self.now, **changes)
        for wake in tuple(self._wakes):
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def press(self, op: Op, by: str) -> Operation:
        self.pressed.append((op, by))
        done = Operation(
            op=op, state=OpState.SUCCESS, started=NOON, finished=NOON, result="success"
        )
        asked = refused(op, self.now.target, self.refusal, NOON) if self.refusal else done
        self.show(operations={**self.now.operations, op: asked})
        return asked

    def install(self, target: Mac, by: str) -> Operation:
        self.installed.append((target, by))
        return self.press(Op.FLASH, by)

    def choose(self, option: str, by: str) -> None:
        try:
            self.show(target=chosen(self.now.fleet, option), choice_refused=None)
        except ValueError as error:
            self.show(choice_refused=f"{error}.")


class HandBridges:
    """`BridgesDesk` with the lines that a test gives it."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.keys: list[tuple[str, str]] = []
        self.refusal: Exception | None = None
        self.uploads: list[Upload] = []
        self.answer: dict[str, Any] = {}
        self.judged: dict[str, Any] = {}
        self.asked: list[tuple[Op, str | None, str]] = []
        self.words: str | None = None
        """Why an operation is refused."""
        self._wakes: list[Callable[[], None]] = []

    def shown(self) -> list[dict[str, Any]]:
        return self.lines

    def show(self, *lines: dict[str, Any]) -> None:
        self.lines = list(lines)
        for wake in tuple(self._wakes):
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    async def enter_key(self, mac: str, key: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.keys.append((mac, key))

    async def forget(self, mac: str) -> None:
        self.show(*(it for it in self.lines if it["mac"] != mac))

    async def ask_key(self, mac: str, by: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.keys.append((mac, f"asked by {by}"))

    async def upload(self, it: Upload) -> dict[str, Any]:
        self.uploads.append(it)
        if self.refusal is not None:
            raise self.refusal
        return self.answer

    def verdicts(self) -> dict[str, Any]:
        return self.judged

    async def ask(self, op: Op, mac: str | None, by: str) -> Operation:
        self.asked.append((op, mac, by))
        state = OpState.FAILED if self.words else OpState.SUCCESS
        return Operation(op=op, state=state, started=NOON, result="pass", error=self.words)


class HandReleases:
    """`ReleasesDesk` with the picture that a test gives it; keeps what it was asked."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {
            "state": "none",
            "hint": "",
            "warning": "",
            "looking": False,
            "channel": "stable",
            "channels": ["stable", "beta", "x-acme"],
            "sources": [],
            "bridges": [],
            "builds": [],
        }
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None
        self.build: dict[str, Any] = {}
        self._wakes: list[Callable[[], None]] = []

    def shown(self) -> dict[str, Any]:
        return self.now

    def show(self, **changes: Any) -> None:
        self.now = {**self.now, **changes}
        for wake in tuple(self._wakes):
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def _take(self, *what: Any) -> str:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal
        return "It was done."

    async def look(self, by: str) -> str:
        return self._take("look", by)

    async def take_bundle(self, archive: bytes, by: str) -> str:
        return self._take("bundle", archive, by)

    async def show_build(self, file: bytes, by: str) -> dict[str, Any]:
        self._take("show", file, by)
        return self.build

    async def accept_build(self, sha256: str, by: str) -> str:
        return self._take("accept", sha256, by)

    async def add_source(self, wanted: NewSource, by: str) -> str:
        return self._take("add", wanted, by)

    async def remove_source(self, name: str, by: str) -> str:
        return self._take("remove", name, by)

    async def choose_channel(self, mac: str | None, channel: str | None, by: str) -> str:
        return self._take("channel", mac, channel, by)


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """`FlashAnswer`."""

    accepted: bool
    code: str
    text: str
    job: str = ""
    missing: tuple[str, ...] = ()


class HandFlashing:
    """`FlashingDesk` with the picture that a test gives it; keeps what it was asked."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = {"fault": "", "jobs": [], "campaigns": [], "may_go_back": []}
        self.asked: list[tuple[Any, ...]] = []
        self.refused = False
        self._wakes: list[Callable[[], None]] = []

    def shown(self) -> dict[str, Any]:
        return self.now

    def show(self, **changes: Any) -> None:
        self.now = {**self.now, **changes}
        for wake in tuple(self._wakes):
            wake()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def _take(self, *what: Any) -> Told:
        self.asked.append(what)
        if self.refused:
            return Told(accepted=False, code="locked", text="Not now.")
        return Told(accepted=True, code="init", text="It was done.", job="a1b2")

    async def install(
        self, mac: str | None, version: str | None, acks: Iterable[str], by: str, *, own: bool
    ) -> Told:
        return self._take("install", mac, version, tuple(acks), by, own)

    async def go_back(self, mac: str | None, acks: Iterable[str], by: str) -> Told:
        return self._take("back", mac, tuple(acks), by)

    async def cancel(self, job: str, by: str) -> Told:
        return self._take("cancel", job, by)

    async def plan(
        self, macs: Iterable[str], acks: Iterable[str], by: str, canaries: Iterable[str]
    ) -> Told:
        return self._take("plan", tuple(macs), tuple(acks), by, tuple(canaries))

    async def steer(self, campaign: str, what: str, by: str) -> Told:
        return self._take("steer", campaign, what, by)
