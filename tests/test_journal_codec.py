"""A block of the history comes back exactly, is small, and never comes back wrong."""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal_codec import SAMPLE_COLUMNS, Sample, decode, encode, rounded

DAY_POINTS = 17_280

numbers = st.none() | st.floats() | st.floats(-20_000, 20_000) | st.integers(-50_000, 50_000)
times = st.floats(-1e9, 1e10)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    return Sample(draw(times), *(draw(numbers) for _ in SAMPLE_COLUMNS[1:]))


@given(st.lists(samples(), max_size=40))
def test_a_block_always_comes_back_exactly(noted: list[Sample]) -> None:
    kept = [rounded(sample) for sample in noted]
    assert decode(encode(kept)) == kept


@given(samples())
def test_rounding_never_moves_a_value_by_more_than_half_a_step(noted: Sample) -> None:
    kept = rounded(noted)
    assert rounded(kept) == kept
    for field in fields(Sample):
        before, after = getattr(noted, field.name), getattr(kept, field.name)
        step = 0.1 if field.name in {"at", "soc_percent"} else 1.0
        if before is None or not abs(before) < 1e14:
            assert after is None or abs(before) < 1e17
        else:
            assert abs(after - before) <= step / 2 + abs(before) * 1e-15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_number_of_a_house_becomes_unknown(value: float) -> None:
    assert rounded(Sample(1.0, grid_w=value)) == Sample(1.0)
    with pytest.raises(ValueError, match="needs its time"):
        rounded(Sample(value))


@given(st.lists(samples(), min_size=1, max_size=5), st.data())
def test_a_torn_block_is_an_error_and_never_other_values(
    noted: list[Sample], data: st.DataObject
) -> None:
    block = encode([rounded(sample) for sample in noted])
    cut = data.draw(st.integers(0, len(block) - 1))
    with pytest.raises(ValueError, match="torn"):
        decode(block[:cut])


@pytest.mark.parametrize("raw", [b"", b"\x02\x00", b"\x01", b"\x01\x02\x01", b"\x01\x80"])
def test_a_block_of_another_version_or_length_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="a block of the history"):
        decode(zlib.compress(raw))


def test_the_format_is_the_documented_one() -> None:
    """Blocks on disk must stay readable: a changed format needs a new version."""
    unknown = b"\x00\x00" * 7
    raw = b"\x01\x02" + b"\x15\x65" + b"\x0a\x02" + unknown + b"\x00\x05"
    assert decode(zlib.compress(raw)) == [
        Sample(1.0, grid_w=-5.0),
        Sample(6.0, grid_w=-6.0, allowance_wh=2.0),
    ]


def afternoon(seed: int) -> list[Sample]:
    """Six lively hours: noise on every power, counters that rise, a commanded discharge."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    at, soc, exported_wh = 1_780_000_000.0, 60.0, 0.0
    noted = []
    for n in range(DAY_POINTS // 2, DAY_POINTS * 3 // 4):
        at += 5 + chance.gauss(0, 0.01)
        sun = max(0.0, math.sin((n / DAY_POINTS - 0.25) * 2 * math.pi))
        pv_w = sun * 4000 * chance.uniform(0.9, 1.0)
        load_w = 400 + chance.gauss(0, 60)
        battery_w = 3000 + chance.gauss(0, 40) if n / DAY_POINTS > 0.65 else 0.0
        grid_w = load_w - pv_w - battery_w
        exported_wh += max(0.0, -grid_w) / 720
        soc -= battery_w / 720 / 100
        noted.append(
            Sample(at, grid_w, battery_w, pv_w, load_w, 3680.0, battery_w // 100 * 100, soc,
                   exported_wh, 5000 + 2000 * sun)
        )  # fmt: skip
    return [rounded(sample) for sample in noted]


def test_a_lively_point_takes_less_than_eight_bytes() -> None:
    noted = afternoon(1)
    blocks = [encode(noted[n : n + 720]) for n in range(0, len(noted), 720)]
    assert [sample for block in blocks for sample in decode(block)] == noted
    assert sum(map(len, blocks)) < 8 * len(noted)


def test_a_still_night_takes_almost_nothing() -> None:
    first = Sample(0.0, 0.0, 0.0, 0.0, 350.0, 3680.0, None, 40.0, 1234.0, 5000.0)
    night = [replace(first, at=5.0 * n) for n in range(720)]
    assert len(encode(night)) < 100
