"""
Which source may say what: one prefix, one rule, and never the next one.

A path belongs to the sources of its prefix and to nobody else. What they do not have is not there:
another source is never asked, so whoever can publish under one name cannot slip something in under
another. Where two sources share a prefix, an installer gates the publisher: both must have signed
the very same bytes, and one word against the other means no.

Source: signing.md 4.7, L01 to L08; TUF TAP 4, narrowed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Word:
    """What a source signed about a path."""

    length: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The answer for one path."""

    word: Word | None
    """What may be fetched, `None` if nothing."""
    agreed: tuple[str, ...]
    """Names of the sources that signed it."""
    why: str
    """For people: why there is nothing; "" if there is."""


def asked_for(path: str, sources: Sequence[TrustedSource]) -> tuple[TrustedSource, ...]:
    """Return the sources that may speak of the path, none if nobody may."""
    prefix = path.partition("/")[0] + "/"
    return tuple(it for it in sources if it.prefix == prefix and path.startswith(prefix))


def resolve(
    path: str, sources: Sequence[TrustedSource], words: Mapping[str, Word | None]
) -> Resolved:
    """
    Return what may be fetched for a path.

    Args:
        path: of a target.
        sources: all that this house trusts.
        words: what each verified source signed about this path, by its name; sources that may not
            speak of it are not heard.
    """
    speakers = asked_for(path, sources)
    if not speakers:
        return Resolved(None, (), f"No source of this house may speak of {path!r}.")
    needed = max(it.threshold for it in speakers)
    said = {it.name: word for it in speakers if (word := words.get(it.name)) is not None}
    agreed = tuple(sorted(said))
    if len(set(said.values())) > 1:
        return Resolved(
            None,
            agreed,
            f"{' and '.join(agreed)} signed different bytes as {path!r}. Nothing is taken; ask "
            "the installer.",
        )
    if len(said) < needed:
        missing = ", ".join(sorted(it.name for it in speakers if it.name not in said))
        return Resolved(
            None,
            agreed,
            f"{path!r} needs {needed} of {len(speakers)} sources to have signed it, and {missing} "
            "did not. Wait for them, or ask the installer.",
        )
    return Resolved(next(iter(said.values())), agreed, "")


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
