"""A real installation pays for nothing that only the demo and the tests need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEMO_ONLY = ("pymodbus", "agent.simulator", "agent.house.embedded")
LATER_OR_NEVER = ("yaml", "playwright", "hypothesis", "psutil", "unittest", "tests", "numpy",
                  "highspy", "aioesphomeapi", "zeroconf", "google.protobuf",
                  "esptool", "serial")  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after the statement."""
    ask = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ask],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(shown.stdout))


@pytest.fixture(scope="module")
def running() -> set[str]:
    """The modules of an agent that is about to serve."""
    return loaded_by("import agent.__main__, agent.app")


@pytest.mark.parametrize("module", DEMO_ONLY)
def test_a_real_installation_does_not_load_the_simulated_house(
    running: set[str], module: str
) -> None:
    found = {name for name in running if name == module or name.startswith(f"{module}.")}
    assert not found


@pytest.mark.parametrize("module", LATER_OR_NEVER)
def test_the_start_does_not_wait_for_what_it_does_not_need(running: set[str], module: str) -> None:
    assert module not in running


def test_a_usage_error_answers_without_the_rooms_of_the_agent() -> None:
    assert "agent.app" not in loaded_by("import agent.__main__")


def test_what_is_known_of_bridges_costs_no_client_for_them() -> None:
    loaded = loaded_by("import agent.fleet.findings, agent.fleet.events, agent.fleet.probe")
    assert not {"aioesphomeapi", "zeroconf", "google.protobuf"} & loaded


def test_a_planner_that_has_made_no_plan_has_not_loaded_its_solver() -> None:
    loaded = loaded_by("import agent.export.planner, agent.export.plan_worker")
    assert not {"numpy", "highspy"} & loaded
