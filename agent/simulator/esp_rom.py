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
import zlib
from enum import Enum
from functools import reduce
from operator import xor

from agent.simulator.esp_rom_chips import CHIPS, Specimen, registers
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_flash import SECTOR, NorFlash
from agent.simulator.esp_rom_slip import Deframer, frame

BOOT_LOG = (
    b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"invalid header: 0xffffffff\r\ninvalid header: 0xffffffff\r\n"
)
_CRASH = b"\r\nGuru Meditation Error: Core  0 panic'ed (Load access fault). \r\n"
_NOISE = b"\x80\xff"
_ROM_SYNC = 0x20120707
_START_TRANSFER = 1 << 18
_SLOW_READ = 64
_FAST_READ = SECTOR

_WORDS = {0x02: 5, 0x03: 4, 0x04: 1, 0x05: 4, 0x06: 2, 0x07: 4, 0x09: 4, 0x0A: 1, 0x0B: 6, 0x0D: 1,
          0x0E: 2, 0x0F: 2, 0x10: 5, 0x11: 4, 0x12: 1, 0x13: 4, 0xD1: 2, 0xD2: 4}  # fmt: skip
"""Words that a command brings at least; with fewer, a real ROM reads past its end."""
_IN_SECURE_DOWNLOAD = frozenset({0x02, 0x03, 0x04, 0x08, 0x0B, 0x0D, 0x0F, 0x14})
_ROM_ONLY = frozenset({0x0E, 0x14})
_STUB_ONLY = frozenset({0xD0, 0xD1, 0xD2})
_NEEDS_FLASH = frozenset({0x02, 0x0E, 0x10, 0x13})


class Mode(Enum):
    """Which program runs on it."""

    ROM = "rom"
    STUB = "stub"
    PROGRAM = "program"
    """Its own, or none: it prints what it likes and understands nothing."""


class _RefusedError(Exception):
    """Carries the status bytes of the ROM and of the stub."""

    def __init__(self, rom: int, stub: int) -> None:
        self.rom, self.stub = rom, stub


_BAD_MESSAGE, _FAILED = (0x05, 0xC0), (0x06, 0xC4)
_BAD_CHECKSUM, _NOT_BEGUN = (0x07, 0xC1), (0x05, 0xC6)
_INFLATE, _TOO_LITTLE = (0x0B, 0xC7), (0x05, 0xC8)


