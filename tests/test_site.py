"""What a person has set becomes what the guard decides with, within what the path promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.commissioning import Commissioning
from agent.house.readings import CounterKind, SourceTraits
from agent.settings import Settings
from agent.site import guard_config

TRAITS = SourceTraits("direct", CounterKind.LIFETIME, 10, CounterKind.LIFETIME, 100, 2, 6, 6)


def stale_after_s(path: str, **settings: float) -> float:
    chosen = Settings.model_validate(settings)
    traits = replace(TRAITS, path=path)
    return guard_config(chosen, traits, Commissioning(), "").thresholds.stale_after_s


def test_powers_that_come_every_two_seconds_are_stale_after_eighteen() -> None:
    """30 s of staleness and the inverter's dead time would miss the promised stop in 30 s (T6)."""
    assert stale_after_s("direct") == 18
    assert stale_after_s("direct", stale_after_s=60) == 18


def test_a_shorter_time_of_the_settings_holds_on_every_path() -> None:
    for path in ("direct", "ha_register", "ha_helpers"):
        assert stale_after_s(path, stale_after_s=10, stale_warning_s=5) == 10


@pytest.mark.parametrize("path", ["ha_register", "ha_helpers"])
def test_behind_core_the_settings_decide(path: str) -> None:
    assert stale_after_s(path) == 30
    assert stale_after_s(path, stale_after_s=45) == 45
