"""
What was said while a bridge was on the cable: kept in memory, shown, and given away as a file.

esptool's lines and those of a bridge that starts are strangers' words: they come printable, are cut
and counted, and a line that may hold the name or the key of a network is left out.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

MOST_LINES = 600
LONGEST_LINE = 300
SHOWN_LINES = 8
_SECRET = re.compile(r"ssid|passw|psk|\bkey\b|secret|token", re.IGNORECASE)


@dataclass
class CableLog:
    """The lines of one job; the oldest go first."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    left_out: int = 0
    phase: str = ""

    def enter(self, phase: str) -> None:
        """Note that a phase begins."""
        if phase != self.phase:
            self.phase = phase
            self.lines.append(f"== {phase}")

    def add(self, text: str) -> None:
        """Take a line, if it may be shown."""
        line = "".join(it if it.isprintable() else " " for it in text).strip()[:LONGEST_LINE]
        if _SECRET.search(line):
            self.left_out += 1
        elif line:
            self.lines.append(line)

    @property
    def newest(self) -> list[str]:
        """Return the last lines, for the page."""
        return list(self.lines)[-SHOWN_LINES:]

    def text(self, head: tuple[str, ...]) -> str:
        """Return the file: what it is about, then every line."""
        out = f"{self.left_out} lines that may hold secrets are left out."
        return "\n".join((*head, *((out,) if self.left_out else ()), "", *self.lines, ""))
