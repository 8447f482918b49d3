"""Who may ask for what over HTTP: reading is for everybody, asking for administrators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from agent.fleet.operations import Op
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.releases import LARGEST_FILE_BYTES
from tests.surface.conftest import WRITES, House, make_house
from tests.surface.hand_bridges import MAC


def as_supervisor(gate: Gate) -> Any:
    async def admit(_peer: str | None, headers: Any, access: Any) -> Any:
        return await Gate.admit(gate, "172.30.32.2", headers, access)

    return admit


async def test_what_can_be_asked_of_a_bridge_is_an_administrators_and_of_the_words(
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


WISHES = ("install", "back", "cancel", "campaigns", "campaigns/steer")


async def test_a_refusal_says_why_and_only_an_administrator_may_ask(
    house: House, tmp_path: Any
) -> None:
    house.flashing.refused = True
    for what in WISHES:
        async with house.client.post(f"/api/flashing/{what}", json={"mac": MAC}) as answer:
            assert (answer.status, (await answer.json())["text"]) == (409, "Not now.")
        assert house.audited[-1][2] == "locked: Not now."

    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}", headers={**WRITES, **visitor}) as http:
        for what in WISHES:
            async with http.post(f"/api/flashing/{what}", json={"mac": MAC}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
    await made.server.stop()
    assert made.flashing.asked == []


async def test_choosing_and_taking_over_are_an_administrators(tmp_path: Path) -> None:
    async def nobody(_user_id: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}", headers={**WRITES, **visitor}) as http:
        for path in ("look", "choose", "take"):
            async with http.post(f"/api/migration/{path}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
    await made.server.stop()
    assert made.migration.asked == []


async def test_everybody_sees_the_ports_and_only_an_administrator_asks_and_writes(
    tmp_path: Path,
) -> None:
    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    number = await made.server.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{number}"
    async with ClientSession(url, headers={**WRITES, **visitor}) as http:
        for what in ("identify", "check", "write", "cancel"):
            async with http.post(f"/api/recovery/{what}", json={"port": "/dev/x"}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin")
        async with http.get("/api/recovery") as answer:
            assert (answer.status, (await answer.json())["ports"]) == (200, [])
        async with http.get("/api/recovery/log?job=j1") as answer:
            assert answer.status == 400
            assert "not there any more" in (await answer.json())["text"]
    await made.server.stop()
    assert made.recovery.asked == []
    assert {it[2] for it in made.audited} == {"not_admin"}


async def test_reading_is_for_everybody_and_a_file_of_a_visitor_is_not_even_read(
    tmp_path: Any,
) -> None:
    async def nobody(_user: str) -> bool:
        return False

    visitor = {"X-Remote-User-Id": "u1", "X-Remote-User-Name": "Visitor"}
    made = make_house(tmp_path, Gate(Policy(supervised=True), nobody))
    made.server._gate.admit = as_supervisor(made.server._gate)  # type: ignore[method-assign]
    port = await made.server.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port}"
    async with ClientSession(url, headers={**WRITES, **visitor}) as http:
        async with http.get("/api/releases") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "none")
        for method, path in (("POST", "look"), ("POST", "own"), ("POST", "own/accept"),
                             ("POST", "bundle"), ("POST", "sources"), ("DELETE", "sources"),
                             ("PUT", "channel")):  # fmt: skip
            async with http.request(method, f"/api/releases/{path}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "not_admin"), path
    await made.server.stop()
    assert made.releases.asked == []
    assert [it[2] for it in made.audited] == ["not_admin"] * 7


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
