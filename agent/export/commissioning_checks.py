"""
What one commanded step says of every input, each with its own sentence.

The battery is told a power it did not have. Its own meter has to show that power, the meter at the
connection point has to move the other way by as much, the sun has to take no notice. A sign, a
unit or an entity that is wrong shows there and nowhere else, because each value looks plausible
by itself. What the step cannot tell (the sun at night) stays open and says so.

Source: control.md T12, cases 7 to 9; export_monitor.md 4.2 (units and signs of the map).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

REACHED_W = 120.0
"""So near to the commanded power the battery has reached it."""
_STEADY_SHARE = 0.7
"""Of the battery's step: so much may the net load move before the signs cannot be told."""
_STILL_SHARE = 0.15
"""A meter that answers with less of the step has not answered."""
_KILO = 1000.0
_DARK_W = 30.0
_IMPOSSIBLE_LOAD_W = -300.0
_WEAK_GAIN = 0.85
_STRONG_GAIN = 1.15
_FULL_PERCENT = 100.0


class Verdict(StrEnum):
    """What the test says of one thing."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"
    """It could not be told this time; nothing is wrong that is known of."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the test looked at."""

    code: str
    """Stable, for programs: `grid_power`, `timer` ..."""
    verdict: Verdict
    text: str
    """What was seen, in one sentence."""
    next_step: str = ""
    """What to do about it; empty where there is nothing to do."""

    @property
    def words(self) -> str:
        """Return sentence and next step together."""
        return f"{self.text} {self.next_step}".rstrip()


Checks = tuple[Check, ...]


def first_failure(checks: Checks) -> Check | None:
    """Return the first check that failed, if one did."""
    return next((check for check in checks if check.verdict is Verdict.FAILED), None)


@dataclass(frozen=True, slots=True)
class Powers:
    """Fresh powers at one moment, W; battery positive discharges, grid positive imports."""

    battery_w: float
    grid_w: float
    at_s: float
    """When the battery's power became so."""
    known_s: float
    """Until when both are known to have been so."""
    pv_w: float | None = None
    """`None` where the sun's power is not known."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How the other meters answered the battery's step, counted in settled samples."""

    battery_sum_w: float = 0.0
    count: int = 0
    right: int = 0
    """The grid went the other way by about as much: the net load stayed, or the sun moved it."""
    wrong: int = 0
    """It went the same way."""
    still: int = 0
    """It did not answer."""
    pv_count: int = 0
    pv_followed: int = 0
    """The sun's power moved with the battery, as only a sum with the battery in it does."""

    def with_sample(self, before: Powers, now: Powers) -> Answers:
        """Return the answers with one more settled sample, against the moment before."""
        step_w = now.battery_w - before.battery_w
        moved = (now.grid_w - before.grid_w + step_w) / step_w if step_w else 0.0
        pv_told = before.pv_w is not None and now.pv_w is not None and step_w != 0.0
        pv_share = ((now.pv_w or 0.0) - (before.pv_w or 0.0)) / step_w if pv_told else 0.0
        # What a cloud has moved is no answer to the battery, where the sun's power tells of it.
        shares = (moved, moved + pv_share)
        right = any(abs(share) <= _STEADY_SHARE for share in shares)
        wrong = not right and any(abs(share - 2) < _STEADY_SHARE for share in shares)
        return Answers(
            self.battery_sum_w + now.battery_w,
            self.count + 1,
            self.right + right,
            self.wrong + wrong,
            self.still + (not right and abs(moved - 1) <= _STILL_SHARE),
            self.pv_count + pv_told,
            self.pv_followed + (pv_told and abs(pv_share - 1) < 2 * _STILL_SHARE),
        )


