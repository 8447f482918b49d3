"""What-if and the thinned history over HTTP."""

from __future__ import annotations

from agent.surface.desk import HistoryPoint, PlanRefusedError
from agent.surface.web.thinning import thinned
from tests.surface.conftest import House
from tests.surface.hand_plan import picture


async def test_a_preview_is_answered_as_the_outlook_is_told(house: House) -> None:
    house.plan.answer = picture()
    async with house.client.post("/api/plan/preview", json={"sun_percent": 50}) as answer:
        told = await answer.json()
    house.guard.show(outlook=picture())
    async with house.client.get("/api/state") as answer:
        assert told == (await answer.json())["outlook"]
    assert house.plan.asked == [{"sun_percent": 50}]
    assert house.audited == []  # nothing was done


async def test_a_refused_preview_says_why(house: House) -> None:
    for code, status in (("invalid", 400), ("busy", 409)):
        house.plan.answer = PlanRefusedError(code, "Not so.")
        async with house.client.post("/api/plan/preview", json={}) as answer:
            assert answer.status == status
            assert await answer.json() == {"accepted": False, "code": code, "text": "Not so."}


async def test_a_foreign_page_cannot_spend_our_time(house: House) -> None:
    headers = {"Origin": "http://elsewhere.example"}
    async with house.client.post("/api/plan/preview", json={}, headers=headers) as answer:
        assert answer.status == 403
    assert house.plan.asked == []


def test_powers_are_averaged_and_counters_taken_as_they_stood() -> None:
    points = [
        HistoryPoint(at=60.0, grid_w=-100, pv_w=None, exported_wh=10, soc_percent=50),
        HistoryPoint(at=65.0, grid_w=-300, pv_w=500, exported_wh=20, soc_percent=51),
        HistoryPoint(at=119.9, grid_w=None, pv_w=None, exported_wh=30, soc_percent=None),
        HistoryPoint(at=120.0, grid_w=-5, load_w=None),
    ]
    first, second = thinned(points, 60)
    assert (first.at, first.grid_w, first.pv_w, first.load_w) == (119.9, -200, 500, None)
    assert (first.exported_wh, first.soc_percent) == (30, None)
    assert second == points[3]


async def test_a_day_leaves_as_a_point_a_minute(house: House) -> None:
    house.guard.points = [HistoryPoint(at=n * 5.0, grid_w=1.0) for n in range(17_280)]
    async with house.client.get("/api/history?seconds=86400&every=60") as answer:
        assert len((await answer.json())["at"]) == 1440
    async with house.client.get("/api/history?every=0") as answer:
        assert answer.status == 400
        assert "every must be above 0" in (await answer.json())["text"]
