"""
The bridge's side of one upload, as ESPHome's own server keeps it, with the faults it is told.

Source: esphome.md, section 5.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import hmac
import secrets
import zlib
from typing import Protocol

from agent.firmware.ota.wire import (
    BLOCK_BYTES,
    DEFLATE_WINDOW_BITS,
    MAGIC,
    NOISE_PROLOGUE,
    Answer,
    ClientFeature,
    OtaType,
    ServerFeature,
)
from agent.simulator.ota_channel import HungUpError, Plain, Sealed
from agent.simulator.ota_rules import Auth, Failure, Fault, OtaRules, Stage

_NOISE = ClientFeature.NOISE | ClientFeature.EXTENDED
_AUTH = {Auth.SHA256: Answer.REQUEST_SHA256_AUTH, Auth.MD5: Answer.REQUEST_MD5_AUTH}
_HEX_PER_BYTE = 2


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:02X}")
        self.code = code


class Host(Protocol):
    """What an upload needs of the bridge around it."""

    def due(self, fault: Fault) -> bool:
        """Whether a fault that is reached hits this connection."""

    def begun(self) -> None:
        """Know that an upload begins."""

    def commit(self, image: bytes) -> None:
        """Take the image that is to start next."""


class Talk:
    """
    One connection.

    Args:
        bridge: whose upload server this is.
    """

    def __init__(self, channel: Plain, rules: OtaRules, bridge: Host) -> None:
        self._channel = channel
        self._rules = rules
        self._bridge = bridge
        self._committed = False
        self._timer = asyncio.timeout(rules.data_s)

    async def run(self) -> bool:
        """Serve it to its end; whether an image was committed."""
        try:
            async with asyncio.timeout(self._rules.greeting_s):
                extended, flags = await self._greet()
                await self._ask_password()
            await self._channel.say(bytes((Answer.AUTH_OK,)))
            await self._heard_within(self._rules.data_s, extended, flags)
        except _RefusedError as refused:
            with contextlib.suppress(HungUpError):
                await self._channel.say(bytes((refused.code,)))
        except (HungUpError, TimeoutError):
            pass
        return self._committed

    async def _heard_within(self, patience_s: float, extended: bool, flags: ServerFeature) -> None:
        try:
            async with asyncio.timeout(patience_s) as self._timer:
                await self._receive(extended, flags)
        except TimeoutError:
            if self._committed:
                raise HungUpError from None
            raise _RefusedError(0xFF) from None

    async def _greet(self) -> tuple[bool, ServerFeature]:
        if await self._channel.field(len(MAGIC)) != MAGIC:
            raise _RefusedError(0x80)
        await self._reach(Stage.GREETING)
        await self._channel.say(bytes((Answer.OK, self._rules.version)))
        asked = ClientFeature((await self._channel.field(1))[0])
        await self._reach(Stage.FEATURES)
        rules = self._rules
        if rules.encryption_required and asked & _NOISE != _NOISE:
            raise _RefusedError(0x94)
        extended = bool(rules.extended and asked & ClientFeature.EXTENDED)
        flags = ServerFeature(0)
        if rules.gzip and asked & ClientFeature.GZIP:
            flags |= ServerFeature.GZIP
        if not extended:
            kind = Answer.SUPPORTS_GZIP if flags else Answer.HEADER_OK
            await self._channel.say(bytes((kind,)))
            self._require_sha256(asked)
            return False, flags
        if rules.deflate and asked & ClientFeature.DEFLATE:
            flags |= ServerFeature.DEFLATE
        if rules.noise_psk:
            flags |= ServerFeature.NOISE
        acknowledged = bytes((Answer.FEATURE_FLAGS, flags))
        await self._channel.say(acknowledged)
        if rules.noise_psk and asked & _NOISE == _NOISE:
            sealed = Sealed(self._channel.reader, self._channel.writer)
            said = bytes((Answer.OK, rules.version, asked)) + acknowledged
            await sealed.greeted(rules.noise_psk, NOISE_PROLOGUE + MAGIC + said)
            self._channel = sealed
        else:
            self._require_sha256(asked)
        return True, flags

    def _require_sha256(self, asked: ClientFeature) -> None:
        if self._rules.auth is Auth.SHA256 and not asked & ClientFeature.SHA256_AUTH:
            raise _RefusedError(0x82)

    async def _ask_password(self) -> None:
        await self._reach(Stage.AUTH)
        if self._rules.auth is Auth.NONE or isinstance(self._channel, Sealed):
            return
        kind = hashlib.sha256 if self._rules.auth is Auth.SHA256 else hashlib.md5
        size = kind(usedforsecurity=False).digest_size
        nonce = secrets.token_hex(size).encode()
        await self._channel.say(bytes((_AUTH[self._rules.auth],)) + nonce)
        theirs = await self._channel.field(size * _HEX_PER_BYTE)
        answer = await self._channel.field(size * _HEX_PER_BYTE)
        text = self._rules.password.encode() + nonce + theirs
        if not hmac.compare_digest(kind(text, usedforsecurity=False).hexdigest().encode(), answer):
            raise _RefusedError(0x82)

    async def _receive(self, extended: bool, flags: ServerFeature) -> None:
        channel = self._channel
        kind = (await channel.field(1))[0] if extended else OtaType.APP
        wire_bytes = image_bytes = await self._size()
        deflate = flags & ServerFeature.DEFLATE
        if deflate:
            image_bytes = await self._size()
        await self._reach(Stage.PREPARE)
        if kind != OtaType.APP:
            raise _RefusedError(0x8E)
        if image_bytes > self._rules.slot_bytes:
            raise _RefusedError(0x89)
        self._bridge.begun()
        await channel.say(bytes((Answer.PREPARE_OK,)))
        md5 = await channel.field(32)
        await self._reach(Stage.CHECKSUM)
        await channel.say(bytes((Answer.MD5_OK,)))
        stored = await self._data(wire_bytes, image_bytes if deflate else None)
        await self._reach(Stage.RECEIVED)
        if self._rules.version > 1 and wire_bytes:
            await channel.say(bytes((Answer.CHUNK_OK,)))
        await channel.say(bytes((Answer.RECEIVE_OK,)))
        await self._reach(Stage.CHECKING)
        self._check(stored, image_bytes, md5, unpack=bool(flags & ServerFeature.GZIP))
        self._committed = True
        await self._reach(Stage.COMMITTED)
        await channel.say(bytes((Answer.UPDATE_END_OK,)))
        await channel.field(1)

    async def _size(self) -> int:
        return int.from_bytes(await self._channel.field(4), "big")

    async def _data(self, wire_bytes: int, inflated_bytes: int | None) -> bytes:
        """Return what is stored; all blocks but the last are acknowledged."""
        inflate = zlib.decompressobj(-DEFLATE_WINDOW_BITS) if inflated_bytes is not None else None
        stored, had, told = bytearray(), 0, 0
        while had < wire_bytes:
            await self._reach(Stage.DATA, had)
            data = await self._channel.data(wire_bytes - had)
            self._timer.reschedule(asyncio.get_running_loop().time() + self._rules.data_s)
            had += len(data)
            try:
                stored += inflate.decompress(data) if inflate is not None else data
            except zlib.error:
                raise _RefusedError(0xFF) from None
            while self._rules.version > 1 and told + BLOCK_BYTES <= had < wire_bytes:
                told += BLOCK_BYTES
                await self._channel.say(bytes((Answer.CHUNK_OK,)))
        # A full block that came together with the end of the image is owed its own answer.
        while self._rules.version > 1 and told + BLOCK_BYTES < wire_bytes:
            told += BLOCK_BYTES
            await self._channel.say(bytes((Answer.CHUNK_OK,)))
        return bytes(stored)

    def _check(self, stored: bytes, image_bytes: int, md5: bytes, *, unpack: bool) -> None:
        if not stored or len(stored) != image_bytes:
            raise _RefusedError(0x84)
        if hashlib.md5(stored, usedforsecurity=False).hexdigest().encode() != md5:
            raise _RefusedError(0x8B)
        image = gzip.decompress(stored) if unpack else stored
        code = self._rules.verify(image)
        if code is not None:
            raise _RefusedError(code)
        self._bridge.commit(image)

    async def _reach(self, stage: Stage, had: int = 0) -> None:
        for fault in self._rules.faults:
            if fault.stage is stage and had >= fault.after_bytes and self._bridge.due(fault):
                await self._fail(fault)

    async def _fail(self, fault: Fault) -> None:
        if fault.failure is Failure.ERROR:
            raise _RefusedError(fault.code)
        if fault.failure is Failure.STALL:
            # Not a byte is read: the sender's buffers fill as they do before a bridge that hangs.
            self._channel.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        self._channel.writer.transport.abort()
        raise HungUpError
