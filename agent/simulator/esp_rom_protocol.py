"""
The words between a flasher and an ESP's boot loader.

Source: Espressif's "Serial Protocol" of esptool; esptool.md, section 3.
"""

from __future__ import annotations

from enum import IntEnum


class Op(IntEnum):
    """Commands, by the byte that carries them; those from D0 on belong to the stub."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2


WORDS = {
    Op.FLASH_BEGIN: 5,
    Op.FLASH_DATA: 4,
    Op.FLASH_END: 1,
    Op.MEM_BEGIN: 4,
    Op.MEM_END: 2,
    Op.MEM_DATA: 4,
    Op.WRITE_REG: 4,
    Op.READ_REG: 1,
    Op.SPI_SET_PARAMS: 6,
    Op.SPI_ATTACH: 1,
    Op.READ_FLASH_SLOW: 2,
    Op.CHANGE_BAUDRATE: 2,
    Op.FLASH_DEFL_BEGIN: 5,
    Op.FLASH_DEFL_DATA: 4,
    Op.FLASH_DEFL_END: 1,
    Op.SPI_FLASH_MD5: 4,
    Op.ERASE_REGION: 2,
    Op.READ_FLASH: 4,
}
"""Words of 32 bits that a command brings at least; with fewer, a real ROM reads past its end."""

FLASH_PACKETS = frozenset({Op.FLASH_DATA, Op.FLASH_DEFL_DATA})
CHECKED = FLASH_PACKETS | {Op.MEM_DATA}
"""Commands whose payload has a checksum."""
NEEDS_FLASH = frozenset({Op.FLASH_BEGIN, Op.READ_FLASH_SLOW, Op.FLASH_DEFL_BEGIN, Op.SPI_FLASH_MD5})
"""What the ROM cannot do before it was told where its flash is."""
IN_SECURE_DOWNLOAD = frozenset(
    {
        Op.FLASH_BEGIN,
        Op.FLASH_DATA,
        Op.FLASH_END,
        Op.SYNC,
        Op.SPI_SET_PARAMS,
        Op.SPI_ATTACH,
        Op.CHANGE_BAUDRATE,
        Op.GET_SECURITY_INFO,
    }
)
STUB_ONLY = frozenset({Op.ERASE_FLASH, Op.ERASE_REGION, Op.READ_FLASH})


class RefusedError(Exception):
    """A command that was understood and not carried out; carries both dialects' codes."""

    def __init__(self, rom: int, stub: int) -> None:
        self.rom, self.stub = rom, stub


class UnknownCommandError(Exception):
    """A command that the running program does not know."""


BAD_MESSAGE = (0x05, 0xC0)
FAILED = (0x06, 0xC4)
BAD_CHECKSUM = (0x07, 0xC1)
NOT_BEGUN = (0x05, 0xC6)
BAD_DEFLATE = (0x0B, 0xC7)
TOO_LITTLE = (0x05, 0xC8)
