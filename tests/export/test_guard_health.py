"""What the Supervisor's watchdog is told: the guard and its journal, and nothing about others."""

from __future__ import annotations

from pathlib import Path

from tests.export.test_guard_loop import evening, rig


async def test_a_house_that_is_away_is_no_illness_but_a_guard_that_does_not_look_is(
    tmp_path: Path,
) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        guard = house.guard
        await house.until(lambda: guard.snapshot().linked)
        assert guard.healthy() == (True, "ok")
        await inverter.stop()
        await house.until(lambda: not guard.snapshot().linked)
        assert guard.healthy() == (True, "ok")
        guard._looked_s -= 80
        assert guard.healthy()[0], "at rest it looks every minute"
        guard._looked_s -= 20
        healthy, text = guard.healthy()
        assert not healthy
        assert "has not looked at the house for 100 s" in text


async def test_a_journal_that_has_ended_is_one(tmp_path: Path) -> None:
    async with evening() as inverter, rig(tmp_path, inverter) as house:
        await house.journal.close()
        assert house.guard.healthy() == (False, "the journal has ended")
