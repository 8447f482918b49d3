"""What each kind of helper can be set to, and what it is told in its own unit."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.homeassistant.states import EntityState
from agent.house.hass_entities import HELPER_CANDIDATES, HelperMapping
from agent.house.helper_entities import (
    CUTOFF,
    FORCED_POWER,
    FORCED_TIME,
    HelperError,
    is_off,
    is_on,
    setting,
    switching,
    timer_s,
)
from tests.house.helper_states import (
    DURATION,
    POWER,
    RESET,
    TIMER,
    TOGGLE,
    entity,
    slider,
)


def test_detection_takes_what_exists_and_a_choice_wins() -> None:
    found = HelperMapping().over({TOGGLE, DURATION, RESET})
    assert (found.discharge_button, found.discharge_duration) == (TOGGLE, DURATION)
    assert (found.reset_button, found.charge_button) == (RESET, None)
    assert HelperMapping(discharge_button="switch.x").over({TOGGLE}).discharge_button == "switch.x"
    every = {entity for names in HELPER_CANDIDATES.values() for entity in names}
    assert HelperMapping().over(every).discharge_power == POWER  # it knows the AC limit


@pytest.mark.parametrize(
    ("quantity", "value", "state", "own"),
    [
        (FORCED_POWER, 2500, slider("number.p", "0", 0, 10, "kW"), 2.5),
        (FORCED_POWER, 2500, slider("number.p", "0", 0, 10_000, "W"), 2500),
        (FORCED_POWER, 2500, slider("number.p", "0", 0, 10, None), 2.5),
        (FORCED_TIME, 360, slider("number.t", "0", 0, 480, "min"), 6),
        (FORCED_TIME, 360, slider("number.t", "0", 0, 3600, "s"), 360),
        (FORCED_TIME, 360, slider("number.t", "0", 0, 480, None), 6),
        (CUTOFF, 21, slider("number.c", "0", 4, 100, "%"), 21),
        (FORCED_TIME, 300, entity("select.t", "5", options=["5", "6"]), 5),
    ],
)
def test_a_value_is_set_in_the_helpers_own_unit(
    quantity: Any, value: float, state: EntityState, own: float
) -> None:
    assert setting(state, value, quantity).value == own


@pytest.mark.parametrize(
    ("quantity", "value", "state", "words"),
    [
        (FORCED_POWER, 3680, slider("number.p", "0", 0, 3, "kW"), "takes 0 to 3 kW, not 3.68"),
        (FORCED_POWER, 3680, slider("number.p", "0", 0, 9000, None), "tells no unit"),
        (FORCED_POWER, 3680, slider("number.p", "0", 0, 9, "A"), "is in 'A'"),
        (FORCED_POWER, 3680, entity("number.p", "0"), "tells no range"),
        (FORCED_TIME, 47_400, slider("number.t", "15", 0, 480, "min"), "takes 0 to 480 min"),
        (CUTOFF, 2, slider("number.c", "10", 4, 100, "%"), "takes 4 to 100 %, not 2"),
        (CUTOFF, 21, entity("light.c", "on"), "a light cannot be set"),
        (FORCED_TIME, 360, entity("select.t", "5", options=["5", "10"]), "offers 5, 10, not 6"),
    ],
)
def test_d08_what_does_not_fit_is_refused_in_words(
    quantity: Any, value: float, state: EntityState, words: str
) -> None:
    with pytest.raises(HelperError, match=re.escape(words)) as refused:
        setting(state, value, quantity)
    assert state.entity_id in str(refused.value)


@pytest.mark.parametrize(
    ("state", "call"),
    [
        (entity("input_boolean.x", "off"), ("input_boolean", "turn_on", {})),
        (entity("switch.x", "off"), ("switch", "turn_on", {})),
        (
            entity("select.x", "Off", options=["Off", "On"]),
            ("select", "select_option", {"option": "On"}),
        ),
    ],
)
def test_any_toggle_is_switched_by_its_own_service(state: EntityState, call: Any) -> None:
    domain, service, data = switching(state, on=True)
    assert (domain, service) == call[:2]
    assert data == {"entity_id": state.entity_id, **call[2]}
    assert is_off(state)
    assert not is_on(state)


def test_what_cannot_be_switched_is_named() -> None:
    for state in (entity("sensor.x", "off"), entity("select.x", "a", options=["a", "b"])):
        with pytest.raises(HelperError, match=state.entity_id):
            switching(state, on=True)


def test_a_toggle_that_does_not_tell_is_neither_on_nor_off() -> None:
    lost = entity("switch.x", "unavailable")
    assert not is_off(lost)
    with pytest.raises(HelperError, match=r"switch\.x is unavailable"):
        is_on(lost)
    assert not is_off(entity("switch.x", "off", restored=True))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:30:00", 1800), ("00:30:00", 1800), ("0:06:00", 360), ("12:00:01", 43_201)],
)
def test_d23_timer_texts_are_compared_as_times(text: str, seconds: int) -> None:
    assert timer_s(entity(TIMER, "active", duration=text)) == seconds


@given(text=st.one_of(st.text(max_size=12), st.none(), st.integers()))
def test_a_hostile_timer_text_is_never_an_error(text: object) -> None:
    value = timer_s(entity(TIMER, "active", duration=text))
    assert value is None or value >= 0


@given(
    state=st.text(max_size=10),
    low=st.one_of(st.none(), st.floats(), st.text(max_size=5)),
    high=st.one_of(st.none(), st.floats(), st.text(max_size=5)),
    unit=st.one_of(st.none(), st.sampled_from(["kW", "W", "min", ""]), st.text(max_size=4)),
    value=st.floats(0, 20_000),
)
def test_never_anything_out_of_the_helpers_range(
    state: str, low: object, high: object, unit: object, value: float
) -> None:
    told = entity("number.x", state, min=low, max=high, unit_of_measurement=unit)
    try:
        found = setting(told, value, FORCED_POWER)
    except HelperError:
        return
    assert float(low) <= found.value <= float(high)  # type: ignore[arg-type]
