"""The virtual ESP is as awkward as the real ones, and esptool's own command line works on it."""

from __future__ import annotations

import asyncio
import struct
import sys
import zlib
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulator.esp_rom import VirtualEsp
from agent.simulator.esp_rom_chips import MAGIC_REGISTER, Specimen
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_port import EspPort
from agent.simulator.esp_rom_protocol import Op
from agent.simulator.esp_rom_slip import Deframer, frame

FAILED = 1


class Talk:
    """A flasher that says exactly what it is told to."""

    def __init__(self, esp: VirtualEsp) -> None:
        self.esp = esp

    def raw(self, op: int, body: bytes = b"", check: int = 0) -> list[tuple[int, int, bytes]]:
        """Return opcode, value and data of every reply."""
        sent = self.esp.receive(frame(struct.pack("<BBHI", 0, op, len(body), check) + body))
        replies = [it for it in Deframer().feed(sent) if it[:1] == b"\x01"]
        return [(it[1], struct.unpack_from("<I", it, 4)[0], it[8:]) for it in replies]

    def ask(self, op: int, *words: int, data: bytes = b"") -> tuple[int, int, bytes]:
        body = struct.pack(f"<{len(words)}I", *words) + data
        return self.raw(op, body, reduce(xor, data, 0xEF))[0]

    def block(self, number: int, data: bytes, *, deflated: bool = False) -> bytes:
        op = Op.FLASH_DEFL_DATA if deflated else Op.FLASH_DATA
        return self.ask(op, len(data), number, 0, 0, data=data)[2]

    def run_stub(self) -> None:
        self.ask(Op.MEM_BEGIN, 4, 1, 4, 0x40080000)
        self.ask(Op.MEM_DATA, 4, 0, 0, 0, data=b"stub")
        body = struct.pack("<II", 0, 0x40080000)
        sent = self.esp.receive(frame(struct.pack("<BBHI", 0, Op.MEM_END, 8, 0) + body))
        assert sent.endswith(frame(b"OHAI"))


def rom(chip: str = "esp32c3", faults: RomFaults | None = None, **traits: int) -> Talk:
    talk = Talk(VirtualEsp(Specimen(chip, **traits), faults))  # type: ignore[arg-type]
    talk.ask(Op.SPI_ATTACH, 0, 0)
    return talk


def stub(chip: str = "esp32c3") -> Talk:
    talk = rom(chip)
    talk.run_stub()
    return talk


def test_the_value_of_a_reply_is_a_leftover_of_the_last_register() -> None:
    talk = rom()
    assert talk.ask(Op.READ_REG, MAGIC_REGISTER)[1] == 0x1B31506F
    assert talk.ask(Op.SPI_ATTACH, 0, 0)[1] == 0x1B31506F


def test_an_unknown_command_is_answered_in_the_name_of_the_one_before() -> None:
    talk = rom("esp32")
    talk.ask(Op.READ_REG, MAGIC_REGISTER)
    ((op, _, data),) = talk.raw(Op.GET_SECURITY_INFO)
    assert (op, data[:2]) == (Op.READ_REG, b"\x01\x05")
    assert talk.raw(Op.ERASE_FLASH)[0][0] == Op.READ_REG, "that belongs to the stub"


def test_the_rom_and_the_stub_are_told_apart_by_their_sync() -> None:
    assert [it[1] for it in rom().raw(Op.SYNC)] == [0x20120707] * 8
    assert [it[1] for it in stub().raw(Op.SYNC)] == [0] * 8


def test_a_packet_that_was_refused_has_been_counted_by_the_rom() -> None:
    talk = rom()
    talk.ask(Op.FLASH_BEGIN, 2048, 2, 1024, 0, 0)
    body = struct.pack("<4I", 4, 0, 0, 0) + b"data"
    assert talk.raw(Op.FLASH_DATA, body, 0)[0][2][:2] == b"\x01\x07"
    assert talk.block(0, b"data")[:2] == b"\x01\x05", "the same one again is out of turn"
    assert talk.block(1, b"data")[0] != FAILED


def test_flash_only_loses_bits_until_it_is_erased() -> None:
    talk = rom()
    talk.esp.flash.load(0, b"\x0f" * 0x3000)
    talk.esp.flash.program(0, b"\x3c\xff")
    assert talk.esp.flash.data[:2] == b"\x0c\x0f"
    talk.ask(Op.FLASH_BEGIN, 0x1001, 5, 1024, 0, 0)
    assert talk.esp.flash.data[:0x2000] == b"\xff" * 0x2000, "whole sectors"
    assert talk.esp.flash.data[0x2000] == 0x0F, "and no more than those"


def test_the_rom_writes_nothing_before_it_was_told_where_its_flash_is() -> None:
    talk = Talk(VirtualEsp(Specimen("esp32c3")))
    assert talk.ask(Op.FLASH_BEGIN, 1024, 1, 1024, 0, 0)[2][0] == FAILED


