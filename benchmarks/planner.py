"""
How close do plans come to the best that was possible, with forecasts as wrong as they are?

Two made-up homes live through 40 days each, ten in every season. Ours plans anew each half hour
from forecasts; beside it, in the same days, self-consumption, the greedy plan of Energy Export
Monitor, and the optimum for somebody who knew everything before. The gain over self-consumption,
as a share of the optimum's, is what counts; and that no day exports more than the sun gave.

    python benchmarks/planner.py [--quick] [--json] [--seed 1] [--aim carbon|money|both]
        [--without-rest]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.export.plan_problem import Aim
from benchmarks.planner_days import (
    Life,
    classic,
    classic_allows,
    cost,
    end_value,
    live,
    nobody,
    optimum,
    ours,
    produced,
)
from benchmarks.planner_homes import HOMES, SEASONS, Block, block

_BEGAN_S = time.monotonic()
_NAMES = (
    ("ours", ""),
    ("greedy", "greedy_"),
    ("greedy_kept", "greedy_kept_"),
    ("same_rule", "same_rule_"),
)
_DAYS, _QUICK_DAYS = 10, 1
LEAST_CARBON, LEAST_MONEY, LEAST_MONEY_HOME = 0.90, 0.85, 0.83
MOST_PLAN_MS = 100.0


@dataclass(slots=True)
class Sums:
    """What a home gained with one aim, over all its days."""

    best: float = 0.0
    same_rule: float = 0.0
    """The optimum of who knows everything, and may export only what the sun has given so far."""
    ours: float = 0.0
    greedy: float = 0.0
    greedy_kept: float = 0.0
    """The greedy plan under a guard that lets out only what the sun has given."""


@dataclass(slots=True)
class Found:
    """Everything that is told in the end."""

    sums: dict[tuple[Aim, str], Sums] = field(default_factory=dict)
    plan_ms: list[float] = field(default_factory=list)
    plan_cpu_ms: list[float] = field(default_factory=list)
    home_days: int = 0
    days_over: int = 0
    greedy_days_over: int = 0
    greedy_most_over_wh: float = 0.0
    cut_wh: float = 0.0
    starts: int = 0
    not_solved: int = 0

    def share(self, aim: Aim, home: str, of: str) -> float:
        """Return a gain as a share of the optimum's."""
        sums = self.sums[aim, home]
        return float(getattr(sums, of)) / sums.best


def note(text: str) -> None:
    """Tell the person who waits what happens."""
    print(f"[{time.monotonic() - _BEGAN_S:6.1f} s] {text}", file=sys.stderr, flush=True)


def measure(days: int, seed: int, aims: Sequence[Aim], *, rest: bool = True) -> Found:
    """
    Live through all days and return what came out.

    Args:
        days: of each season, in each home.
        seed: of the weather.
        aims: one life for each.
        rest: plans may let the battery rest, and sun leave that it could store.
    """
    found = Found()
    for home in HOMES:
        for first in SEASONS:
            made = block(home, first, days, seed)
            greedy = live(made, classic, classic_allows)
            kept = live(made, classic, produced)
            alone = live(made, nobody, produced)
            found.home_days += days
            found.greedy_days_over += greedy.days_over
            found.greedy_most_over_wh = max(found.greedy_most_over_wh, greedy.most_over_wh)
            for aim in aims:
                _one(found, (made, aim, rest), alone, (greedy, kept))
            note(f"{home.name}, {days} days from {first}")
    return found


def _one(
    found: Found, asked: tuple[Block, Aim, bool], alone: Life, greedy: tuple[Life, Life]
) -> None:
    made, aim, rest = asked
    value = end_value(made, aim)
    life = live(made, ours(aim, rest), produced)
    sums = found.sums.setdefault((aim, made.home.name), Sums())
    idle = cost(made, alone, aim, value)
    sums.ours += idle - cost(made, life, aim, value)
    sums.greedy += idle - cost(made, greedy[0], aim, value)
    sums.greedy_kept += idle - cost(made, greedy[1], aim, value)
    best = optimum(made, aim, value, cumulative=False)
    bound = optimum(made, aim, value, cumulative=True)
    sums.best += idle - cost(made, best, aim, value)
    sums.same_rule += idle - cost(made, bound, aim, value)
    found.plan_ms += life.plan_ms
    found.plan_cpu_ms += life.plan_cpu_ms
    found.days_over += life.days_over
    found.cut_wh += life.cut_wh
    found.starts += life.starts
    found.not_solved += life.not_solved


def figures(found: Found, aims: Sequence[Aim]) -> dict[str, float]:
    """Return the figures under their names."""
    ranked, cpu = sorted(found.plan_ms), sorted(found.plan_cpu_ms)
    told: dict[str, float] = {"home_days": found.home_days, "plans": len(ranked)}
    for aim in aims:
        for of, name in _NAMES:
            shares = [found.share(aim, home.name, of) for home in HOMES]
            told[f"{name}{aim}_share"] = round(sum(shares) / len(shares), 3)
            for number, share in enumerate(shares):
                told[f"{name}{aim}_share_home_{number}"] = round(share, 3)
    told |= {
        "days_over": found.days_over,
        "greedy_days_over": found.greedy_days_over,
        "greedy_most_over_wh": round(found.greedy_most_over_wh),
        "not_yet_produced_wh_per_day": round(found.cut_wh / found.home_days / len(aims), 1),
        "starts_per_day": round(found.starts / found.home_days / len(aims), 2),
        "not_solved": found.not_solved,
        "plan_p50_ms": round(ranked[len(ranked) // 2], 1),
        "plan_p99_ms": round(ranked[int(len(ranked) * 0.99)], 1),
        "plan_max_ms": round(ranked[-1], 1),
        "plan_cpu_p50_ms": round(cpu[len(cpu) // 2], 1),
        "plan_cpu_p99_ms": round(cpu[int(len(cpu) * 0.99)], 1),
    }
    return told


def missed(told: dict[str, float], quick: bool) -> list[str]:
    """Return the targets that were missed; a quick run is too short for the shares."""
    targets = {
        "days_over": told["days_over"] == 0,
        "plan_p99_ms": told["plan_p99_ms"] <= MOST_PLAN_MS,
    }
    if not quick:
        targets |= {
            "carbon_share": told.get("carbon_share", 1.0) >= LEAST_CARBON,
            "money_share": told.get("money_share", 1.0) >= LEAST_MONEY,
        }
        for number in range(len(HOMES)):
            name = f"money_share_home_{number}"
            targets[name] = told.get(name, 1.0) >= LEAST_MONEY_HOME
    return [name for name, kept in targets.items() if not kept]


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="one day of each season")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--aim", choices=["carbon", "money", "both"], default="both")
    parser.add_argument("--without-rest", action="store_true", help="as with enable_rest off")
    args = parser.parse_args()
    aims = (Aim.CARBON, Aim.MONEY) if args.aim == "both" else (Aim(args.aim),)
    told = figures(
        measure(_QUICK_DAYS if args.quick else _DAYS, args.seed, aims, rest=not args.without_rest),
        aims,
    )
    failed = missed(told, args.quick)
    for name, value in told.items():
        note(f"{name:28} {value:10.3f}{'  MISSED' if name in failed else ''}")
    print(json.dumps(told) if args.json else "see above")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
