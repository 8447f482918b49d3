"""Who may ask for what over HTTP: reading is for everybody, asking for administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from agent.fleet.operations import Op
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.releases import LARGEST_FILE_BYTES
from tests.surface.conftest import WRITES, House, make_house
from tests.surface.hand_bridges import MAC

JOBS = ("install", "back", "cancel", "campaigns", "campaigns/steer")
FORBIDDEN = (
    *(("POST", f"flashing/{what}") for what in JOBS),
    *(("POST", f"migration/{what}") for what in ("look", "choose", "take")),
    *(("POST", f"recovery/{what}") for what in ("identify", "check", "write", "cancel")),
    *(("POST", f"releases/{what}") for what in ("look", "own", "own/accept", "bundle", "sources")),
    ("DELETE", "releases/sources"),
    ("PUT", "releases/channel"),
)


@pytest.fixture
async def visited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Serve a house under the Supervisor, whose one visitor is no administrator."""
    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", "127.0.0.1")

    async def nobody(_user_id: str) -> bool:
        return False

    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.port = await made.server.start("127.0.0.1", 0)
    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    async with ClientSession(made.url, headers={**WRITES, **visitor}) as made.client:
        yield made
    await made.server.stop()


async def test_only_an_administrator_flashes_recovers_chooses_and_trusts(visited: House) -> None:
    for method, path in FORBIDDEN:
        body = {"mac": MAC, "port": "/dev/x"}
        async with visited.client.request(method, f"/api/{path}", json=body) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "not_admin"), path
    desks = (visited.flashing, visited.migration, visited.recovery, visited.releases)
    assert [desk.asked for desk in desks] == [[], [], [], []]
    assert visited.audited
    assert {(by, why) for by, _, why in visited.audited} == {("page: Visitor", "not_admin")}


async def test_everybody_sees_ports_and_releases(visited: House) -> None:
    async with visited.client.get("/api/recovery") as answer:
        assert (answer.status, (await answer.json())["ports"]) == (200, [])
    async with visited.client.get("/api/recovery/log?job=j1") as answer:
        assert answer.status == 400
        assert "not there any more" in (await answer.json())["text"]
    async with visited.client.get("/api/releases") as answer:
        assert (answer.status, (await answer.json())["state"]) == (200, "none")


async def test_what_can_be_asked_of_a_bridge_is_one_of_the_words_and_a_refusal_says_why(
    house: House,
) -> None:
    async with house.client.post("/api/bridges/ask", json={"op": "explode", "mac": MAC}) as answer:
        assert answer.status == 400
        assert "run_gates" in (await answer.json())["text"]
    house.bridges.words = "No device is chosen. Choose one first."
    async with house.client.post("/api/bridges/ask", json={"op": "flash_firmware"}) as answer:
        assert answer.status == 409
        assert (await answer.json())["text"] == house.bridges.words
    assert house.bridges.asked == [(Op.FLASH, None, "page: local")]


async def test_a_refused_update_says_why_and_that_is_audited(house: House) -> None:
    house.flashing.refused = True
    for what in JOBS:
        async with house.client.post(f"/api/flashing/{what}", json={"mac": MAC}) as answer:
            assert (answer.status, (await answer.json())["text"]) == (409, "Not now.")
        assert house.audited[-1][2] == "locked: Not now."


@pytest.mark.parametrize(
    ("path", "size", "words"),
    [
        ("own", LARGEST_FILE_BYTES + 1, "larger than 8 MiB"),
        ("bundle", 0, "The file is empty"),
    ],
)
async def test_a_file_that_is_too_large_or_empty_is_refused_in_words(
    house: House, path: str, size: int, words: str
) -> None:
    async with house.client.post(f"/api/releases/{path}", data=bytes(size)) as answer:
        assert answer.status == 400
        assert words in (await answer.json())["text"]
    assert house.releases.asked == []
