"""
Toggles and sliders that do not do what they are told, and what each kind of helper can be set to.

The Core here is a stand-in with the few calls that the adapter makes, because a real one cannot be
made to lose an answer or to switch a toggle back. The real one is met in `tests/acceptance`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.export.commissioning import LONGEST_TEST_S
from agent.homeassistant.errors import CallRefusedError, CallTimeoutError, NotConnectedError
from agent.homeassistant.states import EntityState
from agent.house import hass_helpers
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.hass_entities import HelperMapping
from agent.house.hass_helpers import HassHelpers
from agent.house.port import BatteryActuator, WritePart, WriteStatus
from agent.house.readings import DispatchReadings, Quality, Reading, missing
from tests.house.helper_states import (
    CHARGING,
    CUT,
    DURATION,
    POWER,
    RESET,
    TIMER,
    TOGGLE,
    entity,
    slider,
)

START = DispatchBlock(True, 2500, 21, 360)
RENEWAL = DispatchBlock(True, 2400, 21, 300)
CHARGE = DispatchBlock(True, -3600, 100, 360)
RANGES = {"power": (0, 10, "kW"), "duration": (0, 480, "min"), "cutoff_soc": (4, 100, "%")}


@dataclass
class Core:
    """The package's helpers, with the calls that reach them in their order."""

    states: dict[str, EntityState] = field(default_factory=dict)
    calls: list[tuple[str, object]] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    """What a service of this name raises."""
    stubborn: set[str] = field(default_factory=set)
    """Entities that stay as they are."""
    starts_timer: bool = True
    listeners: list[Callable[[frozenset[str]], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind in ("discharging", "charging"):
            prefix = f"alphaess_helper_force_{kind}"
            self.put(entity(f"input_boolean.{prefix}", "off"))
            self.put(entity(f"timer.{prefix}_timer", "idle", duration="2:00:00"))
            self.put(slider(f"number.alphaess_template_force_{kind}_power", "5", 0, 10, None))
            for what in ("duration", "cutoff_soc"):
                self.put(slider(f"input_number.{prefix}_{what}", "50", *RANGES[what]))
        self.put(entity(RESET, "unknown"))

    def put(self, state: EntityState) -> None:
        self.states[state.entity_id] = state
        for each in tuple(self.listeners):
            each(frozenset({state.entity_id}))

    def watch(self, _ids: object) -> None:
        """Everything is watched."""

    def subscribe_states(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)

    async def call_service(
        self, _domain: str, service: str, data: Mapping[str, Any], *, timeout_s: float
    ) -> None:
        assert timeout_s > 0
        target = data["entity_id"]
        self.calls.append((service, target))
        await asyncio.sleep(0)
        if service in self.failing:
            raise self.failing[service]
        for entity_id in [target] if isinstance(target, str) else target:
            if entity_id not in self.stubborn:
                self._do(entity_id, service, data)

    def _do(self, entity_id: str, service: str, data: Mapping[str, Any]) -> None:
        old = self.states[entity_id]
        timer = f"timer.{entity_id.partition('.')[2]}_timer"
        match service:
            case "set_value":
                self.put(entity(entity_id, str(data["value"]), **old.attributes))
            case "select_option":
                self.put(entity(entity_id, str(data["option"]), **old.attributes))
            case "turn_on":
                self.put(entity(entity_id, "on"))
                if self.starts_timer:
                    minutes = self.states.get(DURATION, entity(DURATION, "6")).state
                    self.put(entity(timer, "active", duration=f"0:{float(minutes):02.0f}:00"))
            case "turn_off":
                self.put(entity(entity_id, "off"))
                if timer not in self.stubborn:
                    self.put(entity(timer, "idle"))
            case "cancel":
                self.put(entity(entity_id, "idle"))


class Registers:
    """What Core reads back of the dispatch."""

    def __init__(self) -> None:
        self.start = Reading(0.0, Quality.GOOD, "sensor.start", 1e12, 1e12)

    def __call__(self) -> DispatchReadings:
        none = missing("")
        return DispatchReadings(self.start, none, none, none, none)

    def running(self) -> None:
        self.start = Reading(1.0, Quality.GOOD, "sensor.start", 1e12, 1e12)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a helper that will not move."""
    for name in ("SHOWN_S", "CARRIED_OUT_S", "WRITTEN_S"):
        monkeypatch.setattr(hass_helpers, name, 0.05)


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def registers() -> Registers:
    return Registers()


@pytest.fixture
def helpers(core: Core, registers: Registers) -> BatteryActuator:
    return made(core, registers)


def made(core: Core, registers: Registers, **chosen: str) -> HassHelpers:
    async def refresh() -> None:
        """Nothing to read."""

    return HassHelpers(core, HelperMapping(**chosen), registers, refresh)  # type: ignore[arg-type]


async def test_a_start_writes_cut_off_power_duration_and_then_the_toggle(
    core: Core, helpers: BatteryActuator
) -> None:
    assert (await helpers.write(START, 5)).status is WriteStatus.DELIVERED
    assert core.calls == [
        ("set_value", CUT),
        ("set_value", POWER),
        ("set_value", DURATION),
        ("turn_on", TOGGLE),
    ]


async def test_a_charge_goes_to_the_helpers_of_the_charge(
    core: Core, helpers: BatteryActuator
) -> None:
    assert (await helpers.write(CHARGE, 5)).status is WriteStatus.DELIVERED
    assert core.calls[-1] == ("turn_on", CHARGING)
    assert core.states["number.alphaess_template_force_charging_power"].state == "3.6"
    assert core.states[TOGGLE].state == "off"


async def test_a_renewal_writes_only_what_changes_and_no_toggle(
    core: Core, helpers: BatteryActuator, registers: Registers
) -> None:
    await helpers.write(START, 5)
    registers.running()
    core.calls.clear()
    assert (await helpers.write(RENEWAL, 5)).status is WriteStatus.DELIVERED
    assert core.calls == [("set_value", POWER), ("set_value", DURATION)]


async def test_a_toggle_that_is_on_over_an_idle_inverter_is_switched_off_first(
    core: Core, helpers: BatteryActuator
) -> None:
    """A toggle that is on already starts nothing."""
    core.put(entity(TOGGLE, "on"))
    assert (await helpers.write(START, 5)).status is WriteStatus.DELIVERED
    services = [service for service, target in core.calls if target == TOGGLE]
    assert services == ["turn_off", "turn_on"]


async def test_d23_a_start_whose_toggle_does_not_go_on_leaves_no_timer(
    core: Core, helpers: BatteryActuator
) -> None:
    core.stubborn.add(TOGGLE)
    core.put(entity(TIMER, "active", duration="0:06:00"))
    outcome = await helpers.write(START, 5)
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert "still shows 'off'" in outcome.detail
    assert ("turn_off", TOGGLE) in core.calls
    assert ("cancel", TIMER) in core.calls
    assert core.states[TIMER].state == "idle"


async def test_d23_no_timer_is_ever_started_before_its_toggle_is_on(
    core: Core, helpers: BatteryActuator
) -> None:
    core.starts_timer = False
    test = DispatchBlock(True, 300, 21, 60)
    assert (await helpers.write(test, 5)).status is WriteStatus.UNCONFIRMED
    assert "start" not in [service for service, _ in core.calls]


@pytest.mark.parametrize("test_s", [60, LONGEST_TEST_S])
async def test_the_packages_timer_ends_after_the_commissioning_test_not_with_it(
    core: Core, helpers: BatteryActuator, test_s: int
) -> None:
    """Else the package's reset would end what the inverter has to end unaided."""
    await helpers.write(DispatchBlock(True, 300, 21, test_s), 5)
    assert core.calls[-2:] == [("turn_on", TOGGLE), ("start", TIMER)]


@pytest.mark.parametrize(
    ("service", "error", "status"),
    [
        ("set_value", NotConnectedError("no link"), WriteStatus.REFUSED),
        ("set_value", CallTimeoutError("no answer"), WriteStatus.REFUSED),
        ("turn_on", CallRefusedError("not_found", "no such service"), WriteStatus.REFUSED),
        ("turn_on", CallTimeoutError("no answer"), WriteStatus.UNCONFIRMED),
    ],
)
async def test_a_start_that_fails_is_refused_only_while_nothing_can_run_of_it(
    core: Core,
    helpers: BatteryActuator,
    service: str,
    error: Exception,
    status: WriteStatus,
) -> None:
    core.failing[service] = error
    outcome = await helpers.write(START, 5)
    assert outcome.status is status
    assert outcome.detail


async def test_a_start_that_still_waits_in_cores_queue_is_not_called_delivered(
    core: Core, helpers: BatteryActuator
) -> None:
    """Else the time for its verification began long before it was written."""
    core.starts_timer = False
    outcome = await helpers.write(START, 5)
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert f"{TIMER} was not started" in outcome.detail


async def test_a_start_that_the_registers_show_waits_for_no_timer(
    core: Core,
    helpers: BatteryActuator,
    registers: Registers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hass_helpers, "WRITTEN_S", 60)
    core.starts_timer = False
    start = asyncio.create_task(helpers.write(START, 60))
    while core.states[TOGGLE].state != "on":  # noqa: ASYNC110 - a handful of turns of the loop
        await asyncio.sleep(0)
    registers.running()
    core.put(entity("sensor.start", "1"))
    async with asyncio.timeout(2):
        assert (await start).status is WriteStatus.DELIVERED


async def test_a_renewal_that_fails_half_way_is_unconfirmed(
    core: Core, helpers: BatteryActuator, registers: Registers
) -> None:
    await helpers.write(START, 5)
    registers.running()
    core.stubborn.add(DURATION)
    outcome = await helpers.write(RENEWAL, 5)
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert DURATION in outcome.detail


async def test_a_repeated_duration_is_never_called_delivered(
    core: Core, helpers: BatteryActuator, registers: Registers
) -> None:
    await helpers.write(START, 5)
    registers.running()
    core.calls.clear()
    outcome = await helpers.write(START, 5)
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert "writes nothing for a repeated value" in outcome.detail
    assert core.calls == []


async def test_a_stop_cancels_a_timer_that_the_package_leaves_running(
    core: Core, helpers: BatteryActuator
) -> None:
    await helpers.write(START, 5)
    core.stubborn.add(TIMER)
    assert (await helpers.write(RESET_BLOCK, 5)).status is WriteStatus.DELIVERED
    assert core.calls[-2:] == [("turn_off", TOGGLE), ("cancel", [TIMER])]


async def test_a_stop_of_an_idle_inverter_presses_nothing(
    core: Core, helpers: BatteryActuator
) -> None:
    """The reset would end what somebody else has started."""
    assert (await helpers.write(RESET_BLOCK, 5)).status is WriteStatus.DELIVERED
    assert core.calls == []


async def test_a_stop_without_toggle_and_button_says_that_it_could_do_nothing(
    core: Core, helpers: BatteryActuator, registers: Registers
) -> None:
    registers.running()
    del core.states[RESET]
    outcome = await helpers.write(RESET_BLOCK, 5)
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert "inverter's own timer" in outcome.detail


async def test_a_stop_does_not_wait_for_a_start_that_waits(
    core: Core, helpers: BatteryActuator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hass_helpers, "WRITTEN_S", 60)
    core.starts_timer = False
    start = asyncio.create_task(helpers.write(START, 60))
    while core.states[TOGGLE].state != "on":  # noqa: ASYNC110 - a handful of turns of the loop
        await asyncio.sleep(0)
    async with asyncio.timeout(2):
        assert (await helpers.write(RESET_BLOCK, 5)).status is WriteStatus.DELIVERED
        outcome = await start
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert "overtaken by a stop" in outcome.detail
    assert core.states[TOGGLE].state == "off"
    assert core.calls[-1] == ("turn_off", TOGGLE)


@pytest.mark.parametrize("state", ["unavailable", "unknown", ""])
async def test_d28_a_slider_without_value_is_refused_and_nothing_is_written(
    core: Core, helpers: BatteryActuator, state: str
) -> None:
    core.put(entity(POWER, state, min=0, max=10))
    outcome = await helpers.write(START, 5)
    assert outcome.status is WriteStatus.REFUSED
    assert outcome.part is WritePart.POWER
    assert POWER in outcome.detail
    assert core.calls == []


@pytest.mark.parametrize(
    ("stubborn", "part"),
    [
        (CUT, WritePart.DISPATCH),
        (POWER, WritePart.POWER),
        (DURATION, WritePart.DISPATCH),
        (TOGGLE, WritePart.DISPATCH),
    ],
)
async def test_a_start_that_fails_tells_whether_it_was_the_power(
    core: Core, helpers: BatteryActuator, stubborn: str, part: WritePart
) -> None:
    core.stubborn.add(stubborn)
    outcome = await helpers.write(START, 20)
    assert stubborn in outcome.detail
    assert outcome.part is part


async def test_d07_other_domains_and_names_are_written_as_chosen(
    core: Core, registers: Registers
) -> None:
    chosen = {
        "discharge_button": "switch.mine",
        "discharge_power": "select.power",
        "discharge_cutoff_soc": "number.floor",
        "discharge_duration": "input_number.run",
    }
    core.states.clear()
    core.put(entity("switch.mine", "off"))
    core.put(entity("select.power", "1 kW", options=["1 kW", "2.5 kW"]))
    core.put(slider("number.floor", "10", 0, 100, "%"))
    core.put(slider("input_number.run", "0", 0, 3600, "s"))
    own = made(core, registers, **chosen)
    assert (await own.write(START, 5)).status is WriteStatus.DELIVERED
    assert core.calls == [
        ("set_value", "number.floor"),
        ("select_option", "select.power"),
        ("set_value", "input_number.run"),
        ("turn_on", "switch.mine"),
    ]
    shown = ("number.floor", "select.power", "input_number.run")
    assert [core.states[entity_id].state for entity_id in shown] == ["21.0", "2.5 kW", "360.0"]
