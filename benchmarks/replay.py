"""
Do two weeks of decisions come out the same when they are decided again, and what does it cost?

Fourteen days of the simulated house, one after the other, with faults, kills and restarts. The
very code of `agent/export` decides; every look goes through the recorder of the running agent into
its file. Then the file is read and every look decided again. Moments get the digits that real
clocks have, because they are most of what a record holds. Ends with 1 when a bit differs, or when
two weeks do not fit.

    benchmarks/replay.py --quick     two days
    benchmarks/replay.py             two weeks, some minutes
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.clock import Instant
from agent.export.decide import step
from agent.export.record import Decision, read
from agent.export.recorder import DECISIONS_BYTES, DECISIONS_NAME, Recorder
from agent.export.replay import Report, replay
from agent.export.states import GuardConfig, GuardState, Look, Step
from agent.house.readings import DispatchReadings, HouseSample, Reading
from agent.replaying import pages
from agent.simulator.bench import Bench
from agent.simulator.bench_guard import Controller, GuardController
from agent.simulator.bench_site import WAYS, Day, draw_day
from agent.simulator.plant import Plant
from benchmarks.running import note

FAULTS = (
    "none", "storm", "restart", "kill", "command_loss", "none", "unavailable",
    "link_down", "freeze_power", "counter_reset", "core_restart", "foreign_controller",
    "late_counter", "storm",
)  # fmt: skip
"""Of the days of two weeks, in turn."""
TWO_WEEKS = len(FAULTS)
_FIRST = date(2026, 6, 1)
_GOLDEN = 0.6180339887498949
_WAITING = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording cost."""

    looks: int
    size_bytes: int
    bench_s: float
    record_cpu_s: float


def blurred(look: Look) -> Look:
    """Return the look with moments that no second hand shows, as real clocks have them."""
    sample = look.sample
    names = [each.name for each in fields(HouseSample) if each.name not in {"linked", "dispatch"}]
    parts = [each.name for each in fields(DispatchReadings)]
    dispatch = sample.dispatch
    return replace(
        look,
        now=Instant(
            _blurred(look.now.monotonic_s + 0.5, 0),
            look.now.local + timedelta(seconds=0.5 + look.now.monotonic_s * _GOLDEN % 0.4),
        ),
        sample=replace(
            sample,
            **{name: _late(getattr(sample, name), n) for n, name in enumerate(names, start=1)},
            dispatch=replace(
                dispatch, **{name: _late(getattr(dispatch, name), 9) for name in parts}
            ),
        ),
    )


def _late(reading: Reading, place: float) -> Reading:
    reported_s = reading.reported_s
    return replace(
        reading,
        changed_s=_blurred(reading.changed_s, place),
        reported_s=None if reported_s is None else _blurred(reported_s, place),
    )


def _blurred(moment_s: float, place: float) -> float:
    """Return the moment when a value in this place arrives: some milliseconds after the other."""
    jitter_s = moment_s * _GOLDEN * (place + 1) % 1e-3
    return moment_s + moment_s * _GOLDEN % 0.4 + place * 2e-3 + jitter_s


def record(
    folder: Path, faults: Sequence[str], path: str, seed: int, change: Callable[[Day], Day]
) -> Recorded:
    """
    Run a day for each fault and record every look into this folder.

    Args:
        folder: where the agent would keep its journal.
        faults: classes of the bench, or `none`.
        path: one of `WAYS`.
        seed: of the days.
        change: makes another day of each; the identity for days as they are drawn.
    """
    recorder = Recorder(folder, turn_s=0.01)
    looks = 0

    def noting(state: GuardState, look: Look, config: GuardConfig) -> Step:
        nonlocal looks
        looks += 1
        look = blurred(look)
        result = step(state, look, config)
        while recorder.waiting > _WAITING and recorder.alive:
            time.sleep(0.001)  # a bench is faster than any house
        recorder.note(Decision(state, look, config, result))
        return result

    def noted(config: GuardConfig, day: Day, _: Plant) -> Controller:
        return GuardController(config, day.instant(0.0), noting)

    began_s = time.monotonic()
    for number, fault in enumerate(faults):
        drawn = replace(draw_day(seed, number, WAYS[path]), date=_FIRST + timedelta(days=number))
        Bench(change(drawn), number, fault, noted).run()
        note(f"day {number + 1} of {len(faults)}: {fault}, {looks} looks")
    bench_s = time.monotonic() - began_s
    record_cpu_s = recorder.cpu_s()
    recorder.close(60)
    size_bytes = sum(each.stat().st_size for each in folder.glob(f"{DECISIONS_NAME}*"))
    return Recorded(looks, size_bytes, bench_s, record_cpu_s)


def measure(days: int, path: str, seed: int) -> dict[str, Any]:
    """Record and replay so many days; return the figures."""
    with tempfile.TemporaryDirectory(prefix="pv-edge-replay-") as name:
        folder = Path(name)
        recorded = record(folder, FAULTS[:days], path, seed, lambda day: day)
        began_s = time.monotonic()
        report = replay(read(pages(folder / DECISIONS_NAME)))
        return figures(recorded, report, days, time.monotonic() - began_s)


def figures(recorded: Recorded, report: Report, days: int, replay_s: float) -> dict[str, Any]:
    """Return everything that is told."""
    looks = max(1, recorded.looks)
    return {
        "days": days,
        "looks": recorded.looks,
        "looks_replayed": report.looks,
        "differences": report.differences,
        "unreadable_pages": len(report.unreadable),
        "commands": report.commands,
        "events": report.events,
        "chapters": report.chapters,
        "starts": report.gaps,
        "bytes_per_look": round(recorded.size_bytes / looks, 1),
        "bytes_per_day": round(recorded.size_bytes / days),
        "two_weeks_bytes": round(recorded.size_bytes / days * TWO_WEEKS),
        "bound_bytes": DECISIONS_BYTES,
        "record_cpu_us_per_look": round(recorded.record_cpu_s / looks * 1e6, 1),
        "bench_s": round(recorded.bench_s, 1),
        "replay_s": round(replay_s, 1),
    }


def missed(found: dict[str, Any]) -> list[str]:
    """Return what is not as it has to be, in words."""
    wrong = []
    if found["looks_replayed"] != found["looks"]:
        wrong.append(f"{found['looks_replayed']} of {found['looks']} looks were replayed")
    if found["differences"] or found["unreadable_pages"]:
        wrong.append(
            f"{found['differences']} looks differ, {found['unreadable_pages']} pages unreadable"
        )
    if found["two_weeks_bytes"] > found["bound_bytes"]:
        wrong.append(f"two weeks take {found['two_weeks_bytes']} bytes, the bound is less")
    return wrong


def main() -> int:
    """Measure, print a table or JSON, and judge."""
    options = _parser().parse_args()
    found = measure(2 if options.quick else TWO_WEEKS, options.path, options.seed)
    for text in missed(found):
        note(f"missed: {text}")
    if options.json:
        print(json.dumps({"path": options.path, "seed": options.seed, **found}))
    else:
        print("\n".join(f"{name:28} {value}" for name, value in found.items()))
    return 1 if missed(found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two days")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.add_argument("--path", choices=sorted(WAYS), default="bridge", help="way (bridge)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same days")
    return parser


if __name__ == "__main__":
    sys.exit(main())
