"""
What happened, in an order that nothing can take back.

An event or state is in the journal before its effect leaves the agent: `append` and `record`
return only when the write would survive a power cut. A thread of its own does all database
work, so a slow disk never stops the event loop, and calls that come while the disk is busy share
the next commit. Samples for the history are a convenience: batched, bounded, in a file of their
own beside the journal, and dropped rather than waited for.

A damaged journal is set aside and `recovered` says so; the guard must then assume the worst.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from agent.journal_bounds import FIRST_ID_SINCE
from agent.journal_codec import Sample
from agent.journal_file import (
    INSERT_EVENT,
    LOSS_ACCEPTED_KIND,
    RECOVERED_KIND,
    JournalError,
    Recovery,
)
from agent.journal_worker import JournalLimits, Request, Worker, call_in

__all__ = [
    "LOSS_ACCEPTED_KIND",
    "RECOVERED_KIND",
    "Event",
    "Journal",
    "JournalError",
    "JournalLimits",
    "Recovery",
    "Sample",
]

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")
_SAVE_STATE = (
    "INSERT INTO states (name, at, data) VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET at = excluded.at, data = excluded.data"
)
_STATE_STEP = 512
"""States are padded to a multiple: SQLite overwrites in place what did not change its length."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    id: int
    """Rises with every event and is never used again."""
    at: datetime
    kind: str
    data: dict[str, Any]


