"""
The production guide's scenarios and error states that need a command to go wrong.

Each case says what a person sees in Home Assistant and what the inverter's registers do. The
battery is commanded through the package's toggles and sliders here, as the guide's was; what both
paths share is in `test_production_guide`. docs/production-guide.md sets each row beside the guide.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.acceptance.conftest import in_each
from tests.acceptance.parts import eventually, watched
from tests.acceptance.paths import TOGGLE
from tests.acceptance.people import (
    BREAKER,
    HEALTH,
    LATCHED,
    STALENESS,
    STATUS,
    all_is_well,
    asks_to_start,
    commands,
    is_refused,
    lying,
    sees,
    starts_again,
    tells_nothing,
    told,
)
from tests.acceptance.prepared import AC_LIMIT, TOLERANCE, TOLERANCE_KWH, calmed, prepared_each
from tests.acceptance.stack import JUDGED_WITHIN_S, Stack
from tests.peers.ha_client import State
from tests.peers.install import CORES

pytestmark = pytest.mark.peers("mosquitto", "inverter", *(f"homeassistant {it}" for it in CORES))


RENAMED = "input_boolean.somebody_renamed_it"
CUTOFF = "input_number.alphaess_helper_force_discharging_cutoff_soc"
TOLD_WITHIN_S = 4
"""The notifier looks every second."""
STALE_S = 16
"""30 s unless it is set."""
FAILURES = 5
PAUSE_S = 15
"""Of the breaker; 60 s unless it is set."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def built(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Stack]]:
    async with prepared_each("ha_helpers", tmp_path_factory.mktemp) as houses:
        yield houses


@pytest_asyncio.fixture(loop_scope="session")
async def calm(built: dict[str, Stack]) -> dict[str, Stack]:
    """Return the houses with nothing running and nothing wrong, whatever a test has left."""
    await in_each(built, calmed)
    return built


@asynccontextmanager
async def without_toggle(house: Stack) -> AsyncIterator[None]:
    """Rename the package's toggle in Home Assistant until the block ends."""

    async def rename(old: str, new: str) -> None:
        await house.client.command(
            "config/entity_registry/update", entity_id=old, new_entity_id=new
        )
        await house.client.until_state(new, lambda _: True)

    await rename(TOGGLE, RENAMED)
    try:
        yield
    finally:
        await rename(RENAMED, TOGGLE)


async def start_fails(house: Stack, error: str) -> None:
    """Press start, be accepted, and see it fail without any dispatch."""
    since = house.agent.last_event()
    answer = await asks_to_start(house)
    assert answer["last_accepted"], answer
    await sees(house, error, "Error")
    await house.agent.wrote("stop_verified", since, 30)
    assert await house.simulator.undispatched()


async def test_error_state_discharge_power_set_failed_starts_nothing(
    calm: dict[str, Stack],
) -> None:
    """The inverter's AC limit is chosen too low in the package, so its slider cannot take it."""

    async def case(house: Stack) -> None:
        await house.client.call("input_select.select_option", AC_LIMIT, option="3")
        before = await commands(house)
        await start_fails(house, "discharge_power_set_failed")
        text = await told(house, "discharge_power_failed")
        assert "takes 0 to 3 kW" in text
        assert "number.alphaess" in text.replace("\\", "")
        assert await commands(house) == before
        await house.client.call("input_select.select_option", AC_LIMIT, option="10")
        await starts_again(house)

    await in_each(calm, case)


