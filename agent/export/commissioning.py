"""
The test that unlocks automatic control: a small dispatch that must end unaided.

300 W for 30 s, longer where values come too slowly to measure that, then hands off. It proves on
this very inverter that the Dispatch Time is a dead-man switch, measures what the lease arithmetic
needs (delay of the path, dead time, lag after the end, gain of the power stage), and looks by the
same step at the sign and unit of every input and at who else writes the registers. Until it has
passed, the agent only observes; so it does after a change of path, inputs or firmware.

The full test adds a second, stronger dispatch to that one: `second_part`.

Source: control.md T12 and finding 9; ARCHITECTURE, rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.export.bus_watch import BusWatch
from agent.export.commissioning_checks import (
    REACHED_W,
    Answers,
    Check,
    Checks,
    Powers,
    Verdict,
    alone_check,
    battery_missed,
    first_failure,
    step_checks,
    timer_check,
    untold_checks,
)
from agent.export.lease import CommandPath
from agent.export.replacing import replace
from agent.export.second_part import Second, second_share

TEST_POWER_W = 300
TEST_DURATION_S = 30
LONGEST_TEST_S = 120
"""Of a repeated test; 300 W for so long is 10 Wh."""
_STRONGER_W = 600
"""Used when the battery already delivers about the test power to the house by itself."""
_MOVED_SHARE = 0.25
"""Of the step: so much is a first change of power, and no longer a load's."""
_SETTLE_S = 45.0
"""Longest for an adapter to show what the battery does after the timer has ended."""
_MEAN_AFTER_S = 5.0
_RESTLESS_W = 200.0
_RESTLESS_S = 25.0
_MINUTE_S = 60
_ROUNDED_SHARE = 0.7


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


_BUSY = (Stage.WAITING, Stage.RUNNING, Stage.ENDING)


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look tells the test."""

    now_s: float
    powers: Powers | None
    """Fresh powers; `None` while they are not."""
    running: bool
    """The dispatch registers show a command of ours."""
    idle: bool
    """They read 0 in a reading newer than the last command."""
    fell_s: float
    """When `start` last changed, in monotonic seconds; the end of a dispatch while idle."""
    soc_percent: float


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
    """At rest, in two looks that agree; the step is measured against it."""
    last: Powers | None = None
    """Newest powers while the registers showed the dispatch and its time was not over."""
    reached_s: float | None = None
    answers: Answers = field(default_factory=Answers)
    bus: BusWatch = field(default_factory=BusWatch)
    delay_s: float | None = None
    """From the command to the commanded power, as the inputs show it."""
    dead_s: float | None = None
    """From the command to the first change of power."""
    exit_lag_s: float | None = None
    gain: float | None = None
    rounds_up: bool = False
    """The inverter's timer seems to know whole minutes only."""
    rewrite_extends: bool | None = None
    """A block written while a dispatch runs starts its time anew; `None` until the full test."""
    counter_lag_s: float | None = None
    """How much later the export counter tells energy than the power does; 0 where it need not be
    late at all. `None` where the test's energy gave no tick, so until a full test has."""
    checks: Checks = ()
    full: bool = False
    """A full test was asked for."""
    part: int = 1
    """2 when the first part has passed, and the full test's second one runs or is over."""
    second: Second | None = None
    """The second part's dispatch, once it is planned."""
    path: str = ""
    """Path and inputs that were tested; another one needs another test."""
    firmware: str = ""
    """Of the inverter, as far as it can be read; another one needs another test."""
    at: datetime | None = None

    @property
    def busy(self) -> bool:
        """True while the test owns the battery."""
        return self.stage in _BUSY

    def passed_for(self, path: str, firmware: str = "") -> bool:
        """Return True when this very path, these inputs and this firmware have passed."""
        return self.stage is Stage.PASSED and self.path == path and not self.outdated_by(firmware)

    def outdated_by(self, firmware: str) -> bool:
        """Return True when a part that both know of the firmware differs; "" is unknown."""
        if not firmware or firmware == self.firmware:
            return False
        tested, now = _versions(self.firmware), _versions(firmware)
        return any(tested[name] != now[name] for name in tested.keys() & now.keys())

    def with_firmware(self, firmware: str) -> str:
        """Return the firmware of the test, with the parts that could only be read later."""
        parts = _versions(firmware) | _versions(self.firmware)
        return ", ".join(f"{name} {version}".strip() for name, version in parts.items())


def _versions(firmware: str) -> dict[str, str]:
    """Return the parts of `inverter G1.08, EMS 1.2.3` by their name."""
    parts = [part.rpartition(" ") for part in firmware.split(", ") if part]
    return {name: version for name, _, version in parts}


