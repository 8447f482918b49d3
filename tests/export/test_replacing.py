"""The cheap copies of records are the same as the ones that Python makes."""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, dataclass

import pytest

from agent.export.ledger import DayCounter
from agent.export.replacing import quick, replace
from agent.house.alphaess import DispatchBlock
from agent.house.readings import Quality, Reading


def test_a_copy_equals_the_one_of_dataclasses_and_is_as_frozen() -> None:
    counter = DayCounter(100.0, 5.0, 4.0, 60.0)
    copy = replace(counter, day_wh=70.0, fault=None)
    assert copy == dataclasses.replace(counter, day_wh=70.0)
    assert hash(copy) == hash(dataclasses.replace(counter, day_wh=70.0))
    assert type(copy) is DayCounter
    assert counter.day_wh == 60.0
    with pytest.raises(FrozenInstanceError):
        copy.day_wh = 0.0  # type: ignore[misc]


def test_a_field_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="DayCounter has no field 'day_kwh'"):
        replace(DayCounter(), day_kwh=1.0)


def test_a_quick_constructor_takes_the_same_arguments_and_defaults() -> None:
    made = quick(Reading)(3.0, Quality.GOOD, "meter", reported_s=2.0)
    assert made == Reading(3.0, Quality.GOOD, "meter", 0.0, 2.0)
    assert type(made) is Reading


def test_a_record_that_checks_itself_is_never_copied_past_its_check() -> None:
    with pytest.raises(TypeError, match="DispatchBlock checks"):
        replace(DispatchBlock(True, 300, 16.0, 30), duration_s=0x7FFFFFFF)
    with pytest.raises(TypeError, match="checks"):
        quick(DispatchBlock)


def test_a_record_without_slots_is_refused() -> None:
    @dataclass(frozen=True)
    class Loose:
        one: int = 1
        two: int = 2

    with pytest.raises(TypeError, match="has no slots"):
        replace(Loose(), one=3)
