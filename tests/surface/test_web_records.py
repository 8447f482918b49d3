"""The journal, the report and the mapping, over HTTP and out of a real journal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession

from agent.house.hass_entities import EntityMapping
from agent.journal import Journal, JournalError, Sample
from agent.records import Records
from agent.settings import SettingsStore
from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.records import LONGEST_DATA
from agent.surface.web.server import WebServer
from tests.surface.conftest import never_asked
from tests.surface.desks import QUIET, HandGuard, HandSettings

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 6, 21, 12, tzinfo=LONDON)


@dataclass
class Office:
    """A server over a journal that the test writes."""

    journal: Journal
    client: ClientSession

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.client.get(path, params=query) as answer:
            return answer.status, await answer.json()


class Meter:
    """As much of a `SiteMeter` as is asked for the mapping."""

    mapping = EntityMapping(soc="sensor.soc")
    findings = ("soc: two hold a value; choose one",)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    guard = HandGuard(replace(QUIET, at=NOON))
    async with await Journal.open(tmp_path / "journal.sqlite3") as journal:
        meter: Any = Meter()
        records = Records(journal, SettingsStore(tmp_path), lambda: NOON, lambda: meter)
        server = WebServer(
            guard,
            HandSettings(tmp_path),
            Gate(Policy(supervised=False), never_asked),
            lambda *_: None,
            desks=Desks(records=records),
        )
        port = await server.start("127.0.0.1", 0)
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            yield Office(journal, client)
        await server.stop()


async def test_the_journal_is_read_back_page_by_page_and_by_kind(office: Office) -> None:
    for number in range(7):
        kind = "lease" if number % 2 else "stop"
        at = NOON + timedelta(minutes=number)
        await office.journal.append(kind, {"text": f"Number {number}.", "power_w": number}, at)
    status, page = await office.get("/api/journal", limit="3")
    assert status == 200
    assert [it["text"] for it in page["events"]] == ["Number 6.", "Number 5.", "Number 4."]
    seen = [it["id"] for it in page["events"]]
    while page["next"]:
        _, page = await office.get("/api/journal", limit="3", before=str(page["next"]))
        seen += [it["id"] for it in page["events"]]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 7
    _, leases = await office.get("/api/journal", kinds="lease,renewal")
    assert [it["data"] for it in leases["events"]] == [{"power_w": n} for n in (5, 3, 1)]
    since, until = ((NOON + timedelta(minutes=n)).isoformat() for n in (2, 4))
    _, span = await office.get("/api/journal", since=since, until=until)
    assert [it["text"] for it in span["events"]] == ["Number 3.", "Number 2."]
    assert span["events"][0]["at"] == "2026-06-21T12:03:00+01:00"


async def test_what_an_event_holds_comes_as_json_and_not_without_end(office: Office) -> None:
    await office.journal.append("input_lost", {"text": "Gone.", "value": math.nan}, NOON)
    await office.journal.append("flash_job", {"request": "x" * LONGEST_DATA}, NOON)
    data = {"by": "page: Anna", "action": "start_discharge", "outcome": "accepted"}
    await office.journal.append("audit", data, NOON)
    _, page = await office.get("/api/journal")
    audit, job, lost = page["events"]
    assert audit["text"] == "page: Anna: start_discharge: accepted"
    assert "Too long" in job["data"]["left_out"]
    assert lost["data"] == {"value": None}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"since": "yesterday"}, "with its zone"),
        ({"until": "2026-06-21T00:00:00"}, "with its zone"),
        ({"limit": "0"}, "from 1 to 500"),
        ({"limit": "501"}, "from 1 to 500"),
        ({"limit": "1e2"}, "from 1 to 500"),
        ({"before": "-1"}, "whole number"),
        ({"before": "9" * 30}, "whole number"),
        ({"kinds": ",".join("abcdefghij" * 6)}, "at most 50"),
    ],
)
async def test_a_page_that_cannot_be_is_refused_with_words(
    office: Office, query: dict[str, str], words: str
) -> None:
    status, body = await office.get("/api/journal", **query)
    assert status == 400
    assert words in body["text"]


async def test_the_report_of_the_days_comes_as_json_and_as_a_table(office: Office) -> None:
    at_s = NOON.timestamp()
    for step in range(20):
        point = Sample(
            at_s - 86_400 + step * 5, grid_w=-4000, limit_w=3680, exported_wh=5100,
            allowance_wh=9300,
        )  # fmt: skip
        office.journal.note_sample(point)
    yesterday = NOON - timedelta(days=1)
    await office.journal.append("discharge_started", {"text": "On."}, yesterday)
    stopped = {"reason": "headroom", "text": "Used up."}
    for _ in range(2):
        await office.journal.append("stop", stopped, yesterday)
    status, report = await office.get("/api/report", days="3")
    assert status == 200
    assert report["at"] == "2026-06-21T12:00:00+01:00"
    assert [day["day"] for day in report["days"]] == ["2026-06-19", "2026-06-20", "2026-06-21"]
    day = report["days"][1]
    assert (day["limit_w"], day["margin_w"], day["margin_wh"]) == (3680, -320, 4200)
    assert day["operations"] == {"discharge_started": 1}
    assert day["stops"] == {"headroom": 2}
    assert [it["cause"] for it in day["breaches"]] == ["sun"]
    assert report["days"][0]["limit_w"] is None
    async with office.client.get("/api/report.csv", params={"days": "3"}) as answer:
        assert answer.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["day"] for row in rows] == [day["day"] for day in report["days"]]
    assert rows[1]["stops"] == "headroom 2"
    assert "power (sun): For 95 s up to 4000 W" in rows[1]["breaches"]
    for days in ("0", "93", "x"):
        assert (await office.get("/api/report", days=days))[0] == 400


async def test_a_journal_that_cannot_be_read_is_said_in_words(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(*_: object, **__: object) -> None:
        raise JournalError("damaged", "journal.sqlite3 is damaged; restart the agent")

    monkeypatch.setattr(office.journal, "events", damaged)
    for path in ("/api/journal", "/api/report"):
        status, body = await office.get(path)
        assert (status, body["text"]) == (503, "journal.sqlite3 is damaged; restart the agent.")


async def test_every_entity_setting_is_checked_and_findings_are_told(office: Office) -> None:
    status, body = await office.get("/api/settings/entities")
    assert status == 200
    soc = next(it for it in body["entities"] if it["key"] == "entities.soc")
    assert soc["used"] == ["sensor.soc"]
    assert "does not answer" in soc["text"]
    assert body["findings"] == ["soc: two hold a value; choose one"]
