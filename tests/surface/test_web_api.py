"""The API answers from memory, refuses with words, and audits who did what."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from pathlib import Path

import pytest
from aiohttp import ClientSession

from agent.export.requests import Answer, Request, RequestKind
from agent.export.snapshot import GuardSnapshot
from agent.surface.desk import HistoryPoint
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.shapes import Beside
from tests.surface.conftest import House, make_house, never_asked
from tests.surface.desks import QUIET


async def test_health_is_200_while_loop_and_journal_are_alive(house: House) -> None:
    async with house.client.get("/health") as answer:
        assert answer.status == 200
        assert await answer.json() == {"status": "ok", "text": "alive"}


async def test_health_is_503_with_words_when_they_are_not(house: House) -> None:
    house.guard.health = (False, "The journal has not written for 40 s.")
    async with house.client.get("/health") as answer:
        assert answer.status == 503
        assert "journal" in (await answer.json())["text"]


async def test_state_is_the_whole_snapshot(house: House) -> None:
    async with house.client.get("/api/state") as answer:
        state = await answer.json()
    fields = {field.name for field in dataclasses.fields(GuardSnapshot)}
    assert set(state) == {*fields, *Beside.__annotations__}
    assert state["phase"] == "DISCHARGE_NEEDED"
    assert state["at"] == "2026-06-21T12:00:00Z"
    assert state["energy"]["headroom_wh"] == 4200
    assert state["lease"] is None


async def test_a_number_that_is_none_becomes_null_not_broken_json(house: House) -> None:
    house.guard.shown = dataclasses.replace(QUIET, soc_percent=math.nan)
    async with house.client.get("/api/state") as answer:
        assert (await answer.json())["soc_percent"] is None


async def test_history_comes_as_columns_of_equal_length(house: House) -> None:
    house.guard.points = [HistoryPoint(at=n * 5.0, grid_w=n * 1.0) for n in range(100)]
    async with house.client.get("/api/history?seconds=50") as answer:
        columns = await answer.json()
    assert columns["at"] == [n * 5.0 for n in range(89, 100)]
    assert {len(column) for column in columns.values()} == {11}
    assert columns["pv_w"][0] is None


@pytest.mark.parametrize("seconds", ["", "soon", "nan", "-1", "0", "1e9"])
async def test_a_history_that_cannot_be_is_refused_with_words(house: House, seconds: str) -> None:
    async with house.client.get("/api/history", params={"seconds": seconds}) as answer:
        assert answer.status == 400
        assert "3600" in (await answer.json())["text"]


async def test_a_wish_reaches_the_guard_with_its_author(house: House) -> None:
    async with house.client.post("/api/requests", json={"kind": "start_discharge"}) as answer:
        assert answer.status == 200
        assert (await answer.json())["accepted"] is True
    assert house.guard.requests == [Request(RequestKind.START_DISCHARGE, by="page: local")]
    assert house.audited == [("page: local", "start_discharge", "accepted")]


async def test_a_refusal_is_409_with_the_guards_reason(house: House) -> None:
    house.guard.answer = Answer(accepted=False, code="target_is_zero", text="Set a target first.")
    async with house.client.post("/api/requests", json={"kind": "start_discharge"}) as answer:
        assert answer.status == 409
        assert await answer.json() == {
            "accepted": False,
            "code": "target_is_zero",
            "text": "Set a target first.",
        }
    assert house.audited == [("page: local", "start_discharge", "target_is_zero")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff",
        b'{"kind": "explode"}',
        b'{"kind": 3}',
        b"{}",
        b"[" * 50_000,
    ],
)
async def test_a_wish_that_is_none_never_reaches_the_guard(house: House, body: bytes) -> None:
    async with house.client.post("/api/requests", data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["text"]
    assert house.guard.requests == []


async def test_a_huge_body_is_cut_off(house: House) -> None:
    async with house.client.post("/api/requests", data=b" " * 200_000) as answer:
        assert answer.status == 413
    assert house.guard.requests == []


async def test_settings_come_with_their_description(house: House) -> None:
    async with house.client.get("/api/settings") as answer:
        body = await answer.json()
    field = next(each for each in body["fields"] if each["key"] == "min_soc_percent")
    assert field["unit"] == "%"
    assert body["values"]["mode"] == "observe"


async def test_a_changed_setting_is_kept_and_audited(house: House) -> None:
    async with house.client.patch("/api/settings", json={"export_limit_w": 3680}) as answer:
        assert answer.status == 200
        assert (await answer.json())["values"]["export_limit_w"] == 3680
    assert house.settings.current()["export_limit_w"] == 3680
    assert house.audited == [("page: local", 'settings {"export_limit_w": 3680}', "changed")]


async def test_d39_every_setting_can_be_opened_and_saved_on_the_page(house: House) -> None:
    """D-39: the form of the options ended in HTTP 500, for half a year."""
    async with house.client.get("/api/settings") as answer:
        assert answer.status == 200
        opened = await answer.json()
    assert {each["key"] for each in opened["fields"]} == set(opened["values"])
    async with house.client.patch("/api/settings", json=opened["values"]) as answer:
        assert answer.status == 200, "what was not changed is refused"
        assert (await answer.json())["values"] == opened["values"]
    for field in opened["fields"]:
        change = {field["key"]: field["example"]}
        async with house.client.patch("/api/settings", json=change) as answer:
            assert answer.status == 200, (change, await answer.text())
        default = {field["key"]: opened["values"][field["key"]]}
        async with house.client.patch("/api/settings", json=default) as answer:
            assert answer.status == 200, (default, await answer.text())
    assert house.settings.current() == opened["values"]


async def test_a_bad_setting_is_400_with_key_and_message_and_changes_nothing(house: House) -> None:
    changes = {"export_limit_w": 99_999, "target_export_w": 100}
    async with house.client.patch("/api/settings", json=changes) as answer:
        assert answer.status == 400
        body = await answer.json()
    assert body["key"] == "export_limit_w"
    assert "99999" in body["text"]
    assert house.settings.current()["target_export_w"] == 0
    assert house.audited[0][2].startswith("invalid: ")


async def test_a_secret_that_lost_its_way_is_not_audited(house: House) -> None:
    async with house.client.patch("/api/settings", json={"ha_token": "s3cret"}) as answer:
        assert answer.status == 400
    assert "s3cret" not in json.dumps(house.audited)


@pytest.mark.parametrize(
    "path", ["/", "/icon.svg", "/api/state", "/health", "/nowhere", "/api/none"]
)
async def test_every_answer_leaves_with_strict_headers(house: House, path: str) -> None:
    async with house.client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Frame-Options" not in answer.headers
        assert answer.headers["Server"] == "pv-edge-agent"


@pytest.mark.parametrize(
    "path",
    [
        "/server.py",
        "/../server.py",
        "/%2e%2e/server.py",
        "/dist/index.html",
        "//etc/passwd",
        "/..%2f",
    ],
)
async def test_no_path_leaves_the_pages_own_files(house: House, path: str) -> None:
    """Spoken raw, because a decent client would tidy the path first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    assert status in {b"400", b"404"}


