"""
What an earlier version left behind, this one takes up: journal, settings, options.

`tests/earlier/…` holds a data directory as text, written by the agent of that time: its demo was
commissioned, discharged, and was killed in the middle of it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from agent.clock import Instant
from agent.export import memory
from agent.export.commissioning import Stage
from agent.export.guard import STATE_NAME
from agent.export.lease import DIRECT
from agent.journal import Journal
from agent.options import load_options
from agent.settings import SettingsStore
from tests.acceptance.parts import _OPEN, Agent
from tests.export.bench import CONFIG

EARLIER = sorted(each.parent for each in Path(__file__).parent.glob("earlier/*/journal.sql"))
CONFIG_FILE = Path(__file__).parents[1] / "addon" / "config.yaml"
JUDGED_WITHIN_S = 30


@pytest.fixture(params=EARLIER, ids=lambda each: each.name)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Put together the data directory that a version has left behind."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("settings.json", "options.json"):
        (data / name).write_text((request.param / name).read_text())
    with contextlib.closing(sqlite3.connect(data / "journal.sqlite3")) as db:
        db.executescript((request.param / "journal.sql").read_text())
    return data


def rows(data: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(data / "journal.sqlite3")) as db:
        return db.execute("SELECT id, at, kind, data FROM events ORDER BY id").fetchall()


async def test_the_journal_is_whole_and_the_guard_knows_what_it_had_promised(left: Path) -> None:
    before = rows(left)
    async with await Journal.open(left / "journal.sqlite3") as journal:
        assert journal.recovered is None
        assert not journal.created
        events = await journal.events(after_id=0, limit=100_000)
        assert [(it.id, it.kind) for it in events] == [(row[0], row[2]) for row in before]
        kept = await journal.load_state(STATE_NAME)
    assert kept is not None
    then = datetime.fromisoformat(kept["at"])
    config = replace(CONFIG, path=DIRECT)
    state = memory.recalled(kept, Instant(1000.0, then), config)
    assert state.commissioning.stage is Stage.PASSED
    assert state.commissioning.gain is not None
    assert state.commitments, "it was killed during a dispatch"
    assert state.ledger.exported.day_wh > 0


def test_every_setting_is_taken_and_none_is_put_aside(left: Path) -> None:
    given = json.loads((left / "settings.json").read_text())
    store = SettingsStore(left)
    assert store.warnings == ()
    values = store.values()
    changed = {key for key in given if key in values and values[key] != given[key]}
    assert not changed
    assert values["safety_margin_kwh"] == 0.4
    assert not list(left.glob("*.broken-*"))


def test_the_supervisor_can_update_with_the_options_that_it_has_stored(left: Path) -> None:
    """A stored option that has left the schema only warns; a new one without default blocks."""
    stored = json.loads((left / "options.json").read_text())
    options = load_options(None, left, {"SUPERVISOR_TOKEN": "t"})
    assert options.log_level == stored["log_level"]
    assert options.mqtt_host == stored["mqtt_host"]
    app = yaml.safe_load(CONFIG_FILE.read_text())
    assert set(stored) <= set(app["schema"])
    needed = {key for key, kind in app["schema"].items() if not str(kind).endswith("?")}
    assert needed <= set(app["options"]) | set(stored)


class Upgraded(Agent):
    """The agent of today on the data of then."""

    async def start(self) -> float:
        began_s = time.monotonic()
        command = [sys.executable, "-m", "agent", "demo", "--data", str(self.data), "--port", "0"]
        since = self.spawn(command, self.environment)
        self._url = f"http://127.0.0.1:{(await self.said(_OPEN, since, 30))[1]}"
        return time.monotonic() - began_s


async def test_the_agent_starts_on_it_and_takes_up_no_dispatch_of_then(left: Path) -> None:
    async with aiohttp.ClientSession() as http:
        agent = Upgraded(left.parent, http)
        since = agent.last_event()
        try:
            await agent.start()
            await agent.wrote({"found_idle", "adopted"}, since, JUDGED_WITHIN_S)
            state = await agent.state()
            assert state["commissioning"]["passed"]
            assert state["mode"] == "control"
            code, _ = await agent.terminated(signal.SIGTERM, 30)
            assert code == 0
        finally:
            print(await agent.tail())  # noqa: T201 - a failed test shows it
            agent.kill()
        kinds = [event["kind"] for event in agent.events(since)]
        assert "adopted" not in kinds
        assert "journal_recovered" not in kinds
        if "lease" in kinds:
            assert kinds.index("found_idle") < kinds.index("lease"), "what was found comes first"
