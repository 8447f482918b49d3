"""
The bridge's end of an upload connection, plain and encrypted.

Source: esphome.md, section 5.
"""

from __future__ import annotations

import asyncio

from aioesphomeapi._frame_helper.noise_encryption import (
    ESPHOME_NOISE_BACKEND,
    NOISE_PROTOCOL_NAME,
    DecryptCipher,
    EncryptCipher,
    decode_noise_psk,
)
from cryptography.exceptions import InvalidTag
from noise.connection import NoiseConnection  # type: ignore[import-untyped]

from agent.firmware.ota.noise import HEADER_BYTES, frame
from agent.firmware.ota.wire import (
    NOISE_BLOCK_BYTES,
    NOISE_HANDSHAKE_OK,
    NOISE_INDICATOR,
    NOISE_WRONG_KEY,
)

_MAC_BYTES = 16


class HungUpError(Exception):
    """The connection is of no more use, as a bridge sees it."""


class Plain:
    """Bytes as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def field(self, size: int) -> bytes:
        """Read one field of the protocol."""
        try:
            return await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            raise HungUpError from None

    async def data(self, left: int) -> bytes:
        """Read some of the image, at most so many bytes."""
        try:
            data = await self.reader.read(min(left, NOISE_BLOCK_BYTES * 4))
        except OSError:
            data = b""
        if not data:
            raise HungUpError
        return data

    async def say(self, answer: bytes) -> None:
        """Send an answer."""
        self.writer.write(answer)
        try:
            await self.writer.drain()
        except OSError:
            raise HungUpError from None


class Sealed(Plain):
    """Frames of Noise; made by `greeted`."""

    _seal: EncryptCipher
    _unseal: DecryptCipher

    async def greeted(self, psk: str, prologue: bytes) -> None:
        """
        Take part in the handshake.

        Raises:
            HungUpError: the other side has another key, or speaks no Noise.
        """
        noise = NoiseConnection.from_name(NOISE_PROTOCOL_NAME, backend=ESPHOME_NOISE_BACKEND)
        noise.set_as_responder()
        noise.set_psks(decode_noise_psk(psk))
        noise.set_prologue(prologue)
        noise.start_handshake()
        hello = await self._frame()
        try:
            noise.read_message(hello[1:])
        except (InvalidTag, ValueError):
            await super().say(frame(b"\x01" + NOISE_WRONG_KEY))
            raise HungUpError from None
        await super().say(frame(bytes((NOISE_HANDSHAKE_OK,)) + bytes(noise.write_message())))
        self._seal = EncryptCipher(noise.noise_protocol.cipher_state_encrypt)
        self._unseal = DecryptCipher(noise.noise_protocol.cipher_state_decrypt)

    async def field(self, size: int) -> bytes:
        """Read one field, which is one frame."""
        found = await self.data(size)
        if len(found) != size:
            raise HungUpError
        return found

    async def data(self, left: int) -> bytes:
        """Read one frame of the image."""
        sealed = await self._frame()
        if not _MAC_BYTES < len(sealed) <= min(left, NOISE_BLOCK_BYTES) + _MAC_BYTES:
            raise HungUpError
        try:
            return bytes(self._unseal.decrypt(sealed))
        except InvalidTag:
            raise HungUpError from None

    async def say(self, answer: bytes) -> None:
        """Send an answer, each byte in a frame of its own."""
        for byte in answer:
            await super().say(frame(bytes(self._seal.encrypt(bytes((byte,))))))

    async def _frame(self) -> bytes:
        header = await super().field(HEADER_BYTES)
        if header[0] != NOISE_INDICATOR:
            raise HungUpError
        return await super().field(int.from_bytes(header[1:], "big"))
