"""Whatever a decision sees comes back to the last bit; whatever is no record says so."""

from __future__ import annotations

import contextlib
import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.export.record_codec import RecordError, decode, encode, same, shapes
from agent.export.record_diff import Differ, DifferenceReader
from agent.export.states import GuardConfig, GuardState, Look, Step
from tests.export.record_cases import PLAIN, values

MANY = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=10)
NOON = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"))
QUIET_NAN, OTHER_NAN = struct.unpack(">2d", bytes.fromhex("7ff8000000000000fff8000000000abc"))


@pytest.mark.parametrize("kind", [GuardState, GuardConfig, Look, Step])
def test_everything_of_a_decision_comes_back_to_the_last_bit(kind: type) -> None:
    @MANY
    @given(values(kind))
    def round_trip(value: Any) -> None:
        back = decode(encode(value))
        assert same(back, value)
        assert encode(back) == encode(value)

    round_trip()


@MANY
@given(st.lists(values(Look), min_size=2, max_size=5))
def test_looks_come_back_from_their_differences_to_the_last_bit(looks: list[Look]) -> None:
    differ, raw = Differ(), bytearray()
    for before, look in pairwise(looks):
        differ.write(raw, before, look)
    reader = DifferenceReader(bytes(raw))
    for before, look in pairwise(looks):
        assert encode(reader.difference(before)) == encode(look)
    assert reader.at_end


@given(st.lists(PLAIN[float], min_size=2, max_size=40))
@example([0.0, -0.0, QUIET_NAN, OTHER_NAN, math.inf, -math.inf, 5e-324, 1.0, 0.0])
def test_floats_come_back_from_their_differences_with_every_bit(numbers: list[float]) -> None:
    differ, raw = Differ(), bytearray()
    for before, number in pairwise(numbers):
        differ.write(raw, before, number)
    reader = DifferenceReader(bytes(raw))
    for before, number in pairwise(numbers):
        assert struct.pack(">d", reader.difference(before)) == struct.pack(">d", number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        (QUIET_NAN, OTHER_NAN),
        ((0.0,), (-0.0,)),
        ((), []),
        (NOON, NOON.replace(fold=1)),
        (NOON.astimezone(UTC), NOON),
        (NOON, NOON.replace(tzinfo=timezone(timedelta(hours=1)))),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
    ids=repr,
)
def test_what_differs_by_a_bit_is_not_the_same(one: object, other: object) -> None:
    assert not same(one, other)
    assert encode(one) != encode(other)


def test_the_order_in_which_a_set_was_made_does_not_matter() -> None:
    names = [f"input {n}" for n in range(50)]
    assert encode(frozenset(names)) == encode(frozenset(reversed(names)))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_raise_nothing_but_that(raw: bytes) -> None:
    with contextlib.suppress(RecordError):
        encode(decode(raw))


@given(st.binary(max_size=200), values(Look))
@MANY
def test_bytes_that_are_no_difference_raise_nothing_but_that(raw: bytes, old: Look) -> None:
    with contextlib.suppress(RecordError):
        DifferenceReader(raw).difference(old)


def test_what_no_decision_is_made_of_is_refused_by_name() -> None:
    with pytest.raises(RecordError, match="cannot hold complex"):
        encode((1, 2j))


def test_code_with_the_same_records_says_so() -> None:
    assert shapes() == shapes()
    assert len(shapes()) == 16