async def test_the_page_names_only_relative_addresses(bundle: Path, house: House) -> None:
    assert bundle.name == "dist"
    async with house.client.get("/") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")
        page = await answer.text()
    assert 'href="/' not in page
    assert 'src="/' not in page
    assert "http" not in page


async def test_a_write_without_our_header_is_refused(house: House) -> None:
    async with (
        ClientSession(house.url) as foreign,
        foreign.post("/api/requests", json={"kind": "start_discharge"}) as answer,
    ):
        assert answer.status == 403
        assert (await answer.json())["code"] == "csrf"
    assert house.guard.requests == []


async def test_a_write_from_another_origin_is_refused(house: House) -> None:
    headers = {"Origin": "http://evil.example"}
    body = {"kind": "emergency_stop"}
    async with house.client.post("/api/requests", json=body, headers=headers) as answer:
        assert answer.status == 403
    assert house.guard.requests == []


async def test_under_the_supervisor_another_app_gets_health_at_most(tmp_path: Path) -> None:
    house = make_house(tmp_path, Gate(Policy(supervised=True), never_asked))
    house.port = await house.server.start("127.0.0.1", 0)
    forged = {"X-Remote-User-Id": "admin", "X-Forwarded-For": "172.30.32.2"}
    async with ClientSession(house.url, headers=forged) as client:
        seen = {}
        for path in ("/health", "/", "/icon.svg", "/api/state", "/api/stream", "/api/settings"):
            async with client.get(path) as answer:
                seen[path] = answer.status
    await house.server.stop()
    assert seen.pop("/health") == 200
    assert set(seen.values()) == {403}


async def test_without_a_token_the_page_is_not_opened_to_the_network(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    with pytest.raises(ValueError, match="access token"):
        await house.server.start("0.0.0.0", 0)  # noqa: S104 - it must refuse


async def test_with_a_token_data_needs_it_and_the_page_itself_does_not(tmp_path: Path) -> None:
    house = make_house(tmp_path, Gate(Policy(supervised=False, token="correct"), never_asked))
    house.port = await house.server.start("127.0.0.1", 0)
    async with ClientSession(house.url) as client:
        statuses = []
        for path, token in [("/", ""), ("/api/state", ""), ("/api/state", "wrong")]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with client.get(path, headers=headers) as answer:
                statuses.append(answer.status)
        async with client.get("/api/state", headers={"Authorization": "Bearer correct"}) as answer:
            statuses.append(answer.status)
    await house.server.stop()
    assert statuses == [200, 401, 401, 200]
