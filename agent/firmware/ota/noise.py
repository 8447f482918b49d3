"""
The encrypted leg of an upload: Noise NNpsk0, with the bridge's API key on both sides.

Everything that was said in the clear before is bound into the handshake, so that nobody between
can talk the two out of encryption or into another dialect. Afterwards each field, and each KiB of
the image, is a frame of its own.

The libraries behind it take a while to load, so they are loaded with the first encrypted upload.

Source: esphome.md, section 5; aioesphomeapi, `noise`.
"""

from __future__ import annotations

from agent.firmware.ota.wire import (
    NOISE_BLOCK_BYTES,
    NOISE_HANDSHAKE_OK,
    NOISE_INDICATOR,
    NOISE_LARGEST_ANSWER,
    NOISE_WRONG_KEY,
)

HEADER_BYTES = 3
_MAC_BYTES = 16


class KeyFormatError(Exception):
    """What is kept as a key is not 32 bytes of base64."""


class WrongKeyError(Exception):
    """The two sides have different keys."""


class FrameError(Exception):
    """What came is no frame of this protocol; its text says how."""


def load() -> None:
    """Load the libraries; a third of a second on a small machine, so not on the event loop."""
    import aioesphomeapi.noise  # noqa: F401, PLC0415 - heavy, and most uploads are the first


def frame(payload: bytes) -> bytes:
    """Return one frame around a payload of less than 64 KiB."""
    return bytes((NOISE_INDICATOR, len(payload) >> 8, len(payload) & 0xFF)) + payload


def payload_bytes(header: bytes | bytearray) -> int:
    """
    Return how many bytes follow this header.

    Raises:
        FrameError: it is none, or announces more than a bridge ever answers.
    """
    length = int.from_bytes(header[1:HEADER_BYTES], "big")
    if header[0] != NOISE_INDICATOR:
        raise FrameError(f"a frame began with 0x{header[0]:02X}")
    if not 0 < length <= NOISE_LARGEST_ANSWER:
        raise FrameError(f"a frame announced {length} bytes")
    return length


class NoiseLink:
    """
    The uploader's end of one encrypted connection.

    Raises:
        KeyFormatError: the key cannot be one.
    """

    def __init__(self, psk: str, prologue: bytes) -> None:
        from aioesphomeapi.noise import NoiseHandshake  # noqa: PLC0415 - see above
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        self._invalid_tag = InvalidTag
        try:
            self._handshake = NoiseHandshake(psk, prologue)
        except ValueError:
            raise KeyFormatError("it is not 32 bytes as base64") from None

    def hello(self) -> bytes:
        """Return the frame that begins the handshake."""
        return frame(bytes((NOISE_HANDSHAKE_OK,)) + self._handshake.write_message())

    def answered(self, payload: bytes) -> None:
        """
        Take the bridge's part of the handshake; from now on `seal` and `unseal` work.

        Raises:
            WrongKeyError: the keys differ, or somebody changed what was said before.
            FrameError: the bridge gave up for another reason, or its part is malformed.
        """
        if payload[0] != NOISE_HANDSHAKE_OK:
            if payload[1:] == NOISE_WRONG_KEY:
                raise WrongKeyError("it could not read our greeting")
            raise FrameError("it broke the encrypted greeting off")
        try:
            self._handshake.read_message(payload[1:])
        except self._invalid_tag:
            raise WrongKeyError("its answer cannot be read with ours") from None
        except Exception as error:  # noqa: BLE001 - the library names no errors of its own
            raise FrameError(f"its encrypted greeting is malformed ({error!r:.60})") from None
        self._encrypt, self._decrypt = self._handshake.get_ciphers()
        del self._handshake  # it is the larger part of a connection, and done with

    def seal(self, data: bytes | memoryview) -> bytes:
        """Return frames that hold these bytes."""
        parts: list[bytes] = []
        for at in range(0, len(data), NOISE_BLOCK_BYTES):
            sealed = self._encrypt.encrypt(bytes(data[at : at + NOISE_BLOCK_BYTES]))
            parts += (bytes((NOISE_INDICATOR, len(sealed) >> 8, len(sealed) & 0xFF)), sealed)
        return b"".join(parts)

    def unseal(self, raw: bytearray) -> bytes:
        """
        Take all complete frames off the front of `raw` and return what they held.

        Raises:
            FrameError: a frame is malformed, empty or not sealed with this session's keys.
        """
        found = bytearray()
        while len(raw) >= HEADER_BYTES:
            end = HEADER_BYTES + payload_bytes(raw)
            if len(raw) < end:
                break
            if end <= HEADER_BYTES + _MAC_BYTES:
                raise FrameError("an encrypted frame was empty")
            try:
                found += self._decrypt.decrypt(bytes(raw[HEADER_BYTES:end]))
            except self._invalid_tag:
                raise FrameError("an encrypted frame was damaged on its way") from None
            del raw[:end]
        return bytes(found)
