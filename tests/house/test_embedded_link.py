"""The link tells a late answer, a lost connection and a request that never left apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.house.embedded_link import EmbeddedLink, ExceptionCode, LinkLostError, NotSentError
from agent.simulator.inverter import Inverter
from tests.simulator.waiting import until


@pytest.fixture
async def inverter() -> AsyncIterator[Inverter]:
    async with Inverter(speed=0) as running:
        yield running


@pytest.fixture
async def link(inverter: Inverter) -> AsyncIterator[EmbeddedLink]:
    opened = EmbeddedLink("127.0.0.1", inverter.port, 85)
    assert await opened.connect(2)
    yield opened
    opened.close()


async def test_a_connection_counts_as_a_link_only_once_it_answers(link: EmbeddedLink) -> None:
    assert not link.linked
    answer = await link.read(0x0021, 2, 1)
    assert answer is not None
    assert link.linked


async def test_one_silence_is_forgiven_and_the_second_in_a_row_is_not(
    link: EmbeddedLink, inverter: Inverter
) -> None:
    for _ in range(2):
        assert await link.read(0x0021, 2, 1) is not None
        inverter.faults.set(mute=True)
        assert await link.read(0x0021, 2, 0.05) is None
        assert link.linked
        inverter.faults.clear()
    inverter.faults.set(mute=True)
    with pytest.raises(LinkLostError, match="no longer answers"):
        await link.read(0x0021, 2, 0.05)


async def test_a_late_answer_is_not_taken_for_the_next_one(
    link: EmbeddedLink, inverter: Inverter
) -> None:
    inverter.faults.set(slow_s=0.1)
    assert await link.read(0x0100, 1, 0.05) is None
    inverter.faults.clear()
    inverter.faults.set(slow_s=0.2)
    answer = await link.read(0x0021, 2, 2)
    assert answer is not None
    assert len(answer.registers) == 2


async def test_a_write_without_an_answer_times_out_and_the_line_is_free_again(
    link: EmbeddedLink, inverter: Inverter
) -> None:
    inverter.faults.set(mute=True)
    with pytest.raises(TimeoutError):
        await link.write(0x0800, [50], 0.05)
    inverter.faults.clear()
    assert not (await link.write(0x0800, [50], 1)).isError()


async def test_a_connection_that_ends_under_a_request_is_noticed_at_once(
    link: EmbeddedLink, inverter: Inverter
) -> None:
    inverter.faults.set(slow_s=60)
    reading = asyncio.create_task(link.read(0x0021, 2, 30))
    await until(lambda: inverter.reads > 0)
    inverter.hang_up()
    with pytest.raises(LinkLostError):
        await asyncio.wait_for(reading, 2)


async def test_a_closed_link_sends_nothing(link: EmbeddedLink, inverter: Inverter) -> None:
    link.close()
    with pytest.raises(NotSentError):
        await link.write(0x0800, [50], 1)
    with pytest.raises(LinkLostError):
        await link.read(0x0021, 2, 1)
    assert not inverter.writes


async def test_nobody_listening_is_no_connection() -> None:
    async with Inverter(speed=0) as gone:
        port = gone.port
    assert not await EmbeddedLink("127.0.0.1", port, 85).connect(1)


async def test_exceptions_keep_their_numbers(link: EmbeddedLink) -> None:
    answer = await link.read(0x0900, 1, 1)
    assert answer is not None
    assert answer.exception_code == ExceptionCode.ILLEGAL_ADDRESS


async def test_who_is_cancelled_while_it_connects_ends_whenever_that_comes(
    inverter: Inverter,
) -> None:
    """A stop that came as the connection did was lost, and the agent never ended (Python 3.11)."""
    loop, ended, connected = asyncio.get_running_loop(), 0, 0
    steps = 0
    while not connected:
        steps += 1
        link = EmbeddedLink("127.0.0.1", inverter.port, 85)
        connecting = loop.create_task(link.connect(2))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked = connecting.cancel()
        try:
            connected += await connecting
            assert not asked, "cancelled, and went on"
        except asyncio.CancelledError:
            ended += 1
        link.close()
    assert ended > 3
