"""
An ESP32, ESP32-C3 or ESP32-S3 in its boot loader, as the far end of a serial cable sees it.

It speaks the protocol of the ROM, takes the flasher's helper program ("stub") into its memory and
then speaks that one's dialect; no processor is emulated. It is as awkward as the real ones: replies
carry old values, an unknown command is answered in the name of the one before, a packet that was
refused has still been counted, the stub reports a failed write with the next packet, and a helper
that arrived with a hole in it never says hello.

No I/O: bytes go in, bytes come out. `esp_rom_port` puts it on a pseudo terminal.

Source: esptool.md, section 3; Espressif's "Serial Protocol" of esptool.
"""

from __future__ import annotations

import hashlib
import struct
from enum import Enum
from functools import reduce
from operator import xor

from agent.simulator.esp_rom_chips import CHIPS, MAGIC_REGISTER, Specimen, registers
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_flash import SECTOR, NorFlash
from agent.simulator.esp_rom_protocol import (
    BAD_CHECKSUM,
    BAD_MESSAGE,
    CHECKED,
    FAILED,
    FLASH_PACKETS,
    IN_SECURE_DOWNLOAD,
    NEEDS_FLASH,
    NOT_BEGUN,
    STUB_ONLY,
    WORDS,
    Op,
    RefusedError,
    UnknownCommandError,
)
from agent.simulator.esp_rom_slip import Deframer, frame
from agent.simulator.esp_rom_transfer import Read, Write

BOOT_LOG = (
    b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"invalid header: 0xffffffff\r\ninvalid header: 0xffffffff\r\n"
)
START_LOG = (
    b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"\x1b[0;32m[I][app:151]: ESPHome version 2026.10.0\x1b[0m\r\n"
    b"[C][wifi:611]:   SSID: 'Hillview'\r\n[I][wifi:1732]: Connected\r\n"
)
Words = tuple[int, ...]
_CRASH = b"\r\nGuru Meditation Error: Core  0 panic'ed (Load access fault). \r\n"
_NOISE = b"\x80\xff"
_HEADER = struct.Struct("<BBHI")
_CHECKED_HEADER = 16
_CHECK_SEED = 0xEF
_ROM_SYNC = 0x20120707
_SYNC_REPLIES = 8
_START_TRANSFER = 1 << 18
_SLOW_READ = 64
_NOBODY = 0x7FFF
_IMAGE_MAGIC = 0xE9
_BOOT_OFFSETS = {"esp32": 0x1000}
_PROGRAM_OFFSET = 0x10000
_BEGINS = frozenset({Op.FLASH_BEGIN, Op.FLASH_DEFL_BEGIN})


class Mode(Enum):
    """Which program runs on it."""

    ROM = "rom"
    STUB = "stub"
    PROGRAM = "program"
    """Its own, or none: it prints what it likes and understands nothing."""


