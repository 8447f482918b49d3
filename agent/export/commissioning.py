"""
The test that unlocks automatic control: a small dispatch that must end unaided.

300 W for 30 s, longer where values come too slowly to measure that, then hands off. It proves on
this very inverter that the Dispatch Time is a dead-man switch, and measures what the lease
arithmetic needs: the delay of the path, the lag after the end, the gain of the power stage, and
that battery and grid power have the signs that everything else relies on. Until it has passed, the
agent only observes.

Source: control.md T12 and finding 9; ARCHITECTURE, rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from agent.export.lease import CommandPath

TEST_POWER_W = 300
TEST_DURATION_S = 30
LONGEST_TEST_S = 120
"""Of a repeated test; 300 W for so long is 10 Wh."""
_STRONGER_W = 600
"""Used when the battery already delivers about the test power to the house by itself."""
_REACHED_W = 120.0
_STEADY_SHARE = 0.7
"""Of the battery's step: so much may the net load move before the signs cannot be told."""
_SETTLE_S = 45.0
"""Longest for an adapter to show what the battery does after the timer has ended."""
_MEAN_AFTER_S = 5.0


class Stage(StrEnum):
    """How far the test is."""

    NONE = "none"
    WAITING = "waiting"
    """For two fresh samples and an idle inverter."""
    RUNNING = "running"
    ENDING = "ending"
    """The time is over; the battery has to return to its own control without being told."""
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Powers:
    """Fresh powers at one moment, W; battery positive discharges, grid positive imports."""

    battery_w: float
    grid_w: float
    at_s: float
    """When the battery's power became so."""
    known_s: float
    """Until when both are known to have been so."""


@dataclass(frozen=True, slots=True)
class Commissioning:
    """The running or last test."""

    stage: Stage = Stage.NONE
    text: str = "The commissioning test has not been run."
    by: str = ""
    begun_s: float = 0.0
    sent_s: float = 0.0
    power_w: int = TEST_POWER_W
    duration_s: int = TEST_DURATION_S
    before: Powers | None = None
    reached_s: float | None = None
    battery_sum_w: float = 0.0
    battery_count: int = 0
    right_count: int = 0
    """Samples in which the grid answered the battery's step, as it must."""
    wrong_count: int = 0
    """Samples in which it went the other way."""
    delay_s: float | None = None
    exit_lag_s: float | None = None
    gain: float | None = None
    path: str = ""
    """Path and inputs that were tested; another one needs another test."""
    at: datetime | None = None

    @property
    def busy(self) -> bool:
        """True while the test owns the battery."""
        return self.stage in (Stage.WAITING, Stage.RUNNING, Stage.ENDING)

    def passed_for(self, path: str) -> bool:
        """Return True when this very path and these inputs have passed."""
        return self.stage is Stage.PASSED and self.path == path


def begin(now_s: float, by: str, path: str) -> Commissioning:
    """Return a test that waits for its first two fresh samples."""
    return Commissioning(
        Stage.WAITING,
        "Waiting for two fresh samples and an idle inverter.",
        by=by,
        begun_s=now_s,
        path=path,
    )


