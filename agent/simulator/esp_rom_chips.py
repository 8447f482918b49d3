"""
What distinguishes one ESP from another, as its ROM lets a cable see it.

A chip says who it is by what its registers hold: eFuses for the address, the revision and the
locks, a magic word for the family, and the controller through which the flash is asked for its
size. Only the registers that a flasher reads are there; every other one reads as 0.

Source: esptool.md, section 3; register maps of the technical reference manuals of the ESP32,
ESP32-C3 and ESP32-S3, chapters "eFuse Controller" and "SPI Controller".
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC_REGISTER = 0x40001000


@dataclass(frozen=True, slots=True)
class SpiController:
    """Where the controller of the flash has its registers."""

    base: int
    usr1: int
    usr2: int
    miso_length: int
    w0: int
    address_at_top: bool
    """The address stands in the upper bits of its register, not in the lower ones."""

    @property
    def command(self) -> int:
        """The register whose bit 18 starts a transfer."""
        return self.base

    @property
    def address(self) -> int:
        """The register of the flash address."""
        return self.base + 4


@dataclass(frozen=True, slots=True)
class Chip:
    """One family."""

    name: str
    """As esptool names it, in lower case without a dash."""
    chip_id: int
    """As image headers and the security information have it."""
    magic: int
    spi: SpiController
    efuse: int
    tells_security: bool
    """Its ROM knows the command GET_SECURITY_INFO."""


_ESP32_SPI = SpiController(0x3FF42000, 0x20, 0x24, 0x2C, 0x80, address_at_top=True)
_LATER_SPI = SpiController(0x60002000, 0x1C, 0x20, 0x28, 0x58, address_at_top=False)
CHIPS = {
    it.name: it
    for it in (
        Chip("esp32", 0, 0x00F01D83, _ESP32_SPI, 0x3FF5A000, tells_security=False),
        Chip("esp32c3", 5, 0x1B31506F, _LATER_SPI, 0x60008800, tells_security=True),
        Chip("esp32s3", 9, 0x00000009, _LATER_SPI, 0x60007000, tells_security=True),
    )
}

_SECURE_BOOT = 1
_SECURE_DOWNLOAD = 4
_ESP32_MAJOR_BITS = {0: 0, 1: 1, 2: 3, 3: 7}
_ESP32_RTC_CALIBRATION = 0x3FF5F06C
_ESP32_CLOCK_DATE = 0x3FF6607C
_ESP32_UART_DIVIDER = 0x3FF40014
_CRYSTAL_HZ = 40_000_000
_ROM_BAUD = 115_200
_CK8M = 0x80
_SECURE_BOOT_V2 = 300


@dataclass(frozen=True, slots=True)
class Specimen:
    """One particular device."""

    chip: str = "esp32"
    mac: str = "a0b7651c2d3e"
    """Twelve lower-case hexadecimal digits."""
    revision: int = 300
    """Major times 100 plus minor."""
    flash_size: int = 4 << 20
    """Bytes."""
    secure_boot: bool = False
    flash_encryption: bool = False
    secure_download: bool = False
    """Secure Download Mode: memory can be neither read nor written."""

    def __post_init__(self) -> None:
        if self.chip not in CHIPS:
            raise ValueError(f"no chip {self.chip!r}; there are {', '.join(CHIPS)}")
        if self.secure_download and not CHIPS[self.chip].tells_security:
            raise ValueError(f"{self.chip} has no secure download mode: it locks the cable out")

    @property
    def security_flags(self) -> int:
        """The flags of GET_SECURITY_INFO."""
        return _SECURE_BOOT * self.secure_boot | _SECURE_DOWNLOAD * self.secure_download

    @property
    def crypt_count(self) -> int:
        """The eFuse counter of flash encryption; an odd number of bits means that it is on."""
        return int(self.flash_encryption)


def registers(it: Specimen) -> dict[int, int]:
    """Return the registers of a device as they are after a reset, by address."""
    chip = CHIPS[it.chip]
    values = _esp32(chip.efuse, it) if it.chip == "esp32" else _later(chip.efuse, it)
    return values | {MAGIC_REGISTER: chip.magic}


def _esp32(efuse: int, it: Specimen) -> dict[int, int]:
    major, minor = divmod(it.revision, 100)
    bits = _ESP32_MAJOR_BITS[major]
    lock = 0 if not it.secure_boot else 1 << 5 if it.revision >= _SECURE_BOOT_V2 else 1 << 4
    return {
        efuse: it.crypt_count << 20,
        efuse + 0x04: int(it.mac[4:], 16),
        efuse + 0x08: int(it.mac[:4], 16),
        efuse + 0x0C: (bits & 1) << 15 | 1 << 9,
        efuse + 0x10: _CK8M,
        efuse + 0x14: (bits >> 1 & 1) << 20 | minor << 24,
        efuse + 0x18: lock,
        _ESP32_CLOCK_DATE: (bits >> 2) << 31,
        _ESP32_UART_DIVIDER: _CRYSTAL_HZ // _ROM_BAUD,
        # The ROM measured its oscillator against the crystal; esptool computes the divider of
        # another baud rate from this, and a zero here would be a rate of zero.
        _ESP32_RTC_CALIBRATION: _CRYSTAL_HZ * 40 // 15625 // _CK8M << 7,
    }


def _later(efuse: int, it: Specimen) -> dict[int, int]:
    major, minor = divmod(it.revision, 100)
    return {
        efuse + 0x34: it.crypt_count << 18,
        efuse + 0x38: int(it.secure_boot) << 20,
        efuse + 0x44: int(it.mac[4:], 16),
        efuse + 0x48: int(it.mac[:4], 16),
        efuse + 0x50: (minor & 7) << 18,
        efuse + 0x58: (minor >> 3) << 23 | major << 24,
    }
