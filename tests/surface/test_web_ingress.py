"""Behind Home Assistant's ingress: who is let in, what is written down, and under which address."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from agent.auditing import Audit
from agent.journal import Journal
from agent.surface.web import server as server_room
from agent.surface.web.auth import Gate, Policy
from agent.surface.web.noting import Noted
from agent.surface.web.once import MOST_KEYS, ONCE_HEADER, Once
from tests.peers.ingress import COOKIE, LARGEST_BYTES, PEER, IngressStandIn, User
from tests.surface.conftest import WRITES, House, make_house

ANNA = User("u-anna", "anna", "Anna")
BEN = User("u-ben", "ben", "Ben")
START, STOP = {"kind": "start_discharge"}, {"kind": "emergency_stop"}
REFUSED = (
    "%2e%2e/x", "?a=%3Cscript%3E", "?q=concat(1)", "?p=/dev/tty", "?a=union%20select(",
)  # fmt: skip
HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e\x1b[31m" + "a" * 10_000


@dataclass
class Panel:
    """One house behind ingress, with a journal of its own; Anna is its administrator."""

    house: House
    ingress: IngressStandIn
    journal: Journal
    clients: list[ClientSession] = field(default_factory=list)

    def client(self, user: User | None = None, **headers: str) -> ClientSession:
        cookies = self.ingress.log_in(user) if user else None
        made = ClientSession(cookies=cookies, headers=headers)
        self.clients.append(made)
        return made

    def at(self, path: str) -> URL:
        return URL(self.ingress.panel + path, encoded=True)

    async def asks(
        self, client: ClientSession, body: dict[str, str], **headers: str
    ) -> tuple[int, str]:
        """Send a wish as the page does; return status and code."""
        url = self.at("api/requests")
        async with client.post(url, json=body, headers=headers) as answer:
            return answer.status, (await answer.json())["code"]

    async def audited(self, least: int = 1) -> list[tuple[str, str, str]]:
        """Return who did what with which outcome, once there are so many lines."""
        found = await self.journal.events(kinds=["audit"])
        async with asyncio.timeout(5):
            while len(found) < least:  # each look waits for the journal's thread
                found = await self.journal.events(kinds=["audit"])
        return [(it.data["by"], it.data["action"], it.data["outcome"]) for it in found]


@pytest.fixture
async def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Panel]:
    monkeypatch.setattr("agent.surface.web.auth.SUPERVISOR_PEER", PEER)

    async def is_admin(user_id: str) -> bool:
        return user_id == ANNA.id

    async with await Journal.open(tmp_path / "journal.sqlite3") as journal:
        house = make_house(tmp_path, Gate(Policy(supervised=True), is_admin), heartbeat_s=0.2)
        audit = Audit(journal, lambda: datetime.now(UTC))
        house.server._api.audit._audit = audit
        house.port = await house.server.start("127.0.0.1", 0)
        async with IngressStandIn(house.url) as ingress:
            made = Panel(house, ingress, journal)
            yield made
            for client in made.clients:
                await client.close()
        await house.server.stop()


async def test_an_administrator_starts_and_a_resident_only_stops(panel: Panel) -> None:
    anna, ben = panel.client(ANNA, **WRITES), panel.client(BEN, **WRITES)
    assert await panel.asks(anna, START) == (200, "accepted")
    assert await panel.asks(ben, START) == (403, "not_admin")
    assert await panel.asks(ben, STOP) == (200, "accepted")
    async with ben.get(panel.at("api/state")) as answer:
        assert answer.status == 200
    assert [(it.kind.value, it.by) for it in panel.house.guard.requests] == [
        ("start_discharge", "page: Anna"),
        ("emergency_stop", "page: Ben"),
    ]
    assert await panel.audited(3) == [
        ("page: Anna", "start_discharge", "accepted"),
        ("page: Ben", "start_discharge", "not_admin"),
        ("page: Ben", "emergency_stop", "accepted"),
    ]


async def test_what_is_no_press_on_our_page_is_refused_and_in_the_journal(panel: Panel) -> None:
    anna, bare = panel.client(ANNA, **WRITES), panel.client(ANNA)
    foreign = {"Origin": "https://evil.example"}
    assert await panel.asks(bare, START) == (403, "csrf")
    assert await panel.asks(anna, START, **foreign) == (403, "origin")
    assert await panel.asks(anna, STOP, **foreign) == (403, "origin")
    nobody = panel.client(User(""), **WRITES)
    assert await panel.asks(nobody, STOP) == (403, "no_user")
    assert panel.house.guard.requests == []
    audited = await panel.audited(4)
    assert {it[1] for it in audited} == {"POST /api/requests"}
    assert [it[2] for it in audited] == ["csrf", "origin", "origin", "no_user"]
    assert [it[0] for it in audited] == ["page: Anna"] * 3 + [f"address {PEER}"]


async def test_another_app_gets_nothing_whatever_it_claims(panel: Panel) -> None:
    claims = {**ANNA.headers(), **WRITES, "X-Forwarded-For": PEER, "X-Hass-Source": "core.ingress"}
    app = panel.client(**claims)
    async with app.post(f"{panel.house.url}/api/requests", json=STOP) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "peer")
    async with app.get(f"{panel.house.url}/api/state") as answer:
        assert answer.status == 403
    async with app.get(f"{panel.house.url}/health") as answer:
        assert answer.status == 200
    assert panel.house.guard.requests == []
    assert await panel.audited(2) == [
        ("address 127.0.0.1", "POST /api/requests", "peer"),
        ("address 127.0.0.1", "GET /api/state", "peer"),
    ]


async def test_a_browser_cannot_say_who_it_is(panel: Panel) -> None:
    forged = panel.client(BEN, **WRITES, **ANNA.headers())
    assert await panel.asks(forged, START) == (403, "not_admin")


async def test_a_copy_of_a_wish_is_refused_and_in_the_journal(panel: Panel) -> None:
    anna = panel.client(ANNA, **WRITES)
    key = {ONCE_HEADER: "5f1c"}
    assert await panel.asks(anna, START, **key) == (200, "accepted")
    assert await panel.asks(anna, START, **key) == (409, "replayed")
    async with anna.patch(
        panel.at("api/settings"), json={"export_limit_w": 1}, headers=key
    ) as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "replayed")
        assert "not done twice" in (await answer.json())["text"]
    assert len(panel.house.guard.requests) == 1
    assert panel.house.settings.current()["export_limit_w"] is None
    audited = await panel.audited(3)
    assert [it[2] for it in audited] == ["accepted", "replayed", "replayed"]
    # A stop that is sent again, because its answer was lost, is a stop.
    for _ in range(2):
        assert await panel.asks(anna, STOP, **key) == (200, "accepted")


async def test_a_key_that_is_none_is_refused_with_words(panel: Panel) -> None:
    anna = panel.client(ANNA, **WRITES)
    assert await panel.asks(anna, START, **{ONCE_HEADER: "k" * 129}) == (400, "bad_request")
    assert panel.house.guard.requests == []


def test_keys_are_each_persons_own_and_the_oldest_is_forgotten_first() -> None:
    once = Once()
    assert once.take("anna", "1")
    assert once.take("ben", "1")
    assert not once.take("anna", "1")
    for number in range(2, MOST_KEYS + 1):
        assert once.take("anna", str(number))
    assert not once.take("ben", "1")
    assert once.take("anna", "1")


async def test_refusals_without_end_leave_few_lines_and_their_number(panel: Panel) -> None:
    now_s = 0.0
    noted: list[tuple[str, str, str]] = []
    notes = Noted(lambda *what: noted.append(what), lambda: now_s)
    for number in range(5000):
        notes.refused(f"address 172.30.33.{number % 250}", f"GET /{HOSTILE}", "peer")
        notes.refused("page: Ben", "start_discharge", "not_admin")
    assert len(noted) == 60
    now_s = 121.0
    notes.refused("address 172.30.33.9", "GET /\x00", "peer")
    assert noted[-1] == (
        "address 172.30.33.9", "GET /?", "peer (and 4970 more refusals since the last line)",
    )  # fmt: skip
    assert all(it[1].isprintable() and len(it[1]) <= 200 for it in noted)
    for number in range(1000):
        notes.refused(f"page: {number}", "start_discharge", "not_admin")
    assert len(noted) < 61 + 32 + 31
    # What is allowed is never left out.
    for _ in range(100):
        notes("page: Anna", "install", "accepted")
    assert noted[-100:] == [("page: Anna", "install", "accepted")] * 100


async def test_the_page_works_under_its_prefix_and_under_the_next(panel: Panel) -> None:
    ben = panel.client(BEN)
    seen = []
    for _ in range(2):
        files = await every_file(ben, panel.ingress.panel)
        assert len(files) > 5
        async with ben.get(panel.at("api/stream")) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            assert (await answer.content.readline()).startswith(b"id: ")
            assert await answer.content.readline() == b"event: snapshot\n"
        seen.append({path.removeprefix(panel.ingress.panel) for path in files})
        before = panel.ingress.move()
        async with ben.get(panel.ingress.url + before + "/") as answer:
            assert answer.status == 503
    assert seen[0] == seen[1]


async def every_file(client: ClientSession, page: str) -> set[str]:
    """Return the page and whatever it names, all of it there and below its own address."""
    found, ahead = set(), [URL(page)]
    while ahead:
        url = ahead.pop()
        if str(url) in found:
            continue
        found.add(str(url))
        async with client.get(url) as answer:
            assert answer.status == 200, url
            kind = answer.headers["Content-Type"]
            assert ";" not in kind
            text = await answer.text(encoding="utf-8")
        if kind == "text/html":
            assert re.search(r'<meta charset="?utf-8', text, re.IGNORECASE), "ingress cuts it off"
        named = re.findall(r"""["'`](\./[^"'`#:]+\.(?:js|css|svg))["'`]""", text)
        ahead += [url.join(URL(name)) for name in named]
    assert all(path.startswith(page) for path in found)
    return found


async def test_a_page_behind_https_and_a_proxy_may_press_its_buttons(panel: Panel) -> None:
    panel.ingress.forwarded = {
        "X-Forwarded-Proto": "https", "X-Forwarded-Host": "house.example",
        "X-Forwarded-For": "203.0.113.7, 10.0.0.2",
    }  # fmt: skip
    anna = panel.client(ANNA, **WRITES)
    assert await panel.asks(anna, START, Origin="https://house.example") == (200, "accepted")
    other = {"Origin": "https://house.example:8443"}
    assert await panel.asks(anna, START, **other) == (403, "origin")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_file_arrives_whole_or_is_refused_with_words(panel: Panel, streamed: bool) -> None:
    panel.ingress.streamed = streamed
    anna = panel.client(ANNA, **WRITES)
    file = bytes(range(256)) * 16_384  # 4 MiB
    async with anna.post(panel.at("api/releases/own"), data=file) as answer:
        assert answer.status == 200
    assert panel.house.releases.asked == [("show", file, "page: Anna")]
    async with anna.post(panel.at("api/releases/own"), data=bytes(9 * 1024 * 1024)) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "too_large")
    too_large = bytes(LARGEST_BYTES + 1)
    async with anna.post(panel.at("api/releases/own"), data=too_large) as answer:
        assert answer.status == (400 if streamed else 413)
    assert len(panel.house.releases.asked) == 1


async def test_what_bridge_and_manifest_say_comes_as_json_text_and_nothing_else(
    panel: Panel,
) -> None:
    panel.house.bridges.lines = [{"mac": HOSTILE, "name": HOSTILE, "version": HOSTILE}]
    panel.house.bridges.judged = {HOSTILE: {"text": HOSTILE}}
    panel.house.releases.now |= {"sources": [{"name": HOSTILE}], "bridges": [{"notes": HOSTILE}]}
    panel.house.flashing.now |= {"jobs": [{"log": HOSTILE}]}
    panel.house.bridges.refusal = ValueError(f"No bridge {HOSTILE}")
    anna = panel.client(ANNA, **WRITES)
    for path in ("api/state", "api/releases", "api/flashing"):
        async with anna.get(panel.at(path)) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            raw = await answer.read()
        assert HOSTILE in flat(json.loads(raw))
        assert all(byte >= 0x20 for byte in raw), "a control character went out as it is"
    async with anna.get(panel.at("api/stream")) as answer:
        await answer.content.readline()
        await answer.content.readline()
        line = await answer.content.readline()  # one line: nothing of theirs ended it
        assert HOSTILE in flat(json.loads(line.removeprefix(b"data: ")))
    async with anna.post(panel.at("api/bridges/key"), json={"mac": HOSTILE, "key": "x"}) as answer:
        assert answer.headers["Content-Type"] == "application/json"
    (line,) = await panel.audited()
    assert line[1].startswith("key of the bridge <img src=x")
    assert all(len(text) <= 500 and text.isprintable() for text in line)


def flat(value: Any) -> list[str]:
    """Return every text in a document, keys as well."""
    if isinstance(value, dict):
        return [text for pair in value.items() for it in pair for text in flat(it)]
    if isinstance(value, list):
        return [text for it in value for text in flat(it)]
    return [value] if isinstance(value, str) else []


async def test_a_fault_of_ours_is_told_in_words_and_without_its_text(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_request: object) -> None:
        raise RuntimeError("s3cret")

    monkeypatch.setattr(panel.house.guard, "request", broken)
    anna = panel.client(ANNA, **WRITES)
    async with anna.post(panel.at("api/requests"), json=START) as answer:
        assert (answer.status, answer.content_type) == (500, server_room.JSON)
        text = await answer.text()
    assert "its log says which" in text
    assert "s3cret" not in text
    for method, path, code in (("GET", "none", "not_found"), ("PUT", "state", "bad_method")):
        async with anna.request(method, panel.at(f"api/{path}")) as answer:
            assert (await answer.json())["code"] == code
    packed = {"Content-Encoding": "gzip"}
    async with anna.post(
        f"{panel.house.url}/api/requests", data=b"no gzip", headers=packed
    ) as answer:
        assert answer.status == 403  # not even unpacked for whoever may not ask


async def test_who_does_not_speak_http_leaves_nothing_in_the_log(
    panel: Panel, caplog: pytest.LogCaptureFixture
) -> None:
    for said in (b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", panel.house.port)
        writer.write(said)
        assert b" 400 " in await reader.readline()
        writer.close()
    assert caplog.records == []


async def test_the_stand_in_refuses_and_passes_what_ingress_does() -> None:
    """The stand-in itself, before an app that says what it was sent."""

    async def tell(request: web.Request) -> web.StreamResponse:
        if "Upgrade" in request.headers:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                await socket.send_str(message.data)
            return socket
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response({"path": request.raw_path, "headers": headers})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", tell)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with IngressStandIn(f"http://127.0.0.1:{runner.addresses[0][1]}") as ingress:
        async with ClientSession() as stranger, stranger.get(ingress.panel) as answer:
            assert answer.status == 401
        cookies = ingress.log_in(BEN)
        async with ClientSession(cookies=cookies) as ben:
            sent = {"X-Remote-User-Id": "u-anna", "X-Remote-User-Name": "anna", "X-Own": "1"}
            async with ben.get(ingress.panel + "api/state?a=%C3%BC", headers=sent) as answer:
                assert answer.headers["Content-Type"] == "application/json"
                told = await answer.json()
            assert told["path"] == "/api/state?a=%C3%BC"
            headers = told["headers"]
            assert headers["x-remote-user-id"] == "u-ben"
            assert headers["x-ingress-path"] == ingress.prefix
            assert headers["x-forwarded-host"] == headers["host"] == URL(ingress.url).authority
            assert f"{COOKIE}=" in headers["cookie"]
            assert headers["x-own"] == "1"
            assert "accept-encoding" not in headers
            for bad in REFUSED:
                url = URL(ingress.panel + bad, encoded=True)
                async with ben.get(url) as answer:
                    assert answer.status == 400, bad
            async with ben.ws_connect(ingress.panel + "ws") as socket:
                await socket.send_str("x" * 100_000)
                assert await socket.receive_str(timeout=5) == "x" * 100_000
    await runner.cleanup()
