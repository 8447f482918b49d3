"""The simulated inverter on a serial line, asked with the bytes that the vendor's paper gives."""

from __future__ import annotations

import asyncio
import os

from pymodbus.framer import FramerRTU

from agent.house.alphaess import DISPATCH_ADDRESS, RESET_BLOCK, SOC_PERCENT
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.serial_line import SerialLine


async def ask(line: SerialLine, request: str, size: int) -> bytes:
    """Send one request, given as hexadecimal without its check, and return `size` bytes."""
    frame = bytes.fromhex(request)
    answer = b""
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        os.write(port, frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"))
        seen = len(line.exchanges)
        while len(line.exchanges) == seen or len(answer) < size:
            await asyncio.sleep(0.001)
            try:
                answer += os.read(port, 256)
            except BlockingIOError:
                continue
    finally:
        os.close(port)
    assert not answer or FramerRTU.check_CRC(answer[:-2], int.from_bytes(answer[-2:], "big"))
    return answer


async def test_the_serial_line_serves_the_same_map_at_the_speed_of_the_wire() -> None:
    settings = InverterSettings(response_s=0.05)
    async with Inverter(settings=settings, speed=0) as inverter, SerialLine(inverter) as line:
        soc = await ask(line, "55 03 0102 0001", 7)
        assert [int.from_bytes(soc[3:5], "big")] == inverter.registers.read(SOC_PERCENT.address, 1)
        await ask(line, "55 03 0100 0060", 5 + 2 * 96)
        block = RESET_BLOCK.registers()
        words = "".join(f"{word:04x}" for word in block)
        done = await ask(line, f"55 10 0880 0009 12 {words}", 8)
        assert done[:6].hex() == "551008800009"
        assert [(w.address, list(w.values)) for w in inverter.writes] == [(DISPATCH_ADDRESS, block)]
    long = line.exchanges[1]
    assert long.until_s - long.at_s >= 0.05 + (8 + 5 + 2 * 96) * 10 / 9600


async def test_another_unit_and_a_mute_inverter_are_silent_on_the_serial_line() -> None:
    async with Inverter(speed=0) as inverter, SerialLine(inverter) as line:
        assert await ask(line, "11 03 0102 0001", 0) == b""
        inverter.faults.mute = True
        assert await ask(line, "55 03 0102 0001", 0) == b""
    assert [it.answered for it in line.exchanges] == [False, False]
