"""
How much of the allowance is used, and how often is it exceeded, whatever fails?

Days of a simulated house, drawn from a seed, with twenty-three fault classes and storms, kills
among them; the very code of `agent/export` decides. Beside it, on the same days in the same run,
Energy Export Monitor as it behaved. Ends with 1 when a target of control.md, section 5, is missed.

    benchmarks/guard.py --quick         under a minute
    benchmarks/guard.py                 some minutes
    benchmarks/guard.py --full          ten home-years and 700 kills per fast path; hours
    benchmarks/guard.py --days 1000     about so many days of the guard in all

`--markdown` prints the table as docs show it, with date, seed and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.simulator.bench_faults import CLASSES
from agent.simulator.bench_kills import kills
from agent.simulator.bench_site import WAYS
from agent.simulator.bench_steps import step_times_s
from agent.simulator.campaign import BREACH_WH, DAYS_PER_YEAR, Campaign, fault_names, run, summary
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
_APART = (
    ("budget_bound_days", "days that the allowance ended"),
    ("allowance_used_p10", "allowance used, tenth percentile"),
    ("longest_excursion_s", "longest excursion, s"),
    ("stop_on_bad_data_max_s", "to the stop on bad data, most, s"),
    ("restart_back_max_s", "back after a restart, most, s"),
    ("foreign_noticed_max_s", "foreign start noticed after, most, s"),
    ("writes_unneeded", "writes without change or renewal"),
    ("writes_idle", "writes while idle"),
)
_KINDS = {
    "quiet": "no fault",
    "faults": "all faults",
    "classic_quiet": "old policy, no fault",
    "classic_faults": "old policy, all faults",
}
_BOUNDS = {"bridge": (9.0, 15.0, 30.0), "ha_register": (30.0, 60.0, 60.0)}
"""Time to the limit p95 and max, and time to a stop on bad data, in seconds."""
_WRITES_PER_H = 260
_USED = (0.98, 0.99)
_TAIL_S = 14.0
"""Dead time, lag and a command that had just left, after a lease's own length."""
_MINUTES_OVER, _EXCURSIONS_PER_YEAR = 0.1, 15.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many days of each kind, per path; steps are houses times steps."""

    paths: tuple[str, ...]
    quiet_days: int
    fault_days: int
    classic_days: int
    steps: tuple[int, int]
    kills: int
    """Instants per path; not for helpers, whose leases of minutes promise other figures."""


_DAYS_APART = 100_000
_PATHS = ("bridge", "ha_register", "ha_helpers")
SIZES = {
    "quick": Size(("bridge",), 4, 6, 6, (1, 4), 12),
    "usual": Size(_PATHS[:2], 40, 96, 48, (4, 10), 60),
    "full": Size(_PATHS, 366, 864, 240, (20, 36), 700),
}
"""`full`: 3 x (366 + 864) = 3690 days of the guard, which are ten years."""


def size_of(days: int) -> Size:
    """Return a campaign with about this many days of the guard, shared as by `full`."""
    full, classes = SIZES["full"], len(CLASSES)
    share = days / (len(full.paths) * (full.quiet_days + full.fault_days))
    rounds = max(1, round(share * full.fault_days / classes))
    return Size(
        full.paths,
        max(4, round(share * full.quiet_days)),
        rounds * classes,
        max(1, rounds // 3) * classes,
        (8, 20),
        full.kills,
    )


def main() -> int:
    """Measure, print a table or JSON, and judge."""
    options = _parser().parse_args()
    size = SIZES["full" if options.full else "quick" if options.quick else "usual"]
    if options.days:
        size = size_of(options.days)
    paths = (options.path,) if options.path else size.paths
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        found = [_measure(path, size, options, pool) for path in paths]
    missed = [text for each in found for text in _missed(each)]
    if options.markdown:
        print(markdown(found, options.seed))
    for each in found:
        if not options.json and not options.markdown:
            _print(each)
    for text in missed:
        note(f"missed: {text}")
    if options.json:
        print(json.dumps({"seed": options.seed, "paths": found, "missed": missed}))
    return 1 if missed else 0


def _measure(
    path: str, size: Size, options: argparse.Namespace, pool: ProcessPoolExecutor
) -> dict[str, Any]:
    every, seed = fault_names("all"), options.seed
    found: dict[str, Any] = {"path": path}
    for name, days, faults, policy in (
        ("quiet", size.quiet_days, ("none",), "guard"),
        ("faults", size.fault_days, every[1:], "guard"),
        ("classic_quiet", size.classic_days, ("none",), "classic"),
        ("classic_faults", size.classic_days, every[1:], "classic"),
    ):
        campaign = Campaign(days, faults, policy, path, seed, options.jobs)
        began_s = time.monotonic()
        results = list(run(campaign))
        found[name] = summary(campaign, results, time.monotonic() - began_s)
        note(f"{path} {name}: {days} days in {time.monotonic() - began_s:.0f} s")
    found["steps"] = _steps(path, size, seed, pool)
    if path != "ha_helpers":
        found["kills"] = _kills(path, size, options, pool)
    return found


def _steps(path: str, size: Size, seed: int, pool: ProcessPoolExecutor) -> dict[str, float]:
    houses, each = size.steps
    runs = [pool.submit(step_times_s, path, seed, 1, each, number) for number in range(houses)]
    times_s = [time_s for house in runs for time_s in house.result()]
    return {
        "count": len(times_s),
        "needed": sum(time_s > 0 for time_s in times_s),
        "p50_s": statistics.median(times_s),
        "p95_s": percentile(times_s, 95),
        "max_s": max(times_s),
    }


def _kills(
    path: str, size: Size, options: argparse.Namespace, pool: ProcessPoolExecutor
) -> dict[str, float]:
    share = -(-size.kills // options.jobs)
    runs = [
        pool.submit(kills, path, options.seed, share, job * _DAYS_APART)
        for job in range(options.jobs)
    ]
    tried = [kill for some in runs for kill in some.result()]
    note(f"{path}: {len(tried)} kills")
    return {
        "count": len(tried),
        "over_10wh": sum(kill.over_wh > BREACH_WH for kill in tried),
        "over_max_wh": round(max(kill.over_wh for kill in tried), 1),
        "forced_max_wh": round(max(kill.forced_wh for kill in tried), 1),
        "runs_on_max_s": max(kill.runs_on_s for kill in tried),
    }


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
        hold("writes without change", days["apart"]["writes_unneeded"], 0, 0)
    hold("foreign noticed (s)", faults["apart"]["foreign_noticed_max_s"], 0, 15)
    hold("stops against a foreign start", faults["apart"]["foreign_counter_writes_max"], 0, 3)
    if path in _BOUNDS:
        p95_s, max_s, stop_s = _BOUNDS[path]
        hold("mean used", quiet["allowance_used_mean"], _USED[0], 1.01)
        hold("median used", quiet["allowance_used_median"], _USED[1], 1.01)
        hold("time to the limit p95 (s)", found["steps"]["p95_s"], 0, p95_s)
        hold("time to the limit max (s)", found["steps"]["max_s"], 0, max_s)
        hold("stop on bad data (s)", faults["apart"]["stop_on_bad_data_max_s"], 0, stop_s)
        frozen = faults["apart"].get("freeze_counter")
        if frozen is not None:
            hold(
                "stop on a frozen counter, beyond what can be known (s)", frozen["late_s"], -1e9, 0
            )
        hold("writes per hour", quiet["writes_per_discharge_hour_max"], 0, _WRITES_PER_H)
        hold("kills above the allowance", found["kills"]["over_10wh"], 0, 0)
        lasts_s = WAYS[path].path.lease_s + _TAIL_S
        hold("export after a kill (s)", found["kills"]["runs_on_max_s"], 0, lasts_s)
    if path == "bridge":
        hold("minutes above the limit", quiet["minutes_over_limit_per_day"], 0, _MINUTES_OVER)
        hold("excursions of 15 s", quiet["excursions_15s_per_year"], 0, _EXCURSIONS_PER_YEAR)
        hold("lock-outs", quiet["g100_lockouts"], 0, 0)
        hold("back after a restart (s)", faults["apart"]["restart_back_max_s"], 0, 60)
    return missed


def _columns(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the rows of one path: words, and a figure for each kind of days."""

    def shown(value: object) -> str:
        return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    kinds = [found[name] for name in _KINDS]
    rows = [("days", [str(kind["days"]) for kind in kinds])]
    rows += [(words, [shown(kind[key]) for kind in kinds]) for key, words in _ROWS]
    rows += [(words, [shown(kind["apart"][key]) for kind in kinds]) for key, words in _APART]
    return rows


