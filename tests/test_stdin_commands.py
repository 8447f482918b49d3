"""Automations may tell the agent little, in few words; whoever else writes there is refused."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from agent.export.requests import RequestKind
from agent.stdin_commands import LONGEST_LINE, WORDS, Refused, StdinCommands, command_of, source
from tests.acceptance.parts import _OPEN, Agent
from tests.peers.process import LOOPBACK, free_port
from tests.surface.desks import HandGuard

DOCS = Path(__file__).parents[1] / "docs" / "automations.md"
OLD_SERVICES = {
    "start_discharge",
    "stop_discharge",
    "start_charge",
    "stop_charge",
    "calculate_discharge",
}


def test_every_word_of_the_old_integration_and_two_more_are_understood() -> None:
    assert set(WORDS) == OLD_SERVICES | {"recalculate", "emergency_stop"}
    for word, kind in WORDS.items():
        assert command_of(f'"{word}"'.encode()) is kind
        assert command_of(f'{{"command": "{word}"}}'.encode()) is kind


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"start_discharge", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 1000, "not JSON"),
        (b'{"command": "start_discharge"', "not JSON"),
        (b"x" * (LONGEST_LINE + 1), "longer than"),
        (b"null", "no such command"),
        (b"7", "no such command"),
        (b'["start_discharge"]', "no such command"),
        (b'{"command": ["start_discharge"]}', "no such command"),
        (b'{"command": {"command": "start_discharge"}}', "no such command"),
        (b'"START_DISCHARGE"', "no such command"),
        (b'"acknowledge"', "no such command"),
        (b'"commission"', "no such command"),
        (b'"reset_statistics"', "no such command"),
        (b"{}", "nothing but its word"),
        (b'{"command": "start_discharge", "power_w": 9000}', "nothing but its word"),
        (b'{"command": "stop_charge", "command": "start_discharge"}', "nothing but its word"),
        (b'{"mode": "control"}', "nothing but its word"),
    ],
)
def test_what_is_no_command_is_refused_in_words_that_do_not_repeat_it(
    line: bytes, says: str
) -> None:
    refused = command_of(line)
    assert isinstance(refused, Refused)
    assert says in refused.text
    assert "Write one of these words" in refused.text
    assert "9000" not in refused.text


def test_only_a_pipe_of_the_supervisor_is_listened_to(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    tty, master = os.openpty()
    (tmp_path / "file").write_text('"start_discharge"\n')
    with (
        os.fdopen(reader, "rb") as pipe,
        os.fdopen(tty, "rb", buffering=0) as terminal,
        (tmp_path / "file").open("rb") as file,
        Path(os.devnull).open("rb") as nothing,
    ):
        assert source(pipe, supervised=True) is pipe
        assert source(pipe, supervised=False) is None
        for other in (terminal, file, nothing, None):
            assert source(other, supervised=True) is None
    assert source(pipe, supervised=True) is None, "it is closed by now"
    os.close(writer)
    os.close(master)


class Input:
    """What listens to a pipe, and the end to write to."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self.guard = HandGuard()
        self.audited: list[tuple[str, str, str]] = []
        stream = os.fdopen(reader, "rb", buffering=0)
        self.commands = StdinCommands(self.guard, lambda *what: self.audited.append(what), stream)

    def says(self, *lines: bytes) -> None:
        os.write(self.writer, b"".join(line + b"\n" for line in lines))

    @property
    def asked(self) -> list[tuple[RequestKind, str]]:
        return [(it.kind, it.by) for it in self.guard.requests]


@asynccontextmanager
async def listening() -> AsyncIterator[Input]:
    """Give an input; its end is closed with the block, and everything was read by then."""
    given = Input()
    task = asyncio.create_task(given.commands.run())
    yield given
    os.close(given.writer)
    await asyncio.wait_for(task, 5)


async def test_a_command_goes_to_the_guard_and_into_the_journal_under_its_own_name() -> None:
    async with listening() as given:
        given.says(b'"start_discharge"', b'{"command": "stop_discharge"}')
    assert given.asked == [
        (RequestKind.START_DISCHARGE, "stdin"),
        (RequestKind.STOP_DISCHARGE, "stdin"),
    ]
    assert given.audited == [
        ("stdin", "start_discharge", "accepted"),
        ("stdin", "stop_discharge", "accepted"),
    ]


async def test_a_stop_is_heard_behind_whatever_else_was_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noise = (b"\x00" * 5000, b"x" * 40_000, b'{"secret": "hunter2"}', b"", b"  ", b"\x1b[2J" * 400)
    with caplog.at_level(logging.WARNING):
        async with listening() as given:
            given.says(*noise, b'"emergency_stop"')
    assert given.asked == [(RequestKind.EMERGENCY_STOP, "stdin")]
    (told,) = (it for it in caplog.records if it.name == "agent.stdin_commands")
    assert "refused (1 so far): the line is longer than" in told.getMessage()
    assert "hunter2" not in caplog.text


async def test_a_word_whose_line_was_never_ended_is_no_command() -> None:
    async with listening() as given:
        os.write(given.writer, b'"start_discharge"')
    assert given.asked == []


class Supervised(Agent):
    """The agent as the Supervisor starts it, which holds its standard input."""

    async def begin(self, *, supervised: bool, core_port: int = 0) -> None:
        command = [sys.executable, "-m", "agent", "run", "--data", str(self.data), "--port", "0"]
        core = f"http://{LOOPBACK}:{core_port or free_port()}"
        self.environment |= {"PV_EDGE_HA_URL": core, "PV_EDGE_HA_TOKEN": "token"}
        if supervised:
            self.environment["SUPERVISOR_TOKEN"] = "token"
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(  # noqa: S603, ASYNC220 - our own command line
                command,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._url = f"http://{LOOPBACK}:{(await self.said(_OPEN, 0, 30))[1]}"

    def says(self, line: bytes) -> None:
        assert self.popen is not None
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + b"\n")
        self.popen.stdin.flush()


@pytest.mark.parametrize("supervised", [True, False])
async def test_a_started_agent_listens_where_there_is_a_supervisor(
    tmp_path: Path, *, supervised: bool
) -> None:
    async with aiohttp.ClientSession() as http:
        agent = Supervised(tmp_path, http)
        agent.data.mkdir()
        try:
            await agent.begin(supervised=supervised)
            agent.says(b'"start_discharge"')
            if supervised:
                told = await agent.wrote("audit", 0, 10)
                assert (told["by"], told["action"]) == ("stdin", "start_discharge")
                assert told["outcome"] != "accepted", "it only observes"
            code, _ = await agent.terminated(signal.SIGTERM, 10)
            assert code == 0
            audited = [it for it in agent.events() if it["kind"] == "audit"]
            assert len(audited) == int(supervised)
        finally:
            agent.kill()


def test_the_guide_names_every_word_and_its_scripts_are_as_home_assistant_takes_them() -> None:
    text = DOCS.read_text()
    for word in WORDS:
        assert f"`{word}`" in text, f"{word} is not explained"
    blocks = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    inputs = set()
    scripts: set[str] = set()
    for block in blocks:
        read = yaml.safe_load(block)
        scripts |= set(read.get("script", {}))
        for line in block.splitlines():
            if line.strip().startswith("input: "):
                inputs.add(line.split("input: ")[1].strip())
    assert inputs <= set(WORDS)
    assert {f"export_monitor_{service}" for service in OLD_SERVICES} <= scripts