def test_nothing_is_written_behind_the_end_of_the_flash() -> None:
    talk = rom(flash_size=1 << 20)
    assert talk.ask(Op.FLASH_BEGIN, 4096, 4, 1024, (1 << 20) - 1024, 0)[2][:2] == b"\x01\x06"


def test_a_payload_that_is_too_short_crashes_the_rom() -> None:
    talk = rom()
    assert not talk.raw(Op.FLASH_BEGIN, b"\0" * 16), "the ESP32-C3 wants five words"
    assert not talk.raw(Op.SYNC), "it is gone"
    assert rom("esp32").raw(Op.FLASH_BEGIN, b"\0" * 16), "the ESP32 wants four"


def test_a_stub_with_a_hole_never_says_hello() -> None:
    talk = rom()
    talk.ask(Op.MEM_BEGIN, 8, 2, 4, 0x40080000)
    talk.ask(Op.MEM_DATA, 4, 0, 0, 0, data=b"half")
    talk.ask(Op.MEM_END, 0, 0x40080000)
    assert not talk.raw(Op.SYNC)


def test_the_stub_tells_a_failed_write_with_the_next_packet() -> None:
    talk = stub()
    talk.ask(Op.FLASH_DEFL_BEGIN, 4096, 2, 0x4000, 0, 0)
    assert talk.block(0, b"no zlib stream", deflated=True)[0] == 0
    assert talk.block(1, b"", deflated=True)[0] == 0xC7


def test_the_stub_notices_that_less_came_than_was_announced() -> None:
    talk = stub()
    talk.ask(Op.FLASH_DEFL_BEGIN, 4096, 1, 0x4000, 0, 0)
    talk.block(0, zlib.compress(b"a" * 4000), deflated=True)
    assert talk.ask(Op.FLASH_DEFL_END, 1)[2][0] == 0xC8


def test_secure_download_lets_nothing_be_read() -> None:
    talk = rom(secure_download=True)
    for op in (Op.READ_REG, Op.SPI_FLASH_MD5, Op.READ_FLASH_SLOW, Op.MEM_BEGIN):
        ((_, _, data),) = talk.raw(op, b"\0" * 16)
        assert data[:2] == b"\x01\x05", op.name
    flags = talk.raw(Op.GET_SECURITY_INFO)[0][2]
    assert struct.unpack_from("<I", flags)[0] == 4
    with pytest.raises(ValueError, match="no secure download mode"):
        Specimen("esp32", secure_download=True)


def test_another_speed_than_the_agreed_one_is_noise() -> None:
    talk = rom()
    talk.ask(Op.CHANGE_BAUDRATE, 460_800, 0)
    sync = frame(struct.pack("<BBHI", 0, Op.SYNC, 0, 0))
    assert not Deframer().feed(talk.esp.receive(sync, 115_200))
    assert len(Deframer().feed(talk.esp.receive(sync, 460_800))) == 8


@given(
    contents=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    noise=st.binary(max_size=5).filter(lambda it: b"\xc0" not in it),
    cut=st.integers(1, 7),
)
def test_frames_arrive_whole_however_the_line_cuts_them(
    contents: list[bytes], noise: bytes, cut: int
) -> None:
    wire = b"".join(noise + frame(it) for it in contents)
    deframer = Deframer()
    pieces = [wire[at : at + cut] for at in range(0, len(wire), cut)]
    assert [it for piece in pieces for it in deframer.feed(piece)] == contents


async def esptool(port: EspPort, *arguments: str) -> str:
    """Run the vendor's command line as a person would."""
    command = (sys.executable, "-m", "esptool", "--port", port.path, *arguments)
    tool = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    shown, _ = await tool.communicate()
    assert tool.returncode == 0, shown.decode()
    return shown.decode()


@pytest.mark.peers("esptool", "esp32")
async def test_the_vendors_own_command_line_writes_reads_and_erases_it(tmp_path: Path) -> None:
    """What the agent never asks for: unaligned writes, erasing, reading at another speed."""
    esp = VirtualEsp(Specimen("esp32c3", mac="b8d61a0042ff", revision=104))
    esp.flash.load(0x2000, b"old" * 3000)
    image, copy = tmp_path / "image", tmp_path / "copy"
    image.write_bytes(bytes(range(256)) * 20 + b"tail")
    async with EspPort(esp) as port:
        shown = await esptool(port, "--baud", "921600", "write-flash", "0x2100", str(image))
        assert "revision v1.4" in shown
        assert "b8:d6:1a:00:42:ff" in shown
        assert esp.flash.data[0x2100:0x3504] == image.read_bytes()
        assert esp.flash.data[0x2000:0x2100] == b"\xff" * 0x100, "the sector was erased"
        await esptool(port, "--baud", "230400", "read-flash", "0x1f00", "0x2000", str(copy))
        assert copy.read_bytes() == esp.flash.data[0x1F00:0x3F00]
        await esptool(port, "erase-region", "0x3000", "0x1000")
        assert esp.flash.data[0x3000:0x4000] == b"\xff" * 0x1000
        assert esp.flash.data[0x2100:0x3000] == image.read_bytes()[:0xF00]
