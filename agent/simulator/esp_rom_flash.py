"""
Flash memory as it is: erasing sets bits by the sector, programming only clears them.

A flasher that forgets to erase, or erases a sector too much, is seen only by a memory that obeys
this. What went wrong with real chips can be switched on: a sector that is worn out, writes that
are gone after the power was.

Source: esptool.md, section 3, "What was hard" (3); data sheets of serial NOR flash.
"""

from __future__ import annotations

SECTOR = 0x1000
ERASED = b"\xff"

_VENDOR = 0xEF
_KIND = 0x40
_READ_ID, _READ_SFDP = 0x9F, 0x5A
_STATUS = (0x05, 0x35, 0x15)
_SFDP = b"SFDP\x06\x01\x01\xff\x00\x06\x01\x10"


class NorFlash:
    """
    The flash chip beside the processor.

    Args:
        size: bytes, a power of two.
        silent: it answers nothing, as when a pin has come off.
        worn_sector: index of a sector that takes neither erasing nor programming.
        forgets: what is written is gone after the next `restart`.
    """

    def __init__(
        self, size: int, *, silent: bool = False, worn_sector: int | None = None, forgets: bool
    ) -> None:
        self.size = size
        self.data = bytearray(ERASED * size)
        self._silent = silent
        self._worn = worn_sector
        self._kept = self.data[:] if forgets else None

    def load(self, offset: int, content: bytes) -> None:
        """Put content there as the factory did, without rules."""
        self.data[offset : offset + len(content)] = content
        if self._kept is not None:
            self._kept[offset : offset + len(content)] = content

    def restart(self) -> None:
        """Lose the power."""
        if self._kept is not None:
            self.data[:] = self._kept

    def erase(self, offset: int, size: int) -> None:
        """Erase every sector that holds a byte of the range."""
        for sector in range(offset // SECTOR, -(-(offset + size) // SECTOR)):
            if sector != self._worn and sector * SECTOR < self.size:
                self.data[sector * SECTOR : (sector + 1) * SECTOR] = ERASED * SECTOR

    def program(self, offset: int, content: bytes) -> None:
        """Clear the bits that are clear in the content."""
        if self._worn is not None:
            start = max(self._worn * SECTOR - offset, 0)
            end = max((self._worn + 1) * SECTOR - offset, 0)
            content = content[:start] + ERASED * len(content[start:end]) + content[end:]
        old = self.data[offset : offset + len(content)]
        both = int.from_bytes(old, "big") & int.from_bytes(content, "big")
        self.data[offset : offset + len(content)] = both.to_bytes(len(content), "big")

    def answer(self, command: int, address: int) -> bytes:
        """Return what it says to a command on its own bus; four bytes suffice for everything."""
        if self._silent:
            return b"\xff\xff\xff\xff"
        if command == _READ_ID:
            return bytes((_VENDOR, _KIND, self.size.bit_length() - 1))
        if command == _READ_SFDP:
            return (_SFDP + ERASED * 64)[address : address + 4]
        return b"\0" if command in _STATUS else b""
