"""The stream tells the whole picture once and then, in order, only what changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import ClientResponse

from agent.export.snapshot import HealthStatus, Reason
from agent.surface.web.feed import LONGEST_QUEUE, Feed
from tests.surface.conftest import House
from tests.surface.desks import NOON, HandGuard


@dataclass
class Event:
    name: str
    id: int
    data: dict[str, Any]


class Reader:
    """Reads a stream as a browser does."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer
        self.comments = 0

    async def event(self) -> Event:
        fields: dict[str, str] = {}
        async with asyncio.timeout(5):
            while True:
                line = (await self._answer.content.readline()).decode()
                assert line, "the stream ended"
                if line.startswith(":"):
                    self.comments += 1
                elif line == "\n" and fields:
                    data = json.loads(fields["data"])
                    return Event(fields["event"], int(fields["id"]), data)
                elif line != "\n":
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[Reader]:
    async with house.client.get("/api/stream") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield Reader(answer)


async def test_the_first_event_is_the_whole_picture(house: House) -> None:
    async with opened(house) as reader:
        event = await reader.event()
    async with house.client.get("/api/state") as answer:
        assert (event.name, event.data) == ("snapshot", await answer.json())


async def test_the_sites_zone_is_named_because_its_offset_changes(house: House) -> None:
    async with opened(house) as reader:
        assert (await reader.event()).data["zone"] == ""
        house.guard.show(at=NOON.astimezone(ZoneInfo("Europe/Berlin")))
        assert (await reader.event()).data["zone"] == "Europe/Berlin"


async def test_deltas_follow_in_order_with_only_what_changed(house: House) -> None:
    async with opened(house) as reader:
        first = await reader.event()
        house.guard.show(soc_percent=70.0)
        second = await reader.event()
        house.guard.show(health=HealthStatus.STALE_DATA)
        third = await reader.event()
    assert (second.name, set(second.data)) == ("delta", {"at", "soc_percent"})
    assert set(third.data) == {"at", "health"}
    assert [second.id, third.id] == [first.id + 1, first.id + 2]


async def test_a_value_that_becomes_unknown_is_told(house: House) -> None:
    async with opened(house) as reader:
        await reader.event()
        house.guard.show(soc_percent=None)
        assert (await reader.event()).data["soc_percent"] is None


async def test_who_comes_back_gets_the_whole_picture_again(house: House) -> None:
    async with opened(house) as reader:
        first = await reader.event()
    house.guard.show(soc_percent=55.0)
    async with opened(house) as reader:
        again = await reader.event()
        house.guard.show(soc_percent=54.0)
        delta = await reader.event()
    assert (again.name, again.data["soc_percent"]) == ("snapshot", 55.0)
    assert again.id > first.id
    assert delta.id == again.id + 1


async def test_replaying_the_deltas_gives_what_state_says(house: House) -> None:
    async with opened(house) as reader:
        state = (await reader.event()).data
        for soc in range(60, 50, -1):
            house.guard.show(soc_percent=float(soc), reason=Reason("step", f"now {soc}"))
            state |= (await reader.event()).data
    async with house.client.get("/api/state") as answer:
        assert state == await answer.json()


async def test_a_quiet_stream_is_kept_alive_by_comments(house: House) -> None:
    async with opened(house) as reader:
        await reader.event()
        async with asyncio.timeout(5):
            while not (await reader._answer.content.readline()).startswith(b": heartbeat"):
                pass


async def test_a_burst_is_told_together(house: House) -> None:
    async with opened(house) as reader:
        first = await reader.event()
        for soc in range(40, 20, -1):
            house.guard.show(soc_percent=float(soc))
        delta = await reader.event()
    assert (delta.id, delta.data["soc_percent"]) == (first.id + 1, 21.0)


async def test_the_bridges_are_sent_when_they_changed_and_at_most_once_a_second(
    house: House,
) -> None:
    clock = asyncio.get_running_loop().time
    house.bridges.show({"mac": "one", "words": "Connecting"})
    async with opened(house) as reader:
        first = await reader.event()
        told_s = clock()
        assert first.data["bridges"] == [{"mac": "one", "words": "Connecting"}]
        for words in ("Connected", "Hangs", "Not reachable"):
            house.bridges.show({"mac": "one", "words": words})
        house.guard.show(soc_percent=70.0)
        guard = await reader.event()
        assert set(guard.data) == {"at", "soc_percent"}  # which does not wait for the bridges
        later = await reader.event()
        assert clock() - told_s > 0.9
        assert later.data == {"bridges": [{"mac": "one", "words": "Not reachable"}]}
        house.bridges.show({"mac": "one", "words": "Not reachable"})  # nothing new
        house.bridges.judged = {"one": {"overall": "fail"}}
        house.bridges.show({"mac": "one", "words": "Not reachable"})
        assert (await reader.event()).data == {"gates": {"one": {"overall": "fail"}}}


async def test_a_page_that_comes_within_that_second_sees_the_bridges_as_they_are(
    house: House,
) -> None:
    async with opened(house) as one:
        await one.event()
        house.bridges.show({"mac": "one"})
        async with opened(house) as other:
            assert (await other.event()).data["bridges"] == [{"mac": "one"}]


async def test_hostile_text_cannot_end_an_event(house: House) -> None:
    text = "line\n\nevent: snapshot\ndata: {}\r\n\u2028</script>"
    async with opened(house) as reader:
        await reader.event()
        house.guard.show(reason=Reason("hostile", text))
        assert (await reader.event()).data["reason"]["text"] == text


async def test_a_slow_client_is_cut_off_and_the_others_do_not_wait() -> None:
    guard = HandGuard()
    feed = Feed(guard)
    feed.start()
    cut: list[str] = []
    slow = feed.join(lambda: cut.append("slow"))
    quick = feed.join(lambda: cut.append("quick"))
    for n in range(LONGEST_QUEUE + 1):
        guard.show(soc_percent=float(n))
        feed._tell()
        await quick.next(1)
    feed.leave(slow)
    feed.leave(quick)
    feed.close()
    assert set(cut) == {"slow"}


async def test_a_client_that_reads_nothing_loses_its_connection(house: House) -> None:
    """A real socket with full buffers: the server lets go of it instead of piling up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    writer.write(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"event: snapshot")
    feed = house.server._feed
    async with asyncio.timeout(20):
        n = 0
        while feed._listeners:
            n += 1
            house.guard.show(reason=Reason("long", f"{n} " + "x" * 200_000))
            feed._tell()
            await asyncio.sleep(0)
    writer.close()
    assert n > LONGEST_QUEUE / 2


async def test_nothing_is_encoded_while_nobody_looks(house: House) -> None:
    before = house.server._feed._sequence
    house.guard.show(soc_percent=1.0)
    await asyncio.sleep(0)
    assert house.server._feed._timer is None
    assert house.server._feed._sequence == before


async def test_stopping_the_server_ends_every_stream(house: House) -> None:
    async with opened(house) as reader:
        await reader.event()
        async with asyncio.timeout(5):
            await house.server.stop()
            await reader._answer.content.read()
    assert not house.guard.watched
