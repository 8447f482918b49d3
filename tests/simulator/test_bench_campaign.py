"""A campaign gives the same figures in one process or two, and prints the keys it promises."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from agent.simulator.bench_faults import CLASSES
from agent.simulator.bench_measure import DayResult
from agent.simulator.campaign import Campaign, fault_names, run, summary

KEYS = [
    "days",
    "faults",
    "policy",
    "path",
    "breaches",
    "breaches_over_10wh",
    "max_breach_wh",
    "allowance_used_mean",
    "allowance_used_median",
    "minutes_over_limit_per_day",
    "excursions_15s_per_year",
    "g100_lockouts",
    "kill_max_wh",
    "writes_per_day_max",
    "writes_per_discharge_hour_max",
    "plan_carbon_share",
    "plan_money_share",
    "seconds_per_year",
]


def test_the_command_prints_one_object_last_with_the_promised_keys() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "simulate", "--days", "2", "--jobs", "2", "--faults",
         "none,kill", "--policy", "classic", "--json"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [key for key in found if key != "apart"] == KEYS
    assert found["days"] == 2
    assert found["faults"] == "none,kill"
    assert done.returncode == (found["breaches_over_10wh"] > 0)
    campaign = Campaign(2, ("none", "kill"), "classic")
    again = summary(campaign, list(run(campaign)), 1.0)
    assert {key: found[key] for key in KEYS[:-1]} == {key: again[key] for key in KEYS[:-1]}


def test_an_unknown_class_is_named_and_the_known_ones_are_listed() -> None:
    with pytest.raises(ValueError, match=r"no fault class 'lightning'; there are none, all, unav"):
        fault_names("none,lightning")
    done = subprocess.run(
        [sys.executable, "-m", "agent", "simulate", "--faults", "lightning"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "lightning" in done.stderr


def test_all_means_every_class_and_a_day_without() -> None:
    assert fault_names("all") == ("none", *CLASSES)


def test_what_nobody_can_answer_for_is_counted_apart() -> None:
    days = [
        DayResult(0, "none", True, leased=True, over_wh=9.0),
        DayResult(1, "kill", True, leased=True, over_wh=30.0),
        DayResult(2, "foreign_controller", False, leased=True, over_wh=5000.0),
        DayResult(3, "none", True, exported_wh=50.0),
    ]
    found = summary(Campaign(4), days, 1.0)
    assert found["breaches"] == 2
    assert found["breaches_over_10wh"] == 1
    assert found["max_breach_wh"] == 30.0
    apart = found["apart"]
    assert isinstance(apart, dict)
    assert apart["breach_days"] == [{"number": 1, "fault": "kill", "wh": 30.0}]
    assert apart["not_attributable"] == {
        "days": 1,
        "breaches": 1,
        "max_wh": 5000.0,
        "spill_days_without_lease": 1,
    }


def test_used_counts_only_days_that_the_allowance_ended() -> None:
    days = [
        DayResult(0, "none", True, produced_wh=1000, exported_wh=990, budget_bound=True),
        DayResult(1, "none", True, produced_wh=1000, exported_wh=200),
    ]
    assert summary(Campaign(2), days, 1.0)["allowance_used_mean"] == 0.99


def test_a_frozen_counter_is_judged_by_what_had_flowed() -> None:
    """40 Wh at 1 kW are 144 s, two polls of a bridge 12 s, and a late one and the stop 40 s."""
    days = [
        DayResult(0, "freeze_counter", True, leased=True, stop_s=[144.0], stop_wh=[40.0]),
        DayResult(1, "freeze_counter", True, leased=True, stop_s=[30.0], stop_wh=[20.0]),
    ]
    found = summary(Campaign(2, ("freeze_counter",)), days, 1.0)["apart"]
    assert isinstance(found, dict)
    shown = {"stops": 2, "median_s": 87.0, "max_s": 144.0, "max_wh": 40.0, "late_s": -52.0}
    assert found["freeze_counter"] == shown
    assert found["stop_on_bad_data_max_s"] is None
    days[0] = DayResult(0, "freeze_counter", True, leased=True, stop_s=[400.0], stop_wh=[90.0])
    late = summary(Campaign(2, ("freeze_counter",)), days, 1.0)["apart"]
    assert isinstance(late, dict)
    assert late["freeze_counter"]["late_s"] > 0
    none = summary(Campaign(1), [DayResult(0, "none", True)], 1.0)["apart"]
    assert isinstance(none, dict)
    assert none["freeze_counter"] is None
