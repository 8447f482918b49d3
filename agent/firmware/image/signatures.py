"""
The signatures of Secure Boot v2 that an application carries, and whether they fit it.

They let us say beforehand what a bridge that verifies signatures will answer. That is a
prediction and never a reason to trust an image: the key lies beside the signature, so anybody can
sign with a key of their own.

Source: ESP-IDF "Secure Boot v2", "Signature Block Format"; espsecure 5.6 for the digests.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import NamedTuple

from agent.firmware.image.models import SignatureBlock

SECTOR = 4096
BLOCK_SIZE = 1216
MOST_BLOCKS = 3
_MAGIC = 0xE7
_RSA = 2
_ECDSA = 3
_CHECKED = 1196
"""Bytes of a block that its CRC covers."""
_RSA_KEY = slice(36, 812)
_RSA_BYTES = 384


class _Curve(NamedTuple):
    """What ECDSA on one curve looks like in a block."""

    scheme: str
    width: int
    """Bytes of each of the four numbers."""
    room: int
    """Bytes kept for two of them."""


_CURVES = {
    (0, 1): _Curve("ecdsa192", 24, 64),
    (0, 2): _Curve("ecdsa256", 32, 64),
    (1, 3): _Curve("ecdsa384", 48, 96),
}
"""By the numbers of hash and curve."""


def read_signatures(application: bytes, end: int) -> tuple[SignatureBlock, ...]:
    """
    Return the signatures behind an application, none for one that is not signed.

    Args:
        application: from its header to the end of the file.
        end: bytes from the header to the end of the hash or checksum; the signatures stand at the
            next multiple of 4096, where the chip looks for them.
    """
    start = signature_sector(end)
    sector = application[start : start + SECTOR]
    blocks = (sector[n * BLOCK_SIZE : (n + 1) * BLOCK_SIZE] for n in range(MOST_BLOCKS))
    present = [block for block in blocks if _is_block(block)]
    if not present:
        return ()
    content = memoryview(application)[:start]
    sha256 = hashlib.sha256(content).digest()
    sha384 = hashlib.sha384(content).digest() if any(b[1:3] == b"\3\1" for b in present) else b""
    read = (
        _rsa(block, sha256) if block[1] == _RSA else _ecdsa(block, sha256, sha384)
        for block in present
    )
    return tuple(it for it in read if it is not None)


def signature_sector(end: int) -> int:
    """Return where the signatures of an application stand that is `end` bytes long."""
    return end + -end % SECTOR


def _is_block(block: bytes) -> bool:
    if len(block) < BLOCK_SIZE or block[0] != _MAGIC or block[1] not in {_RSA, _ECDSA}:
        return False
    return int.from_bytes(block[_CHECKED : _CHECKED + 4], "little") == zlib.crc32(block[:_CHECKED])


def _rsa(block: bytes, digest: bytes) -> SignatureBlock:
    from agent.firmware.image import verify  # noqa: PLC0415 - only who meets a signature pays for it

    key = block[_RSA_KEY]
    modulus = int.from_bytes(key[:_RSA_BYTES], "little")
    exponent = int.from_bytes(key[_RSA_BYTES : _RSA_BYTES + 4], "little")
    signature = block[812 : 812 + _RSA_BYTES][::-1]
    valid = block[4:36] == digest and verify.rsa_fits(modulus, exponent, signature, digest)
    return SignatureBlock("rsa3072", hashlib.sha256(key).hexdigest(), valid)


def _ecdsa(block: bytes, sha256: bytes, sha384: bytes) -> SignatureBlock | None:
    """Return the signature; `None` for a curve or a hash that nobody has defined."""
    from agent.firmware.image import verify  # noqa: PLC0415 - as above

    digest = sha384 if block[2] == 1 else sha256
    at = 4 + len(digest)
    curve = _CURVES.get((block[2], block[at]))
    if curve is None:
        return None
    key = block[at : at + 1 + curve.room]
    numbers = struct.Struct(f"{curve.width}s{curve.width}s")
    point = numbers.unpack_from(block, at + 1)
    signature = numbers.unpack_from(block, at + 1 + curve.room)
    x, y, r, s = (int.from_bytes(it, "little") for it in point + signature)
    fits = block[4:at] == digest and verify.ecdsa_fits(curve.scheme, (x, y), (r, s), digest)
    return SignatureBlock(curve.scheme, hashlib.sha256(key).hexdigest(), fits)
