"""Whoever stops the agent gets the battery back first, and Home Assistant is told."""

from __future__ import annotations

import signal

from tests.acceptance.conftest import Figure, in_each
from tests.acceptance.stack import JUDGED_WITHIN_S, Stack

STATUS = "sensor.export_monitor_discharge_status"
IDLE_WITHIN_S = 5
RELEASED_WITHIN_S = 30
"""The agent waits 25 s at most for the proof; the Supervisor would wait for 120 s."""


async def test_idle_agent_leaves_at_once_and_says_goodbye(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        await house.client.until(STATUS, lambda state: state != "unavailable")
        code, seconds = await house.agent.terminated(signal.SIGTERM, RELEASED_WITHIN_S)
        assert code == 0
        assert seconds <= IDLE_WITHIN_S
        await house.client.until(STATUS, "unavailable", 5)
        figure("SIGTERM while idle, to exit 0", house.title, seconds)

    await in_each(houses, case)


async def test_agent_that_discharges_stops_the_battery_before_it_leaves(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        if not (await house.agent.state())["commissioning"]["passed"]:
            await house.commissioned()
        await house.started()
        since = house.agent.last_event()
        code, seconds = await house.agent.terminated(signal.SIGTERM, RELEASED_WITHIN_S)
        truth = await house.simulator.state()
        assert not truth["dispatch"]["active"], "the agent left a dispatch behind"
        assert code == 0
        kinds = [event["kind"] for event in house.agent.events(since)]
        assert "stop_verified" in kinds, kinds
        await house.client.until(STATUS, "unavailable", 5)
        figure("SIGTERM during a dispatch, to verified and exit 0", house.title, seconds)
        since = house.agent.last_event()
        await house.agent.start()
        await house.agent.wrote("found_idle", since, JUDGED_WITHIN_S)

    await in_each(houses, case)
