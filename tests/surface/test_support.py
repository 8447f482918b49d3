"""The page's help: the doctor's report, diagnostics without secrets, settings as a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from agent.surface.web.api import Desks
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.server import WebServer
from tests.surface.conftest import WRITES, House, never_asked
from tests.surface.desks import HandGuard, HandSettings

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
REPORT = {
    "exit_code": 1,
    "took_s": 12.0,
    "findings": [
        {"code": "host", "title": "Home Assistant", "verdict": "ok", "text": "It answers.",
         "next_step": ""},
        {"code": "signs", "title": "Signs", "verdict": "warning", "text": HOSTILE,
         "next_step": "Look at the meter."},
    ],
}  # fmt: skip


@dataclass
class HandSupport:
    """Help made by hand."""

    fails: Exception | None = None
    cleared: int = 0
    examined: int = 0

    async def doctor(self, progress: Callable[[str, float], None]) -> dict[str, Any]:
        self.examined += 1
        progress("Asking Home Assistant", 15)
        if self.fails:
            raise self.fails
        progress("Done", 100)
        return REPORT

    async def diagnostics(self) -> dict[str, Any]:
        return {"pv_edge_agent": "0.1.0"}

    async def csv(self, what: str, days: float, kinds: tuple[str, ...] | None = None) -> Any:
        yield f"{what} of {days:g} days{kinds or ''}\r\n"
        yield "=harmless\r\n"

    async def clear_notifications(self) -> int:
        if self.fails:
            raise self.fails
        self.cleared += 1
        return 1


@dataclass
class Helped(House):
    support: HandSupport = field(default_factory=HandSupport)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Helped]:
    async for made in served(tmp_path, Gate(Policy(supervised=False), never_asked)):
        yield made


async def served(folder: Path, gate: Gate) -> AsyncIterator[Helped]:
    guard, settings, support = HandGuard(), HandSettings(folder), HandSupport()
    audited: list[tuple[str, str, str]] = []
    desks = Desks(support=support)
    server = WebServer(guard, settings, gate, lambda *what: audited.append(what), desks=desks)
    made = Helped(guard, settings, server, audited, support=support)
    made.port = await server.start("127.0.0.1", 0)
    async with ClientSession(made.url, headers=WRITES) as made.client:
        yield made
    await server.stop()


async def test_the_doctor_tells_its_progress_and_then_its_report(house: Helped) -> None:
    async with house.client.get("/api/doctor") as answer:
        assert answer.status == 200
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert lines == [
        {"doing": "Asking Home Assistant", "percent": 15},
        {"doing": "Done", "percent": 100},
        {"report": REPORT},
    ]


async def test_a_doctor_that_fails_ends_without_a_report_and_can_be_asked_again(
    house: Helped,
) -> None:
    house.support.fails = RuntimeError("a defect")
    async with house.client.get("/api/doctor") as answer:
        text = await answer.text()
    assert "report" not in text
    assert "log" in json.loads(text.splitlines()[-1])["failed"]
    assert "a defect" not in text
    house.support.fails = None
    async with house.client.get("/api/doctor") as answer:
        assert "report" in await answer.text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/doctor"),
        ("GET", "/api/diagnostics"),
        ("GET", "/api/settings/export"),
        ("GET", "/api/journal.csv"),
        ("POST", "/api/settings/import"),
        ("POST", "/api/notifications/clear"),
    ],
)
async def test_help_is_for_administrators_and_not_for_other_sites(
    house: Helped, method: str, path: str
) -> None:
    async with (
        ClientSession(house.url) as foreign,
        foreign.request(method, path, json={}) as answer,
    ):
        assert answer.status == 403
    assert house.support.examined == house.support.cleared == 0


async def test_a_resident_gets_no_diagnostics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def nobody_is_admin(user_id: str) -> bool:
        asked.append(user_id)
        return False

    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", "127.0.0.1")
    headers = {"X-Remote-User-Id": "resident"}
    async for made in served(tmp_path, Gate(Policy(supervised=True), nobody_is_admin)):
        for path in ("/api/doctor", "/api/diagnostics", "/api/settings/export"):
            async with made.client.get(path, headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
    assert asked


async def exported(house: Helped) -> dict[str, Any]:
    async with house.client.get("/api/settings/export") as answer:
        assert answer.status == 200
        assert 'filename="pv-edge-agent-settings.json"' in answer.headers["Content-Disposition"]
        document: dict[str, Any] = await answer.json()
        return document


async def imported(house: Helped, document: object) -> tuple[int, dict[str, Any]]:
    async with house.client.post("/api/settings/import", data=json.dumps(document)) as answer:
        return answer.status, await answer.json()


async def test_an_export_brings_every_setting_back(house: Helped) -> None:
    mine = {
        "export_limit_w": 3680,
        "entities.soc": "sensor.mine",
        "entities.pv_power": ["sensor.a", "sensor.b"],
        "time_zone": "Europe/London",
    }
    before = await house.settings.update(mine, "test")
    document = await exported(house)
    await house.settings.update(
        {"export_limit_w": None, "entities.soc": None, "entities.pv_power": None, "time_zone": ""},
        "test",
    )
    status, body = await imported(house, document)
    assert status == 200
    assert body["values"] == before == house.settings.current()
    assert body["text"] == f"{len(before)} settings were imported."


@pytest.mark.parametrize(
    "change",
    [
        {"export_limit_w": 99_999},
        {"entities.soc": "no entity"},
        {"ha_token": "s3cret-that-lost-its-way"},
        {"stale_warning_s": 60},
        {"mode": "destroy"},
    ],
)
async def test_a_file_with_one_wrong_value_changes_nothing(
    house: Helped, change: dict[str, Any]
) -> None:
    document = await exported(house)
    document["settings"] |= {"min_soc_percent": 55} | change
    before = house.settings.current()
    status, body = await imported(house, document)
    assert status == 400
    assert body["key"] in change
    assert house.settings.current() == before
    assert "s3cret" not in json.dumps(house.audited)
    assert "s3cret" not in json.dumps(body)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"format": "something else"}, "text", {"format": "pv-edge-agent settings"},
     {"format": "pv-edge-agent settings", "format_version": 2, "settings": {"mode": "observe"}},
     {"format": "pv-edge-agent settings", "format_version": 1, "settings": []}],
)  # fmt: skip
async def test_what_is_no_export_is_refused_with_words(house: Helped, document: object) -> None:
    status, body = await imported(house, document)
    assert status == 400
    assert body["text"].endswith("Nothing changed")


async def test_an_import_never_switches_to_control(house: Helped) -> None:
    await house.settings.update({"mode": "control", "export_limit_w": 3680}, "test")
    document = await exported(house)
    await house.settings.update({"mode": "observe"}, "test")
    status, body = await imported(house, document)
    assert status == 200
    assert house.settings.current()["mode"] == "observe"
    assert "stays observe" in body["text"]
    document["settings"]["mode"] = "observe"
    await house.settings.update({"mode": "control"}, "test")
    await imported(house, document)
    assert house.settings.current()["mode"] == "observe"


async def test_notifications_are_cleared_or_it_is_said_why_not(house: Helped) -> None:
    async with house.client.post("/api/notifications/clear") as answer:
        assert answer.status == 200
    assert house.support.cleared == 1
    house.support.fails = OSError("The link to Home Assistant is down.")
    async with house.client.post("/api/notifications/clear") as answer:
        assert answer.status == 503
        assert "link" in (await answer.json())["text"]


async def test_the_journal_comes_as_a_table(house: Helped) -> None:
    async with house.client.get("/api/journal.csv?what=samples&days=2") as answer:
        assert answer.content_type == "text/csv"
        assert "pv-edge-agent-samples.csv" in answer.headers["Content-Disposition"]
        assert await answer.text() == "samples of 2 days\r\n=harmless\r\n"
    async with house.client.get("/api/journal.csv?days=2&kinds=stop,lease") as answer:
        assert (await answer.text()).startswith("events of 2 days('stop', 'lease')")
    for days in ("soon", "0", "nan", "1e9"):
        async with house.client.get("/api/journal.csv", params={"days": days}) as answer:
            assert answer.status == 400
