"""A discharge asked for in Home Assistant stays within its bounds, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent.export.turn import DARK_W
from tests.acceptance.conftest import Figure, in_each
from tests.acceptance.parts import eventually
from tests.acceptance.people import HEALTH, STATUS
from tests.acceptance.stack import JUDGED_WITHIN_S, Stack

DETECTED = dict.fromkeys(("grid_power", "battery_power", "soc", "exported_today", "produced_today"))
LIMIT_W = 3680
CORE_DOWN_S = 60
OLDEST = "2024.1.0"
"""It keeps no report times."""
RENEWED_WITHIN_S = 15
SEEN_WITHIN_S = 90
NIGHT = {"pv_override_w": 0, "load_override_w": 0}
COMPLETE_WITHIN_S = 700
"""The last Wh go out at ever weaker powers, through helpers each for 75 s and half of what is left:
up to seven of them, and as much as two more on a busy machine."""


async def test_button_becomes_a_dispatch_and_the_other_button_its_verified_end(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        where = house.title
        figure("everything up, from nothing", where, house.up_s)
        began_s = time.monotonic()
        await house.reads(DETECTED)
        figure("commissioning test", where, time.monotonic() - began_s)

        figure("button to dispatch in the registers", where, await house.started())
        await house.client.until(STATUS, "Active")
        seen = []

        async def exports() -> bool:
            seen.append(-(await house.simulator.state())["plant"]["true_grid_w"])
            return seen[-1] > 2700

        await eventually(exports, 30, "about 3 kW to the grid", house.shown)
        assert max(seen) <= LIMIT_W
        assert house.client.state(HEALTH) == "Healthy"

        figure("button to verified stop", where, await house.stopped())
        await house.client.until(STATUS, lambda state: state != "Active")

    await in_each(houses, case)


@pytest.mark.timeout(1200)  # A house at rest and the commissioning test may have to come first.
async def test_export_ends_within_the_allowance(houses: dict[str, Stack], figure: Figure) -> None:
    async def case(house: Stack) -> None:
        await house.reads(DETECTED)
        energy = (await house.agent.state())["energy"]
        spare_wh = house.path.spare_wh
        margin_wh = energy["produced_wh"] - energy["exported_upper_wh"] - spare_wh
        margin_kwh = int(margin_wh / 10) / 100
        await house.agent.settings(safety_margin_kwh=margin_kwh)
        # With sun the allowance would grow while it is used, and a load would use it in its place.
        await house.simulator.set(plant=NIGHT)

        async def dark() -> bool:
            pv_w = (await house.agent.state())["power"]["pv_w"]
            return pv_w is not None and pv_w < DARK_W

        # What the sun might give has to be paid for: the first lease would be a weak one.
        await eventually(dark, SEEN_WITHIN_S, "the agent sees no sun", house.shown)
        before_wh = await house.exported_wh()
        await house.started()
        began_s, strongest_w = time.monotonic(), 0.0

        async def complete() -> bool:
            nonlocal strongest_w
            state = await house.simulator.state()
            strongest_w = max(strongest_w, -state["plant"]["true_grid_w"])
            return (await house.agent.state())["phase"] == "DISCHARGE_COMPLETE"

        await eventually(complete, COMPLETE_WITHIN_S, "the discharge is complete", house.shown)
        state = await house.agent.state()
        assert state["reason"]["code"] == "allowance_used", state["reason"]
        figure(
            f"discharge of the last {spare_wh:.0f} Wh",
            house.title,
            time.monotonic() - began_s,
        )
        await eventually(house.simulator.idle, 60, "the battery rests", house.shown)
        exported_wh = await house.exported_wh()
        assert exported_wh > before_wh + 20, "nothing was exported; the bound proves nothing"
        # What the agent counts as produced is never more than the truth.
        assert exported_wh <= state["energy"]["produced_wh"] - margin_kwh * 1000
        assert strongest_w <= LIMIT_W

    await in_each(houses, case)


async def test_dispatch_ends_by_itself_while_core_is_down_and_goes_on_when_it_is_back(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        await house.reads(DETECTED)
        await house.meters_written_down()
        await house.started()
        since = house.agent.last_event()
        house.core.kill()
        killed_s = time.monotonic()
        seconds = await house.ended_by_timer(await house.inverter_s())
        figure("Core killed to inverter idle, by its own timer", house.title, seconds)
        lost = (await house.agent.state())["problems"]
        assert "link_down" in {problem["code"] for problem in lost}
        await asyncio.sleep(max(0.0, CORE_DOWN_S - (time.monotonic() - killed_s)))
        await house.returned()
        await house.discharging(120)
        figure("lease after the newest reason to wait", house.title, _renewal_s(house, since))

    await in_each(houses, case)


def _renewal_s(house: Stack, since: int) -> float:
    """Return the longest time from fresh values, or from a reset, to the next lease."""
    waits, waiting_s = [], None
    for event in house.agent.events(since):
        if event["kind"] in {"inputs_back", "reset_by_other"}:
            waiting_s = event["at_s"]
        elif event["kind"] in {"input_lost", "link_down"}:
            waiting_s = None
        elif event["kind"] in {"lease", "renewal"} and waiting_s is not None:
            waits.append(event["at_s"] - waiting_s)
            waiting_s = None
    assert waits, "no lease was written after Core's return"
    assert max(waits) <= RENEWED_WITHIN_S, waits
    return max(waits)


async def test_inverter_is_idle_within_one_lease_after_the_agent_was_killed(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        await house.reads(DETECTED)
        await house.started()
        since = house.agent.last_event()
        house.agent.kill()
        seconds = await house.ended_by_timer(await house.inverter_s())
        figure("agent killed to inverter idle, by its own timer", house.title, seconds)
        await house.client.until(STATUS, "unavailable")
        await house.timer_over()
        await house.agent.start()
        await house.agent.wrote("found_idle", since, JUDGED_WITHIN_S)
        await house.client.until(STATUS, lambda state: state not in {"Active", "unavailable"})
        assert await house.simulator.idle(), "a discharge that ended was begun again by a restart"

    await in_each(houses, case)


async def test_restarted_agent_adopts_its_running_dispatch(
    houses: dict[str, Stack], figure: Figure
) -> None:
    async def case(house: Stack) -> None:
        await house.reads(DETECTED)
        await house.started()
        since = house.agent.last_event()
        house.agent.kill()
        began_s = time.monotonic()
        figure(
            "start of the agent until its page answers",
            house.title,
            await house.agent.start(),
        )
        found = await house.agent.wrote({"adopted", "found_idle"}, since, JUDGED_WITHIN_S)
        figure(f"start to {found['kind']}", house.title, time.monotonic() - began_s)
        if house.core.version == OLDEST and found["kind"] == "found_idle":
            # It had to ask for values that stood still, and did not wait for them with a battery
            # that discharges: stopped first, and said so.
            await eventually(house.simulator.idle, 15, "the battery rests", house.shown)
            return
        assert found["kind"] == "adopted", found
        await house.agent.wrote({"lease", "renewal"}, since, house.path.renewed_within_s)
        kinds = {event["kind"] for event in house.agent.events(since)}
        assert "stop" not in kinds, "the adopted dispatch was interrupted"
        await house.discharging()

    await in_each(houses, case)


async def test_restarted_agent_stops_what_nobody_wants_any_more(
    houses: dict[str, Stack], figure: Figure
) -> None:
    """The stop was asked for, its write was lost, and then the agent died."""

    async def case(house: Stack) -> None:
        await house.reads(DETECTED)
        await house.started()
        await house.simulator.set(faults={"lose_writes": True})
        written = (await house.simulator.state())["writes"]

        async def lost() -> bool:
            return bool((await house.simulator.state())["writes"] > written)

        since = house.agent.last_event()
        await house.press("stop_discharge")
        await house.agent.wrote("stop", since, 10)
        await eventually(lost, 30, "the stop was written, and lost", house.shown)
        house.agent.kill()
        assert await house.simulator.discharging()
        await house.simulator.set(faults={"lose_writes": False})
        since = house.agent.last_event()
        began_s = time.monotonic()
        await house.agent.start()
        judged = {"adopted", "found_idle", "stopped_at_start"}
        found = await house.agent.wrote(judged, since, JUDGED_WITHIN_S)
        if house.core.version == OLDEST and found["kind"] == "found_idle":
            # Its values were proven only after the lease had run out.
            assert await house.simulator.idle()
            return
        assert found["kind"] == "stopped_at_start", found
        await house.agent.wrote("stop_verified", since, 60)
        await eventually(house.simulator.idle, 15, "the battery rests", house.shown)
        figure("start of the agent to verified stop", house.title, time.monotonic() - began_s)

    await in_each(houses, case)
