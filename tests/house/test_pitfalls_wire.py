"""Case 28 of control.md: one TCP client, and a router that was restarted under a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from agent.house.embedded import EmbeddedHouse
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant, PlantSettings
from tests.house.embedded_scene import FAST, complete, nothing, polling
from tests.simulator.waiting import until


class Router:
    """Forwards TCP; what it has forgotten is neither answered nor closed, only swallowed."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._known: set[object] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.opened = 0
        self.port = 0

    def restart(self) -> None:
        """Forget every connection, as a router does that loses power."""
        self._known.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Router]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            for task in self._tasks:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        key = object()
        self._known.add(key)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.ensure_future(self._carry(key, source, sink))
            self._tasks.add(task)

    async def _carry(
        self, key: object, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await source.read(4096):
                if key in self._known:
                    sink.write(data)
            if key in self._known:
                sink.close()


@pytest.mark.parametrize("one_client", [False, True], ids=["many clients", "one client"])
async def test_case_28_a_half_open_connection_is_given_up_and_a_new_one_is_made(
    one_client: bool,
) -> None:
    """Case 28: the old session is mute for ever; some inverters hold its place meanwhile."""
    plant = Plant(PlantSettings(noise_w=0.0))
    settings = InverterSettings(one_client=one_client)
    async with (
        Inverter(plant, settings=settings, speed=0) as inverter,
        Router(inverter.port).running() as router,
        polling(EmbeddedHouse("127.0.0.1", router.port, periods=FAST)) as house,
    ):
        await until(lambda: complete(house.sample()))
        before = router.opened
        router.restart()
        await until(lambda: nothing(house.sample()), 5)
        if one_client:
            # The inverter's own time-out: until then it lets nobody else in.
            await until(lambda: router.opened > before + 1, 5)
            inverter.hang_up()
        await until(lambda: complete(house.sample()), 5)
        assert router.opened > before
        assert house.sample().linked


async def test_case_28_only_one_connection_is_ever_open() -> None:
    """Case 28: everything goes through one bridge; a second client would lock itself out."""
    async with (
        Inverter(Plant(), settings=InverterSettings(one_client=True), speed=0) as inverter,
        polling(EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)) as house,
    ):
        await until(lambda: complete(house.sample()))
        inverter.faults.set(mute=True)
        await until(lambda: nothing(house.sample()), 5)
        inverter.faults.clear()
        await until(lambda: complete(house.sample()), 5)
        assert inverter.clients == 1
