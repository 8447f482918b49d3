"""A preview answers what would be planned, and leaves everything as it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.export.plan_problem import Problem
from agent.export.plan_rollout import Proposal
from agent.export.planner import Plan
from agent.journal import Journal
from agent.plan_preview import TURNED_SERIES, TURNED_SETTINGS, turned_settings
from agent.planning import PreviewBusyError
from agent.setting_fields import SettingError
from agent.settings import Settings
from agent.surface.web.shapes import Changes
from tests.test_planning import CHOSEN, Scene, journal, quick

__all__ = ["journal"]  # the fixture


def test_what_the_page_may_turn_is_what_can_be_turned() -> None:
    assert set(Changes.__annotations__) == {*TURNED_SETTINGS, *TURNED_SERIES}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "control"}, "'mode' cannot be turned in a preview"),
        ({"target_export_w": 99_999}, "target_export_w"),
        ({"sun_percent": 301}, "sun_percent must be 0 to 300 %"),
        ({"sun_percent": float("nan")}, "sun_percent must be 0 to 300 %"),
        ({"load_percent": True}, "load_percent must be a number"),
        ({"min_soc_percent": "20"}, "min_soc_percent must be a number"),
    ],
)
def test_what_cannot_be_turned_is_refused_with_its_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        turned_settings(CHOSEN, changes)


def test_where_nothing_is_planned_a_preview_plans_both() -> None:
    found = turned_settings(Settings(), {})
    assert (found.enable_ci_planning, found.enable_charge_planning) == (True, True)
    assert (found.enable_auto_discharge, found.enable_auto_charge) == (False, False)


async def test_a_preview_with_less_sun_exports_less_and_changes_nothing(journal: Journal) -> None:
    scene = Scene(journal, quick)
    whole = await scene.planning.preview(scene.house, {})
    half = await scene.planning.preview(scene.house, {"sun_percent": 20, "load_percent": 150})
    sun, load = (sum(getattr(it, name) for it in whole.points) for name in ("pv_w", "load_w"))
    assert sum(it.pv_w for it in half.points) == pytest.approx(0.2 * sun, rel=0.01)
    assert sum(it.load_w for it in half.points) == pytest.approx(1.5 * load, rel=0.01)
    left = [sum(min(0, it.grid_w) for it in plan.points) for plan in (whole, half)]
    assert left[1] > left[0]
    assert scene.planning.adorn(scene.house.bare()).outlook is None
    assert scene.settings == CHOSEN
    assert scene.house.wakes == 0


async def test_a_turned_setting_is_in_the_question(journal: Journal) -> None:
    scene = Scene(journal, quick)
    await scene.planning.preview(scene.house, {"target_export_w": 1000, "battery_capacity_kwh": 20})
    (asked,) = scene.asked
    assert (asked.site.export_limit_w, asked.battery.capacity_wh) == (1000, 20_000)


async def test_one_preview_at_a_time(journal: Journal) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(problem: Problem, running: Proposal | None) -> Plan:
        begun.set()
        await go_on.wait()
        return await quick(problem, running)

    scene = Scene(journal, slow)
    first = asyncio.create_task(scene.planning.preview(scene.house, {}))
    await begun.wait()
    with pytest.raises(PreviewBusyError):
        await scene.planning.preview(scene.house, {})
    go_on.set()
    assert (await first).points
    assert (await scene.planning.preview(scene.house, {})).points