def _print(found: dict[str, Any]) -> None:
    print(f"\n{found['path']:48}" + "".join(f"{name:>16}" for name in _KINDS))
    for words, figures in _columns(found):
        print(f"{words:48}" + "".join(f"{figure:>16}" for figure in figures))
    for name in ("steps", "kills"):
        print(f"{name:48} {json.dumps(found.get(name))}")
    print(f"{'apart (faults)':48} {json.dumps(found['faults']['apart'])}")


def markdown(found: list[dict[str, Any]], seed: int) -> str:
    """Return the tables for the docs, with date, seed and commit."""
    days = sum(each[name]["days"] for each in found for name in ("quiet", "faults"))
    when, years = f"{datetime.now(UTC):%d %B %Y}", f"{days / DAYS_PER_YEAR:.1f}"
    lines = [f"{when}, seed {seed}, commit `{_commit()}`: {days} days, {years} home-years."]
    for each in found:
        head = " | ".join([f"`{each['path']}`", *_KINDS.values()])
        lines += ["", f"| {head} |", "|---" * (1 + len(_KINDS)) + "|"]
        lines += [f"| {words} | {' | '.join(figures)} |" for words, figures in _columns(each)]
        lines += ["", *_sentences(each)]
    return "\n".join(lines)


def _sentences(found: dict[str, Any]) -> list[str]:
    steps, tried = found["steps"], found.get("kills")
    p95_s, max_s = steps["p95_s"], steps["max_s"]
    said = [f"{steps['count']} steps at the limit: {p95_s:g} s (p95), {max_s:g} s at most."]
    if tried:
        said.append(
            f"{tried['count']} kills at bad instants: {tried['over_10wh']} above the allowance; "
            f"{tried['forced_max_wh']:g} Wh and {tried['runs_on_max_s']:g} s at most."
        )
    stops = found["faults"]["apart"]["stop_max_s_of"]
    longest = ", ".join(f"`{fault}` {seconds:g}" for fault, seconds in stops.items())
    said.append(f"Longest time to a stop by fault, in seconds: {longest}.")
    return said


def _commit() -> str:
    """Return the commit that was measured; `+` where the tree differs from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],  # noqa: S607 - whatever git the person has
        cwd=Path(__file__).parent,
        check=False,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip() or "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="under a minute, few days")
    size.add_argument("--full", action="store_true", help="at least ten home-years")
    size.add_argument("--days", type=int, default=0, help="about so many days of the guard in all")
    parser.add_argument("--path", choices=_PATHS, help="this one alone")
    parser.add_argument("--markdown", action="store_true", help="print the tables for the docs")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same days")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
