"""The benchmark of the cable runs from end to end, and judges by its targets."""

from __future__ import annotations

import pytest

from benchmarks import serial

GOOD = {"wall_ratio_460800": 1.02, "wall_ratio_921600": 1.02, "cpu_ratio": 0.5}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, []),
        ({"wall_ratio_460800": 1.03}, ["460800 baud"]),
        ({"wall_ratio_921600": 1.03}, ["921600 baud"]),
        ({"cpu_ratio": 0.51}, ["processor time"]),
    ],
)
def test_each_target_is_judged(found: dict[str, float], said: list[str]) -> None:
    wrong = serial.missed(GOOD | found)
    assert len(wrong) == len(said)
    assert all(word in text for word, text in zip(said, wrong, strict=True))


@pytest.mark.peers("esptool", "esp32")
async def test_a_small_image_is_measured_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "BAUDS", (921_600,))
    found = await serial.measure(16 << 10)
    wanted = {"wall_ratio_921600", "cpu_ratio", "wire_share_921600", "ours_921600_s"}
    assert wanted <= found.keys()
    assert 0 < found["wire_share_921600"] < 1
    assert found["cpu_ratio"] > 0
