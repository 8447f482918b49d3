"""A plan of Home Assistant's own forecasts is shown, carried out, and stopped by a person."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import Figure
from tests.acceptance.parts import eventually
from tests.acceptance.paths import PATHS
from tests.acceptance.prepared import prepared
from tests.acceptance.stack import Stack
from tests.peers import table
from tests.peers.install import NEWEST, installed_core, program

HALF_HOUR = timedelta(minutes=30)
SOLCAST = "sensor.solcast_pv_forecast_forecast_today"
CARBON = "sensor.carbon_intensity_uk"
PLAN = "sensor.export_monitor_discharge_plan_today"
SUMMARY = "sensor.export_monitor_auto_control_summary"
PLANNED_WITHIN_S = 90


def half_hours() -> list[datetime]:
    """Return the begins of two days of half hours, the running one first."""
    now = datetime.now(UTC)
    begins = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    return [begins + n * HALF_HOUR for n in range(96)]


async def forecasts(house: Stack, dirty_from: int) -> None:
    """Half a kilowatt of sun all the time, and a grid that is dirtiest for an hour and a half."""
    sun = [{"period_start": at.isoformat(), "pv_estimate": 0.5} for at in half_hours()]
    await house.client.says(SOLCAST, "12.0", unit_of_measurement="kWh", detailedForecast=sun)
    dirty = [
        {"from": f"{at:%Y-%m-%dT%H:%MZ}", "to": f"{at + HALF_HOUR:%Y-%m-%dT%H:%MZ}",
         "intensity": 350 if dirty_from <= number < dirty_from + 3 else 120 if number >= 3 else 40,
         "index": "high"}
        for number, at in enumerate(half_hours())
    ]  # fmt: skip
    await house.client.says(CARBON, "high", forecast=dirty)


async def test_a_plan_of_home_assistants_forecasts_runs_and_a_person_stops_it(
    tmp_path: Path, figure: Figure, request: pytest.FixtureRequest
) -> None:
    if installed_core(NEWEST) is None or program("mosquitto") is None:
        pytest.skip(f"not installed: Home Assistant {NEWEST} or mosquitto; run script/setup")
    for peer in ("mosquitto", "inverter", f"homeassistant {NEWEST}"):
        table.record(request, peer)

    async def on(path: str) -> None:
        directory = tmp_path / path
        directory.mkdir()
        async with prepared(NEWEST, directory, path) as house:
            await case(house, figure)

    # Most of it is waiting; both ways on which commands go through Core wait at the same time.
    async with asyncio.TaskGroup() as tasks:
        for path in PATHS:
            tasks.create_task(on(path))


async def case(house: Stack, figure: Figure) -> None:
    """Let a plan rest and discharge, and stop it."""
    client, agent = house.client, house.agent
    await client.until(PLAN, "No plan")
    await forecasts(house, dirty_from=3)
    await client.call("switch.turn_on", "switch.export_monitor_enable_auto_discharge")

    async def resting() -> bool:
        dispatch = (await house.simulator.state())["dispatch"]
        return bool(dispatch["active"]) and dispatch["power_w"] == 0

    seconds = await eventually(resting, PLANNED_WITHIN_S, "the battery rests", house.shown)
    figure("switch to a rest by plan", house.title, seconds)

    async def confirmed() -> bool:
        state = await agent.state()
        return bool(state["phase"] == "REST_ACTIVE" and state["lease"]["confirmed"])

    await eventually(confirmed, 30, "the rest is confirmed", house.shown)

    await forecasts(house, dirty_from=0)
    await house.press("calculate_discharge")
    seconds = await eventually(
        house.simulator.discharging, PLANNED_WITHIN_S, "the plan is carried out", house.shown
    )
    figure("switch to discharge by plan", house.title, seconds)
    await shows_its_plan(house)

    await house.press("stop_discharge")
    await eventually(house.simulator.idle, 60, "the battery rests", house.shown)
    await house.press("calculate_discharge")

    async def declined() -> bool:
        waits = (await agent.state())["plan_waits"]
        return waits is not None and waits["code"] == "plan_declined"

    await eventually(declined, 30, "the plan leaves the window alone", house.shown)
    assert await house.simulator.idle()


async def shows_its_plan(house: Stack) -> None:
    """See reason, sources and entities of a plan that discharges."""
    client = house.client
    state = await house.agent.state()
    assert state["reason"]["code"] == "discharging"
    assert "plan" in state["reason"]["text"]
    assert [each["text"] for each in state["outlook"]["sources"] if each["name"] == "carbon"]
    await client.until(PLAN, lambda shown: "kWh" in shown)
    await client.until(SUMMARY, "auto_discharge=on, auto_charge=off")
    assert client.state("sensor.export_monitor_current_carbon_intensity") == "350.0"
    target = client.state("sensor.export_monitor_current_slot_target")
    assert target is not None
    assert float(target) > 0
