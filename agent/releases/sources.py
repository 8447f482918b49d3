"""
Whose releases this house trusts: the publisher of the app, and whom a person has added.

The app brings its publisher's root in its bundle. An installer is added by a person who was told
the fingerprint of that installer's root by another way than the mirror. He speaks of a channel of
his own, `x-acme`, and of nothing else; or he gates a channel of the publisher, and then both have
to have signed the same release. Sources are written down here and never fetched.

Source: signing.md 4.7, L01 to L08.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent.firmware.own.builds import CHANNEL
from agent.firmware.own.rules import PinError, TrustedSource, check_pin
from agent.firmware.own.sources import SourcesError, load_sources, save_sources, write_sources
from agent.firmware.trust.source import CHANNELS, Carrier, Directory, Online, Source
from agent.private_file import replace_file
from agent.setting_releases import OWN_CHANNEL, ReleaseSettings, hosts, mirrors

OFFICIAL, LOCAL = "official", CHANNEL
"""Names of sources; the house's own is called as its channel."""
ROOTS = "release_roots"
"""Folder of the roots that a person confirmed, each under its fingerprint."""
LOCAL_FOLDER = "local_repo"
"""Where the house signs its own builds; `agent.firmware.own.local` makes it."""
BUNDLE = "the bundle of the app"
BROUGHT = "the bundle that was uploaded"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Found:
    """Every source there is, and how many have to agree on a channel."""

    sources: tuple[Source, ...] = ()
    """The publisher of the app first."""
    needed: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    problem: str = ""
    """Why nobody is trusted, if somebody should be."""


@dataclass(frozen=True, slots=True)
class Book:
    """Who was added, as it lies on the disk."""

    added: tuple[TrustedSource, ...] = ()
    damaged: str = ""
    """Why the list cannot be used; then nobody is trusted, because a gate may be in it."""

    @property
    def needed(self) -> Mapping[str, int]:
        """Return how many sources have to agree, by channel; 1 where it is not said."""
        found: dict[str, int] = {}
        for it in self.added:
            channel = it.prefix.rstrip("/")
            found[channel] = max(it.threshold, found.get(channel, 1))
        return found


def fingerprint_of(text: str) -> str:
    """
    Return a fingerprint as a person copied it: colons, blanks and capitals do not matter.

    Raises:
        ValueError: it is no SHA-256.
    """
    digits = re.sub(r"[\s:]", "", text).lower().removeprefix("sha256")
    if not _DIGEST.fullmatch(digits):
        raise ValueError(
            "A fingerprint has 64 hexadecimal digits: the SHA-256 of the publisher's 1.root.json. "
            "Ask the publisher for it, not the mirror."
        )
    return digits


def wanted(name: str, mirror: str, channel: str, fingerprint: str) -> TrustedSource:
    """
    Return a source that a person wants to trust.

    Raises:
        ValueError: one of these cannot be; the text says what to do.
    """
    try:
        (where,) = mirrors(mirror)
    except ValueError:
        raise ValueError(
            "The mirror has to be one https address without user or password."
        ) from None
    if channel not in CHANNELS and not OWN_CHANNEL.fullmatch(channel):
        raise ValueError(
            "The channel has to be one of his own, which begins with x-, such as x-acme; or stable "
            "or beta, where he has to sign beside the publisher of the app."
        )
    gate = 2 if channel in CHANNELS else 1
    return TrustedSource(name, fingerprint_of(fingerprint), (where,), f"{channel}/", gate)


def read_book(data_dir: Path, official: bytes | None) -> Book:
    """Return who was added; reads the disk."""
    try:
        return Book(load_sources(data_dir, _built_in(official)))
    except SourcesError as error:
        return Book(damaged=str(error))


def fitting(added: Sequence[TrustedSource], official: bytes | None) -> None:
    """
    Check that sources fit together, before anybody is asked.

    Raises:
        ValueError: they do not; the text says why.
    """
    try:
        write_sources(added, _built_in(official))
    except SourcesError as error:
        raise ValueError(str(error)) from error


def write_book(data_dir: Path, added: Sequence[TrustedSource], official: bytes | None) -> None:
    """
    Keep exactly these; blocks on the disk.

    Raises:
        ValueError: they do not fit together, or could not be stored; nothing was changed.
    """
    try:
        save_sources(data_dir, added, _built_in(official))
    except SourcesError as error:
        raise ValueError(str(error)) from error


def keep_root(data_dir: Path, it: TrustedSource, root: bytes) -> None:
    """
    Keep the first root of a source; blocks on the disk.

    Raises:
        ValueError: it is not the one that was confirmed.
        OSError: it could not be stored.
    """
    try:
        check_pin(it, root)
    except PinError as error:
        raise ValueError(str(error)) from error
    (data_dir / ROOTS).mkdir(mode=0o700, exist_ok=True)
    # As text that no newline changes: the fingerprint is of every byte.
    replace_file(_root(data_dir, it), b64encode(root).decode())


def _root(data_dir: Path, it: TrustedSource) -> Path:
    return data_dir / ROOTS / f"{it.root_sha256}.b64"


def _built_in(official: bytes | None) -> tuple[TrustedSource, ...]:
    """Return the publisher as the rules know him: he speaks of his own channels."""
    if official is None:
        return ()
    digest = hashlib.sha256(official).hexdigest()
    names = (OFFICIAL, *(f"{OFFICIAL}-{it}" for it in CHANNELS[1:]))
    return tuple(
        TrustedSource(name, digest, (), f"{channel}/")
        for name, channel in zip(names, CHANNELS, strict=True)
    )


def root_of(bundle: Path | None) -> bytes | None:
    """Return the root that the app came with, `None` without one; reads the disk."""
    try:
        return (bundle / "metadata" / "1.root.json").read_bytes() if bundle else None
    except OSError:
        return None


def official(
    bundle: Path | None, brought: Path, chosen: ReleaseSettings, cafile: str | None = None
) -> Source | None:
    """
    Return the publisher of the app, `None` where the app came without a bundle; reads the disk.

    Args:
        bundle: the folder of signed documents in the image of the app.
        brought: where a bundle lies that a person has uploaded, if one has.
        chosen: mirrors and further hosts.
        cafile: certificates to trust in place of the system's.
    """
    root = root_of(bundle)
    if bundle is None or root is None:
        return None
    carriers: list[Carrier] = [Directory(bundle, BUNDLE)]
    if (brought / "metadata").is_dir():
        carriers.append(Directory(brought, BROUGHT))
    further = frozenset(hosts(chosen.hosts))
    carriers += [Online(it, further, cafile) for it in mirrors(chosen.mirrors)]
    return Source(OFFICIAL, root, tuple(carriers))


def own(data_dir: Path) -> Source | None:
    """Return the repository of the house's own builds, `None` before the first; reads the disk."""
    folder = data_dir / LOCAL_FOLDER
    try:
        root = (folder / "metadata" / "1.root.json").read_bytes()
    except OSError:
        return None
    here = (Directory(folder, "this house"),)
    return Source(LOCAL, root, here, channels=(LOCAL,), halt_role=False)


def added(
    data_dir: Path, it: TrustedSource, chosen: ReleaseSettings, cafile: str | None = None
) -> Source:
    """Return a source that a person has added; one without its root can be verified in nothing."""
    try:
        root = b64decode(_root(data_dir, it).read_bytes())
        check_pin(it, root)
    except (OSError, ValueError, PinError):
        root = b""
    further = frozenset(hosts(chosen.hosts))
    carriers = tuple(Online(url, further, cafile) for url in it.carriers)
    return Source(it.name, root, carriers, channels=(it.prefix.rstrip("/"),))
