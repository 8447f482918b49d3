"""Every shape in use is read, and nothing that a source can send does more than end the plan."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.house.forecast import Shape, pv_shape, read
from agent.house.forecast_grid import TableRow, table
from agent.house.series import Series

LONDON = ZoneInfo("Europe/London")
BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def value(found: Series, at: str) -> float | None:
    held = found.at(utc(at))
    return None if held is None else held.value


def carbon(payload: object) -> Series:
    return read(payload, Shape.CARBON_INTENSITY, "sensor.carbon")


def rates(payload: object, unit: str = "GBP/kWh") -> Series:
    return read(payload, Shape.RATES, "event.rates", unit=unit, naive=LONDON)


API_ROW = {
    "from": "2026-07-01T12:00Z",
    "to": "2026-07-01T12:30Z",
    "intensity": {"forecast": 182, "actual": None, "index": "moderate"},
}
FLAT_ROW = {"from": "2026-07-01T12:00Z", "to": "2026-07-01T12:30Z", "intensity": 182}
CARBON_SHAPES = {
    "national API": {"data": [API_ROW]},
    "regional API": {"data": {"regionid": 13, "shortname": "London", "data": [API_ROW]}},
    "current regional API": {"data": [{"regionid": 13, "data": [API_ROW]}]},
    "user's REST sensor": {"data": [API_ROW], "shortname": "London"},
    "carbon_intensity_uk": {"forecast": [{**FLAT_ROW, "index": "moderate", "optimal": False}],
                            "unit": "gCO2/kWh"},
    "uk_carbon_intensity": {"forecast": [{"from": "2026-07-01T12:00Z", "to": "2026-07-01T12:30Z",
                                          "forecast": 182, "index": "moderate"}]},
    "BottlecapDave": {"rates": [{"from": "2026-07-01T12:00:00+00:00",
                                 "to": "2026-07-01T12:30:00+00:00",
                                 "intensity_forecast": 182, "generation_mix": []}]},
    "Electricity Maps": {"zone": "GB", "forecast": [
        {"carbonIntensity": 182, "datetime": "2026-07-01T12:00:00.000Z"},
        {"carbonIntensity": 150, "datetime": "2026-07-01T13:00:00.000Z"}]},
    "Electricity Maps, latest": {"zone": "GB", "carbonIntensity": 182,
                                 "datetime": "2026-07-01T12:00:00.000Z"},
    "a text of JSON": json.dumps({"data": [API_ROW]}),
    "a bare list": [FLAT_ROW],
    "local times with an offset": [{**FLAT_ROW, "from": "2026-07-01T13:00:00+01:00",
                                    "to": "2026-07-01T13:30:00+01:00"}],
}  # fmt: skip


@pytest.mark.parametrize("name", CARBON_SHAPES)
def test_d38_every_shape_of_carbon_intensity_in_use_is_read(name: str) -> None:
    found = carbon(CARBON_SHAPES[name])
    assert value(found, "2026-07-01T12:10") == 182
    assert value(found, "2026-07-01T11:59") is None


def test_d37_a_sensor_with_a_number_as_state_is_read_from_its_attributes() -> None:
    """The old integration read the state as JSON, got a number and never saw the attributes."""
    found = carbon({"state": "182", "unit_of_measurement": "gCO2/kWh", "data": [API_ROW]})
    assert value(found, "2026-07-01T12:10") == 182
    assert not carbon("182")
    assert "attributes" in carbon("182").reason
    assert not carbon(182)


@pytest.mark.parametrize("missing", [None, {}, {"forecast": None}, "", "unknown", True])
def test_d35_a_missing_intensity_is_unknown_and_never_the_greenest(missing: object) -> None:
    found = carbon({"data": [{**API_ROW, "intensity": missing}, {
        **API_ROW, "from": "2026-07-01T12:30Z", "to": "2026-07-01T13:00Z"}]})  # fmt: skip
    assert value(found, "2026-07-01T12:10") is None
    assert value(found, "2026-07-01T12:40") == 182
    assert found.reason == "1 rows could not be read"


def test_d17_a_time_without_a_zone_is_read_as_utc() -> None:
    found = carbon([{**FLAT_ROW, "from": "2026-07-01T12:00", "to": "2026-07-01T12:30"}])
    assert value(found, "2026-07-01T12:10") == 182


def test_the_sources_own_word_is_kept() -> None:
    held = carbon({"data": [API_ROW]}).at(utc("2026-07-01T12:10"))
    assert held
    assert held.word == "moderate"


def test_case_38_duplicate_late_and_overlapping_rows() -> None:
    rows = [
        {"from": "2026-07-01T13:00Z", "to": "2026-07-01T13:30Z", "intensity": 300},
        {"from": "2026-07-01T12:00Z", "to": "2026-07-01T13:30Z", "intensity": 100},
        {"from": "2026-07-01T13:00Z", "to": "2026-07-01T13:30Z", "intensity": 200},
    ]
    found = carbon({"data": rows})
    assert value(found, "2026-07-01T12:59") == 100
    assert value(found, "2026-07-01T13:00") == 200


def solcast_rows(day: str, zone: ZoneInfo, count: int) -> list[dict[str, Any]]:
    begins = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC)
    return [
        {
            "period_start": (begins + number * timedelta(minutes=30)).astimezone(zone),
            "pv_estimate": 2.0,
            "pv_estimate10": 1.0,
            "pv_estimate90": 3.0,
        }
        for number in range(count)
    ]


def test_solcast_rows_are_average_kilowatts_of_half_hours() -> None:
    rows = solcast_rows("2026-07-01", LONDON, 48)
    found = read({"estimate": 48.0, "detailedForecast": rows}, Shape.SOLCAST, "sensor.solcast")
    held = found.mean(utc("2026-07-01T12:00"), utc("2026-07-01T13:00"))
    assert held
    assert (held.value, held.low, held.high) == (2000, 1000, 3000)
    assert found.energy_wh(utc("2026-06-30T23:00"), utc("2026-07-01T23:00")) == 48_000


@pytest.mark.parametrize(("day", "count"), [("2026-03-29", 46), ("2026-10-25", 50)])
def test_case_02_solcast_on_the_days_of_a_clock_change(day: str, count: int) -> None:
    rows = solcast_rows(day, LONDON, count)
    as_text = [{**row, "period_start": row["period_start"].isoformat()} for row in rows]
    for each in (rows, as_text):
        found = read(each, Shape.SOLCAST, "sensor.solcast")
        assert len(found.stretches) == count
        span = found.stretches[-1].ends - found.stretches[0].begins
        assert span == timedelta(minutes=30 * count)


def test_solcast_by_the_hour_and_from_its_own_api() -> None:
    hourly = {"detailedHourly": [
        {"period_start": f"2026-07-01T{hour:02}:00:00+01:00", "pv_estimate": 1.5}
        for hour in (12, 13)]}  # fmt: skip
    found = read(hourly, Shape.SOLCAST, "sensor.solcast")
    assert found.energy_wh(utc("2026-07-01T11:00"), utc("2026-07-01T13:00")) == 3000
    api = {"forecasts": [{"pv_estimate": 1.5, "period_end": "2026-07-01T12:30:00.0000000Z",
                          "period": "PT30M"}]}  # fmt: skip
    assert value(read(api, Shape.SOLCAST, "api"), "2026-07-01T12:00") == 1500


def test_solcast_without_details_says_what_to_switch_on() -> None:
    found = read({"estimate": 12.3}, Shape.SOLCAST, "sensor.solcast")
    assert not found
    assert "detailedForecast" in found.reason


FORECAST_SOLAR = {
    "result": {
        "watt_hours": {
            "2026-07-01 05:00:00": 0,
            "2026-07-01 06:00:00": 500,
            "2026-07-01 07:30:00": 2000,
            "2026-07-01 21:00:00": 9000,
            "2026-07-02 05:00:00": 0,
            "2026-07-02 06:00:00": 700,
        }
    },
    "message": {"code": 0},
}


def test_forecast_solar_counts_each_day_anew_in_the_sites_time() -> None:
    assert pv_shape(FORECAST_SOLAR) is Shape.FORECAST_SOLAR
    found = read(FORECAST_SOLAR, Shape.FORECAST_SOLAR, "api", naive=BERLIN)
    assert value(found, "2026-07-01T03:30") == 500
    assert value(found, "2026-07-01T05:00") == 1000
    assert value(found, "2026-07-02T03:30") == 700
    assert value(found, "2026-07-01T22:00") == 0


def test_home_assistants_own_energy_forecast_is_read() -> None:
    hours = {"wh_hours": {"2026-07-01T10:00:00+00:00": 800, "2026-07-01T11:00:00+00:00": 900}}
    found = read(hours, pv_shape(hours), "energy")
    assert value(found, "2026-07-01T10:30") == 800
    assert value(found, "2026-07-01T11:30") == 900


def test_octopus_api_in_pence_newest_first() -> None:
    payload = {"count": 2, "results": [
        {"value_exc_vat": 23.81, "value_inc_vat": 25.0, "valid_from": "2026-07-01T12:30:00Z",
         "valid_to": "2026-07-01T13:00:00Z", "payment_method": None},
        {"value_exc_vat": -2.0, "value_inc_vat": -2.1, "valid_from": "2026-07-01T12:00:00Z",
         "valid_to": "2026-07-01T12:30:00Z", "payment_method": None}]}  # fmt: skip
    found = rates(payload, "p/kWh")
    assert found.unit == "GBP/kWh"
    assert value(found, "2026-07-01T12:10") == pytest.approx(-0.021)
    assert value(found, "2026-07-01T12:40") == pytest.approx(0.25)


def test_a_flat_rate_without_an_end_holds_for_the_plan() -> None:
    payload = {"results": [{"value_inc_vat": 15.0, "valid_from": "2026-07-01T00:00:00Z",
                            "valid_to": None}]}  # fmt: skip
    for unit in ("p/kWh", " P / kWh"):
        found = rates(payload, unit)
        assert found.unit == "GBP/kWh"
        assert value(found, "2026-07-02T12:00") == pytest.approx(0.15)


def test_the_octopus_integration_and_day_ahead_sensors() -> None:
    event = {"rates": [{"start": "2026-07-01T13:00:00+01:00", "end": "2026-07-01T13:30:00+01:00",
                        "value_inc_vat": 0.2, "is_capped": False}]}  # fmt: skip
    assert value(rates(event), "2026-07-01T12:10") == 0.2
    nordpool = {
        "raw_today": [{"start": "2026-07-01T22:00:00+00:00", "end": "2026-07-01T23:00:00+00:00",
                       "value": 0.1}],
        "raw_tomorrow": [{"start": "2026-07-01T23:00:00+00:00",
                          "end": "2026-07-02T00:00:00+00:00", "value": 0.3}]}  # fmt: skip
    found = rates(nordpool, "EUR/kWh")
    assert value(found, "2026-07-01T22:30") == 0.1
    assert value(found, "2026-07-01T23:30") == 0.3


def test_case_07_a_price_in_an_unknown_unit_is_refused() -> None:
    assert "GBP/kWh" in rates({"rates": []}, "W").reason
    assert not rates([{"start": "2026-07-01T13:00Z", "end": "2026-07-01T14:00Z", "value": 2500}])


def test_a_static_tariff_follows_the_clock_on_the_wall() -> None:
    lines = (TableRow(time(0, 30), 0.07), TableRow(time(5, 30), 0.27))
    for day in ("2026-07-01", "2026-10-25", "2026-03-29"):
        begins = datetime.fromisoformat(day).replace(tzinfo=LONDON).astimezone(UTC)
        found = table(lines, "GBP/kWh", "tariff", LONDON, begins, begins + timedelta(days=2))
        for hour, minute, price in ((0, 0, 0.27), (0, 30, 0.07), (5, 0, 0.07), (5, 30, 0.27)):
            local = datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=LONDON)
            held = found.at(local.astimezone(UTC))
            assert held
            assert held.value == price
        assert found.mean(begins, begins + timedelta(days=2))


def test_a_line_in_the_hour_that_the_clock_skips_gets_no_time() -> None:
    lines = (TableRow(time(), 1.0), TableRow(time(1, 30), 2.0), TableRow(time(2), 3.0))
    begins = utc("2026-03-29T00:00")
    found = table(lines, "GBP/kWh", "tariff", LONDON, begins, begins + timedelta(hours=4))
    assert [each.value for each in found.stretches] == [1.0, 3.0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(
        st.sampled_from(["data", "forecast", "rates", "results", "result", "from", "to", "start",
                         "intensity", "value", "watt_hours", "wh_hours", "detailedForecast",
                         "period_start", "pv_estimate", "2026-07-01 10:00:00"]),
        inner | st.sampled_from(["2026-07-01T12:00Z", "2026-07-01", "12", "9999-12-31T23:59Z",
                                 "0001-01-01T00:00+14:00", "nan"]),
        max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(payload=JSON, shape=st.sampled_from(Shape))
def test_d17_no_payload_raises_and_an_empty_series_says_why(payload: Any, shape: Shape) -> None:
    found = read(payload, shape, "sensor.hostile", unit="GBP/kWh", naive=LONDON)
    assert bool(found) or found.reason