def duration_s(path: CommandPath, wanted_s: int = TEST_DURATION_S) -> int:
    """Return a test's length in whole steps of the path: 30 s, or a minute through helpers."""
    return -(-wanted_s // path.duration_step_s) * path.duration_step_s


def sent(test: Commissioning, now_s: float, powers: Powers, path: CommandPath) -> Commissioning:
    """Return the test after its one command was sent."""
    power_w = test_power_w(powers.battery_w)
    test = replace(test, duration_s=duration_s(path, test.duration_s))
    return replace(
        test,
        stage=Stage.RUNNING,
        text=f"{power_w} W for {test.duration_s} s was written; watching it take effect.",
        sent_s=now_s,
        power_w=power_w,
        before=powers,
    )


def test_power_w(battery_w: float) -> int:
    """Return a power that can be told from what the battery does by itself now."""
    return _STRONGER_W if abs(battery_w - TEST_POWER_W) < 2 * _REACHED_W else TEST_POWER_W


def watch(
    test: Commissioning, powers: Powers | None, *, idle: bool, now_s: float, path: CommandPath
) -> Commissioning:
    """
    Return the test after one more look.

    Args:
        test: the test so far, running or ending.
        powers: fresh battery and grid power; `None` while they are not fresh.
        idle: the dispatch register reads 0 in a reading newer than the command.
        now_s: the moment.
        path: the path's traits, for its patience.
    """
    if test.stage is Stage.RUNNING and test.reached_s is None:
        if powers is not None and abs(powers.battery_w - test.power_w) <= _REACHED_W:
            return _reached(test, powers)
        if now_s - test.sent_s > path.verify_s + test.duration_s:
            return failed(
                test,
                f"The battery did not reach {test.power_w} W within "
                f"{now_s - test.sent_s:.0f} s. Check the battery's power sensor, its sign, and "
                "that the inverter obeys Modbus dispatch.",
            )
        return test
    there = powers is not None and abs(powers.battery_w - test.power_w) <= _REACHED_W
    settled = powers is not None and powers.known_s - (test.reached_s or 0.0) >= _MEAN_AFTER_S
    if powers is not None and there and settled:
        test = _measured(test, powers)
    if test.stage is Stage.RUNNING and now_s - test.sent_s >= test.duration_s:
        test = replace(
            test,
            stage=Stage.ENDING,
            text="The time is over; the inverter has to return to its own control unaided.",
        )
    if test.stage is Stage.ENDING and idle and powers is not None and not there:
        return _ended(test, powers.at_s, now_s)
    if now_s - test.sent_s > test.duration_s + path.command_delay_s + path.exit_lag_s + _SETTLE_S:
        return failed(
            test,
            f"The dispatch was still running {now_s - test.sent_s:.0f} s after it was written for "
            f"{test.duration_s} s: this inverter does not end it unaided. It was stopped; "
            "automatic control stays locked.",
        )
    return test


def _reached(test: Commissioning, powers: Powers) -> Commissioning:
    return replace(
        test,
        reached_s=powers.at_s,
        delay_s=max(0.0, powers.at_s - test.sent_s),
        text=f"The battery reached {test.power_w} W after {powers.at_s - test.sent_s:.1f} s.",
    )


def _measured(test: Commissioning, powers: Powers) -> Commissioning:
    """Take one settled sample: its power, and whether the grid answered the battery's step.

    With the right signs the net load (grid + battery) stays; with one wrong it moves by twice
    the step.
    """
    before = test.before or powers
    step_w = powers.battery_w - before.battery_w
    moved = (powers.grid_w - before.grid_w + step_w) / step_w if step_w else 0.0
    return replace(
        test,
        battery_sum_w=test.battery_sum_w + powers.battery_w,
        battery_count=test.battery_count + 1,
        right_count=test.right_count + (abs(moved) <= _STEADY_SHARE),
        wrong_count=test.wrong_count + (abs(moved - 2) < _STEADY_SHARE),
    )


def _ended(test: Commissioning, gone_s: float, now_s: float) -> Commissioning:
    if not test.battery_count:
        return _longer(test, now_s)
    if 2 * test.wrong_count > test.battery_count:
        return failed(
            test,
            "Battery and grid moved in the same direction: one of the two has the wrong sign. "
            "Battery is positive when it discharges, grid is positive when it imports. Correct "
            "the mapping and try again.",
        )
    if 2 * test.right_count < test.battery_count:
        return failed(
            test,
            "Load or sun changed too much to tell whether grid and battery have the right sign. "
            "Try again in a quieter moment.",
        )
    ran_s = gone_s - (test.reached_s or gone_s)
    if ran_s < test.duration_s / 2:
        return failed(
            test,
            f"The dispatch ended after {ran_s:.0f} s instead of {test.duration_s} s: someone else "
            "controls this inverter, or it refused. Find the other controller and try again.",
        )
    gain = test.battery_sum_w / test.battery_count / test.power_w
    lag_s = max(0.0, gone_s - (test.sent_s + test.duration_s))
    return replace(
        test,
        stage=Stage.PASSED,
        exit_lag_s=lag_s,
        gain=gain,
        text=f"Passed: power after {test.delay_s or 0:.1f} s, back in its own control "
        f"{lag_s:.1f} s after the time was over, gain {gain:.2f}.",
    )


def _longer(test: Commissioning, now_s: float) -> Commissioning:
    """Return the next test after one that was over before its power could be measured."""
    lasted = f"The dispatch of {test.duration_s} s ended before its power could be measured"
    if test.duration_s >= LONGEST_TEST_S:
        return failed(
            test,
            f"{lasted}: the battery's power comes too seldom. Shorten its scan interval, "
            "then try again.",
        )
    next_s = min(2 * test.duration_s, LONGEST_TEST_S)
    text = f"{lasted}; it is repeated with {next_s} s."
    return replace(begin(now_s, test.by, test.path), text=text, duration_s=next_s)


def failed(test: Commissioning, text: str) -> Commissioning:
    """Return the test as failed, with what to do."""
    return replace(test, stage=Stage.FAILED, text=text)


def progress_percent(test: Commissioning, now_s: float) -> float:
    """Return how far the test is, 0 to 100."""
    if not test.busy:
        return 100.0 if test.stage is not Stage.NONE else 0.0
    if test.stage is Stage.WAITING:
        return 0.0
    return min(99.0, 100.0 * (now_s - test.sent_s) / (test.duration_s + _SETTLE_S / 2))
