"""A service is asked seldom, believed only when it makes sense, and left alone when it asks so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.house.forecast import Shape, read
from agent.house.forecast_service import (
    EVERY,
    LARGEST_BYTES,
    ForecastService,
    Question,
    carbon_url,
    retry_at,
    solar_url,
)
from agent.setting_texts import Roof
from tests.house.forecast_server import answers

NOW = datetime(2026, 7, 1, 12, 10, tzinfo=UTC)
SOLAR_ANSWER = {
    "result": {
        "watts": {"2026-07-01 05:00:00": 0, "2026-07-01 06:00:00": 400},
        "watt_hours": {"2026-07-01 05:00:00": 0, "2026-07-01 06:00:00": 200,
                       "2026-07-01 07:00:00": 900},
        "watt_hours_day": {"2026-07-01": 900},
    },
    "message": {"code": 0, "type": "success", "text": "",
                "ratelimit": {"period": 3600, "limit": 12, "remaining": 11}},
}  # fmt: skip
TOO_MANY = {
    "message": {"code": 429, "type": "error", "text": "Rate limit for API calls reached.",
                "ratelimit": {"period": 3600, "limit": 12, "retry-at": "2026-07-01T14:40:00+00:00"}}
}  # fmt: skip
"""As Forecast.Solar answers a thirteenth call within the hour."""


def carbon(base: Callable[[], str], timeout_s: float = 5.0) -> ForecastService:
    question = Question(
        "carbon service",
        lambda now: carbon_url("SW1A", now, base()),
        lambda body: read(body, Shape.CARBON_INTENSITY, "carbon service"),
    )
    return ForecastService(question, "gCO2/kWh", timeout_s)


async def test_an_answer_is_read_and_not_asked_for_again_before_it_is_old() -> None:
    async with answers() as server:
        service = carbon(lambda: server.base)
        await service.refresh(NOW)
        assert [each.value for each in service.series.stretches] == [151, 88]
        await service.refresh(NOW + EVERY - timedelta(seconds=1))
        assert len(server.asked) == 1
        await service.refresh(NOW + EVERY)
        assert server.asked[0] == "/regional/intensity/2026-07-01T12:10Z/fw48h/postcode/SW1A"
        assert len(server.asked) == 2


async def test_forecast_solars_answer_becomes_power() -> None:
    async with answers() as server:
        server.body = json.dumps(SOLAR_ANSWER)
        question = Question(
            "sun",
            lambda _: solar_url(Roof(51.5, -0.1, 35, 0, 4.2), server.base),
            lambda body: read(body, Shape.FORECAST_SOLAR, "sun"),
        )
        service = ForecastService(question, "W")
        await service.refresh(NOW)
        assert server.asked == ["/estimate/51.5/-0.1/35/0/4.2"]
        assert [each.value for each in service.series.stretches] == [200, 700]


@pytest.mark.parametrize(
    ("status", "body", "headers", "waits"),
    [
        (500, "oops", {}, timedelta(minutes=1)),
        (429, json.dumps(TOO_MANY), {}, timedelta(hours=1, minutes=30)),
        (429, "", {"Retry-After": "900"}, timedelta(minutes=15)),
        (400, "{}", {}, timedelta(hours=6)),
        (200, "<html>", {}, timedelta(minutes=1)),
        (200, "[]", {}, timedelta(minutes=1)),
        (503, "", {"Retry-After": "9" * 30}, timedelta(days=1)),
    ],
)
async def test_an_error_waits_and_keeps_what_was_known(
    status: int, body: str, headers: dict[str, str], waits: timedelta
) -> None:
    async with answers() as server:
        service = carbon(lambda: server.base)
        await service.refresh(NOW)
        server.status, server.body, server.headers = status, body, headers
        later = NOW + EVERY
        await service.refresh(later)
        assert service.due == later + waits
        assert len(service.series.stretches) == 2
        assert service.series.reason


async def test_failures_wait_longer_and_longer_but_never_more_than_an_hour() -> None:
    async with answers() as server:
        server.status = 500
        service, now, waits = carbon(lambda: server.base), NOW, []
        for _ in range(9):
            await service.refresh(now)
            waits.append((service.due - now).total_seconds() / 60)
            now = service.due
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        server.status = 200
        await service.refresh(now)
        assert service.due == now + EVERY


async def test_a_service_that_does_not_answer_costs_its_timeout_and_no_more() -> None:
    async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        service = carbon(lambda: f"http://127.0.0.1:{port}", timeout_s=0.2)
        await service.refresh(NOW)
    assert "did not answer within 0.2 s" in service.series.reason
    assert not service.series


async def test_nobody_at_the_address_is_a_reason() -> None:
    service = carbon(lambda: "http://127.0.0.1:9")
    await service.refresh(NOW)
    assert "cannot be asked" in service.series.reason


async def test_an_endless_answer_is_cut_off() -> None:
    async with answers() as server:
        server.body = "[" + "1," * LARGEST_BYTES
        service = carbon(lambda: server.base)
        await service.refresh(NOW)
        assert "cannot be asked" in service.series.reason


@pytest.mark.parametrize(
    ("region", "path"),
    [("GB", "/intensity/2026-07-01T12:10Z/fw48h"),
     ("13", "/regional/intensity/2026-07-01T12:10Z/fw48h/regionid/13")],
)  # fmt: skip
def test_each_kind_of_region_has_its_address(region: str, path: str) -> None:
    assert carbon_url(region, NOW, "") == path


def test_hostile_bodies_of_errors_are_no_time_to_come_back() -> None:
    bodies: list[Any] = [None, [], {"message": 1}, {"message": {"ratelimit": {"retry-at": []}}}]
    assert [retry_at({}, body, NOW) for body in bodies] == [None] * 4
