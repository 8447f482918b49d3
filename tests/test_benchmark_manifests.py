"""The benchmark of signed releases tells the figures that it promises."""

from __future__ import annotations

import pytest

from benchmarks import manifests

PROMISED = {"releases", "ours_ms", "stock_ms", "ratio", "rss_mb"}


@pytest.fixture(scope="module")
def told() -> dict[str, float]:
    return manifests.measure((1, 3), 1)


def test_it_tells_what_is_promised_of_the_largest_repository(told: dict[str, float]) -> None:
    assert told.keys() >= PROMISED
    assert told["releases"] == 3
    assert told["ours_ms"] == told["3_ours_ms"] > 0
    assert told["stock_ms"] == told["3_stock_ms"] > 0
    assert told["folder_ours_ms"] > 0


def test_a_ratio_above_the_target_or_too_much_memory_is_a_miss(told: dict[str, float]) -> None:
    good = {**told, "ratio": 1.3, "rss_mb": 59.9}
    assert manifests.missed(good) == []
    assert manifests.missed({**good, "ratio": 1.31}) == ["ratio"]
    assert manifests.missed({**good, "rss_mb": 60.0}) == ["rss_mb"]
