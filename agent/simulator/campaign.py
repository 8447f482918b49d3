"""
Many simulated days, and what they come to: `python -m agent simulate`.

Days are dealt to the fault classes in turn and to the processes in turn; each is drawn from seed
and number alone, so one job or eight give the same figures, and a day that breached can be run
again by itself: `--first N --days 1`.

Source: control.md, section 5.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from agent.house.readings import CounterKind
from agent.simulator.bench import Bench, Controllers, guard_of
from agent.simulator.bench_faults import CLASSES
from agent.simulator.bench_house import EXPORT_STEP_WH
from agent.simulator.bench_measure import RECORDED_S, DayResult, lockouts
from agent.simulator.bench_site import WAYS, draw_day
from agent.simulator.classic import classic_of

POLICIES: dict[str, Controllers] = {"guard": guard_of, "classic": classic_of}
BREACH_WH = 10.0
DAYS_PER_YEAR = 365.25
_CHUNK = 4
_BY_ENERGY = "freeze_counter"
"""A counter that stands still shows only when enough has flowed to move it."""
_TICKS, _POLLS, _LATE_POLL_S, _STOP_S = 4, 2, 15.0, 25.0
"""So much has to flow, and so often may it be polled, until that is certain at the latest; then the
stop itself takes a command, the inverter's dead time and its lag."""
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is simulated."""

    days: int
    faults: tuple[str, ...] = ("none",)
    policy: str = "guard"
    path: str = "bridge"
    seed: int = 1
    jobs: int = 1
    first: int = 0
    """Number of the first day, to run one again."""

    def fault_of(self, number: int) -> str:
        """Return the fault class of a day."""
        return self.faults[number % len(self.faults)]


def fault_names(text: str) -> tuple[str, ...]:
    """
    Return the classes of `none`, `all` or a list with commas.

    Raises:
        ValueError: there is no such class; the text names those that there are.
    """
    if text == "all":
        return ("none", *CLASSES)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in CLASSES and name != "none"]
    if unknown or not names:
        raise ValueError(
            f"no fault class {', '.join(unknown) or text!r}; there are none, all, "
            f"{', '.join(CLASSES)}"
        )
    return names


def one_day(campaign: Campaign, number: int) -> DayResult:
    """Run the day of this number."""
    way = WAYS[campaign.path]
    if campaign.policy == "classic":
        way = replace(way, kind=CounterKind.DAILY)  # it read Core's daily meters, whatever the way
    began_s = time.process_time()
    day = draw_day(campaign.seed, number, way)
    result = Bench(day, number, campaign.fault_of(number), POLICIES[campaign.policy]).run()
    return replace(result, processor_s=time.process_time() - began_s)


def _some_days(campaign: Campaign, numbers: Sequence[int]) -> list[DayResult]:
    return [one_day(campaign, number) for number in numbers]


def run(campaign: Campaign) -> Iterator[DayResult]:
    """Run all days, in order, in as many processes as the campaign says."""
    numbers = range(campaign.first, campaign.first + campaign.days)
    if campaign.jobs <= 1:
        yield from (one_day(campaign, number) for number in numbers)
        return
    chunks = [numbers[at : at + _CHUNK] for at in range(0, len(numbers), _CHUNK)]
    with ProcessPoolExecutor(campaign.jobs, mp_context=get_context("spawn")) as pool:
        for found in pool.map(_some_days, [campaign] * len(chunks), chunks):
            yield from found


def summary(campaign: Campaign, results: Sequence[DayResult], took_s: float) -> dict[str, object]:
    """
    Return the figures of a campaign, and under `apart` what no controller answers for or asks for.

    Args:
        campaign: what was simulated.
        results: its days.
        took_s: wall-clock seconds that they took.
    """
    ours = [result for result in results if result.ours]
    over = [result.over_wh for result in ours if result.over_wh > 0]
    used = [r.exported_wh / r.produced_wh for r in ours if r.budget_bound and r.produced_wh > 0]
    excursions = [each for result in ours for each in result.excursions]
    count = max(1, len(results))
    rates = [r.writes * _HOUR_S / r.discharge_s for r in results if r.discharge_s >= _HOUR_S]
    return {
        "days": len(results),
        "faults": ",".join(campaign.faults),
        "policy": campaign.policy,
        "path": campaign.path,
        "breaches": len(over),
        "breaches_over_10wh": sum(wh > BREACH_WH for wh in over),
        "max_breach_wh": round(max(over, default=0.0), 1),
        "allowance_used_mean": round(statistics.fmean(used), 4) if used else None,
        "allowance_used_median": round(statistics.median(used), 4) if used else None,
        "minutes_over_limit_per_day": round(
            sum(each.lasts_s for each in excursions) / 60 / max(1, len(ours)), 4
        ),
        "excursions_15s_per_year": round(
            sum(each.lasts_s >= RECORDED_S for each in excursions)
            * DAYS_PER_YEAR
            / max(1, len(ours)),
            2,
        ),
        "g100_lockouts": sum(lockouts(result.excursions) for result in ours),
        "kill_max_wh": round(max((r.kill_wh for r in ours), default=0.0), 1),
        "writes_per_day_max": max((r.writes for r in results), default=0),
        "writes_per_discharge_hour_max": round(max(rates, default=0.0), 1),
        "plan_carbon_share": None,
        "plan_money_share": None,
        "seconds_per_year": round(took_s / count * DAYS_PER_YEAR, 1),
        "apart": _apart(campaign, results, used),
    }


def _apart(
    campaign: Campaign, results: Sequence[DayResult], used: Sequence[float]
) -> dict[str, object]:
    """Return what explains the figures: days that breached, times of stops, other people's acts."""

    def longest(values: Iterable[float]) -> float | None:
        return max((round(value, 1) for value in values), default=None)

    def breached(*, ours: bool) -> list[DayResult]:
        return [r for r in results if r.ours is ours and r.over_wh > BREACH_WH]

    return {
        "seed": campaign.seed,
        "breach_days": [
            {"number": r.number, "fault": r.fault, "wh": round(r.over_wh, 1)}
            for r in breached(ours=True)
        ],
        "not_attributable": {
            "days": sum(not r.ours for r in results),
            "breaches": len(breached(ours=False)),
            "max_wh": longest(r.over_wh for r in breached(ours=False)) or 0.0,
            "spill_days_without_lease": sum(not r.leased and r.exported_wh > 0 for r in results),
        },
        "budget_bound_days": len(used),
        "allowance_used_p10": round(sorted(used)[len(used) // 10], 4) if used else None,
        "stop_on_bad_data_max_s": longest(
            s for r in results if r.ours and r.fault != _BY_ENERGY for s in r.stop_s
        ),
        "stop_max_s_of": {
            fault: longest(s for r in results if r.fault == fault for s in r.stop_s)
            for fault in campaign.faults
            if any(r.stop_s for r in results if r.fault == fault)
        },
        _BY_ENERGY: _frozen_counters(campaign, results),
        "longest_excursion_s": longest(e.lasts_s for r in results if r.ours for e in r.excursions),
        "kills": sum(r.killed for r in results),
        "kill_max_s": longest(r.kill_s for r in results if r.ours),
        "restart_back_max_s": longest(s for r in results for s in r.back_s),
        "foreign_noticed_max_s": longest(s for r in results for s in r.noticed_s),
        "foreign_counter_writes_max": max((r.counter_writes for r in results), default=0),
        "processor_s_per_day": round(sum(r.processor_s for r in results) / max(1, len(results)), 2),
        "writes_idle": sum(r.writes_idle for r in results),
        "writes_unneeded": sum(r.writes_unneeded for r in results),
        "over_last_forecast": _over_forecast(results),
    }


def _frozen_counters(campaign: Campaign, results: Sequence[DayResult]) -> dict[str, object] | None:
    """
    Return how soon a counter that stands still ended the discharge; `None` where none did.

    `late_s` is against the latest moment at which it can be known at the power that flowed: four
    ticks, two polls and one that comes late; above 0 is a promise broken.
    """
    stops = [
        (s, wh)
        for r in results
        if r.fault == _BY_ENERGY
        for s, wh in zip(r.stop_s, r.stop_wh, strict=True)
    ]
    if not stops:
        return None
    polls_s = _POLLS * WAYS[campaign.path].counters_s + _LATE_POLL_S + _STOP_S
    late_s = [
        s - (_TICKS * EXPORT_STEP_WH * s / wh if wh > 0 else 0.0) - polls_s for s, wh in stops
    ]
    return {
        "stops": len(stops),
        "median_s": round(statistics.median(s for s, _ in stops), 1),
        "max_s": round(max(s for s, _ in stops), 1),
        "max_wh": round(max(wh for _, wh in stops), 1),
        "late_s": round(max(late_s), 1),
    }


def _over_forecast(results: Sequence[DayResult]) -> dict[str, object]:
    """Return on how many days the rule max(produced, last forecast) was exceeded (control 4.6)."""
    shown = [
        r.exported_wh - max(r.produced_wh, r.forecast_wh)
        for r in results
        if r.forecast_wh is not None
    ]
    return {
        "days": len(shown),
        "breaches": sum(over_wh > BREACH_WH for over_wh in shown),
        "max_wh": max((round(over_wh, 1) for over_wh in shown), default=None),
    }


def command(campaign: Campaign, *, as_json: bool) -> int:
    """Run a campaign for the command line, print it, and return 1 where a day of ours breached."""
    began_s = time.monotonic()
    results = []
    for result in run(campaign):
        results.append(result)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{len(results)} of {campaign.days} days")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    found = summary(campaign, results, time.monotonic() - began_s)
    sys.stdout.write((json.dumps(found) if as_json else _table(found)) + "\n")
    return 1 if found["breaches_over_10wh"] else 0


def _table(found: dict[str, object]) -> str:
    lines = []
    for name, value in found.items():
        inner = value.items() if isinstance(value, dict) else ()
        lines += [f"{name:32} {value}"] if not inner else [f"{n:32} {v}" for n, v in inner]
    return "\n".join(lines)
