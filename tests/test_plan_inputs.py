"""Each forecast comes from the best source there is, and a bad source is a reason, never a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.homeassistant.states import EntityState
from agent.house.forecast_grid import CARBON
from agent.house.forecast_pv import WATTS
from agent.house.series import Series, Stretch, series
from agent.plan_inputs import HomeSources, entity_ids, known, whole_days
from agent.settings import Settings

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 7, 1, 12, 10, tzinfo=UTC)
TODAY = "sensor.solcast_pv_forecast_forecast_today"
TOMORROW = "sensor.solcast_pv_forecast_forecast_tomorrow"
HOUR = timedelta(hours=1)


def state(entity_id: str, **attributes: Any) -> EntityState:
    return EntityState(entity_id, "3.1", attributes, 0, 0, 0, live=True)


def solcast(entity_id: str, day: int, kilowatts: float) -> EntityState:
    rows = [
        {"period_start": f"2026-07-{day:02d}T{n // 2:02d}:{n % 2 * 30:02d}:00+01:00",
         "pv_estimate": kilowatts, "pv_estimate10": 0.5, "pv_estimate90": 3.0}
        for n in range(48)
    ]  # fmt: skip
    return state(entity_id, detailedForecast=rows, unit_of_measurement="kWh")


def at(settings: Settings, *states: EntityState, asked: Mapping[str, Series] | None = None) -> Any:
    found = {each.entity_id: each for each in states}
    return known(settings, found, asked or {}, NOW, LONDON)


def test_solcasts_two_days_continue_each_other() -> None:
    pv = at(Settings(), solcast(TODAY, 1, 2.0), solcast(TOMORROW, 2, 1.0)).pv
    assert pv.at(NOW).value == 2000
    assert pv.at(NOW + timedelta(days=1)).value == 1000
    assert pv.ends == datetime(2026, 7, 2, 23, 0, tzinfo=UTC)


def test_a_named_entity_goes_before_the_one_that_would_be_found() -> None:
    settings = Settings.model_validate({"entities": {"forecast_today": "sensor.mine"}})
    pv = at(settings, solcast(TODAY, 1, 2.0), solcast("sensor.mine", 1, 1.0)).pv
    assert pv.at(NOW).value == 1000


def test_nothing_at_all_is_four_reasons_with_what_to_do() -> None:
    found = at(Settings())
    assert not any((found.pv, found.carbon, found.buy, found.sell))
    assert "or set roof" in found.pv.reason
    assert "or set carbon_region" in found.carbon.reason
    assert found.buy.reason == "no price is known; set buy_tariff or entities.buy_rates"


def test_a_bad_payload_is_a_reason() -> None:
    bad = state(TODAY, detailedForecast=[{"period_start": [], "pv_estimate": {}}])
    assert not at(Settings(), bad).pv
    assert at(Settings(), bad).pv.reason


def test_a_service_fills_in_only_where_no_entity_tells() -> None:
    told = {"pv": series(WATTS, "api", [Stretch(NOW, NOW + HOUR, 7.0)])}
    assert at(Settings(), asked=told).pv.source == "api"
    assert TODAY in at(Settings(), solcast(TODAY, 1, 2.0), asked=told).pv.source


def test_a_written_tariff_follows_the_clock_on_the_wall() -> None:
    buy = at(Settings(buy_tariff="00:00 0.07, 05:30 0.27")).buy
    assert (buy.unit, buy.at(NOW).value) == ("GBP/kWh", 0.27)
    assert buy.at(datetime(2026, 7, 2, 4, 0, tzinfo=UTC)).value == 0.07  # 05:00 in London
    assert buy.at(datetime(2026, 7, 2, 4, 30, tzinfo=UTC)).value == 0.27


def test_rates_of_two_days_are_read_in_their_own_unit() -> None:
    def rates(entity_id: str, day: int, unit: str, price: float) -> EntityState:
        begins, ends = (f"2026-07-0{n}T00:00:00+01:00" for n in (day, day + 1))
        row = {"start": begins, "end": ends, "value_inc_vat": price}
        return state(entity_id, rates=[row], unit_of_measurement=unit)

    settings = Settings.model_validate({"entities": {"buy_rates": "event.today, event.tomorrow"}})
    buy = at(
        settings, rates("event.today", 1, "", 0.25), rates("event.tomorrow", 2, "p/kWh", 30)
    ).buy
    assert buy.at(NOW).value == 0.25
    assert buy.at(NOW + timedelta(days=1)).value == 0.30


def test_carbon_times_without_a_zone_are_utc() -> None:
    row = {"from": "2026-07-01T12:00", "to": "2026-07-01T12:30", "intensity": 90, "index": "low"}
    carbon = at(Settings(), state("sensor.carbon_intensity_uk", forecast=[row])).carbon
    assert (carbon.unit, carbon.at(NOW).value, carbon.at(NOW).word) == (CARBON, 90, "low")


def test_a_forecast_that_leaves_the_night_out_knows_that_it_is_dark() -> None:
    light = [Stretch(NOW - 6 * HOUR, NOW + 6 * HOUR, 500.0)]
    pv = whole_days(series(WATTS, "api", light), LONDON)
    assert pv.at(datetime(2026, 6, 30, 23, 30, tzinfo=UTC)).value == 0.0
    assert pv.at(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)).value == 0.0
    assert pv.at(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) is None
    assert whole_days(replace(pv, stretches=()), LONDON).stretches == ()


def test_every_source_is_watched() -> None:
    settings = Settings.model_validate({"entities": {"sell_rates": "sensor.sell"}})
    assert entity_ids(settings) == {TODAY, TOMORROW, "sensor.carbon_intensity_uk", "sensor.sell"}


class HandCore:
    """The link to Home Assistant, made by hand."""

    def __init__(self) -> None:
        self.states: dict[str, EntityState] = {}
        self.watched: set[str] = set()
        self.tell: Callable[[frozenset[str]], None] = lambda _: None

    def watch(self, entity_ids: Iterable[str]) -> None:
        self.watched |= set(entity_ids)

    def subscribe_states(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        self.tell = callback
        return lambda: None


async def test_sources_are_watched_from_the_start_and_tell_when_they_change() -> None:
    core, told = HandCore(), []
    sources = HomeSources(core, Settings, lambda: LONDON)
    assert TODAY in core.watched
    sources.subscribe(lambda: told.append(1))
    core.tell(frozenset({"sensor.kettle"}))
    assert told == []
    core.tell(frozenset({"sensor.kettle", TODAY}))
    assert told == [1]
    core.states[TODAY] = solcast(TODAY, 1, 2.0)
    found = sources.known(NOW).pv.at(NOW)
    assert found is not None
    assert found.value == 2000


async def test_nobody_is_asked_who_was_not_named_or_is_not_needed() -> None:
    chosen = Settings()
    core = HandCore()
    sources = HomeSources(core, lambda: chosen, lambda: LONDON)
    assert await sources.refresh(NOW) is None
    core.states[TODAY] = solcast(TODAY, 1, 2.0)
    chosen = Settings(roof="51.5, -0.1, 35, 0, 4.2")
    assert await sources.refresh(NOW) is None  # Solcast's sensor tells already
