"""
Keys of the development root. They follow from a text that everybody can read: worth nothing.

Their use is that a fresh clone has a signed repository, the same in every run, and that everybody
can sign the next release of it. What they sign says so, and no release is built on it.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner

from agent.firmware.signing.models import OWNER_FIELD

KNOWN_TO_EVERYBODY = "PV Edge Agent, development keys: known to everybody, worth nothing"


def private_key(name: str) -> Ed25519PrivateKey:
    """Return the key of that name, the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(f"{KNOWN_TO_EVERYBODY}: {name}".encode()).digest()
    )


def signer(name: str) -> CryptoSigner:
    """Return a signer that carries its own name as its holder."""
    made = CryptoSigner(private_key(name))
    made.public_key.unrecognized_fields[OWNER_FIELD] = name
    return made


def pem(name: str) -> str:
    """Return the key as `env:` takes it."""
    private = private_key(name)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
