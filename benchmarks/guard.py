"""
How much of the allowance is used, and how often is it exceeded, whatever fails?

Days of a simulated house, drawn from a seed, with twenty fault classes and storms, kills among
them; the very code of `agent/export` decides. Beside it, on the same days in the same run, Energy
Export Monitor as it behaved. Ends with 1 when a target of control.md, section 5, is missed.

    benchmarks/guard.py --quick     under a minute
    benchmarks/guard.py             some minutes
    benchmarks/guard.py --full      at least ten home-years; hours
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.simulator.bench_steps import step_times_s
from agent.simulator.campaign import Campaign, fault_names, run, summary
from benchmarks.running import note, percentile

_ROWS = (
    ("breaches_over_10wh", "days above the allowance by more than 10 Wh"),
    ("max_breach_wh", "most above it, Wh"),
    ("allowance_used_mean", "allowance used, mean"),
    ("allowance_used_median", "allowance used, median"),
    ("minutes_over_limit_per_day", "minutes above the limit per day"),
    ("excursions_15s_per_year", "excursions of 15 s per year"),
    ("g100_lockouts", "G100 lock-outs"),
    ("kill_max_wh", "export after a kill, most, Wh"),
    ("writes_per_discharge_hour_max", "writes per hour of discharge, most"),
)
_BOUNDS = {"bridge": (9.0, 15.0, 30.0), "ha_register": (30.0, 60.0, 60.0)}
"""Time to the limit p95 and max, and time to a stop on bad data, in seconds."""
_WRITES_PER_H = 260
_USED = (0.98, 0.99)
_MINUTES_OVER, _EXCURSIONS_PER_YEAR = 0.1, 15.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many days of each kind, per path; steps are houses times steps."""

    paths: tuple[str, ...]
    quiet_days: int
    fault_days: int
    classic_days: int
    steps: tuple[int, int]


SIZES = {
    "quick": Size(("bridge",), 4, 6, 6, (1, 4)),
    "usual": Size(("bridge", "ha_register"), 40, 88, 40, (4, 10)),
    "full": Size(("bridge", "ha_register", "ha_helpers"), 730, 1980, 220, (20, 36)),
}


def main() -> int:
    """Measure, print a table or JSON, and judge."""
    options = _parser().parse_args()
    size = SIZES["full" if options.full else "quick" if options.quick else "usual"]
    found = [_measure(path, size, options.seed, options.jobs) for path in size.paths]
    missed = [text for each in found for text in _missed(each)]
    for each in found:
        if not options.json:
            _print(each)
    for text in missed:
        note(f"missed: {text}")
    if options.json:
        print(json.dumps({"seed": options.seed, "paths": found, "missed": missed}))
    return 1 if missed else 0


def _measure(path: str, size: Size, seed: int, jobs: int) -> dict[str, Any]:
    every = fault_names("all")
    found: dict[str, Any] = {"path": path}
    for name, days, faults, policy in (
        ("quiet", size.quiet_days, ("none",), "guard"),
        ("faults", size.fault_days, every[1:], "guard"),
        ("classic_quiet", size.classic_days, ("none",), "classic"),
        ("classic_faults", size.classic_days, every[1:], "classic"),
    ):
        campaign = Campaign(days, faults, policy, path, seed, jobs)
        began_s = time.monotonic()
        results = list(run(campaign))
        found[name] = summary(campaign, results, time.monotonic() - began_s)
        note(f"{path} {name}: {days} days in {time.monotonic() - began_s:.0f} s")
    times_s = step_times_s(path, seed, *size.steps)
    found["steps"] = {
        "count": len(times_s),
        "needed": sum(time_s > 0 for time_s in times_s),
        "p50_s": statistics.median(times_s),
        "p95_s": percentile(times_s, 95),
        "max_s": max(times_s),
    }
    return found


def _missed(found: dict[str, Any]) -> list[str]:
    """Return the targets that this path has missed, in words."""
    path, quiet, faults = found["path"], found["quiet"], found["faults"]
    missed = []

    def hold(what: str, value: float | None, least: float, most: float) -> None:
        if value is not None and not least <= value <= most:
            missed.append(f"{path}: {what} is {value:g}, not within {least:g} and {most:g}")

    for days in (quiet, faults):
        hold(f"breaches ({days['faults'][:20]})", days["breaches_over_10wh"], 0, 0)
        hold("writes while idle", days["apart"]["writes_idle"], 0, 0)
    hold("foreign noticed (s)", faults["apart"]["foreign_noticed_max_s"], 0, 15)
    if path in _BOUNDS:
        p95_s, max_s, stop_s = _BOUNDS[path]
        hold("mean used", quiet["allowance_used_mean"], _USED[0], 1.01)
        hold("median used", quiet["allowance_used_median"], _USED[1], 1.01)
        hold("time to the limit p95 (s)", found["steps"]["p95_s"], 0, p95_s)
        hold("time to the limit max (s)", found["steps"]["max_s"], 0, max_s)
        hold("stop on bad data (s)", faults["apart"]["stop_on_bad_data_max_s"], 0, stop_s)
        hold("writes per hour", quiet["writes_per_discharge_hour_max"], 0, _WRITES_PER_H)
    if path == "bridge":
        hold("minutes above the limit", quiet["minutes_over_limit_per_day"], 0, _MINUTES_OVER)
        hold("excursions of 15 s", quiet["excursions_15s_per_year"], 0, _EXCURSIONS_PER_YEAR)
        hold("lock-outs", quiet["g100_lockouts"], 0, 0)
        hold("back after a restart (s)", faults["apart"]["restart_back_max_s"], 0, 60)
    return missed


def _print(found: dict[str, Any]) -> None:
    columns = ("quiet", "faults", "classic_quiet", "classic_faults")
    print(f"\n{found['path']:44}" + "".join(f"{name:>16}" for name in columns))
    print(f"{'days':44}" + "".join(f"{found[name]['days']:16}" for name in columns))
    for key, words in _ROWS:
        shown = ("-" if found[name][key] is None else found[name][key] for name in columns)
        print(f"{words:44}" + "".join(f"{value:>16}" for value in shown))
    for name in ("steps",):
        print(f"{name:44} {json.dumps(found[name])}")
    print(f"{'apart (faults)':44} {json.dumps(found['faults']['apart'])}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="under a minute, few days")
    size.add_argument("--full", action="store_true", help="at least ten home-years")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same days")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
