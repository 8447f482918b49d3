"""
Content on its way into the flash or out of it.

The ROM writes what it gets and answers then. The stub answers first and writes while the next
packet comes, so what failed is told with that one; it inflates, and it erases as it goes.

Source: esptool.md, section 3, "Write path" and "Stub emulation".
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

from agent.simulator.esp_rom_flash import SECTOR, NorFlash
from agent.simulator.esp_rom_protocol import BAD_DEFLATE, FAILED, TOO_LITTLE, RefusedError


class Write:
    """
    A write that has begun.

    Args:
        flash: where to.
        offset: bytes from its start.
        size: bytes that were announced.
        deflated: the content is a zlib stream.
        by_stub: in the stub's way.
    """

    def __init__(
        self, flash: NorFlash, offset: int, size: int, *, deflated: bool, by_stub: bool
    ) -> None:
        self._flash, self._at, self._left = flash, offset, size
        self._inflate = zlib.decompressobj() if deflated else None
        self._by_stub = by_stub
        self._owed: RefusedError | None = None
        self._erased = offset // SECTOR * SECTOR
        if not by_stub:
            flash.erase(offset, size)

    def packet(self, data: bytes) -> None:
        """
        Take a packet.

        Raises:
            RefusedError: this one failed, or in the stub's way the one before.
        """
        owed, self._owed = self._owed, None
        try:
            self._program(data)
        except RefusedError as refused:
            if not self._by_stub:
                raise
            self._owed = refused
        if owed is not None:
            raise owed

    def end(self) -> None:
        """
        Finish what is still to be written.

        Raises:
            RefusedError: the last packet failed, or less came than was announced.
        """
        if self._owed is not None:
            raise self._owed
        if self._left > 0:
            raise RefusedError(*TOO_LITTLE)

    def _program(self, data: bytes) -> None:
        try:
            content = self._inflate.decompress(data) if self._inflate else data
        except zlib.error:
            raise RefusedError(*BAD_DEFLATE) from None
        if self._by_stub:
            content = content[: self._left]
        self._left -= len(content)
        end = self._at + len(content)
        if end > self._flash.size:
            raise RefusedError(*FAILED)
        if self._by_stub and end > self._erased:
            self._flash.erase(self._erased, end - self._erased)
            self._erased = -(-end // SECTOR) * SECTOR
        self._flash.program(self._at, content)
        self._at = end


class Read:
    """A read in the stub's way: blocks as fast as they are acknowledged, then their checksum."""

    def __init__(self, flash: NorFlash, offset: int, size: int, block: int, window: int) -> None:
        self._flash, self._at, self._end = flash, offset, offset + size
        self._size, self._block, self._window = size, block, window
        self._digest = hashlib.md5(usedforsecurity=False)
        self.over = False

    def burst(self, acknowledged: int) -> Iterator[bytes]:
        """Yield what may be sent once so many bytes have been acknowledged."""
        limit = self._end - self._size + acknowledged + self._window * self._block
        while self._at < min(self._end, limit):
            block = bytes(self._flash.data[self._at : min(self._at + self._block, self._end)])
            self._digest.update(block)
            self._at += len(block)
            yield block
        if acknowledged >= self._size:
            self.over = True
            yield self._digest.digest()