def battery_missed(before: Powers, last: Powers, power_w: int) -> Check:
    """Say why the battery's meter never showed the commanded power, as far as it can be told."""
    code, want = "battery_power", f"{power_w} W"
    shown_w, moved_w = last.battery_w, last.battery_w - before.battery_w
    grid_moved = abs(last.grid_w - before.grid_w) > REACHED_W / 2
    if abs(shown_w + power_w) <= REACHED_W and (grid_moved or abs(moved_w) > REACHED_W):
        return Check(
            code,
            Verdict.FAILED,
            f"Battery power shows {shown_w:.0f} W where {want} was commanded: it has the wrong "
            "sign. It has to be positive when the battery discharges.",
            "Choose the entity that is, or turn it with a template; then try again.",
        )
    for factor, unit in ((_KILO, "kW"), (1 / _KILO, "mW")):
        fits = abs(shown_w * factor - power_w) <= REACHED_W
        if fits and (grid_moved or abs(moved_w) > REACHED_W):
            return Check(
                code,
                Verdict.FAILED,
                f"Battery power shows {shown_w:g} where {want} was commanded: it is in {unit}, "
                "not in W.",
                "Correct its unit of measurement where the entity is defined; then try again.",
            )
    if abs(shown_w - power_w) < 0.9 * abs(before.battery_w - power_w):
        return Check(
            code,
            Verdict.FAILED,
            f"The battery got to {shown_w:.0f} W and no nearer to {want}: something limits it.",
            "Look for the inverter's AC limit while the sun fills it, and for a limit of the "
            "battery; then try again with less sun and a battery neither full nor empty.",
        )
    return Check(
        code,
        Verdict.FAILED,
        f"Battery power showed {shown_w:.0f} W and never {want}.",
        "Check the battery's power sensor, its sign and its unit, and that the inverter obeys "
        "Modbus dispatch; then try again.",
    )


def step_checks(before: Powers, answers: Answers, power_w: int, soc_percent: float) -> Checks:
    """Return what the settled samples say of each input; at least one sample is needed."""
    mean_w = answers.battery_sum_w / answers.count
    return (
        Check(
            "battery_power",
            Verdict.PASSED,
            f"Battery power went from {before.battery_w:.0f} to {mean_w:.0f} W as commanded: sign "
            "and unit are right.",
        ),
        _grid(answers),
        _pv(before, answers),
        Check(
            "soc",
            Verdict.PASSED,
            f"State of charge is {soc_percent:.1f} %, within 0 to 100 and no share of 1.",
        ),
        _gain(mean_w / power_w),
    )


def _grid(answers: Answers) -> Check:
    code = "grid_power"
    if 2 * answers.wrong > answers.count:
        return Check(
            code,
            Verdict.FAILED,
            "Battery and grid moved in the same direction: grid power has the wrong sign. It has "
            "to be positive when the house imports, battery power when it discharges.",
            "Correct the mapping and try again.",
        )
    if 2 * answers.still > answers.count:
        return Check(
            code,
            Verdict.FAILED,
            "Grid power did not answer the battery's step: it is in kW instead of W, or it is not "
            "the meter at the connection point (one phase of three, the inverter's own power).",
            "Choose the whole connection's power in W and try again.",
        )
    if 2 * answers.right < answers.count:
        return Check(
            code,
            Verdict.FAILED,
            "Load or sun changed too much to tell whether grid and battery have the right sign.",
            "Try again in a quieter moment.",
        )
    return Check(
        code,
        Verdict.PASSED,
        "Grid power moved against the battery by as much: sign and unit are right.",
    )


def _pv(before: Powers, answers: Answers) -> Check:
    pv_w = before.pv_w
    if pv_w is None:
        return Check(
            "pv_power",
            Verdict.OPEN,
            "PV power was not known during the test.",
            "Choose its entity, or repair it: without it the sun is bounded by a guess.",
        )
    load_w = before.grid_w + before.battery_w + pv_w
    wrong = _wrong_pv(pv_w, load_w, answers)
    if wrong is not None:
        return Check("pv_power", Verdict.FAILED, *wrong)
    untold = _untold_pv(pv_w, load_w)
    if untold is not None:
        return Check("pv_power", Verdict.OPEN, *untold)
    return Check(
        "pv_power",
        Verdict.PASSED,
        f"PV power stayed near {pv_w:.0f} W while the battery moved, and the three powers make "
        f"a load of {load_w:.0f} W.",
    )