class VirtualEsp:
    """
    One device.

    Args:
        specimen: which one.
        faults: what is wrong with it or its cable.
    """

    def __init__(self, specimen: Specimen, faults: RomFaults | None = None) -> None:
        self.specimen = specimen
        self.faults = faults or RomFaults()
        self.chip = CHIPS[specimen.chip]
        self.flash = NorFlash(
            specimen.flash_size,
            silent=self.faults.flash_silent,
            worn_sector=self.faults.worn_sector,
            forgets=self.faults.forgets,
        )
        self.commands: list[int] = []
        """What it was asked since it was built, by command byte."""
        self.packets = 0
        """Packets of flash content that reached it."""
        self.content_bytes = 0
        """Bytes in those packets, compressed or not."""
        self.unplugged = False
        """Its cable is out; whoever put it on a line takes it off."""
        self.restart()

    def restart(self) -> None:
        """Reset it into its boot loader, as the control lines of a port do."""
        self.mode = Mode.PROGRAM if self.faults.runs_its_program else Mode.ROM
        self.baud: int | None = None
        self.flash.restart()
        self._registers = registers(self.specimen)
        if self.faults.unknown_chip:
            self._registers[MAGIC_REGISTER] = _NOBODY
        self._deframer = Deframer()
        self._out = bytearray()
        self._attached = False
        self._said = self._last_command = self._last_error = 0
        self._memory: list[range] = []
        self._memory_left = self._sequence = 0
        self._write: Write | None = None
        self._read: Read | None = None
        self._greets = False

    def start(self) -> bytes:
        """Start its own program, and return what it prints."""
        self.mode = Mode.PROGRAM
        boot = _BOOT_OFFSETS.get(self.specimen.chip, 0)
        programs = (boot, _PROGRAM_OFFSET)
        whole = all(self.flash.data[it] == _IMAGE_MAGIC for it in programs)
        return START_LOG if whole else BOOT_LOG

    def receive(self, data: bytes, baud: int = 115_200) -> bytes:
        """Take bytes that came at this rate, and return what goes back."""
        if self.faults.mute:
            return b""
        limit = self.faults.noisy_above_baud
        if self.baud not in {None, baud} or (limit is not None and baud > limit):
            return _NOISE
        if self.mode is Mode.PROGRAM:
            return BOOT_LOG if self.faults.runs_its_program else b""
        for packet in self._deframer.feed(data):
            self._packet(packet)
        out, self._out = bytes(self._out), bytearray()
        return out

    @property
    def _stub(self) -> bool:
        return self.mode is Mode.STUB

    def _packet(self, packet: bytes) -> None:
        if self._read is not None:
            self._burst(int.from_bytes(packet[:4], "little"))
            return
        if len(packet) < _HEADER.size or packet[0] != 0:
            return
        _, command, _, check = _HEADER.unpack_from(packet)
        self.commands.append(command)
        body = packet[_HEADER.size :]
        if command in FLASH_PACKETS:
            if self._swallowed(len(body) - _CHECKED_HEADER):
                return
            if self.packets == self.faults.spoilt_packet:
                check ^= 1
            if self.packets == self.faults.short_packet:
                body = body[:-1]
        self._reply(command, body, check)

    def _swallowed(self, size: int) -> bool:
        """Count a packet of content, and say whether a fault swallowed it."""
        before, self.content_bytes = self.content_bytes, self.content_bytes + size
        self.packets += 1

        def passed(limit: int | None) -> bool:
            return limit is not None and before <= limit < self.content_bytes

        if passed(self.faults.unplugged_after):
            self.unplugged = True
        elif passed(self.faults.power_cut_after):
            self.restart()
            self.mode = Mode.PROGRAM
            self._out += BOOT_LOG
        else:
            return self.packets == self.faults.lost_packet
        return True

    def _reply(self, command: int, body: bytes, check: int) -> None:
        try:
            op = self._known(command)
            if len(body) < 4 * self._words(op):
                self._crash()
                return
            data = self._carry_out(op, body, check)
            # The second status byte of the ROM is what it was last; the other two are leftovers.
            status = b"\0\0" if self._stub else bytes((0, self._last_error, 1, 6))
        except RefusedError as refused:
            self._last_error = refused.rom
            data = b""
            status = bytes((refused.stub, 0)) if self._stub else bytes((1, refused.rom, 1, 6))
        except UnknownCommandError:
            if not self._stub:
                # A real ROM answers in the name of the command before.
                self._send(self._last_command, b"\x01\x05\0\0")
                return
            data, status = b"", b"\xff\0" if command == Op.GET_SECURITY_INFO else b"\xc3\0"
        self._last_command = command
        for _ in range(_SYNC_REPLIES if command == Op.SYNC else 1):
            self._send(command, data + status)
        self._afterwards(command, body)

    def _known(self, command: int) -> Op:
        try:
            op = Op(command)
        except ValueError:
            raise UnknownCommandError from None
        missing = {Op.READ_FLASH_SLOW} if self._stub else STUB_ONLY
        locked = self.specimen.secure_download and op not in IN_SECURE_DOWNLOAD
        old = op is Op.GET_SECURITY_INFO and not self.chip.tells_security
        if op in missing or locked or old:
            raise UnknownCommandError
        return op

    def _words(self, op: Op) -> int:
        # The ESP32's ROM is the one that knows no word for encrypted writing.
        short = op in _BEGINS and not self._stub and not self.chip.tells_security
        return WORDS.get(op, 0) - short

    def _crash(self) -> None:
        self.mode = Mode.PROGRAM
        self._out += _CRASH

    def _send(self, command: int, data: bytes) -> None:
        value = self._said
        if self._stub:
            value = self._said if command == Op.READ_REG else 0
        elif command == Op.SYNC:
            value = _ROM_SYNC
        self._out += frame(_HEADER.pack(1, command, len(data), value) + data)

    def _afterwards(self, command: int, body: bytes) -> None:
        """Do what happens once the reply is on its way."""
        if command == Op.CHANGE_BAUDRATE:
            self.baud = int.from_bytes(body[:4], "little")
        elif command == Op.READ_FLASH:
            self._burst(0)
        elif self._greets:
            self._greets = False
            self.mode = Mode.PROGRAM if self.faults.no_greeting else Mode.STUB
            self._out += b"" if self.faults.no_greeting else frame(b"OHAI")

    def _carry_out(self, op: Op, body: bytes, check: int) -> bytes:
        words = struct.unpack_from(f"<{self._words(op)}I", body)
        if op in NEEDS_FLASH and not (self._stub or self._attached):
            raise RefusedError(*FAILED)
        if op in CHECKED:
            self._check_packet(op, words[1], body, check)
        does = {
            Op.FLASH_BEGIN: self._begin,
            Op.FLASH_DEFL_BEGIN: self._begin,
            Op.FLASH_DATA: self._content,
            Op.FLASH_DEFL_DATA: self._content,
            Op.FLASH_END: self._end,
            Op.FLASH_DEFL_END: self._end,
            Op.MEM_BEGIN: self._memory_begin,
            Op.MEM_DATA: self._memory_data,
            Op.MEM_END: self._memory_end,
            Op.WRITE_REG: self._write_registers,
            Op.READ_REG: self._read_register,
            Op.SPI_ATTACH: self._attach,
            Op.READ_FLASH_SLOW: self._slow_read,
            Op.SPI_FLASH_MD5: self._md5,
            Op.GET_SECURITY_INFO: self._security,
            Op.ERASE_FLASH: self._erase_all,
            Op.ERASE_REGION: self._erase,
            Op.READ_FLASH: self._fast_read,
        }.get(op)
        return does(op, words, body) or b"" if does else b""

    def _check_packet(self, op: Op, number: int, body: bytes, check: int) -> None:
        if op is Op.MEM_DATA or not self._stub:
            if number != self._sequence:
                raise RefusedError(*BAD_MESSAGE)
            # Counted even if its sum is wrong: the same packet is not welcome a second time.
            self._sequence += 1
        if reduce(xor, body[_CHECKED_HEADER:], _CHECK_SEED) != check & 0xFF:
            raise RefusedError(*BAD_CHECKSUM)

    def _attach(self, op: Op, words: Words, body: bytes) -> None:
        self._attached = True

    def _read_register(self, op: Op, words: Words, body: bytes) -> None:
        self._said = self._registers.get(words[0], 0)

    def _write_registers(self, op: Op, words: Words, body: bytes) -> None:
        spi = self.chip.spi
        for address, value, mask, _ in struct.iter_unpack("<4I", body[: len(body) // 16 * 16]):
            old = self._registers.get(address, 0)
            self._registers[address] = old & ~mask | value & mask
            if address == spi.command and value & _START_TRANSFER:
                self._transfer()
                self._registers[address] &= ~_START_TRANSFER

    def _transfer(self) -> None:
        """Pass one command on to the flash chip, as the controller does."""
        spi, held = self.chip.spi, self._registers
        address = held.get(spi.address, 0) >> (8 if spi.address_at_top else 0)
        said = self.flash.answer(held.get(spi.base + spi.usr2, 0) & 0xFF, address)
        size = ((held.get(spi.base + spi.miso_length, 0) & 0x1FF) + 1) // 8
        held[spi.base + spi.w0] = int.from_bytes(said[:size][:4], "little")

    def _memory_begin(self, op: Op, words: Words, body: bytes) -> None:
        size, _, _, address = words
        self._memory.append(range(address, address + size))
        self._memory_left, self._sequence = self._memory_left + size, 0

    def _memory_data(self, op: Op, words: Words, body: bytes) -> None:
        self._memory_left -= words[0]

    def _memory_end(self, op: Op, words: Words, body: bytes) -> None:
        entry = words[1]
        whole = not self._memory_left and any(entry in it for it in self._memory)
        if entry and not whole:
            self._crash()
        self._greets = bool(entry) and whole
        self._memory, self._memory_left = [], 0

    def _begin(self, op: Op, words: Words, body: bytes) -> None:
        size, _, _, offset = words[:4]
        deflated = op is Op.FLASH_DEFL_BEGIN
        if offset + (0 if deflated else size) > self.flash.size:
            raise RefusedError(*FAILED)
        self._sequence = 0
        self._write = Write(self.flash, offset, size, deflated=deflated, by_stub=self._stub)

    def _content(self, op: Op, words: Words, body: bytes) -> None:
        if self._write is None:
            raise RefusedError(*NOT_BEGUN)
        self._write.packet(body[_CHECKED_HEADER : _CHECKED_HEADER + words[0]])

    def _end(self, op: Op, words: Words, body: bytes) -> None:
        write, self._write = self._write, None
        if not self._stub:
            self.mode = self.mode if words[0] else Mode.PROGRAM
        elif write is None:
            raise RefusedError(*NOT_BEGUN)
        else:
            write.end()

    def _erase_all(self, op: Op, words: Words, body: bytes) -> None:
        self.flash.erase(0, self.flash.size)

    def _erase(self, op: Op, words: Words, body: bytes) -> None:
        offset, size = words
        if offset % SECTOR or size % SECTOR or offset + size > self.flash.size:
            raise RefusedError(*FAILED)
        self.flash.erase(offset, size)

    def _slow_read(self, op: Op, words: Words, body: bytes) -> bytes:
        offset, size = words
        return bytes(self.flash.data[offset : offset + size]).ljust(_SLOW_READ, b"\0")

    def _fast_read(self, op: Op, words: Words, body: bytes) -> None:
        offset, size, block, window = words
        self._read = Read(self.flash, offset, size, block, window)

    def _burst(self, acknowledged: int) -> None:
        if self._read is not None:
            for block in self._read.burst(acknowledged):
                self._out += frame(block)
            if self._read.over:
                self._read = None

    def _md5(self, op: Op, words: Words, body: bytes) -> bytes:
        offset, size = words[:2]
        content = bytes(self.flash.data[offset : offset + size])
        if self.faults.wrong_md5:
            content += b"?"
        digest = hashlib.md5(content, usedforsecurity=False)
        return digest.digest() if self._stub else digest.hexdigest().encode()

    def _security(self, op: Op, words: Words, body: bytes) -> bytes:
        chip_id = _NOBODY if self.faults.unknown_chip else self.chip.chip_id
        it = self.specimen
        return struct.pack("<IB7xII", it.security_flags, it.crypt_count, chip_id, 0)
