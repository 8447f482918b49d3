"""
Signs images as `espsecure sign-data --version 2` does, with the same bytes every time.

RSA-PSS takes its salt by chance; here it is the hash of what is signed, so that the same image
under the same key is the same file. The key of `ecdsa_key` is the same in every run too.

Source: ESP-IDF "Secure Boot v2"; RFC 8017, section 9.1.1 (EMSA-PSS).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

SECTOR = 4096
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """Return the key of that number, the same for the whole run of the tests."""
    del number
    return rsa.generate_private_key(65537, 3072)


def ecdsa_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of that number, the same in every run."""
    return ec.derive_private_key(0x51C0FFEE + number, ec.SECP256R1())


def sign(image: bytes, *keys: Key) -> bytes:
    """Return the image, filled up to a sector, and the sector with one block for each key."""
    content = image.ljust(len(image) + -len(image) % SECTOR, b"\xff")
    return content + b"".join(_block(content, key) for key in keys).ljust(SECTOR, b"\xff")


def key_digest(key: Key) -> str:
    """Return the digest by which ESPHome and the chip know the public key."""
    return hashlib.sha256(_public(key)).hexdigest()


def _block(content: bytes, key: Key) -> bytes:
    digest = hashlib.sha256(content).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = _pss(digest, key).to_bytes(384, "little")
        block = b"\xe7\x02\0\0" + digest + _public(key) + signature
    else:
        der = key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=True))
        signature = b"".join(it.to_bytes(32, "little") for it in utils.decode_dss_signature(der))
        block = (b"\xe7\x03\x00\0" + digest + _public(key) + signature).ljust(1196, b"\0")
    return block + struct.pack("<I", zlib.crc32(block)) + bytes(16)


def _public(key: Key) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return b"\x02" + point.x.to_bytes(32, "little") + point.y.to_bytes(32, "little")
    numbers = key.public_key().public_numbers()
    montgomery = pow(2, 2 * 3072, numbers.n)
    inverse = -pow(numbers.n, -1, 1 << 32) % (1 << 32)
    return struct.pack(
        "<384sI384sI",
        numbers.n.to_bytes(384, "little"),
        numbers.e,
        montgomery.to_bytes(384, "little"),
        inverse,
    )


def _pss(digest: bytes, key: rsa.RSAPrivateKey) -> int:
    """Return the signature under a salt of 32 bytes that follows from the digest."""
    salt = hashlib.sha256(b"salt" + digest).digest()
    hashed = hashlib.sha256(bytes(8) + digest + salt).digest()
    block = bytes(384 - 32 - 32 - 2) + b"\x01" + salt
    mask = b"".join(hashlib.sha256(hashed + n.to_bytes(4, "big")).digest() for n in range(11))
    masked = bytearray(a ^ b for a, b in zip(block, mask, strict=False))
    masked[0] &= 0x7F
    encoded = int.from_bytes(bytes(masked) + hashed + b"\xbc", "big")
    private = key.private_numbers()
    return pow(encoded, private.d, private.public_numbers.n)
