"""What a real Modbus client sees of the simulated inverter, well and ill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from agent.house import alphaess as map_
from agent.house.alphaess import DispatchBlock, decode
from agent.simulator.dispatch import DispatchSettings
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant, PlantSettings
from tests.simulator.waiting import until

UNIT = 85
START = DispatchBlock(True, 3000, 20, 60).registers()


@pytest.fixture
async def inverter() -> AsyncIterator[Inverter]:
    plant = Plant(PlantSettings(noise_w=0.0))
    plant.pv_override_w, plant.load_override_w = 2000.0, 500.0
    plant.step(60)
    async with Inverter(plant, speed=0) as running:
        yield running


@pytest.fixture
async def client(inverter: Inverter) -> AsyncIterator[AsyncModbusTcpClient]:
    connected = await connect(inverter)
    yield connected
    connected.close()


async def connect(inverter: Inverter, timeout_s: float = 2.0) -> AsyncModbusTcpClient:
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=inverter.port, timeout=timeout_s, retries=0, reconnect_delay=0
    )
    assert await client.connect()
    return client


async def read(client: AsyncModbusTcpClient, address: int, count: int = 1) -> ModbusPDU:
    return await client.read_holding_registers(address, count=count, device_id=UNIT)


async def grid_w(client: AsyncModbusTcpClient) -> float:
    answer = await read(client, map_.GRID_W.address, 2)
    assert not answer.isError(), answer
    return decode(map_.GRID_W, answer.registers)


async def test_a_block_in_one_frame_starts_a_dispatch_that_reads_back(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    answer = await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
    assert not answer.isError()
    assert (await read(client, map_.DISPATCH_ADDRESS, 9)).registers == START
    inverter.advance(30)
    assert await grid_w(client) == pytest.approx(500 - 2000 - 3000, abs=1)
    inverter.advance(31)
    assert (await read(client, map_.DISPATCH_ADDRESS)).registers == [0]
    [write] = inverter.writes
    assert (write.function, write.address, list(write.values)) == (16, 0x0880, START)


async def test_single_registers_can_be_written_by_function_6_and_16(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    assert not (await client.write_register(0x0800, 70, device_id=UNIT)).isError()
    assert (await read(client, 0x0800)).registers == [70]
    assert not (await client.write_registers(0x0800, [80], device_id=UNIT)).isError()
    assert (await read(client, 0x0800)).registers == [80]
    assert [write.function for write in inverter.writes] == [6, 16]


@pytest.mark.parametrize("function", [6, 16])
async def test_some_models_refuse_one_function_for_single_registers(function: int) -> None:
    async with Inverter(settings=InverterSettings(refused_function=function), speed=0) as inverter:
        client = await connect(inverter)
        by_6 = await client.write_register(0x0800, 70, device_id=UNIT)
        by_16 = await client.write_registers(0x0800, [70], device_id=UNIT)
        block = await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
        client.close()
    assert (by_6.isError(), by_16.isError()) == (function == 6, function == 16)
    assert not block.isError()


async def test_unknown_addresses_functions_and_units_get_their_exceptions(
    client: AsyncModbusTcpClient,
) -> None:
    assert (await read(client, 0x0900)).exception_code == 2
    assert (await client.write_register(0x0021, 1, device_id=UNIT)).exception_code == 2
    assert (await client.read_input_registers(0x0021, device_id=UNIT)).exception_code == 1
    assert (await client.read_holding_registers(0x0021, device_id=7)).exception_code == 11


async def test_another_unit_may_also_meet_silence() -> None:
    settings = InverterSettings(answers_other_units=False)
    async with Inverter(settings=settings, speed=0) as inverter:
        client = await connect(inverter, timeout_s=0.2)
        with pytest.raises(ModbusException):
            await client.read_holding_registers(0x0021, device_id=7)
        assert not (await read(client, 0x0021, 2)).isError()
        client.close()


async def test_freeze_serves_the_old_value(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    before = await grid_w(client)
    inverter.faults.set(freeze=["grid_w"])
    inverter.plant.load_override_w = 9000.0
    inverter.advance(60)
    assert await grid_w(client) == before
    inverter.faults.clear()
    assert await grid_w(client) > before + 1000


async def test_exception_4_answers_only_the_named_value(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    inverter.faults.set(exception=["soc_percent"])
    assert (await read(client, 0x0102)).exception_code == 4
    assert (await read(client, 0x0100, 0x27)).exception_code == 4, "a block that holds it"
    assert not (await read(client, 0x0021, 2)).isError()
    inverter.faults.set(exception=["dispatch"])
    assert (await read(client, 0x0885)).exception_code == 4
    assert not (await read(client, 0x0102)).isError()


async def test_zero_and_jumps_are_seen_over_the_wire(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    before = await grid_w(client)
    inverter.faults.set(unavailable_as_zero=["grid_w", "dispatch"])
    assert await grid_w(client) == 0
    assert (await read(client, 0x0880, 9)).registers == [0] * 9
    inverter.faults.clear()
    inverter.faults.set(jump=["grid_w"])
    assert await grid_w(client) == before + 9000
    inverter.faults.clear()
    inverter.faults.set(negative_jump=["exported_wh"])
    words = (await read(client, map_.EXPORTED_WH.address, 2)).registers
    shown = decode(map_.EXPORTED_WH, words)
    assert shown == pytest.approx(inverter.plant.true_exported_wh - 5000, abs=10)


async def test_mute_keeps_the_connection_and_carries_nothing_out(inverter: Inverter) -> None:
    client = await connect(inverter, timeout_s=0.2)
    inverter.faults.set(mute=True)
    with pytest.raises(ModbusException):
        await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
    assert client.connected
    assert not inverter.plant.dispatch.active
    assert inverter.writes == []
    inverter.faults.clear()
    assert not (await read(client, 0x0021, 2)).isError()
    client.close()


async def test_drop_closes_the_connection_and_refuses_new_ones(inverter: Inverter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
    inverter.faults.set(drop=True)
    writer.write(b"\0\1\0\0\0\6\x55\3\0\x21\0\2")
    assert await closed(reader)
    late_reader, late = await asyncio.open_connection("127.0.0.1", inverter.port)
    assert await closed(late_reader)
    inverter.faults.clear()
    client = await connect(inverter)
    assert not (await read(client, 0x0021, 2)).isError()
    for each in (client, writer, late):
        each.close()


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(100), 2) == b""
    except ConnectionError:
        return True


async def test_slow_carries_out_at_once_and_answers_late(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    inverter.faults.set(slow_s=0.3)
    began = time.monotonic()
    asking = asyncio.ensure_future(
        client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
    )
    await until(lambda: bool(inverter.writes))
    assert inverter.plant.dispatch.active
    assert not asking.done()
    assert not (await asking).isError()
    assert time.monotonic() - began >= 0.3


async def test_every_answer_takes_its_time(inverter: Inverter) -> None:
    settings = InverterSettings(response_s=0.05)
    async with Inverter(inverter.plant, settings, speed=0) as slow:
        client = await connect(slow)
        began = time.monotonic()
        await read(client, 0x0021, 2)
        assert time.monotonic() - began >= 0.05
        client.close()


async def test_lost_writes_are_acknowledged_and_refused_ones_are_not(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    inverter.faults.set(lose_writes=True)
    answer = await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
    assert not answer.isError()
    inverter.faults.clear()
    inverter.faults.set(refuse_writes=True)
    answer = await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
    assert answer.exception_code == 2
    assert not inverter.plant.dispatch.active
    assert len(inverter.writes) == 2


async def test_one_client_at_a_time_when_the_model_is_like_that() -> None:
    async with Inverter(settings=InverterSettings(one_client=True), speed=0) as inverter:
        first = await connect(inverter)
        assert not (await read(first, 0x0021, 2)).isError()
        reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
        assert await closed(reader)
        assert not (await read(first, 0x0021, 2)).isError()
        writer.close()
        first.close()


async def test_a_foreign_controller_is_seen_but_is_not_our_write(
    inverter: Inverter, client: AsyncModbusTcpClient
) -> None:
    inverter.write_local(DispatchBlock(True, 5000, 10, 900).registers())
    assert (await read(client, 0x0880, 3)).registers == [1, 0, 37_000]
    assert inverter.writes == []


async def test_requests_in_one_packet_are_all_answered_in_order(inverter: Inverter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
    ask = bytes.fromhex("0001000000065503002100020002000000065503010200010003")
    writer.write(ask)
    writer.write(bytes.fromhex("00000006550308800001"))
    answers = await asyncio.wait_for(reader.readexactly(13 + 11 + 11), 2)
    assert (answers[1], answers[14], answers[25]) == (1, 2, 3)
    writer.close()


async def test_noise_on_the_line_is_hung_up_on(inverter: Inverter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
    writer.write(b"\xff" * 2000)
    assert await closed(reader)
    writer.close()


async def test_a_frame_that_cannot_be_decoded_is_an_illegal_function(inverter: Inverter) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", inverter.port)
    writer.write(bytes.fromhex("000900000003556300"))
    answer = await asyncio.wait_for(reader.readexactly(9), 2)
    assert answer == bytes.fromhex("00090000000355e301")
    writer.close()


async def test_the_plant_runs_by_itself_as_fast_as_it_is_told() -> None:
    inverter = Inverter(speed=500)
    await inverter.start()
    before_s = inverter.plant.time_s
    try:
        await until(lambda: inverter.plant.time_s >= before_s + 100)
    finally:
        await inverter.stop()
    stopped_s = inverter.plant.time_s
    await asyncio.sleep(0)
    assert inverter.plant.time_s == stopped_s
    await inverter.stop()


async def test_stop_hangs_up_on_clients_with_answers_pending(inverter: Inverter) -> None:
    other = Inverter(inverter.plant, speed=0)
    await other.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", other.port)
    other.faults.set(slow_s=600)
    writer.write(b"\0\1\0\0\0\6\x55\3\0\x21\0\2")
    await until(lambda: other.reads > 0)
    async with asyncio.timeout(2):
        await other.stop()
    assert await closed(reader)
    writer.close()


async def test_the_time_that_is_read_back_may_be_clamped() -> None:
    plant = Plant(PlantSettings(dispatch=DispatchSettings(shortest_s=120)))
    async with Inverter(plant, speed=0) as inverter:
        client = await connect(inverter)
        await client.write_registers(map_.DISPATCH_ADDRESS, START, device_id=UNIT)
        assert (await read(client, 0x0887, 2)).registers == [0, 120]
        client.close()
