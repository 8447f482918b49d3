"""Fixtures of all tests: the real peers, and the table that says who was real."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# `python -m pytest` finds the package `tests` by itself; a bare `pytest` does not.
sys.path.insert(0, str(Path(__file__).parents[1]))

pytest_plugins = ["tests.peers.table", "tests.peers.fixtures"]

# How long a case takes says something about the machine and what else runs on it, nothing about us.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
