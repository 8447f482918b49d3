"""What is known of a command written straight over Modbus TCP, also when the line misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.house.alphaess import RESET_BLOCK
from agent.house.embedded import EmbeddedHouse
from agent.house.port import WriteStatus
from agent.simulator.inverter import Inverter
from tests.house.embedded_scene import (
    DISCHARGE,
    FAST,
    complete,
    house,
    idle,
    inverter,
    polling,
)
from tests.simulator.waiting import until

__all__ = ["house", "idle", "inverter"]  # fixtures


async def test_a_write_is_one_frame_of_function_16(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    await house.write(DISCHARGE, 2)
    await house.write(RESET_BLOCK, 2)
    assert [(w.function, w.address, list(w.values)) for w in inverter.writes] == [
        (16, 0x0880, DISCHARGE.registers()),
        (16, 0x0880, [0, 0, 32000, 0, 32000, 0, 0, 0, 90]),
    ]


async def test_the_dispatch_is_read_back_right_after_a_write(
    idle: EmbeddedHouse, inverter: Inverter
) -> None:
    await idle.write(DISCHARGE, 2)
    await until(lambda: idle.sample().dispatch.start.value == 1, 2)
    inverter.write_local(RESET_BLOCK.registers())
    await idle.refresh()
    await until(lambda: idle.sample().dispatch.start.value == 0, 2)


async def test_a_refused_write_is_refused_and_a_lost_one_shows_in_the_registers(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(refuse_writes=True)
    refused = await house.write(DISCHARGE, 2)
    assert refused.status is WriteStatus.REFUSED
    assert "exception 2" in refused.detail
    inverter.faults.clear()
    inverter.faults.set(lose_writes=True)
    assert (await house.write(DISCHARGE, 2)).status is WriteStatus.DELIVERED
    await until(fresh_dispatch(house))
    assert house.sample().dispatch.start.value == 0


def fresh_dispatch(house: EmbeddedHouse) -> Callable[[], bool]:
    now_s = time.monotonic()
    return lambda: (house.sample().dispatch.start.reported_s or 0) > now_s


async def test_a_write_without_an_answer_is_unconfirmed_at_its_deadline(
    idle: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(slow_s=5)
    began = time.monotonic()
    outcome = await idle.write(DISCHARGE, 0.3)
    assert 0.3 <= time.monotonic() - began < 0.6
    assert outcome.status is WriteStatus.UNCONFIRMED
    assert inverter.plant.dispatch.active, "it may have run, and here it did"


async def test_an_answer_slower_than_a_read_may_take_still_delivers_a_write(
    idle: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(slow_s=2 * FAST.answer_s)
    assert (await idle.write(DISCHARGE, 3)).status is WriteStatus.DELIVERED


async def test_a_muted_write_is_unconfirmed_although_it_did_not_run(
    idle: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(mute=True)
    assert (await idle.write(DISCHARGE, 0.2)).status is WriteStatus.UNCONFIRMED
    assert not inverter.plant.dispatch.active


async def test_a_write_whose_connection_breaks_is_unconfirmed_at_once(
    idle: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(slow_s=60)
    writing = asyncio.create_task(idle.write(DISCHARGE, 30))
    await until(lambda: bool(inverter.writes))
    inverter.hang_up()
    outcome = await asyncio.wait_for(writing, 2)
    assert outcome.status is WriteStatus.UNCONFIRMED


async def test_a_write_behind_a_silent_read_was_never_sent(inverter: Inverter) -> None:
    patient = replace(FAST, answer_s=20.0)
    async with polling(EmbeddedHouse("127.0.0.1", inverter.port, periods=patient)) as house:
        await until(lambda: complete(house.sample()))
        inverter.faults.set(slow_s=10)
        reads = inverter.reads
        await until(lambda: inverter.reads > reads)
        outcome = await house.write(DISCHARGE, 0.2)
    assert outcome.status is WriteStatus.REFUSED
    assert "held the line" in outcome.detail
    assert inverter.writes == []


async def test_a_write_without_a_link_is_refused_because_it_never_left(inverter: Inverter) -> None:
    house = EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)
    outcome = await house.write(DISCHARGE, 2)
    assert outcome.status is WriteStatus.REFUSED
    assert "not sent" in outcome.detail
    assert inverter.writes == []


async def test_a_device_failure_leaves_open_whether_the_write_ran(
    house: EmbeddedHouse, inverter: Inverter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.simulator import inverter as room  # noqa: PLC0415 - only this test bends it

    def failing(request: object, _: object) -> object:
        return room.ExceptionResponse(request.function_code, 4)  # type: ignore[attr-defined]

    inverter.faults.set(refuse_writes=True)
    monkeypatch.setattr(room, "_refusal", failing)
    assert (await house.write(DISCHARGE, 2)).status is WriteStatus.UNCONFIRMED
