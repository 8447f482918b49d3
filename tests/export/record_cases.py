"""What the tests of the record share: looks that nobody would think of."""

from __future__ import annotations

import struct
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import strategies as st

from agent.export.decide import step
from agent.export.record import Decision
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.house.alphaess import DispatchBlock
from tests.export import bench

BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", struct.pack(">Q", bits))[0])
ZONES = st.one_of(
    st.none(),
    st.timezones(),
    st.just(UTC),
    st.integers(-86_399, 86_399).map(lambda s: timezone(timedelta(seconds=s))),
)
MOMENTS = st.builds(
    lambda moment, fold: moment.replace(fold=fold),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.integers(0, 1),
)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers() | st.integers(-300, 300),
    float: st.floats() | BITS | st.integers(-9999, 9999).map(float),
    str: st.text(max_size=20),
    date: st.dates(),
    datetime: MOMENTS,
    type(None): st.none(),
    object: st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
}


BLOCKS = st.builds(
    DispatchBlock,
    st.booleans(),
    st.integers(-30_000, 30_000),
    st.floats(0, 100),
    st.integers(1, 900),
)
"""Of commands that can be made at all."""


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return every value that an annotation of the guard's records allows."""
    if hint in PLAIN:
        return PLAIN[hint]
    if hint is DispatchBlock:
        return BLOCKS
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{each.name: values(hints[each.name]) for each in fields(hint)})
    return _made_of(get_origin(hint), get_args(hint))


def _made_of(origin: Any, parts: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in (Union, UnionType):
        return st.one_of(*map(values, parts))
    if origin is tuple and parts[-1] is not Ellipsis:
        return st.tuples(*map(values, parts))
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    made = {tuple: tuple, frozenset: frozenset}[origin]
    return st.lists(values(parts[0]), max_size=3).map(made)


def taken(seconds: float) -> list[Decision]:
    """Return the decisions of a discharge in the small bench, one guard from its first look on."""
    found: list[Decision] = []

    def noting(state: GuardState, look: Look, config: GuardConfig) -> Step:
        found.append(Decision(state, look, config, step(state, look, config)))
        return found[-1].result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "step", noting)
        house = bench.Bench()
        house.start()
        house.run(seconds)
    return found
