"""
Shows a flash on a terminal: a bar that moves, or plain lines where nobody watches.

Words of bridges and manifests are shown without anything that a terminal would obey.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TextIO

from agent.firmware.job.models import Stage
from agent.firmware.job.progress import Progress
from agent.flash_models import Ended, Exit

WIDTH = 24
STEP_PERCENT = 10
_MINUTE_S = 60


def line(stage: Stage, now: Progress) -> str:
    """Return stage, percent, speed and time left, as far as they are known."""
    parts = [f"{now.percent:3.0f} %", str(stage)]
    moves = stage in {Stage.DOWNLOAD, Stage.UPLOAD, Stage.BACKUP, Stage.WRITE}
    if now.rate_bytes_s is not None and moves:
        parts.append(f"{now.rate_bytes_s / 1000:.0f} kB/s")
    if now.left_s is not None and moves:
        left_s = round(now.left_s)
        minutes, seconds = divmod(left_s, _MINUTE_S)
        parts.append(f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left")
    elif now.text:
        parts.append(now.text)
    return plain("  ".join(parts))


def bar(now: Progress) -> str:
    """Return how far it is as a bar."""
    full = round(WIDTH * now.percent / 100)
    return f"[{'#' * full}{'.' * (WIDTH - full)}]"


def plain(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(it if it.isprintable() else " " for it in text)


class Screen:
    """Where the command speaks: progress to one stream, the end to another."""

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, *, as_json: bool = False
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._json = as_json
        self._tty = self._err.isatty()
        self._shown = ""
        self._told: tuple[Stage | None, int] = (None, -1)

    def say(self, text: str) -> None:
        """Show a sentence on a line of its own."""
        self._clear()
        print(plain(text), file=self._err, flush=True)

    def progress(self, stage: Stage, now: Progress) -> None:
        """Show how far it is; on a terminal in place, else a line for each tenth."""
        if self._tty:
            shown = f"{bar(now)} {line(stage, now)}"
            if shown != self._shown:
                print(f"\r\033[K{shown}", end="", file=self._err, flush=True)
                self._shown = shown
            return
        told = (stage, int(now.percent) // STEP_PERCENT)
        if told != self._told:
            self._told = told
            print(line(stage, now), file=self._err, flush=True)

    def show(self, text: str) -> None:
        """Show a line of what was asked for."""
        self._clear()
        print(text, file=self._out, flush=True)

    def ended(self, end: Ended) -> int:
        """Show the end and return the exit code."""
        self._clear()
        if self._json:
            told = asdict(end) | {"exit": int(end.exit), "verdict": end.exit.name.lower()}
            print(json.dumps(told), file=self._out, flush=True)
            return int(end.exit)
        out = self._out if end.exit is Exit.CONFIRMED else self._err
        print(plain(f"{end.exit.name.replace('_', ' ').lower()}: {end.text}"), file=out)
        for each in end.evidence:
            print(plain(f"  {each}"), file=out)
        out.flush()
        return int(end.exit)

    def _clear(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=self._err, flush=True)
            self._shown = ""
