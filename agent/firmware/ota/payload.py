"""
One image for any number of uploads, held once.

Each way of sending it (as it is, deflated, gzipped) is made once, in a thread, when the first
bridge asks for it; all uploads of a campaign send slices of the same bytes.

Source: esphome.md, section 5: the checksum is of what the device stores, which is the image when it
inflates while it receives, and the gzip file when it inflates at its next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from dataclasses import dataclass, field
from enum import StrEnum

from agent.firmware.ota.wire import DEFLATE_WINDOW_BITS

_LARGEST_BYTES = 0xFFFFFFFF
_PIECE_BYTES = 65536
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
_LEVEL = 6
"""Level 9 takes twice the time on a small machine and saves less than one percent."""


class Form(StrEnum):
    """How an image goes over the wire."""

    PLAIN = "plain"
    DEFLATE = "deflate"
    GZIP = "gzip"


@dataclass(frozen=True, slots=True)
class Wire:
    """One form of an image, ready to be sent."""

    form: Form
    data: memoryview = field(repr=False)
    md5: str
    """Of what the device stores, 32 hexadecimal digits."""
    image_bytes: int


def encoded(image: bytes, form: Form) -> Wire:
    """Return an image in that form; takes up to a second for a large image, so not on the loop."""
    if form is Form.PLAIN:
        data = memoryview(image)
    else:
        data = _packed(image, -DEFLATE_WINDOW_BITS if form is Form.DEFLATE else _GZIP_WINDOW_BITS)
    stored = data if form is Form.GZIP else image
    return Wire(form, data, hashlib.md5(stored, usedforsecurity=False).hexdigest(), len(image))


def _packed(image: bytes, window_bits: int) -> memoryview:
    """Compress piece by piece into one buffer; at once, the result would be there twice."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, window_bits)
    packed = bytearray()
    for at in range(0, len(image), _PIECE_BYTES):
        packed += packer.compress(memoryview(image)[at : at + _PIECE_BYTES])
    packed += packer.flush()
    return memoryview(packed).toreadonly()


class Payload:
    """
    An image and its forms, shared by uploads of one event loop.

    Raises:
        ValueError: it is empty or larger than the protocol can say.
    """

    def __init__(self, image: bytes) -> None:
        if not 0 < len(image) <= _LARGEST_BYTES:
            raise ValueError(f"an image of {len(image)} bytes cannot be uploaded")
        self._image = image
        self._forms: dict[Form, asyncio.Future[Wire]] = {}

    def __len__(self) -> int:
        return len(self._image)

    async def form(self, form: Form) -> Wire:
        """Return the image in that form; who comes second waits for the first and shares it."""
        making = self._forms.get(form)
        if making is None:
            making = asyncio.ensure_future(asyncio.to_thread(encoded, self._image, form))
            self._forms[form] = making
        # An upload that is cancelled does not take the form from the others.
        return await asyncio.shield(making)
