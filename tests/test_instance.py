"""Two agents on one data directory: the second one refuses, and leaves the first one alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.instance import AlreadyRunningError, sole_owner

ROOT = Path(__file__).parents[1]
EXIT_BUSY = 3
_ENDS_WITHIN_S = 60


def demo(data: Path) -> subprocess.Popen[str]:
    """Start the agent in a simulated house of its own, on a port that the system chooses."""
    return subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "agent", "demo", "--data", str(data), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_where_it_is(agent: subprocess.Popen[str]) -> str:
    """Wait for the line that tells the page's address."""
    assert agent.stdout
    return agent.stdout.readline()


def test_case_35_a_second_agent_on_one_data_directory_refuses_and_says_why(tmp_path: Path) -> None:
    """Case 35: the journal belongs to one process; even a killed one leaves it free."""
    first = demo(tmp_path)
    try:
        assert "open http://" in said_where_it_is(first)
        second = demo(tmp_path)
        out, complaint = second.communicate(timeout=_ENDS_WITHIN_S)
        assert second.returncode == EXIT_BUSY
        assert out == ""
        assert f"process {first.pid}" in complaint
        assert str(tmp_path) in complaint
        assert "Stop that one first" in complaint
        assert "Traceback" not in complaint
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate(timeout=_ENDS_WITHIN_S)
    third = demo(tmp_path)
    try:
        assert "open http://" in said_where_it_is(third), "a killed agent locked its successor out"
        third.send_signal(signal.SIGTERM)
        third.communicate(timeout=_ENDS_WITHIN_S)
        assert third.returncode == 0
    finally:
        third.kill()
        third.wait()


def test_the_lock_names_its_owner_and_is_free_afterwards(tmp_path: Path) -> None:
    with sole_owner(tmp_path):
        with (
            pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"),
            sole_owner(tmp_path),
        ):
            pass
        with pytest.raises(AlreadyRunningError), sole_owner(tmp_path):
            pass
    with sole_owner(tmp_path):
        pass
