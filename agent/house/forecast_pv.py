"""
What the sun will give, from Solcast, Forecast.Solar or Home Assistant's own energy forecast.

All become average power in W. Solcast's rows are half hours in kW with a pessimistic and an
optimistic value; Forecast.Solar gives the day's energy so far at odd moments, so its power is
what was added between two of them.

Source: export_monitor.md, section 5.1; Forecast.Solar API, `result.watt_hours`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from agent.house.forecast_rows import first, moment, number, objects, rows, usual_step
from agent.house.series import SECONDS_PER_HOUR, Series, Stretch, empty, series

WATTS = "W"
_WATTS_PER_KW = 1000.0
_HALF_HOUR = timedelta(minutes=30)
_HOUR = timedelta(hours=1)
_LONGEST = timedelta(hours=3)
"""Forecast.Solar leaves the night out: a longer gap is one, not a period."""
_MOST_KW = 1000.0
_MOST_WH = 24 * _MOST_KW * _WATTS_PER_KW
_PERIODS = {"PT5M": 5, "PT10M": 10, "PT15M": 15, "PT20M": 20, "PT30M": 30, "PT60M": 60, "PT1H": 60}


def solcast(payload: object, source: str, naive: tzinfo = UTC) -> Series:
    """
    Return the power that Solcast expects, with its 10th and 90th percentile, in W.

    Args:
        payload: attributes of a daily sensor (`detailedForecast`, `detailedHourly`), such a list,
            or the API's answer (`forecasts`).
        source: entity or service, for messages.
        naive: zone of times that name none.
    """
    found = list(objects(rows(payload, "detailedForecast", "detailedHourly", "forecasts", "data")))
    begins = [_solcast_begin(row, naive) for row in found]
    step = usual_step([each for each in begins if each is not None], _HALF_HOUR)
    stretches = []
    for row, begin in zip(found, begins, strict=True):
        expected = _kw(row, "pv_estimate")
        if begin is None or expected is None:
            continue
        low, high = _kw(row, "pv_estimate10"), _kw(row, "pv_estimate90")
        # Dampening and rounding can push a percentile past the estimate.
        low = None if low is None else min(low, expected)
        high = None if high is None else max(high, expected)
        stretches.append(Stretch(begin, begin + min(step, _HOUR), expected, low, high))
    return series(
        WATTS,
        source,
        stretches,
        len(found) - len(stretches),
        "there is no detailedForecast in it; switch that attribute on in Solcast's options",
    )


def _solcast_begin(row: Mapping[str, Any], naive: tzinfo) -> datetime | None:
    begin = moment(row.get("period_start"), naive)
    end = moment(row.get("period_end"), naive)
    if begin is None and end is not None:
        minutes = _PERIODS.get(str(row.get("period", "PT30M")))
        begin = None if minutes is None else end - timedelta(minutes=minutes)
    return begin


def _kw(row: Mapping[str, Any], name: str) -> float | None:
    kilowatts = number(row.get(name), 0.0, _MOST_KW)
    return None if kilowatts is None else kilowatts * _WATTS_PER_KW


def forecast_solar(payload: object, source: str, naive: tzinfo = UTC) -> Series:
    """
    Return the power that Forecast.Solar expects, in W.

    Args:
        payload: the API's answer or its `result`; also Home Assistant's `wh_hours`.
        source: entity or service, for messages.
        naive: the site's zone, in which the API writes its times unless asked otherwise.
    """
    result = payload
    if isinstance(payload, Mapping) and isinstance(payload.get("result"), Mapping):
        result = payload["result"]
    if not isinstance(result, Mapping):
        return empty(WATTS, source, "the answer has no `result`")
    hours = first(result, "wh_hours")
    if isinstance(hours, Mapping):
        return _energies(hours, source, naive, starts=True)
    cumulative = first(result, "watt_hours")
    if isinstance(cumulative, Mapping):
        return _from_cumulative(cumulative, source, naive)
    periods = first(result, "watt_hours_period")
    if isinstance(periods, Mapping):
        return _energies(periods, source, naive, starts=False)
    return empty(WATTS, source, "there is neither watt_hours nor wh_hours in it")


def _points(
    found: Mapping[str, Any], naive: tzinfo
) -> tuple[list[tuple[datetime, str, float]], int]:
    """Return moment, day as written and energy, sorted; and how many could not be read."""
    points = []
    for when, value in found.items():
        at, energy_wh = moment(when, naive), number(value, 0.0, _MOST_WH)
        if at is not None and energy_wh is not None:
            points.append((at, str(when)[:10], energy_wh))
    return sorted(points), len(found) - len(points)


def _from_cumulative(found: Mapping[str, Any], source: str, naive: tzinfo) -> Series:
    points, left_out = _points(found, naive)
    stretches = []
    for before, after in pairwise(points):
        # The count starts again each day; the first point of a day is its sunrise.
        if before[1] == after[1] and after[2] >= before[2]:
            stretches.append(_power(before[0], after[0], after[2] - before[2]))
    return series(WATTS, source, _with_nights(stretches), left_out, "its watt_hours are empty")


def _energies(found: Mapping[str, Any], source: str, naive: tzinfo, *, starts: bool) -> Series:
    points, left_out = _points(found, naive)
    stretches = []
    if starts:
        step = min(usual_step([at for at, _, _ in points], _HOUR), _HOUR)
        stretches = [_power(at, at + step, energy_wh) for at, _, energy_wh in points]
    else:
        for before, after in pairwise(points):
            if after[0] - before[0] <= _LONGEST:
                stretches.append(_power(before[0], after[0], after[2]))
    return series(WATTS, source, _with_nights(stretches), left_out, "it has no periods")


def _power(begins: datetime, ends: datetime, energy_wh: float) -> Stretch:
    hours = (ends - begins).total_seconds() / SECONDS_PER_HOUR
    return Stretch(begins, ends, energy_wh / hours if hours > 0 else float("nan"))


def _with_nights(stretches: list[Stretch]) -> list[Stretch]:
    """Fill the gap from one day's last light to the next day's first with no sun."""
    nights = []
    ordered = sorted(stretches)
    for before, after in pairwise(ordered):
        if _LONGEST < after.begins - before.ends < timedelta(hours=21):
            nights.append(Stretch(before.ends, after.begins, 0.0))
    return [*ordered, *nights]
