"""
A started agent that falls ill during a discharge ends itself, and the next one goes on.

The inverter is a process of its own: what it carries out is seen in its registers, whoever has
ended. The agent's patience is shorter here (`tests/sick_agent.py`); that the real one ends within a
minute is in `tests/test_watchdog.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from agent.clock import Instant
from agent.export import memory
from agent.export.commissioning import Commissioning, Stage
from agent.export.guard import STATE_NAME
from agent.journal import Journal
from agent.watchdog import EXIT_ILL
from agent.watchdog_thread import Holds
from tests.acceptance.parts import _OPEN, Agent, Simulator, eventually
from tests.sick_agent import IDENTITY, ILLNESS, INVERTER

LEASE_S = 60
ENDS_WITHIN_S = 30
LEAVES_WITHIN_S = 30
SETTINGS = {"mode": "control", "export_limit_w": 3680, "target_export_w": 3000}
PASSED = Commissioning(
    Stage.PASSED, "", by="test", path=IDENTITY, delay_s=2.0, exit_lag_s=2.0, gain=1.0
)


class Patient(Agent):
    """The agent of `tests/sick_agent.py`."""

    async def start(self) -> float:
        began_s = time.monotonic()
        module = [sys.executable, "-m", "tests.sick_agent"]
        since = self.spawn(
            [*module, "demo", "--data", str(self.data), "--port", "0"], self.environment
        )
        self._url = f"http://127.0.0.1:{(await self.said(_OPEN, since, 60))[1]}"
        return time.monotonic() - began_s

    def falls_ill(self) -> None:
        """Bring the illness on."""
        assert self.popen is not None
        self.popen.send_signal(signal.SIGUSR1)

    async def ended(self) -> int:
        """Return the exit code once it has ended itself."""
        assert self.popen is not None
        return await asyncio.to_thread(self.popen.wait, ENDS_WITHIN_S)


@dataclass
class Ward:
    """One patient and its inverter."""

    agent: Patient
    inverter: Simulator

    async def dispatch(self) -> dict[str, float]:
        return (await self.inverter.state())["dispatch"]

    async def complains(self) -> bool:
        status, text = await self.agent.health()
        assert status == 200 or "journal has not answered" in text
        return status == 503

    async def goes_on(self) -> list[str]:
        """Start again on the same data, leave in order, and return what the journal says."""
        since = self.agent.last_event()
        await self.agent.start()
        assert await self.agent.health() == (200, "ok")
        found = {"adopted", "found_idle", "stop_verified"}
        await self.agent.wrote(found, since, LEASE_S)
        code, _ = await self.agent.terminated(signal.SIGTERM, LEAVES_WITHIN_S)
        assert code == 0
        assert not (await self.dispatch())["active"]
        return [event["kind"] for event in self.agent.events(since)]


@asynccontextmanager
async def ward(folder: Path, illness: str) -> AsyncIterator[Ward]:
    """Give an agent that discharges, with an inverter that outlives it."""
    async with aiohttp.ClientSession() as http:
        agent, inverter = Patient(folder, http), Simulator(folder / "inverter.log")
        agent.data.mkdir(parents=True)
        (agent.data / "settings.json").write_text(json.dumps(SETTINGS))
        now = Instant(time.monotonic(), datetime.now(UTC))
        async with await Journal.open(agent.data / "journal.sqlite3") as journal:
            tested = replace(memory.fresh(now), commissioning=PASSED)
            await journal.save_state(STATE_NAME, memory.journaled(tested, now), now.local)
        try:
            await inverter.start(http, **{"pv-w": 500, "load-w": 400})
            agent.environment |= {INVERTER: str(inverter.modbus_port), ILLNESS: illness}
            await agent.start()
            await eventually(inverter.discharging, 60, "it discharges", agent.tail)
            yield Ward(agent, inverter)
        finally:
            print(await agent.tail())  # noqa: T201 - a failed test shows it
            agent.kill()
            inverter.kill()


async def cannot_command(folder: Path, illness: str, words: str, where: str) -> None:
    """Fall ill so that nobody can give the battery back, and check what is left."""
    async with ward(folder / illness, illness) as house:
        house.agent.falls_ill()
        if illness == "journal":
            await eventually(house.complains, 6, "/health says 503 before it ends")
        assert await house.agent.ended() == EXIT_ILL, illness
        said = house.agent.log.read_text()
        assert words in said
        assert where in said, "the dump shows where it hangs"
        left = await house.dispatch()
        assert left["duration_s"] <= LEASE_S, "nothing renews it, and it ends by itself"
        kinds = await house.goes_on()
        assert {"adopted", "stop_verified"} & set(kinds), (illness, kinds)


async def leaks(folder: Path) -> None:
    """Leak, and check that the battery was given back before the end."""
    async with ward(folder / "memory", "memory") as house:
        since = house.agent.last_event()
        house.agent.falls_ill()
        assert await house.agent.ended() == EXIT_ILL
        assert not (await house.dispatch())["active"], "it left a dispatch behind"
        said = house.agent.log.read_text()
        assert "MiB of memory, and after its start it took" in said
        assert "the battery is given back first" in said
        assert "Traceback" not in said
        kinds = [event["kind"] for event in house.agent.events(since)]
        assert "stop_verified" in kinds, kinds
        await house.goes_on()


async def test_an_agent_that_is_ill_ends_itself_and_the_next_one_goes_on(tmp_path: Path) -> None:
    await asyncio.gather(
        cannot_command(tmp_path, "loop", "event loop has not turned for 4 s", "sick_agent.py"),
        cannot_command(tmp_path, "journal", "has not answered for 6 s", "journal_worker.py"),
        leaks(tmp_path),
    )


ILL = """
import asyncio, re, sys, time
from pathlib import Path
from agent import watchdog_thread as it
from agent.journal import Journal
from agent.watchdog import Limits

