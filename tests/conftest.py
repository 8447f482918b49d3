"""Fixtures of all tests: the real peers, and the table that says who was real."""

from __future__ import annotations

import sys
from pathlib import Path

# `python -m pytest` finds the package `tests` by itself; a bare `pytest` does not.
sys.path.insert(0, str(Path(__file__).parents[1]))

pytest_plugins = ["tests.peers.table", "tests.peers.fixtures"]
