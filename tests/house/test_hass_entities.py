"""A state text becomes a number only if it cannot be anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.homeassistant.states import EntityState
from agent.house.hass_entities import (
    CANDIDATE_IDS,
    DAY_ENERGY,
    FLAG,
    PERCENT,
    POWER,
    EntityMapping,
    detect,
    read,
)
from agent.house.readings import Quality

X = "sensor.x"
A = "sensor.alphaess_"


def states(*named: str, **by_name: tuple[str, str | None]) -> dict[str, EntityState]:
    found = {f"sensor.{name}": entity(f"sensor.{name}", *says) for name, says in by_name.items()}
    return found | {entity_id: entity(entity_id, "1", "W") for entity_id in named}


def entity(entity_id: str, text: str, unit: str | None = None, **more: Any) -> EntityState:
    attributes = dict(more) if unit is None else {"unit_of_measurement": unit, **more}
    return EntityState(entity_id, text, attributes, 0.0, 0.0, 0.0, live=True)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("1500", "W", 1500), ("1.5", "kW", 1500), ("-0.0025", "MW", -2500), (" 3 ", "W", 3)],
)
def test_power_is_converted_by_the_entitys_own_unit(text: str, unit: str, value: float) -> None:
    assert read(X, states(x=(text, unit)), POWER)[0] == pytest.approx(value)


def test_wh_where_kwh_is_usual_is_not_a_thousand_times_too_much() -> None:
    assert read(X, states(x=("8250", "Wh")), DAY_ENERGY)[0] == 8250
    assert read(X, states(x=("8.25", "kWh")), DAY_ENERGY)[0] == 8250


@pytest.mark.parametrize("text", ["unavailable", "unknown", "None", "", "nan", "inf", "-inf"])
def test_what_is_not_known_is_unavailable_and_never_zero(text: str) -> None:
    value, quality, detail = read(X, states(x=(text, "W")), POWER)
    assert (value, quality) == (None, Quality.UNAVAILABLE)
    assert X in detail


@pytest.mark.parametrize("text", ["1_000", "\u0661", "12 W", "on", "0x10", "1,5"])
def test_text_that_is_no_number_is_invalid(text: str) -> None:
    assert read(X, states(x=(text, "W")), POWER)[:2] == (None, Quality.INVALID)


def test_a_number_without_a_unit_is_invalid_and_the_words_say_what_to_set() -> None:
    value, quality, detail = read(X, states(x=("12.3", None)), DAY_ENERGY)
    assert (value, quality) == (None, Quality.INVALID)
    assert detail.startswith("sensor.x says 12.3 without a unit; expected kWh; set unit_of_")


def test_a_unit_of_something_else_is_invalid() -> None:
    value, quality, detail = read(X, states(x=("55", "Wh")), PERCENT)
    assert (value, quality) == (None, Quality.INVALID)
    assert "55 in 'Wh'; expected %" in detail


@pytest.mark.parametrize(
    ("text", "unit", "quantity"),
    [
        ("100.1", "%", PERCENT),
        ("-0.1", "%", PERCENT),
        ("50.1", "kW", POWER),
        ("-0.01", "kWh", DAY_ENERGY),
        ("1000.1", "kWh", DAY_ENERGY),
        ("2", None, FLAG),
    ],
)
def test_outside_of_what_can_be_is_invalid(text: str, unit: str | None, quantity: Any) -> None:
    value, quality, detail = read(X, states(x=(text, unit)), quantity)
    assert (value, quality) == (None, Quality.INVALID)
    assert "outside" in detail


def test_a_placeholder_from_before_cores_start_is_unavailable() -> None:
    placeholder = {X: entity(X, "60", "%", restored=True)}
    assert read(X, placeholder, PERCENT)[:2] == (None, Quality.UNAVAILABLE)


def test_an_entity_that_does_not_exist_is_missing() -> None:
    value, quality, detail = read(X, {}, POWER)
    assert (value, quality) == (None, Quality.MISSING)
    assert "does not exist" in detail


def test_several_entities_are_summed_and_one_without_a_value_spoils_the_sum() -> None:
    house = states(a=("1.2", "kW"), b=("300", "W"), c=("unavailable", "W"))
    assert read(("sensor.a", "sensor.b"), house, POWER)[0] == 1500
    value, quality, detail = read(("sensor.a", "sensor.c"), house, POWER)
    assert (value, quality) == (None, Quality.UNAVAILABLE)
    assert "sensor.c" in detail


@given(
    text=st.one_of(
        st.text(max_size=12),
        st.floats().map(str),
        st.sampled_from(["unavailable", "None", "1e400", "-0", "9" * 400]),
    ),
    unit=st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["W", "kW", "MW"])),
)
def test_whatever_an_entity_says_a_value_is_finite_and_in_range_or_there_is_a_reason(
    text: str, unit: str | None
) -> None:
    value, quality, detail = read(X, states(x=(text, unit)), POWER)
    if value is None:
        assert quality is not Quality.GOOD
        assert X in detail
        assert len(detail) < 300
    else:
        assert quality is Quality.GOOD
        assert math.isfinite(value)
        assert abs(value) <= 50_000
        assert unit in {"W", "kW", "MW"}


def hillview(soc: str) -> Mapping[str, EntityState]:
    dispatch = ("start", "active_power", "mode", "soc", "time")
    names = ["power_grid", "power_battery", "current_pv_production", soc]
    names += ["today_s_energy_feed_to_grid_meter", "today_s_energy_from_pv"]
    names += [f"dispatch_{register}" for register in dispatch]
    return states(*(A + name for name in names))


@pytest.mark.parametrize("soc", ["soc_battery", "battery_soc"])
def test_both_generations_of_the_package_are_recognised(soc: str) -> None:
    mapping, findings = detect(hillview(soc))
    assert mapping.soc == A + soc
    assert mapping.grid_power == A + "power_grid"
    assert mapping.dispatch_power == A + "dispatch_active_power"
    assert mapping.forecast_today is mapping.reserve_soc is None
    assert findings == []


def test_a_leftover_of_the_other_generation_does_not_hide_the_one_that_works() -> None:
    house = dict(hillview("battery_soc"))
    house[A + "soc_battery"] = entity(A + "soc_battery", "unavailable", "%", restored=True)
    assert detect(house)[0].soc == A + "battery_soc"


def test_two_that_both_work_are_a_finding() -> None:
    house = {**hillview("battery_soc"), **hillview("soc_battery")}
    mapping, findings = detect(house)
    assert mapping.soc == A + "soc_battery"
    assert len(findings) == 1
    assert "both hold a value" in findings[0]


def test_without_the_derived_power_the_strings_and_the_meter_are_summed() -> None:
    house = dict(hillview("soc_battery"))
    del house[A + "current_pv_production"]
    house |= states(*(f"{A}pv{n}_power" for n in range(1, 5)))
    assert len(detect(house)[0].pv_power or ()) == 4
    house |= states(A + "active_power_pv_meter")
    assert detect(house)[0].pv_power == (
        *(f"{A}pv{n}_power" for n in range(1, 5)),
        A + "active_power_pv_meter",
    )


def test_an_empty_house_says_what_was_looked_for() -> None:
    mapping, findings = detect({})
    assert mapping == EntityMapping()
    assert any("sensor.alphaess_soc_battery or sensor.alphaess_battery_soc" in f for f in findings)
    assert not any(finding.startswith("forecast_today") for finding in findings)


def test_energy_of_an_ac_coupled_meter_is_named_and_not_counted() -> None:
    house = dict(hillview("soc_battery"))
    meter = A + "today_s_energy_from_pv_meter"
    house[meter] = entity(meter, "4200", "Wh")
    mapping, findings = detect(house)
    assert mapping.produced_today == A + "today_s_energy_from_pv"
    assert "AC-coupled" in findings[0]


def test_a_users_choice_wins_over_what_is_detected() -> None:
    chosen = EntityMapping(soc="sensor.mine", produced_today=("sensor.dc", "sensor.ac"))
    mapping = chosen.over(detect(hillview("soc_battery"))[0])
    assert mapping.soc == "sensor.mine"
    assert mapping.grid_power == A + "power_grid"
    assert {"sensor.mine", "sensor.dc", "sensor.ac"} <= mapping.entity_ids()


@given(st.sets(st.sampled_from(sorted(CANDIDATE_IDS))))
def test_detection_never_names_an_entity_that_does_not_exist(present: set[str]) -> None:
    assert detect(states(*present))[0].entity_ids() <= present
