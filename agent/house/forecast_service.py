"""
Forecasts from services that are asked directly, where Home Assistant holds none.

A service is asked when its answer grows old, never in a hurry: failures wait longer and longer, and
when a service says when to come back, it is left alone until then. What was known stays known until
its own time is over, and nobody but the planner ever waits for an answer.

Source: export_monitor.md 5.2 (carbonintensity.org.uk, free and keyless, half hours in UTC);
Forecast.Solar API (public: 12 calls an hour and address, 429 with `ratelimit.retry-at`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import aiohttp

from agent import __version__
from agent.house.forecast_rows import moment
from agent.house.series import Series, empty
from agent.setting_texts import Roof

CARBON_URL = "https://api.carbonintensity.org.uk"
SOLAR_URL = "https://api.forecast.solar"
EVERY = timedelta(hours=1)
TIMEOUT_S = 20.0
LARGEST_BYTES = 2_000_000
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=1)
_REFUSED_WAIT = timedelta(hours=6)
"""After an answer that says that the question is wrong: only a changed setting helps."""
_LONGEST_PAUSE = timedelta(days=1)
_WRONG_QUESTION = frozenset({400, 401, 403, 404, 422})

Read = Callable[[object], Series]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of whom."""

    name: str
    """The service, as a person would look it up."""
    url: Callable[[datetime], str]
    """The address to ask at a moment in UTC."""
    read: Read


@dataclass(frozen=True, slots=True)
class Standing:
    """What a service has told, and when it is asked again."""

    series: Series
    due: datetime
    failures: int = 0


def carbon_url(region: str, now: datetime, base: str = CARBON_URL) -> str:
    """Return where GB's carbon intensity of the next 48 h is, for a region of the settings."""
    begins = f"{now.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    if region == "GB":
        return f"{base}/intensity/{begins}/fw48h"
    kind = "regionid" if region.isdigit() else "postcode"
    return f"{base}/regional/intensity/{begins}/fw48h/{kind}/{region}"


def solar_url(roof: Roof, base: str = SOLAR_URL) -> str:
    """Return where the estimate for a roof is."""
    place = f"{roof.latitude:g}/{roof.longitude:g}"
    return f"{base}/estimate/{place}/{roof.tilt:g}/{roof.azimuth:g}/{roof.peak_kw:g}"


def after_answer(before: Standing, found: Series, now: datetime) -> Standing:
    """Return the standing after an answer; one that holds nothing does not end what was known."""
    if not found:
        return _failed(before, found.reason, now, None)
    return Standing(found, now + EVERY)


def after_failure(
    before: Standing, status: int | None, why: str, now: datetime, back: datetime | None
) -> Standing:
    """
    Return the standing after an error.

    Args:
        before: what was known.
        status: of the answer, `None` when there was none.
        why: in words.
        now: the present moment.
        back: when the service wants to be asked again, where it said so.
    """
    if status in _WRONG_QUESTION:
        text = f"{why}; check carbon_region or roof in the settings"
        return replace(_failed(before, text, now, back), due=now + _REFUSED_WAIT)
    return _failed(before, why, now, back)


def _failed(before: Standing, why: str, now: datetime, back: datetime | None) -> Standing:
    failures = before.failures + 1
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures - 1, 10))
    due = now + wait
    if back is not None:
        due = min(max(due, back), now + _LONGEST_PAUSE)
    return Standing(replace(before.series, reason=why), due, failures)


def retry_at(headers: Any, body: object, now: datetime) -> datetime | None:
    """Return when a service wants to be asked again: `Retry-After`, or Forecast.Solar's own."""
    after = str(headers.get("Retry-After", "")).strip()
    if after.isdigit():
        return now + timedelta(seconds=min(int(after), 7 * 86_400))
    message = body.get("message") if isinstance(body, dict) else None
    limits = message.get("ratelimit") if isinstance(message, dict) else None
    return moment(limits.get("retry-at")) if isinstance(limits, dict) else None


class ForecastService:
    """Asks one service when it is due."""

    def __init__(self, question: Question, unit: str, timeout_s: float = TIMEOUT_S) -> None:
        self._question = question
        self._timeout_s = timeout_s
        unasked = empty(unit, question.name, "it has not been asked yet")
        self._standing = Standing(unasked, datetime.min.replace(tzinfo=UTC))

    @property
    def series(self) -> Series:
        """Return what is known."""
        return self._standing.series

    @property
    def due(self) -> datetime:
        """Return when it is asked next."""
        return self._standing.due

    async def refresh(self, now: datetime) -> None:
        """Ask if it is due; never raises."""
        if now < self._standing.due:
            return
        before, name = self._standing, self._question.name
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body, back = await self._ask(now)
        except TimeoutError:
            why = f"{name} did not answer within {self._timeout_s:g} s"
            self._standing = after_failure(before, None, why, now, None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = f"{name} cannot be asked ({type(error).__name__})"
            self._standing = after_failure(before, None, why, now, None)
        else:
            if status == HTTPStatus.OK:
                self._standing = after_answer(before, self._question.read(body), now)
            else:
                why = f"{name} answered with {status}"
                self._standing = after_failure(before, status, why, now, back)

    async def _ask(self, now: datetime) -> tuple[int, object, datetime | None]:
        headers = {"Accept": "application/json", "User-Agent": f"PV-Edge-Agent/{__version__}"}
        # A session of its own for one question an hour: no idle connection stays open.
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(self._question.url(now)) as response,
        ):
            data = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                data += chunk
                if len(data) > LARGEST_BYTES:
                    raise ValueError("the answer is too long")
            try:
                body: object = json.loads(data)
            except (ValueError, RecursionError):
                body = None
            return response.status, body, retry_at(response.headers, body, now)
