"""
The production guide's scenarios and error states, as people and their inverter meet them.

Each case says what a person sees in Home Assistant and what the inverter's registers do. Commands
are written as registers here; `test_production_guide_helpers` holds what needs a command to go
wrong. docs/production-guide.md sets each row beside what the guide promised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agent.house.alphaess import DispatchBlock
from tests.acceptance.conftest import in_each
from tests.acceptance.parts import eventually, watched
from tests.acceptance.people import (
    BREAKER,
    HEALTH,
    LATCHED,
    STALENESS,
    STATUS,
    all_is_well,
    asks_to_start,
    is_refused,
    lies,
    lying,
    sees,
    starts_again,
    told,
)
from tests.acceptance.prepared import calmed, prepared_each
from tests.acceptance.stack import Stack
from tests.peers.install import CORES

pytestmark = pytest.mark.peers("mosquitto", "inverter", *(f"homeassistant {it}" for it in CORES))

VERIFIED_WITHIN_S = 60
FEW_FAILURES = 2
"""Lost inputs count once every 10 s; the guide's 5 would take 40 s."""
WATCHED_S = 3
FOREIGN = DispatchBlock(True, 5000, 10, 600)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def built(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Stack]]:
    async with prepared_each("ha_register", tmp_path_factory.mktemp) as houses:
        yield houses


@pytest_asyncio.fixture(loop_scope="session")
async def calm(built: dict[str, Stack]) -> dict[str, Stack]:
    """Return the houses with nothing running and nothing wrong, whatever a test has left."""
    await in_each(built, calmed)
    return built


async def test_error_state_none_is_a_discharge_with_nothing_to_tell(
    calm: dict[str, Stack],
) -> None:
    """What the guide's health check lists, under the names that its dashboards use."""

    async def case(house: Stack) -> None:
        await starts_again(house)
        shown = await sees(house, "none", "Healthy")
        assert shown["circuit_breaker_failures"] == 0
        assert shown["data_age_seconds"] < 15
        assert shown["discharge_active"] is True
        assert shown["problems"] == []
        age = house.client.states[STALENESS]["attributes"]
        assert (age["is_stale"], age["threshold_seconds"]) == (False, 30)
        breaker = house.client.states[BREAKER]["attributes"]
        assert (breaker["failure_count"], breaker["can_attempt"]) == (0, True)
        assert await house.simulator.discharging()

    await in_each(calm, case)


async def test_scenario_1_and_lost_input_stop_the_discharge_until_the_sensor_is_back(
    calm: dict[str, Stack],
) -> None:
    """The guide let it run on; ours ends, seen at the inverter, and goes on by itself."""

    async def case(house: Stack) -> None:
        await house.agent.settings(breaker_failures=FEW_FAILURES)
        await house.started()
        since = house.agent.last_event()
        await lies(house, "power_grid", "unavailable")
        await house.agent.wrote("stop_verified", since, VERIFIED_WITHIN_S)
        await eventually(house.simulator.idle, 20, "the battery rests", house.shown)
        shown = await sees(house, "lost_input", "Error")
        assert any("sensor.shadow_power_grid" in text for text in shown["problems"])
        assert "shadow" in await told(house, "lost_input")
        await house.client.until(STATUS, "Idle")
        opened = await house.client.until(BREAKER, "Open", 20)
        assert opened["attributes"]["can_attempt"] is False
        assert (await asks_to_start(house))["last_code"] == "already_running"
        await watched(house.simulator.undispatched, WATCHED_S, "nothing starts", house.shown)
        await lies(house, "power_grid", "none")
        await house.discharging(60)
        await all_is_well(house)

    await in_each(calm, case)


async def test_scenario_2_a_call_that_timed_out_is_looked_for_because_it_may_still_run(
    calm: dict[str, Stack],
) -> None:
    """The guide took it for aborted; Core carries it out when it breathes again."""

    async def case(house: Stack) -> None:
        await house.agent.settings(write_deadline_s=5)
        since = house.agent.last_event()
        house.core.pause()
        try:
            assert (await house.agent.request("start_discharge"))["accepted"]
            await house.agent.wrote("write_unconfirmed", since, 15)
            lease = (await house.agent.state())["lease"]
            assert lease["confirmed"] is False, "it counts, and nobody claims that it runs"
            assert await house.simulator.undispatched()
        finally:
            house.core.resume()
        started = await house.agent.wrote("discharge_started", since, 60)
        sent = [it for it in house.agent.events(since) if it["kind"] in {"lease", "renewal"}]
        assert started["number"] == sent[0]["number"], "the late call itself, not another one"
        assert await house.simulator.discharging()
        await house.client.until(STATUS, "Active")
        await all_is_well(house)

    await in_each(calm, case)


@pytest.mark.parametrize(
    ("shadow", "fault", "code"),
    [
        ("soc", "out_of_range", "soc_invalid"),
        ("produced_today", "negative", "produced_invalid"),
        ("exported_today", "jump", "exported_counter_jumped"),
    ],
    ids=["soc-above-100", "negative-production", "export-jumps"],
)
async def test_scenario_3_an_impossible_value_is_named_and_nothing_starts_on_it(
    shadow: str, fault: str, code: str, calm: dict[str, Stack]
) -> None:
    async def case(house: Stack) -> None:
        async with lying(house, shadow, fault):
            named = f"sensor.shadow_{shadow}"
            await house.client.until_state(
                HEALTH,
                lambda it: any(named in text for text in it["attributes"]["problems"]),
                20,
            )
            assert named in await is_refused(house, code)
            await sees(house, "soc_read_failed" if shadow == "soc" else "no_data", "Error")

    await in_each(calm, case)


async def test_error_state_soc_read_failed_refuses_a_start_and_goes_with_its_cause(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        async with lying(house, "soc", "unavailable"):
            await house.client.until(HEALTH, "Stale Data")
            assert "sensor.shadow_soc" in await is_refused(house, "soc_unavailable")
            await sees(house, "soc_read_failed", "Error")
            assert "number from 0 to 100" in await told(house, "soc_read_failed")

    await in_each(calm, case)


async def test_error_state_no_data_refuses_a_start_and_goes_with_its_cause(
    calm: dict[str, Stack],
) -> None:
    async def case(house: Stack) -> None:
        async with lying(house, "produced_today", "unavailable"):
            await house.client.until(HEALTH, "Stale Data")
            assert "sensor.shadow_produced_today" in await is_refused(house, "produced_unavailable")
            await sees(house, "no_data", "Error")
            assert "shadow" in await told(house, "lost_input")

    await in_each(calm, case)


async def test_error_state_foreign_controller_is_stopped_once_and_waits_for_a_person(
    calm: dict[str, Stack],
) -> None:
    """Somebody else discharges past the power limit of the connection."""

    async def case(house: Stack) -> None:
        since = house.agent.last_event()
        await house.simulator.set(block=list(FOREIGN.registers()))
        await sees(house, "foreign_controller", "Error", 60)
        await house.client.until(LATCHED, "on")
        assert "beyond the power limit" in await told(house, "foreign_controller")
        await house.agent.wrote("stop_verified", since, VERIFIED_WITHIN_S)
        await eventually(house.simulator.idle, 20, "the battery rests", house.shown)
        await is_refused(house, "latched")
        await house.press("acknowledge")
        await house.client.until(LATCHED, "off")
        await starts_again(house)

    await in_each(calm, case)