def _wrong_pv(pv_w: float, load_w: float, answers: Answers) -> tuple[str, str] | None:
    """Return what is wrong with the sun's power and what to do, or `None`."""
    if pv_w < -_DARK_W:
        return (
            f"PV power shows {pv_w:.0f} W: generators do not use power, its sign is wrong.",
            "Choose the entity that is positive when the sun shines; then try again.",
        )
    if answers.pv_count and 2 * answers.pv_followed > answers.pv_count:
        return (
            "PV power moved with the battery: it is the inverter's whole power, not the sun's.",
            "Choose the generators' own power; then try again.",
        )
    # An inverter tells whole watts; a fraction of one is kilowatts.
    if load_w < _IMPOSSIBLE_LOAD_W and 0.0 < pv_w < _DARK_W and pv_w != round(pv_w):
        return (
            f"PV power shows {pv_w:g} W, and with it the house would use {load_w:.0f} W: kW?",
            "Correct its unit of measurement, or choose the entity of all generators.",
        )
    return None


def _untold_pv(pv_w: float, load_w: float) -> tuple[str, str] | None:
    """Return why the sun's power cannot be told this time, or `None`."""
    if load_w < _IMPOSSIBLE_LOAD_W:
        return (
            f"Grid, battery and PV leave {load_w:.0f} W to the house: some sun is not counted.",
            "Add the other generators in the settings, if they may be exported.",
        )
    if pv_w < _DARK_W:
        return (
            "PV power cannot be told without sun; it stayed as it was.",
            "Run the test once more in the sun, if you like to know.",
        )
    return None


def _gain(gain: float) -> Check:
    text = f"{gain * 100:.0f} % of the commanded power arrive"
    if _WEAK_GAIN <= gain <= _STRONG_GAIN:
        return Check("gain", Verdict.PASSED, f"{text}.")
    return Check(
        "gain",
        Verdict.OPEN,
        f"{text}, which is unusual at so small a power.",
        "Leases are computed with it; look whether a limit of the inverter binds.",
    )


def soc_in_doubt(soc_percent: float | None) -> Check | None:
    """Return why a state of charge cannot be a percentage; `None` when it can."""
    if soc_percent is None or 1.0 < soc_percent <= _FULL_PERCENT:
        return None
    shown = f"State of charge shows {soc_percent:g}"
    if 0.0 <= soc_percent <= 1.0:
        return Check(
            "soc",
            Verdict.FAILED,
            f"{shown}: a share of 1 instead of percent, or an empty battery.",
            "If the battery is not empty, choose the entity in percent; else charge it.",
        )
    return Check(
        "soc",
        Verdict.FAILED,
        f"{shown}, which is no percentage.",
        "Choose the entity that goes from 0 to 100.",
    )


def timer_check(duration_s: int, lag_s: float, register_lag_s: float, *, rounds_up: bool) -> Check:
    """Return what the test says of the inverter's timer, which has ended the dispatch unaided."""
    if rounds_up:
        return Check(
            "timer",
            Verdict.PASSED,
            f"The inverter ended {duration_s} s unaided, but {lag_s:.0f} s late at a full minute: "
            "it seems to round its time up. Leases are priced with a minute more.",
        )
    late = "" if lag_s <= 2 * register_lag_s + 5 else "; its power needed longer than its register"
    return Check(
        "timer",
        Verdict.PASSED,
        f"The inverter ended {duration_s} s unaided, {lag_s:.1f} s after the time was over{late}.",
    )


def alone_check(watched_s: float) -> Check:
    """Return that no other master was seen in so long."""
    return Check(
        "shared_bus",
        Verdict.PASSED,
        f"Nobody else wrote the dispatch registers in the {watched_s:.0f} s of the test.",
    )


def second_master(requests: int) -> Check | None:
    """Return why a line with a second master on it cannot be used; `None` when there is none."""
    if not requests:
        return None
    return Check(
        "shared_bus",
        Verdict.FAILED,
        f"The bridge hears a second master on the inverter's line: {requests} requests that are "
        "not its own.",
        "Unplug what else is wired to the inverter's RS485 connector (a logger, an EV charger, "
        "another adapter), wait ten minutes and try again.",
    )


def untold_checks(energy_wh: float, *, full: bool) -> Checks:
    """Return what only the full test looks at, open until it has."""
    step = "" if full else "The full test looks at it."
    return (
        Check(
            "exported_counter",
            Verdict.OPEN,
            f"The test's {energy_wh:.1f} Wh are too little for a tick of the export counter: its "
            "lag and its direction are not known.",
            step,
        ),
        Check(
            "rewrite",
            Verdict.OPEN,
            "Whether a second command extends the first one's time was not tried.",
            step,
        ),
    )