class Journal:
    """An append-only journal in SQLite; made by `Journal.open`, ended by `close`."""

    def __init__(self, worker: Worker, monotonic: Callable[[], float]) -> None:
        self._worker = worker
        self._monotonic = monotonic
        self._unfinished: dict[object, float] = {}

    @classmethod
    async def open(
        cls,
        path: Path,
        limits: JournalLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> Self:
        """
        Open or create the journal; a damaged one is set aside and replaced.

        The history goes to `samples.sqlite3` beside it, made with the first sample.

        Raises:
            JournalError: the file can be neither opened nor created, or is of a newer version.
        """
        worker = Worker(path, limits or JournalLimits(), monotonic, wall)
        journal = cls(worker, monotonic)
        worker.start()
        await journal._submit("could not be opened", lambda _: None, durable=False)
        return journal

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def created(self) -> bool:
        """True when the file was made at this start."""
        return self._worker.created

    @property
    def recovered(self) -> Recovery | None:
        """
        Set when a damaged journal was replaced and nobody has accepted the loss yet.

        Accept it by an event of `LOSS_ACCEPTED_KIND`, in one `record` with the state that assumes
        the worst; until then every start reports it again.
        """
        return self._worker.recovered

    @property
    def alive(self) -> bool:
        """True while calls are taken and the thread is there to answer them."""
        return self._worker.alive

    @property
    def commits(self) -> int:
        """Transactions committed since the start."""
        return self._worker.commits

    @property
    def samples_lost(self) -> int:
        """Samples dropped since the start, because the disk did not take them."""
        return self._worker.samples_lost

    async def append(self, kind: str, data: Mapping[str, object], at: datetime) -> int:
        """
        Record one event; return its id once it would survive a power cut.

        Raises:
            JournalError: it was not recorded. A cancelled caller cannot know.
        """
        return (await self.record({}, [(kind, data)], at))[0]

    async def save_state(self, name: str, data: Mapping[str, object], at: datetime) -> None:
        """Replace a named state; same promise as `append`."""
        await self.record({name: data}, [], at)

    async def record(
        self,
        states: Mapping[str, Mapping[str, object]],
        events: Sequence[tuple[str, Mapping[str, object]]],
        at: datetime,
    ) -> list[int]:
        """
        Record states and events together, all or none; return the ids of the events.

        Numbers come back bit for bit, NaN and infinity included. Dates become ISO text.

        Raises:
            JournalError: nothing of it was recorded. A cancelled caller cannot know.
            TypeError, ValueError: the data is not JSON, or the time does not know its zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"journal times must know their zone: {at.isoformat()}")
        iso, at_s = at.isoformat(), at.timestamp()
        state_rows = [(_utf8(name), iso, _padded(_encode(data))) for name, data in states.items()]
        event_rows = [(at_s, iso, _utf8(kind), _encode(data)) for kind, data in events]

        def write(db: sqlite3.Connection) -> list[int]:
            db.executemany(_SAVE_STATE, state_rows)
            return [int(db.execute(INSERT_EVENT, row).lastrowid or 0) for row in event_rows]

        names = ", ".join([*states, *(kind for kind, _ in events)]) or "nothing"
        return await self._submit(f"could not record {names}", write, durable=True)

    async def load_state(self, name: str) -> dict[str, Any] | None:
        """Return a named state, or `None` if it was never saved here."""
        rows = await self._rows("SELECT data FROM states WHERE name = ?", (_utf8(name),))
        return _decode(rows[0][0]) if rows else None

    async def events(
        self,
        since: datetime | None = None,
        kinds: Collection[str] | None = None,
        limit: int = 200,
        after_id: int | None = None,
        before_id: int | None = None,
        until: datetime | None = None,
    ) -> list[Event]:
        """
        Return events, oldest first: the newest `limit`, or with `after_id` the next ones.

        Call again with the last id as `after_id` to read through the whole journal, or with the
        first one as `before_id` to read back. `since` and `until` are a half-open span.
        """
        conditions = ["id > ?"]
        values: list[Any] = [after_id or 0]
        if before_id is not None:
            conditions.append("id < ?")
            values.append(before_id)
        if until is not None:
            conditions.append("at_s < ?")
            values.append(until.timestamp())
        if since is not None:
            conditions += [f"id > {FIRST_ID_SINCE}", "at_s >= ?"]
            values += [since.timestamp(), since.timestamp()]
        if kinds is not None:
            conditions.append(f"kind IN ({', '.join('?' * len(kinds))})")
            values.extend(kinds)
        order = "DESC" if after_id is None else "ASC"
        query = (
            "SELECT id, at, kind, data FROM events "  # noqa: S608 - built of constants
            f"WHERE {' AND '.join(conditions)} ORDER BY id {order} LIMIT ?"
        )
        rows = await self._rows(query, (*values, limit))
        found = [
            Event(key, datetime.fromisoformat(at), kind, _decode(data))
            for key, at, kind, data in rows
        ]
        return found if order == "ASC" else found[::-1]

    def note_sample(self, sample: Sample) -> None:
        """Keep a point of the history, some time soon; never waits, never raises."""
        self._worker.submit(sample)

    async def samples(self, since: datetime, until: datetime) -> list[Sample]:
        """
        Return the samples of a half-open span, oldest first, written or still waiting.

        What cannot be read is missing, and the log says so: nothing waits for the history.
        """
        found: list[Sample] = []
        try:
            async for block in self.sample_blocks(since, until):
                found += block
        except JournalError as error:
            _LOGGER.warning("The history is not complete: %s", error)
        return sorted(found, key=lambda each: each.at)

    async def sample_blocks(self, since: datetime, until: datetime) -> AsyncIterator[list[Sample]]:
        """
        Yield the samples of a half-open span block by block, in the order they were noted.

        Between two blocks, whatever else is in line has its turn.

        Raises:
            JournalError: they cannot be read any further.
        """
        span = since.timestamp(), until.timestamp()
        what = "could not read samples"
        blocks, rest = await self._submit(
            what, lambda db: self._worker.history_span(db, *span), durable=False
        )
        for number in blocks:
            read = partial(self._worker.history_block, number=number, span=span)
            if samples := await self._submit(what, read, durable=False):
                yield samples
        if rest:
            yield rest

    async def answers(self) -> None:
        """
        Return when the thread has answered, without a turn of the disk; see `owes_since`.

        Raises:
            JournalError: it is closed, or has ended.
        """
        await self._submit("does not answer", lambda _: None, durable=False, awaited=True)

    @property
    def owes_since(self) -> float | None:
        """When the oldest unfinished write, or `answers`, was asked for; `None` without any."""
        return next(iter(self._unfinished.values()), None)

    def stuck_for_s(self, now_s: float) -> float:
        """Return how long the journal owes an answer, on that clock."""
        since_s = self.owes_since
        return 0.0 if since_s is None else max(0.0, now_s - since_s)

    async def close(self, deadline_s: float = 10.0) -> None:
        """
        Write what is in line and close the file; later calls are refused.

        Returns after the deadline at the latest: a hanging disk must not hang the stop.
        """
        self._worker.stop()
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def wait() -> None:
            self._worker.join()
            call_in(loop, ended.set)

        threading.Thread(target=wait, name="journal-close", daemon=True).start()
        try:
            await asyncio.wait_for(ended.wait(), deadline_s)
        except TimeoutError:
            name = self._worker.path.name
            _LOGGER.error("%s: no answer of the disk in %s s; left open", name, deadline_s)  # noqa: TRY400 - the traceback tells nothing

    async def _rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        def read(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return db.execute(query, values).fetchall()

        return await self._submit("could not be read", read, durable=False)

    async def _submit(
        self,
        what: str,
        work: Callable[[sqlite3.Connection], _T],
        *,
        durable: bool,
        awaited: bool = False,
    ) -> _T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        ticket = object()

        def done(request: Request) -> None:
            self._unfinished.pop(ticket, None)
            if answer.done():
                return  # the caller was cancelled
            if request.error:
                answer.set_exception(request.error)
            else:
                answer.set_result(request.answer)

        if durable or awaited:
            # Kept until the disk has answered, also when the caller has gone.
            self._unfinished[ticket] = self._monotonic()
        if not self._worker.submit(Request(work, durable, what, loop, done)):
            self._unfinished.pop(ticket, None)
            raise self._worker.closed_error()
        return await answer


def _encode(data: Mapping[str, object]) -> str:
    return json.dumps(dict(data), separators=(",", ":"), default=_other)


def _padded(text: str) -> str:
    return text.ljust(-(-len(text) // _STATE_STEP) * _STATE_STEP)


def _decode(text: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def _other(value: object) -> object:
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"the journal cannot hold {type(value).__name__}: turn it into JSON first")


def _utf8(name: str) -> str:
    name.encode()  # raises here, for this caller, and not in the batch it would share
    return name