def begin(now_s: float, by: str, path: str, *, full: bool = False) -> Commissioning:
    """Return a test that waits for its first two fresh samples."""
    return Commissioning(
        Stage.WAITING,
        "Waiting for two fresh samples and an idle inverter.",
        by=by,
        begun_s=now_s,
        path=path,
        full=full,
    )


def duration_s(path: CommandPath, wanted_s: int = TEST_DURATION_S) -> int:
    """Return a test's length in whole steps of the path: 30 s, or a minute through helpers."""
    return -(-wanted_s // path.duration_step_s) * path.duration_step_s


def at_rest(test: Commissioning, powers: Powers, now_s: float) -> Commissioning | None:
    """
    Return the waiting test with one more look at the powers; `None` when it may begin.

    Grid and battery are read one after the other, so under a cloud a single look adds powers of
    different moments. Two that agree do not; where none do for long, it begins all the same.
    """
    old = test.before
    if now_s - test.begun_s > _RESTLESS_S:
        return None
    if old is not None and powers.known_s <= old.known_s:
        return test
    moved_w = abs(powers.battery_w - old.battery_w) if old else _RESTLESS_W
    moved_w += abs(powers.grid_w - old.grid_w) if old else 0.0
    return None if moved_w < _RESTLESS_W else replace(test, before=powers)


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
    return _STRONGER_W if abs(battery_w - TEST_POWER_W) < 2 * REACHED_W else TEST_POWER_W


def watch(test: Commissioning, glance: Glance, path: CommandPath) -> Commissioning:
    """Return the test after one more look, while it runs or ends; the path has its patience."""
    powers, since_s = glance.powers, glance.now_s - test.sent_s
    within = powers is not None and 0 < powers.at_s - test.sent_s <= test.duration_s
    if powers is not None and within and glance.running:
        test = _noted(test, powers)
    there = powers is not None and abs(powers.battery_w - test.power_w) <= REACHED_W
    if test.stage is Stage.RUNNING and test.reached_s is None:
        if powers is not None and there and powers.at_s > test.sent_s:
            return _reached(test, powers)
        # A dispatch that is over will not reach anything any more.
        seen_over = glance.idle and test.last is not None and glance.fell_s > test.sent_s
        if since_s > path.verify_s + test.duration_s or (
            seen_over and since_s > test.duration_s + path.exit_lag_s
        ):
            before, last = test.before, test.last
            missed = battery_missed(before, last, test.power_w) if before and last else None
            return _refuted(test, (missed or _unseen(test, since_s),))
        return test
    settled = powers is not None and powers.known_s - (test.reached_s or 0.0) >= _MEAN_AFTER_S
    if powers is not None and there and settled:
        test = replace(test, answers=test.answers.with_sample(test.before or powers, powers))
    if test.stage is Stage.RUNNING and since_s >= test.duration_s:
        test = replace(
            test,
            stage=Stage.ENDING,
            text="The time is over; the inverter has to return to its own control unaided.",
        )
    if test.stage is Stage.ENDING and glance.idle and powers is not None and not there:
        return _ended(test, powers.at_s, glance)
    if since_s > test.duration_s + path.command_delay_s + path.exit_lag_s + _SETTLE_S:
        return _refuted(test, (_unended(test, since_s),))
    return test


def _noted(test: Commissioning, powers: Powers) -> Commissioning:
    """Keep the newest powers of the dispatch, and when they first moved towards it."""
    test = replace(test, last=powers)
    before_w = test.before.battery_w if test.before else powers.battery_w
    step_w = test.power_w - before_w
    moved = step_w and (powers.battery_w - before_w) / step_w >= _MOVED_SHARE
    if moved and test.dead_s is None:
        return replace(test, dead_s=max(0.0, powers.at_s - test.sent_s))
    return test


def _reached(test: Commissioning, powers: Powers) -> Commissioning:
    delay_s = max(0.0, powers.at_s - test.sent_s)
    return replace(
        test,
        reached_s=powers.at_s,
        delay_s=delay_s,
        dead_s=delay_s if test.dead_s is None else test.dead_s,
        text=f"The battery reached {test.power_w} W after {delay_s:.1f} s.",
    )


def _unseen(test: Commissioning, since_s: float) -> Check:
    return Check(
        "dispatch",
        Verdict.FAILED,
        f"The battery did not reach {test.power_w} W within {since_s:.0f} s, and the inverter's "
        "registers never showed the command together with fresh powers.",
        "Check that the inverter obeys Modbus dispatch (hub and unit, or the package's helpers), "
        "and the battery's power sensor, its sign and its unit; then try again.",
    )


def _unended(test: Commissioning, since_s: float) -> Check:
    return Check(
        "timer",
        Verdict.FAILED,
        f"The dispatch was still running {since_s:.0f} s after it was written for "
        f"{test.duration_s} s: this inverter does not end it unaided.",
        "It was stopped; automatic control stays locked. Ask for a firmware that honours the "
        "Dispatch Time.",
    )


def _ended(test: Commissioning, gone_s: float, glance: Glance) -> Commissioning:
    if not test.answers.count:
        return _longer(test, glance.now_s)
    before = test.before or Powers(0.0, 0.0, gone_s, gone_s)
    checks = step_checks(before, test.answers, test.power_w, glance.soc_percent)
    ran_s = gone_s - (test.reached_s or gone_s)
    if ran_s < test.duration_s / 2:
        short = Check(
            "timer",
            Verdict.FAILED,
            f"The dispatch ended after {ran_s:.0f} s instead of {test.duration_s} s: someone else "
            "controls this inverter, or it refused.",
            "Find the other controller and try again.",
        )
        return _refuted(test, (short, *checks))
    over_s = test.sent_s + test.duration_s
    lag_s, register_lag_s = max(0.0, gone_s - over_s), max(0.0, glance.fell_s - over_s)
    rounds_up = _rounds_up(test, register_lag_s)
    timer = timer_check(test.duration_s, lag_s, register_lag_s, rounds_up=rounds_up)
    test = replace(
        test,
        exit_lag_s=lag_s,
        rounds_up=rounds_up,
        gain=test.answers.battery_sum_w / test.answers.count / test.power_w,
    )
    watched_s = glance.now_s - (test.bus.begun_s or glance.now_s)
    energy_wh = test.power_w * test.duration_s / 3600
    checks = (timer, *checks, alone_check(watched_s), *untold_checks(energy_wh, full=test.full))
    return _refuted(test, checks) if first_failure(checks) else _passed(test, checks)


def _rounds_up(test: Commissioning, register_lag_s: float) -> bool:
    """Return True when `start` fell about where the next whole minute would be over."""
    rest_s = -test.duration_s % _MINUTE_S
    return rest_s > 0 and register_lag_s - (test.delay_s or 0.0) >= _ROUNDED_SHARE * rest_s


def shared(test: Commissioning, what: str) -> Commissioning:
    """Return the test as failed, because another master writes the registers."""
    check = Check(
        "shared_bus",
        Verdict.FAILED,
        f"Another master writes this inverter: {what} without us.",
        "Find it (an automation, the other integration, a second Home Assistant, the cloud's "
        "schedule) and switch it off; then try again. If there is none, the inverter itself "
        "changes what is written, and cannot be used by this path.",
    )
    return _refuted(test, (check,))


def _passed(test: Commissioning, checks: Checks) -> Commissioning:
    return replace(
        test,
        stage=Stage.PASSED,
        checks=checks,
        text=f"Passed: first change after {test.dead_s or 0:.1f} s, full power after "
        f"{test.delay_s or 0:.1f} s, back in its own control {test.exit_lag_s or 0:.1f} s after "
        f"the time was over, gain {test.gain or 0:.2f}.",
    )


def _refuted(test: Commissioning, checks: Checks) -> Commissioning:
    """Return the test as failed by the first of these checks that did."""
    check = first_failure(checks)
    return replace(failed(test, check.words if check else ""), checks=checks)


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
    again = begin(now_s, test.by, test.path, full=test.full)
    return replace(again, text=text, duration_s=next_s)


def failed(test: Commissioning, text: str) -> Commissioning:
    """Return the test as failed, with what to do."""
    return replace(test, stage=Stage.FAILED, text=text)


def interrupted(test: Commissioning, text: str) -> Commissioning:
    """Return the test as ended by somebody: the first part stays passed where it has."""
    if test.part == 1:
        return failed(test, text)
    return replace(
        test, stage=Stage.PASSED, text=f"The first part passed; the full test was ended. {text}"
    )


def progress_percent(test: Commissioning, now_s: float) -> float:
    """Return how far the test is, 0 to 100."""
    if not test.busy:
        return 100.0 if test.stage is not Stage.NONE else 0.0
    share = (now_s - test.sent_s) / (test.duration_s + _SETTLE_S / 2)
    if test.part > 1:
        share = 1.0 if test.second is None else 1.0 + second_share(test.second, now_s)
    elif test.stage is Stage.WAITING:
        return 0.0
    return min(99.0, 100.0 * share / (2 if test.full else 1))