async def test_error_state_discharge_start_failed_names_the_lost_toggle(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        async with without_toggle(house):
            before = await commands(house)
            await start_fails(house, "discharge_start_failed")
            assert TOGGLE in await told(house, "discharge_start_failed")
            assert await commands(house) == before
        await starts_again(house)

    await in_each(calm, case)


async def test_error_state_discharge_stop_failed_is_told_and_tried_until_it_is_done(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        await house.started()
        await house.simulator.set(faults={"lose_writes": True})
        since = house.agent.last_event()
        await house.press("stop_discharge")
        await sees(house, "discharge_stop_failed", "Error", 90)
        text = await told(house, "discharge_stop_failed", "verification_failed")
        assert "Look at the battery now" in text
        assert await house.simulator.discharging()
        assert house.client.state(STATUS) == "Active", "it is not said to be over"
        await house.simulator.set(faults={"lose_writes": False})
        await house.agent.wrote("stop_verified", since, 40)
        await eventually(house.simulator.idle, 20, "the battery rests", house.shown)
        await all_is_well(house)

    await in_each(calm, case)


async def test_error_state_stale_data_refuses_a_start_and_goes_with_its_cause(
    calm: dict[str, Stack],
) -> None:
    def stale(it: State) -> bool:  # two messages: its attributes may come before its state
        told = it["attributes"]
        return told["is_stale"] and float(it["state"]) > told["threshold_seconds"] - 1

    async def case(house: Stack) -> None:
        await house.agent.settings(stale_after_s=STALE_S)
        async with lying(house, "power_grid", "frozen"):
            await house.client.until_state(STALENESS, stale, JUDGED_WITHIN_S)
            await house.client.until(HEALTH, "Stale Data")
            assert "sensor.shadow_power_grid" in await is_refused(house, "grid_power_stale")
            await sees(house, "stale_data", "Error")
            assert "shadow" in await told(house, "stale_data")

    await in_each(calm, case)


async def test_scenario_2_a_call_that_home_assistant_does_not_answer_starts_nothing(
    calm: dict[str, Stack],
) -> None:
    """Core stands still as under a heavy load; then the page is where people press."""

    async def case(house: Stack) -> None:
        await house.agent.settings(write_deadline_s=5)
        await house.client.call("input_number.set_value", CUTOFF, value=50)
        before, since = await commands(house), house.agent.last_event()
        house.core.pause()
        try:
            assert (await house.agent.request("start_discharge"))["accepted"]
            failed = await house.agent.wrote("start_failed", since, 15)
        finally:
            house.core.resume()
        assert "within 5 s" in failed["text"], failed
        await sees(house, "discharge_start_failed", "Error")
        await told(house, "discharge_start_failed")
        assert await commands(house) == before
        assert await house.simulator.undispatched()
        await starts_again(house)

    await in_each(calm, case)


async def test_scenario_4_five_failed_starts_open_the_breaker_and_it_closes_by_itself(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        await house.agent.settings(breaker_pause_s=PAUSE_S)
        async with without_toggle(house):
            for _ in range(FAILURES):
                await start_fails(house, "discharge_start_failed")
                await house.press("acknowledge")
                await house.client.until("sensor.export_monitor_error_state", "none")
            shown = await house.client.until(BREAKER, "Open", 5)
            assert shown["attributes"]["failure_count"] == FAILURES
            assert shown["attributes"]["can_attempt"] is False
            await house.client.until(HEALTH, "Circuit Breaker Open")
            assert "failures in a row" in await is_refused(house, "breaker_open")
            assert await house.simulator.undispatched()
        await house.client.until(BREAKER, "Closed", PAUSE_S + 5)
        await starts_again(house)

    await in_each(calm, case)


async def grants(house: Stack, kwh: float) -> None:
    """Set in Home Assistant what the contract grants, and see it in force."""
    await house.client.call("number.set_value", TOLERANCE, value=kwh)
    await house.client.until(TOLERANCE, lambda shown: float(shown) == kwh, 10)


async def over_exports(house: Stack) -> None:
    """Take back what the contract was thought to grant while a discharge runs; see it stopped."""
    await house.started()
    since = house.agent.last_event()
    await grants(house, 0)
    await sees(house, "over_export", "Error")
    await house.client.until(LATCHED, "on")
    await house.agent.wrote("stop_verified", since, 30)
    await eventually(house.simulator.idle, 20, "the battery rests", house.shown)


async def test_scenario_5_over_export_is_stopped_and_waits_for_a_person(
    calm: dict[str, Stack],
) -> None:
    """The contract grants less than was set: more has left the house than it may."""

    async def case(house: Stack) -> None:
        await over_exports(house)
        assert "more than produced and granted" in await told(house, "over_export")
        await is_refused(house, "latched")
        await house.press("acknowledge")
        await all_is_well(house)
        assert "left of the day's allowance" in await is_refused(house, "allowance_used")
        # A later safety stop of the day is not taken for another over-export.
        await house.press("emergency_stop")
        await house.client.until(LATCHED, "on")
        await watched(lambda: tells_nothing(house), TOLD_WITHIN_S, "nothing is told", house.shown)
        await house.press("acknowledge")
        await grants(house, TOLERANCE_KWH)
        await over_exports(house)
        await told(house, "over_export")

    await in_each(calm, case)


async def test_emergency_stop_holds_while_a_toggle_switched_off_by_hand_is_renewed(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        await house.started()
        since = house.agent.last_event()
        await house.client.call("input_boolean.turn_off", TOGGLE)
        await house.agent.wrote("reset_by_other", since, 30)
        await house.discharging()
        await house.press("emergency_stop")
        await house.agent.wrote("stop_verified", since, 30)
        await eventually(house.simulator.idle, 20, "the battery rests", house.shown)
        assert house.client.state(TOGGLE) == "off"
        assert "mergency stop" in await is_refused(house, "latched")
        await house.press("acknowledge")
        await house.client.until(LATCHED, "off")
        await starts_again(house)

    await in_each(calm, case)
