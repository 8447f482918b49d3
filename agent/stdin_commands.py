r"""
What Home Assistant's automations may tell the agent by `hassio.addon_stdin`.

The Supervisor writes the `input` of that action to our standard input as one line of JSON: a word,
or an object with that word as its `command`. Nobody reads an answer there, so what became of it
stands in the log and in the journal. A line is what anybody writes who may call actions in Home
Assistant: it is read strictly, never repeated in the log as it came, and goes the way of a press
over MQTT. What needs a person who looks (settings, acknowledging, commissioning, flashing) has no
word here.

Only a pipe that the Supervisor holds is listened to; a terminal or a closed input says nothing.

Source: Home Assistant's integration `hassio`, actions `addon_stdin` and `app_stdin`, 2024.1 to
2026.11: a text is put into quotes. The Supervisor ends what it writes with a line feed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Protocol

from agent.export.requests import Answer, Request, RequestKind

BY = "stdin"
LONGEST_LINE = 1024
"""Bytes; the longest command has some forty."""
TELL_EVERY_S = 10.0
WORDS: Mapping[str, RequestKind] = MappingProxyType(
    {
        "start_discharge": RequestKind.START_DISCHARGE,
        "stop_discharge": RequestKind.STOP_DISCHARGE,
        "start_charge": RequestKind.START_CHARGE,
        "stop_charge": RequestKind.STOP_CHARGE,
        "emergency_stop": RequestKind.EMERGENCY_STOP,
        "recalculate": RequestKind.CALCULATE,
        # The name of the service of Energy Export Monitor.
        "calculate_discharge": RequestKind.CALCULATE,
    }
)
_HOW = f"Write one of these words, or {{command: word}}: {', '.join(WORDS)}"
_log = logging.getLogger(__name__)

Audit = Callable[[str, str, str], None]
"""Takes who, what and the outcome, as the page's own audit does."""


class Desk(Protocol):
    """Who takes wishes."""

    def request(self, request: Request) -> Answer:
        """Hand in a wish."""
        ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a line is no command."""

    text: str


def command_of(line: bytes) -> RequestKind | Refused:
    """Return what a line asks for, or why it asks for nothing."""
    if len(line) > LONGEST_LINE:
        return Refused(f"the line is longer than {LONGEST_LINE} bytes. {_HOW}.")
    try:
        # Pairs, as of a key that is there twice a mapping shows only the last.
        said = json.loads(line, object_pairs_hook=tuple)
    except (ValueError, RecursionError):  # also bytes that are no UTF-8
        return Refused(f"the line is not JSON. {_HOW}.")
    if isinstance(said, tuple):
        if [key for key, _ in said] != ["command"]:
            return Refused(
                f"a command takes nothing but its word; powers and limits are settings. {_HOW}."
            )
        said = said[0][1]
    kind = WORDS.get(said) if isinstance(said, str) else None
    return kind or Refused(f"there is no such command. {_HOW}.")


def source(stream: BinaryIO | None, *, supervised: bool) -> BinaryIO | None:
    """Return where commands come from; `None` where nobody may be taken at his word."""
    if stream is None or not supervised:
        return None
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # closed
        return None
    return stream if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


class StdinCommands:
    """Reads lines until nobody can write any more."""

    def __init__(self, desk: Desk, audit: Audit, stream: BinaryIO) -> None:
        self._desk = desk
        self._audit = audit
        self._stream = stream
        self._refused = 0
        self._told_s = float("-inf")

    async def run(self) -> None:
        """Carry out what comes, one after the other, until the other end is closed."""
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._stream
        )
        try:
            while line := await _line(reader):
                if line.strip():
                    self._take(line.strip())
                await asyncio.sleep(0)  # a flood of lines leaves the guard its turn
        finally:
            transport.close()

    def _take(self, line: bytes) -> None:
        kind = command_of(line)
        if isinstance(kind, Refused):
            self._refuse(kind)
            return
        answer = self._desk.request(Request(kind, by=BY))
        level = logging.INFO if answer.accepted else logging.WARNING
        _log.log(level, "stdin: %s: %s", kind.value, answer.text)
        self._audit(BY, kind.value, answer.code)

    def _refuse(self, refused: Refused) -> None:
        """Say so, but not so often that it fills the log."""
        self._refused += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TELL_EVERY_S:
            _log.warning("stdin: refused (%d so far): %s", self._refused, refused.text)
            self._told_s = now_s


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line; of one that is too long only that it is; b"" at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return b""  # the rest was never ended, and nobody can end it now
    except asyncio.LimitOverrunError as error:
        await _let_go(reader, error.consumed)
        return b"x" * (LONGEST_LINE + 1)


async def _let_go(reader: asyncio.StreamReader, there: int) -> None:
    """Drop everything up to the end of this line."""
    while True:
        await reader.readexactly(there)
        try:
            await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            there = error.consumed
        except asyncio.IncompleteReadError:
            return
        else:
            return
