"""A bridge's turn comes by waves that nobody has to count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.firmware.manifest.models import Wave
from agent.firmware.manifest.rollout import due_share, wave_position
from tests.firmware.manifest.documents import A, B

RELEASED = datetime(2026, 11, 22, 8, tzinfo=UTC)
WAVES = (Wave(1, 0.05), Wave(24, 0.5), Wave(72, 1))


@pytest.mark.parametrize(
    ("hours", "share"),
    [(-5, 0), (0, 0), (0.999, 0), (1, 0.05), (23.9, 0.05), (24, 0.5), (72, 1), (9999, 1)],
)
def test_a_wave_is_due_from_its_hour_on(hours: float, share: float) -> None:
    assert due_share(WAVES, RELEASED, RELEASED + timedelta(hours=hours)) == share


def test_without_waves_everybody_is_first() -> None:
    assert due_share((), RELEASED, RELEASED - timedelta(days=1)) == 1


def test_places_are_spread_evenly_and_nobody_is_first_every_time() -> None:
    macs = [f"{n:012x}" for n in range(2000)]
    early = [{mac for mac in macs if wave_position(mac, f"{n:064x}") < 0.05} for n in range(10)]
    assert all(60 <= len(it) <= 140 for it in early)
    assert not set.intersection(*early[:4])
    assert all(0 <= wave_position(mac, A) < 1 for mac in macs)


def test_a_place_belongs_to_the_bridge_and_the_manifest_however_they_are_written() -> None:
    place = wave_position("aabbccddeeff", A)
    assert wave_position("AA:BB:CC:DD:EE:FF", A.upper()) == place
    assert wave_position("aabbccddeefe", A) != place != wave_position("aabbccddeeff", B)
    assert place == pytest.approx(0.4, abs=0.6)
