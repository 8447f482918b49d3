"""
Records decisions beside the journal while the guard goes on.

The loop hands over what it decided with and never waits: a thread of its own turns it into bytes,
look by look. It writes a page every quarter of a minute while anything runs, every five minutes
at rest, and when a rest ends. Nothing depends on the record. A disk that is full, slow or broken
costs looks, which the record then says, and never a decision; a killed process loses the page in
the making.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path

from agent.export.provenance import present
from agent.export.record import Decision, Page, Scribe
from agent.export.record_codec import RecordError
from agent.export.states import GuardState
from agent.journal_blocks import Block, BlockFile
from agent.journal_file import JournalError

DECISIONS_NAME = "decisions.sqlite3"
"""Name of the file, beside the journal; a backup leaves out this and what begins with it."""
DECISIONS_BYTES = 128_000_000
"""What the record may take on the disk, its log included; the oldest goes first. Two weeks of two
looks a second fit; a house at rest looks less often."""

_LOGGER = logging.getLogger(__name__)
_TURN_S = 2.0
_PAGE_BUSY_S = 15.0
_PAGE_REST_S = 300.0
_PAGE_BYTES = 32_000
"""A page is cut at this size even before its time."""
_WAITING_LOOKS = 2000
_WAITING_PAGES = 40


class Recorder:
    """Owns the thread and the file; made at once, ended by `close`."""

    def __init__(
        self, folder: Path, limit_bytes: int = DECISIONS_BYTES, turn_s: float = _TURN_S
    ) -> None:
        self._file = BlockFile(folder / DECISIONS_NAME, limit_bytes, "record of decisions")
        self._turn_s = turn_s
        self._inbox: deque[Decision] = deque(maxlen=_WAITING_LOOKS)
        self._pages: deque[Page] = deque()
        self._number = 0
        self._began_s = 0.0
        """Monotonic, by the looks themselves: when the page in the making was begun."""
        self._failing = False
        self.looks = 0
        """Looks written since the start."""
        self.lost = 0
        """Looks dropped since the start, because the disk did not take them."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def note(self, decision: Decision) -> None:
        """Record a decision, some time soon; never waits, never raises."""
        # The oldest gives way when the thread is stuck; the next chapter then begins after it.
        self._inbox.append(decision)

    @property
    def waiting(self) -> int:
        """Decisions that the thread has not taken yet."""
        return len(self._inbox)

    def cpu_s(self) -> float:
        """Return the processor time that recording has taken so far, in seconds."""
        ident = self._thread.ident
        return 0.0 if ident is None else time.clock_gettime(time.pthread_getcpuclockid(ident))

    @property
    def alive(self) -> bool:
        """True while decisions are taken."""
        return self._thread.is_alive()

    def close(self, deadline_s: float = 5.0) -> None:
        """Write what is in line and close the file; waits so long at most."""
        self._ending.set()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            _LOGGER.error("%s: no answer of the disk in %s s; left open",
                          self._file.path.name, deadline_s)  # fmt: skip

    def _run(self) -> None:
        try:
            scribe = Scribe(present())
            while not self._ending.wait(self._turn_s):
                self._turn(scribe)
            self._turn(scribe)
        except Exception:
            _LOGGER.exception("The record of decisions ended; the guard goes on without it")
            self._inbox = deque(maxlen=1)
        finally:
            self._file.close()

    def _turn(self, scribe: Scribe) -> None:
        for _ in range(len(self._inbox)):
            self._take(scribe, self._inbox.popleft())
            time.sleep(0)  # the loop goes first
        if self._ending.is_set():
            scribe.cut()
        self._pages.extend(scribe.pages())
        if self._pages:
            self._write()
        if len(self._pages) > _WAITING_PAGES:
            self.lost += sum(page.looks for page in self._pages) + scribe.forget()
            self._pages.clear()

    def _take(self, scribe: Scribe, decision: Decision) -> None:
        try:
            scribe.add(decision)
        except RecordError as error:
            self._trouble(str(error))
        now_s = decision.look.now.monotonic_s
        lasts_s = _PAGE_BUSY_S if runs(decision.result.state) else _PAGE_REST_S
        young = 0 <= now_s - self._began_s < lasts_s
        if not young or scribe.waiting_bytes > _PAGE_BYTES:
            scribe.cut()
            self._began_s = now_s

    def _write(self) -> None:
        try:
            if not self._number:
                self._number = self._file.newest_number()
            blocks = [
                Block(self._number + n, page.first_s, page.last_s, page.data)
                for n, page in enumerate(self._pages, start=1)
            ]
            self._file.put(blocks)
        except JournalError as error:
            self._trouble(str(error))
            return
        self._failing = False
        self._number += len(blocks)
        self.looks += sum(page.looks for page in self._pages)
        self._pages.clear()

    def _trouble(self, text: str) -> None:
        if not self._failing:  # once, not every two seconds
            _LOGGER.warning("Decisions are not recorded: %s", text)
        self._failing = True


def runs(state: GuardState) -> bool:
    """Return True while the battery is commanded or somebody wants it to be."""
    return bool(state.commitments or state.wish or state.stopping or state.foreign)
