"""
How dirty and how dear the grid will be: carbon intensity and tariffs, from every shape in use.

One table of field names reads them all: GB's Carbon Intensity API and the sensors made from it,
Electricity Maps, Octopus and its integration, and lists of start, end and value as day-ahead
sensors have them. Nothing but the payload is looked at: a sensor whose state is a number is read
from its attributes like any other.

Source: export_monitor.md, section 5.2; D-35, D-37, D-38.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import local_day
from agent.house.forecast_rows import first, moment, number, objects, rows, usual_step
from agent.house.series import Series, Stretch, empty, series

CARBON = "gCO2/kWh"
_BEGINS = ("from", "start", "valid_from", "datetime", "start_time", "startsAt")
_ENDS = ("to", "end", "valid_to", "end_time")
_CARBON_LISTS = ("data", "forecast", "rates")
_CARBON_VALUES = ("intensity", "intensity_forecast", "carbonIntensity", "forecast", "value")
_PRICE_LISTS = ("results", "rates", "raw_today", "raw_tomorrow", "data", "prices", "forecast")
_PRICE_VALUES = ("value_inc_vat", "value", "price_per_kwh", "price", "total", "rate")
_HALF_HOUR = timedelta(minutes=30)
_HOUR = timedelta(hours=1)
_OPEN_END = timedelta(days=2)
"""A flat tariff's last rate has no end; this far it is believed."""
_MOST_CARBON_G = 3000.0
_MOST_PRICE = 10.0
"""Per kWh in a main unit of currency, either sign; more is a mistake in the unit."""
_HUNDREDTHS = {"p": "GBP", "pence": "GBP", "ct": "EUR", "cent": "EUR", "c": "c"}
"""Small units and the currency of their hundred; which dollars `c` belongs to nobody tells."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A row as far as it could be read."""

    begins: datetime
    ends: datetime | None
    value: float
    word: str = ""


def carbon_intensity(payload: object, source: str, naive: tzinfo = UTC) -> Series:
    """
    Return the carbon intensity of the grid in g of CO2 per kWh.

    Args:
        payload: answer of the GB API (national or regional), of Electricity Maps, or the
            attributes of a sensor or event entity made from them.
        source: entity or service, for messages.
        naive: zone of times that name none; all known sources mean UTC.
    """
    found = list(objects(rows(payload, *_CARBON_LISTS)))
    read = [_carbon_row(row, naive) for row in found]
    if not any(read) and isinstance(payload, Mapping):
        read.append(_carbon_row(payload, naive))
    missing = "it holds no forecast under data, forecast or rates"
    if not found and (payload is None or isinstance(payload, int | float | str)):
        missing = f"{missing}; choose the entity whose attributes hold the forecast"
    return _joined(CARBON, source, read, missing)


def _carbon_row(row: Mapping[str, Any], naive: tzinfo) -> _Span | None:
    held = first(row, *_CARBON_VALUES)
    word = row.get("index")
    if isinstance(held, Mapping):
        word = held.get("index", word)
        held = first(held, "forecast", "actual")
    value = number(held, 0.0, _MOST_CARBON_G)
    begins = moment(first(row, *_BEGINS), naive)
    if value is None or begins is None:
        return None
    ends = moment(first(row, *_ENDS), naive)
    return _Span(begins, ends, value, word if isinstance(word, str) else "")


def rates(payload: object, source: str, unit: str, naive: tzinfo = UTC) -> Series:
    """
    Return prices per kWh in the currency's main unit, VAT included where both are told.

    Args:
        payload: answer of Octopus' API (`results`, in pence), the integration's `rates`, or a list
            of start, end and value as day-ahead sensors have it.
        source: entity or service, for messages.
        unit: unit of the payload's numbers, as `p/kWh` or `EUR/kWh`.
        naive: zone of times that name none: the site's.
    """
    head, _, tail = unit.strip().partition("/")
    small = head.strip().lower()
    divide = 100.0 if small in _HUNDREDTHS else 1.0
    if tail.strip().lower() == "mwh":
        divide *= 1000.0
    elif tail.strip().lower() != "kwh":
        return empty(unit, source, f"{unit!r} is not a price per kWh; for example GBP/kWh or p/kWh")
    main = _HUNDREDTHS.get(small, head.strip())
    read: list[_Span | None] = []
    lists = [payload]
    if isinstance(payload, Mapping):
        # Day-ahead sensors keep today and tomorrow apart; everything else has one list.
        lists = [{name: payload[name]} for name in _PRICE_LISTS if name in payload]
    for each in lists:
        read += [_price_row(row, divide, naive) for row in objects(rows(each, *_PRICE_LISTS))]
    return _joined(f"{main}/kWh", source, read, "it holds no rates", open_end=_OPEN_END)


def _price_row(row: Mapping[str, Any], divide: float, naive: tzinfo) -> _Span | None:
    # Octopus lists a rate twice, by method of payment; direct debit is what almost all pay.
    if row.get("payment_method") == "NON_DIRECT_DEBIT":
        return None
    value = number(first(row, *_PRICE_VALUES), -_MOST_PRICE * divide, _MOST_PRICE * divide)
    begins = moment(first(row, *_BEGINS), naive)
    if value is None or begins is None:
        return None
    return _Span(begins, moment(first(row, *_ENDS), naive), value / divide)


def _joined(
    unit: str,
    source: str,
    read: list[_Span | None],
    missing: str,
    open_end: timedelta | None = None,
) -> Series:
    """Give rows without an end the time to the next one, at most an hour unless open ended."""
    spans = sorted((each for each in read if each is not None), key=lambda each: each.begins)
    step = min(usual_step([each.begins for each in spans], _HALF_HOUR), _HOUR)
    stretches = []
    for span in spans:
        ends = span.ends or span.begins + (open_end or step)
        stretches.append(Stretch(span.begins, ends, span.value, word=span.word))
    return series(unit, source, stretches, len(read) - len(spans), missing)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a static tariff: from this time of the site's day on, this value."""

    begins: time
    value: float


def table(
    lines: tuple[TableRow, ...],
    unit: str,
    source: str,
    zone: ZoneInfo,
    begins: datetime,
    ends: datetime,
) -> Series:
    """
    Return a static table of the day as a series, in the site's time.

    The last line before midnight holds into the next day until its first line. On the days of a
    clock change the table follows the clock on the wall, as tariffs do.

    Args:
        lines: times of day with their values, in any order; one line is a flat tariff.
        unit: of the values.
        source: name of the table, for messages.
        zone: the site's.
        begins: first moment wanted.
        ends: end of the last moment wanted.
    """
    if not lines:
        return empty(unit, source, "the table has no line; give at least one time and value")
    ordered = sorted(lines, key=lambda line: line.begins)
    day = begins.astimezone(zone).date()
    marks: list[tuple[datetime, float]] = []
    while local_day(day, zone)[0] < ends:
        midnight, next_midnight = local_day(day, zone)
        latest, of_day = next_midnight, []
        for line in reversed(ordered):
            # A time that the clock skips comes after later ones; it gets no length then.
            latest = min(latest, datetime.combine(day, line.begins, zone).astimezone(UTC))
            of_day.append((latest, line.value))
        marks += [(midnight, ordered[-1].value), *reversed(of_day)]
        day += timedelta(days=1)
    marks.append((local_day(day, zone)[0], ordered[-1].value))
    stretches = [
        Stretch(max(one, begins), min(after, ends), value)
        for (one, value), (after, _) in pairwise(marks)
        if one < after and one < ends and after > begins
    ]
    return series(unit, source, stretches)
