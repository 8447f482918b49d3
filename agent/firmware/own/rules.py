"""
A source that a person has added, and the check that it is the one whose fingerprint he compared.

Source: signing.md 4.7, L04; TUF TAP 4, narrowed.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass


class PinError(Exception):
    """A root that is not the one a person confirmed; its text says what to do."""


@dataclass(frozen=True, slots=True)
class TrustedSource:
    """One source, as a person confirmed it at commissioning."""

    name: str
    root_sha256: str
    """Of its first root metadata: the fingerprint that the person compared."""
    carriers: tuple[str, ...]
    """Base addresses, https."""
    prefix: str
    """What it may speak of: the first part of a path with its slash, `stable/`, `x-acme/`."""
    threshold: int = 1
    """Sources of this prefix that have to agree; the highest that one of them asks for counts."""


def check_pin(source: TrustedSource, root: bytes) -> None:
    """
    Check that the first root metadata is the one whose fingerprint a person confirmed.

    Raises:
        PinError: it is another.
    """
    found = hashlib.sha256(root).hexdigest()
    if not hmac.compare_digest(found, source.root_sha256):
        raise PinError(
            f"The root of {source.name} has the fingerprint {found[:16]}…, and "
            f"{source.root_sha256[:16]}… was confirmed. Nothing of it is used; compare the whole "
            "fingerprint with the publisher."
        )