it.LIMITS = Limits(loop_s=0.5, processor_s=1, warm_up_s=0.2, lasting_s=0.5, every_s=0.1)
it.PULSE_S = 0.1
holds = it.Holds()

async def main():
    stopping = asyncio.Event()
    async with (
        await Journal.open(Path(sys.argv[1]) / "journal.sqlite3") as journal,
        it.watched(journal, holds, lambda: "", stopping.set),
    ):
        await asyncio.sleep(0.5)
        ILLNESS
        await stopping.wait()

try:
    asyncio.run(main())
except it.AgentIllError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("illness", "code", "words"),
    [
        ('re.match(r"(a+)+$", "a" * 64 + "b")', -signal.SIGPROF, "most recent call first"),
        (
            "kept = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(1000)]",
            1,
            "tasks are at work, and 1000 are too many. Start it again.",
        ),
    ],
    ids=["a pattern that lets no thread in", "a thousand tasks"],
)
def test_an_interpreter_that_is_kept_and_a_thousand_tasks_end_the_process(
    tmp_path: Path, illness: str, code: int, words: str
) -> None:
    command = [sys.executable, "-c", ILL.replace("ILLNESS", illness), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as ill:  # noqa: S603 - ours
        _, said = ill.communicate(timeout=30)
    assert ill.returncode == code, said
    assert words in said


def test_a_loop_that_is_stuck_is_not_ended_while_another_process_writes(tmp_path: Path) -> None:
    """Half a second is too long for the loop, but the hold says two."""
    illness = 'with holds.hold("writing bridge-1 over USB", 2): print(1, flush=1), time.sleep(60)'
    command = [sys.executable, "-c", ILL.replace("ILLNESS", illness), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as ill:  # noqa: S603 - ours
        assert ill.stdout
        assert ill.stdout.readline() == b"1\n"
        began_s = time.monotonic()
        ill.communicate(timeout=30)
    assert ill.returncode == EXIT_ILL
    assert time.monotonic() - began_s > 1.8


def test_a_hold_ends_with_the_process_that_works_though_nobody_ends_it() -> None:
    """The loop that would end it is stuck; whoever waits for the child still learns its code."""
    holds = Holds()
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child,
        holds.hold("writing bridge-1 over USB", 60, child.pid),
    ):
        assert holds.now() == "writing bridge-1 over USB"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert holds.now() == ""
        assert child.wait() == -signal.SIGKILL
        assert holds.now() == ""
    with holds.hold("writing bridge-2 over USB", 60):
        assert holds.now() == "writing bridge-2 over USB"
    assert holds.now() == ""


NOBODY_READS = """
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
"""
NOBODY_IS_THERE = "os.close(2)"


@pytest.mark.parametrize(
    ("log", "code"), [(NOBODY_READS, -signal.SIGALRM), (NOBODY_IS_THERE, EXIT_ILL)]
)
def test_it_ends_though_nobody_reads_its_last_words(log: str, code: int) -> None:
    """A log that nobody takes any more may be what the loop is stuck at."""
    script = (
        "import os; from agent import watchdog_thread as it; it._LAST_WORDS_S = 0.5\n"
        f"{log}\nit._die('the test wants it')"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as dying:  # noqa: S603 - our own
        assert dying.wait(20) == code
