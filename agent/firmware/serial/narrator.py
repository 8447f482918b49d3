"""
What happens in the flashing process, told one event a line; esptool's log is turned into events.

Only that process loads this: it imports esptool's logger.

Source: esptool.md, section 1.2.
"""

from __future__ import annotations

from collections.abc import Callable

from esp_pylib.logger import EspLogBase
from esptool.logger import log  # type: ignore[import-untyped]

from agent.firmware.serial.messages import Event
from agent.firmware.serial.models import Phase

_LONGEST_LINE = 500


class Teller:
    """Says what happens; knows how far the whole job is."""

    def __init__(self, say: Callable[..., None]) -> None:
        self.say = say
        """Sends one event, with what belongs to it."""
        self._done = self._weight = self._total = 0

    def phase(self, phase: Phase, total: int = 0) -> None:
        """Begin a phase of so many bytes."""
        self._done, self._weight, self._total = 0, 0, total
        self.say(Event.PHASE, phase=phase, total=total)

    def piece(self, size: int) -> None:
        """Begin a piece of a phase; what esptool reports next is its share of these bytes."""
        self._done, self._weight = self._done + self._weight, size

    def share(self, done: int, total: int) -> None:
        """Tell how far the piece is, in whatever unit."""
        bytes_done = self._done + (self._weight * done // total if total else 0)
        self.say(Event.PROGRESS, done=bytes_done, total=self._total)

    def log(self, text: str) -> None:
        """Tell a line of esptool's own words."""
        line = "".join(it if it.isprintable() else " " for it in text).strip()
        if line.strip("."):
            self.say(Event.LOG, text=line[:_LONGEST_LINE])


class Narrator(EspLogBase):
    """Passes on what esptool says, and how far it is."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def print(self, *args: object, **_: object) -> None:
        """Pass a line on."""
        self._teller.log(" ".join(str(it) for it in args))

    def err(self, *args: object, suggestion: str | None = None) -> None:
        """Pass an error on."""
        self.print(*args)

    warn = error = warning = err

    def note(self, *args: object) -> None:
        """Pass a note on."""
        self.print(*args)

    hint = debug = note

    def set_verbosity(self, mode: int | str) -> None:
        """Say everything, always."""

    def progress_bar(
        self,
        cur_iter: int,
        total_iters: int,
        prefix: str = "",
        suffix: str = "",
        bar_length: int = 30,
    ) -> None:
        """Pass on how far the piece is."""
        self._teller.share(cur_iter, total_iters)


def install(teller: Teller) -> None:
    """Make esptool tell that one instead of printing."""
    log.set_logger(Narrator(teller))
