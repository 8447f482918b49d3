"""Under the Supervisor: healthy whoever else is away, and gone whenever it is told to leave."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.peers.process import LOOPBACK, free_port
from tests.test_instance import ROOT
from tests.test_stdin_commands import Supervised

LEAVES_WITHIN_S = 5
CAUGHT = "SigCgt:"


@pytest.mark.parametrize("others", ["away", "mute"])
async def test_without_core_and_broker_it_is_healthy_and_leaves_at_once(
    tmp_path: Path, others: str
) -> None:
    """Nobody is there, or somebody takes the connection and never says a word."""
    async with aiohttp.ClientSession() as http:
        agent = Supervised(tmp_path, http)
        agent.data.mkdir()
        with socket.create_server((LOOPBACK, 0)) as mute:
            port = free_port() if others == "away" else mute.getsockname()[1]
            agent.environment |= {"PV_EDGE_MQTT_HOST": LOOPBACK, "PV_EDGE_MQTT_PORT": str(port)}
            try:
                await agent.begin(supervised=True, core_port=port)
                since = time.monotonic()
                while time.monotonic() < since + 1.5:
                    assert await agent.health() == (200, "ok")
                    await asyncio.sleep(0.2)
                code, seconds = await agent.terminated(signal.SIGTERM, 30)
                assert (code, seconds < LEAVES_WITHIN_S) == (0, True), seconds
            finally:
                agent.kill()


def test_told_to_leave_before_it_has_begun_it_leaves_with_0(tmp_path: Path) -> None:
    """The Supervisor calls any other code a fault of the app."""
    command = [sys.executable, "-m", "agent", "demo", "--data", str(tmp_path), "--port", "0"]
    agent = subprocess.Popen(  # noqa: S603 - our own command line
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline_s = time.monotonic() + 20
        while not _takes(agent.pid, signal.SIGTERM):
            assert time.monotonic() < deadline_s
            assert agent.poll() is None
            time.sleep(0.001)
        agent.send_signal(signal.SIGTERM)
        out, complaint = agent.communicate(timeout=20)
        assert (agent.returncode, out) == (0, ""), complaint
        assert "Traceback" not in complaint
    finally:
        agent.kill()
        agent.wait()


def _takes(pid: int, number: signal.Signals) -> bool:
    """Return True when a process has a handler of its own for that signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next((line.split()[1] for line in lines if line.startswith(CAUGHT)), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)
