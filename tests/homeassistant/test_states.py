"""The mirror follows Core's differences exactly."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.homeassistant.states import EntityMirror

FULL = {"s": "12.3", "a": {"unit_of_measurement": "W", "x": 1}, "c": "id", "lc": 100.0}


def mirror_of(**entities: Any) -> EntityMirror:
    mirror = EntityMirror()
    mirror.replace({"a": {f"sensor.{name}": full for name, full in entities.items()}}, now_s=5)
    return mirror


def test_a_stock_taking_is_not_live() -> None:
    state = mirror_of(grid=FULL).states["sensor.grid"]
    assert (state.state, state.unit, state.live) == ("12.3", "W", False)
    assert state.last_changed == state.last_updated == 100


def test_a_change_of_the_value_moves_both_stamps() -> None:
    mirror = mirror_of(grid=FULL)
    difference = {"+": {"s": "13", "lc": 101.5, "c": "id2"}}
    assert mirror.apply({"c": {"sensor.grid": difference}}, now_s=6) == {"sensor.grid"}
    state = mirror.states["sensor.grid"]
    assert (state.state, state.last_changed, state.last_updated) == ("13", 101.5, 101.5)
    assert (state.live, state.arrived_s, state.unit) == (True, 6, "W")


def test_a_change_of_an_attribute_leaves_the_value_as_old_as_it_was() -> None:
    mirror = mirror_of(grid=FULL)
    difference = {"+": {"a": {"unit_of_measurement": "kW"}, "lu": 102.0}, "-": {"a": ["x"]}}
    mirror.apply({"c": {"sensor.grid": difference}}, now_s=6)
    state = mirror.states["sensor.grid"]
    assert (state.unit, state.last_changed, state.last_updated) == ("kW", 100, 102)
    assert "x" not in state.attributes


def test_a_removed_entity_is_gone() -> None:
    mirror = mirror_of(grid=FULL)
    assert mirror.apply({"r": ["sensor.grid"]}, now_s=6) == {"sensor.grid"}
    assert not mirror.states


def test_a_new_stock_taking_forgets_what_is_no_longer_there() -> None:
    mirror = mirror_of(grid=FULL, soc=FULL)
    told = mirror.replace({"a": {"sensor.soc": FULL}}, now_s=9)
    assert told == {"sensor.grid", "sensor.soc"}
    assert set(mirror.states) == {"sensor.soc"}


VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3))


@given(st.lists(st.tuples(st.text(max_size=3), VALUES), min_size=1, max_size=8))
def test_differences_always_add_up_to_the_last_full_state(
    history: list[tuple[str, dict[str, int]]],
) -> None:
    """Core builds differences as here; whatever happens, the mirror ends where Core is."""
    text, attributes = history[0]
    mirror = mirror_of(x={"s": text, "a": attributes, "lc": 0.0})
    for at, (new_text, new_attributes) in enumerate(history[1:], start=1):
        plus: dict[str, Any] = {"s": new_text, "lc": float(at)} if new_text != text else {}
        if "lc" not in plus:
            plus["lu"] = float(at)
        changed = {k: v for k, v in new_attributes.items() if attributes.get(k) != v}
        if changed:
            plus["a"] = changed
        difference: dict[str, Any] = {"+": plus}
        if removed := [name for name in attributes if name not in new_attributes]:
            difference["-"] = {"a": removed}
        mirror.apply({"c": {"sensor.x": difference}}, now_s=at)
        text, attributes = new_text, new_attributes
    state = mirror.states["sensor.x"]
    assert (state.state, state.attributes) == (text, attributes)
    assert state.last_updated == len(history) - 1