class _UnknownError(Exception):
    """A command that the running program does not know."""


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
        self._deframer = Deframer()
        self._out = bytearray()
        self._attached = False
        self._said = self._last_command = self._last_error = 0
        self._memory: list[range] = []
        self._memory_left = self._sequence = 0
        self._write: _Write | None = None
        self._read: _Read | None = None
        self._greets = False

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
            self._burst(struct.unpack("<I", packet)[0])
            return
        if len(packet) < 8 or packet[0] != 0:
            return
        command, _, check = struct.unpack_from("<BHI", packet, 1)
        self.commands.append(command)
        body = packet[8:]
        if command in {0x03, 0x11}:
            if self._happens(len(body) - 16):
                return
            if self.packets == self.faults.spoilt_packet:
                check ^= 1
        self._reply(command, body, check)

    def _happens(self, size: int) -> bool:
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
            self._refuse_unknown(command)
            if len(body) < 4 * self._words(command):
                self.mode = Mode.PROGRAM
                self._out += _CRASH
                return
            data = self._carry_out(command, body, check)
            # The second status byte of the ROM is what it was last; the other two are leftovers.
            status = b"\0\0" if self._stub else bytes((0, self._last_error, 1, 6))
        except _RefusedError as refused:
            self._last_error = refused.rom
            data = b""
            status = bytes((refused.stub, 0)) if self._stub else bytes((1, refused.rom, 1, 6))
        except _UnknownError:
            if not self._stub:
                # A real ROM answers in the name of the command before.
                self._send(self._last_command, b"\x01\x05\0\0")
                return
            data, status = b"", b"\xff\0" if command == 0x14 else b"\xc3\0"
        self._last_command = command
        for _ in range(8 if command == 0x08 else 1):
            self._send(command, data + status)
        self._afterwards(command, body)

    def _words(self, command: int) -> int:
        # The ESP32's ROM is the one that knows no word for encrypted writing.
        short = command in {0x02, 0x10} and not self._stub and not self.chip.tells_security
        return _WORDS.get(command, 0) - short

    def _refuse_unknown(self, command: int) -> None:
        known = command in _WORDS or command in {0x08, 0x14, 0xD0}
        elsewhere = _ROM_ONLY if self._stub else _STUB_ONLY
        if self._stub and command == 0x14 and self.chip.tells_security:
            elsewhere = frozenset()
        if command == 0x14 and not self.chip.tells_security:
            known = False
        if self.specimen.secure_download and command not in _IN_SECURE_DOWNLOAD:
            known = False
        if not known or command in elsewhere:
            raise _UnknownError

    def _send(self, command: int, data: bytes) -> None:
        value = 0
        if not self._stub:
            value = _ROM_SYNC if command == 0x08 else self._said
        elif command == 0x0A:
            value = self._said
        self._out += frame(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def _afterwards(self, command: int, body: bytes) -> None:
        """Do what happens once the reply is on its way."""
        if command == 0x0F and self._last_command == 0x0F:
            self.baud = struct.unpack_from("<I", body)[0]
        elif command == 0xD2 and self._read is not None:
            self._burst(0)
        elif self._greets:
            self._greets = False
            self.mode = Mode.STUB
            if self.faults.no_greeting:
                self.mode = Mode.PROGRAM
            else:
                self._out += frame(b"OHAI")

    def _carry_out(self, command: int, body: bytes, check: int) -> bytes:
        words = struct.unpack_from(f"<{self._words(command)}I", body)
        if command in _NEEDS_FLASH and not (self._stub or self._attached):
            raise _RefusedError(*_FAILED)
        if command in {0x03, 0x07, 0x11}:
            self._check_packet(command, words[1], body, check)
        match command:
            case 0x02 | 0x10:
                self._begin(words, deflated=command == 0x10)
            case 0x03 | 0x11:
                self._content(body[16 : 16 + words[0]])
            case 0x04 | 0x12:
                self._end(runs=words[0] == 0)
            case 0x05 | 0x06 | 0x07:
                self._to_memory(command, words)
            case 0x09 | 0x0A:
                self._register(command, body)
            case 0x0D:
                self._attached = True
            case 0x0E:
                return bytes(self.flash.data[words[0] : words[0] + words[1]]).ljust(
                    _SLOW_READ, b"\0"
                )
            case 0x13:
                return self._md5(words[0], words[1])
            case 0x14:
                return self._security()
            case 0xD0:
                self.flash.erase(0, self.flash.size)
            case 0xD1:
                self._erase(words[0], words[1])
            case 0xD2:
                self._read = _Read(*words)
        return b""

    def _check_packet(self, command: int, number: int, body: bytes, check: int) -> None:
        if command == 0x07 or not self._stub:
            if number != self._sequence:
                raise _RefusedError(*_BAD_MESSAGE)
            # Counted even if its sum is wrong: the same packet is not welcome a second time.
            self._sequence += 1
        if reduce(xor, body[16:], 0xEF) != check & 0xFF:
            raise _RefusedError(*_BAD_CHECKSUM)

    def _register(self, command: int, body: bytes) -> None:
        if command == 0x0A:
            self._said = self._registers.get(struct.unpack("<I", body[:4])[0], 0)
            return
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

    def _to_memory(self, command: int, words: tuple[int, ...]) -> None:
        if command == 0x05:
            size, _, _, address = words
            self._memory.append(range(address, address + size))
            self._memory_left, self._sequence = self._memory_left + size, 0
        elif command == 0x07:
            self._memory_left -= words[0]
        else:
            _, entry = words
            whole = not self._memory_left and any(entry in it for it in self._memory)
            if entry and not whole:
                self.mode = Mode.PROGRAM
                self._out += _CRASH
            self._greets = bool(entry) and whole
            self._memory, self._memory_left = [], 0

    def _begin(self, words: tuple[int, ...], *, deflated: bool) -> None:
        size, _, _, offset = words[:4]
        if offset + (0 if deflated else size) > self.flash.size:
            raise _RefusedError(*_FAILED)
        self._sequence = 0
        self._write = _Write(offset, size, zlib.decompressobj() if deflated else None)
        if not self._stub:
            self.flash.erase(offset, size)

    def _content(self, data: bytes) -> None:
        if self._write is None:
            raise _RefusedError(*_NOT_BEGUN)
        if not self._stub:
            self._program(self._write, data)
            return
        # The stub says yes first and writes then: what failed is told with the next packet.
        owed, self._write.owed = self._write.owed, None
        try:
            self._program(self._write, data)
        except _RefusedError as refused:
            self._write.owed = refused
        if owed is not None:
            raise owed

    def _program(self, write: _Write, data: bytes) -> None:
        try:
            content = write.inflate.decompress(data) if write.inflate else data
        except zlib.error:
            raise _RefusedError(*_INFLATE) from None
        if self._stub:
            content = content[: write.left]
        write.left -= len(content)
        if write.at + len(content) > self.flash.size:
            raise _RefusedError(*_FAILED)
        if self._stub:
            write.erase_for(len(content), self.flash)
        self.flash.program(write.at, content)
        write.at += len(content)

    def _end(self, *, runs: bool) -> None:
        write, self._write = self._write, None
        if not self._stub:
            if runs:
                self.mode = Mode.PROGRAM
            return
        if write is None:
            raise _RefusedError(*_NOT_BEGUN)
        if write.owed is not None:
            raise write.owed
        if write.left > 0:
            raise _RefusedError(*_TOO_LITTLE)

    def _erase(self, offset: int, size: int) -> None:
        if offset % SECTOR or size % SECTOR or offset + size > self.flash.size:
            raise _RefusedError(*_FAILED)
        self.flash.erase(offset, size)

    def _md5(self, offset: int, size: int) -> bytes:
        content = bytes(self.flash.data[offset : offset + size])
        if self.faults.wrong_md5:
            content += b"?"
        digest = hashlib.md5(content, usedforsecurity=False)
        return digest.digest() if self._stub else digest.hexdigest().encode()

    def _security(self) -> bytes:
        chip_id = 0x7FFF if self.faults.unknown_chip else self.chip.chip_id
        it = self.specimen
        return struct.pack("<IB7xII", it.security_flags, it.crypt_count, chip_id, 0)

    def _burst(self, acknowledged: int) -> None:
        """Send as much of a read as may be on its way, and at its end the checksum."""
        read = self._read
        if read is None:
            return
        while read.sent < read.size and read.sent - acknowledged < read.window * read.block:
            start = read.offset + read.sent
            block = self.flash.data[start : min(start + read.block, read.offset + read.size)]
            read.digest.update(block)
            read.sent += len(block)
            self._out += frame(bytes(block))
        if acknowledged >= read.size:
            self._out += frame(read.digest.digest())
            self._read = None


class _Write:
    """A write that has begun."""

    def __init__(self, offset: int, size: int, inflate: zlib._Decompress | None) -> None:
        self.at, self.left, self.inflate = offset, size, inflate
        self.owed: _RefusedError | None = None
        self._erased = offset // SECTOR * SECTOR

    def erase_for(self, size: int, flash: NorFlash) -> None:
        """Erase what the next bytes need and what has not been erased for this write."""
        end = -(-(self.at + size) // SECTOR) * SECTOR
        if end > self._erased:
            flash.erase(self._erased, end - self._erased)
            self._erased = end


class _Read:
    """A read that is under way."""

    def __init__(self, offset: int, size: int, block: int, window: int) -> None:
        self.offset, self.size, self.block, self.window = offset, size, block, window
        self.sent = 0
        self.digest = hashlib.md5(usedforsecurity=False)
