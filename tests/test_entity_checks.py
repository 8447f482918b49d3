"""Whoever chooses an entity sees at once whether it can stand for the house."""

from __future__ import annotations

from typing import Any

import pytest

from agent.entity_checks import EntityCheck, checks
from agent.homeassistant.states import EntityState
from agent.house.hass_entities import EntityMapping
from agent.setting_entities import Entities

FOUND = EntityMapping(soc="sensor.soc", pv_power=("sensor.a", "sensor.b"))


def states(**texts: tuple[str, str]) -> dict[str, EntityState]:
    return {
        f"sensor.{name}": EntityState(
            f"sensor.{name}", text, {"unit_of_measurement": unit}, 0, 90 - number, 0, live=True
        )
        for number, (name, (text, unit)) in enumerate(texts.items())
    }


def check(
    key: str, found: Any = FOUND, linked: bool = True, chosen: Any = None, **texts: Any
) -> EntityCheck:
    entities = Entities.model_validate(chosen or {})
    every = checks(entities, found, states(**texts), linked)
    assert [it.key for it in every] == [f"entities.{name}" for name in Entities.model_fields]
    return next(it for it in every if it.key == f"entities.{key}")


def test_a_value_is_shown_in_the_agents_unit_with_what_it_is_made_of() -> None:
    told = check("pv_power", a=("1.5", "kW"), b=("250", "W"))
    assert (told.verdict, told.value, told.unit) == ("ok", 1750, "W")
    assert told.used == ("sensor.a", "sensor.b")
    assert told.chosen == ()
    assert told.text == "sensor.a + sensor.b: 1750 W."
    assert told.updated_at == 89  # a sum is as old as its oldest part


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (("unavailable", "%"), "is unavailable"),
        (("full", "%"), "not a number"),
        (("50", "W"), "unit"),
        (("150", "%"), "150"),
    ],
)
def test_what_cannot_be_used_is_a_failure_in_words(state: tuple[str, str], words: str) -> None:
    told = check("soc", soc=state)
    assert (told.verdict, told.value) == ("failure", None)
    assert words in told.text


def test_a_chosen_entity_wins_and_one_that_is_not_there_is_named() -> None:
    told = check("soc", chosen={"soc": "sensor.mine"}, soc=("50", "%"))
    assert told.verdict == "failure"
    assert told.chosen == told.used == ("sensor.mine",)
    assert "sensor.mine does not exist" in told.text


def test_what_is_needed_and_missing_is_a_failure_and_the_rest_is_left_alone() -> None:
    assert check("grid_power").verdict == "failure"
    assert check("reserve_soc").verdict == "skipped"
    assert check("grid_power", found=None).verdict == "skipped"
    away = check("soc", linked=False, soc=("50", "%"))
    assert (away.verdict, away.updated_at) == ("skipped", None)


def test_helpers_are_judged_by_being_there() -> None:
    chosen = {"discharge_button": "sensor.toggle"}
    there = check("discharge_button", chosen=chosen, toggle=("off" * 100, ""))
    assert there.verdict == "ok"
    assert there.text == f"sensor.toggle is {('off' * 100)[:40]}."
    assert check("discharge_button", chosen=chosen, toggle=("unavailable", "")).verdict == "failure"
    assert check("discharge_button", chosen=chosen).verdict == "warning"
