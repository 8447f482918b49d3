"""
Whose releases this house trusts: the publisher of the app, and whom a person has added.

The app brings its publisher's root in its bundle. An installer is added by a person who was told
the fingerprint of that installer's root by another way than the mirror, and only for projects
that begin with the installer's own name: nothing that anybody signs counts for another's project.
Sources are written down here and never fetched.

Source: signing.md 4.7, L01 to L05.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.firmware.trust.source import Carrier, Directory, Online, Source
from agent.fleet.identity import OUR_PROJECTS
from agent.private_file import keep_aside, replace_file
from agent.setting_releases import ReleaseSettings, hosts, mirrors

OFFICIAL, LOCAL = "official", "local"
FILE_NAME = "release_sources.json"
MOST_SOURCES = 8
LOCAL_FOLDER = "local_repo"
"""Where the house signs its own builds; `agent.firmware.own.local` makes it."""
BUNDLE = "the bundle of the app"
BROUGHT = "the bundle that was uploaded"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\.")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OURS = frozenset(it.partition(".")[0].casefold() for it in OUR_PROJECTS.kinds)
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publisher:
    """A source that a person has added."""

    name: str
    mirror: str
    prefix: str
    """How all its projects begin, with the dot: `acme.`."""
    root: bytes
    """Its first root metadata, as it was confirmed."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root, in lower-case hexadecimal."""
        return hashlib.sha256(self.root).hexdigest()


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


def checked(
    name: str, mirror: str, prefix: str, there: tuple[Publisher, ...]
) -> tuple[str, str, str]:
    """
    Return name, mirror and prefix of a new source as they are kept.

    Raises:
        ValueError: one of them cannot be; the text says what to do.
    """
    if not _NAME.fullmatch(name) or name in {OFFICIAL, LOCAL, *(it.name for it in there)}:
        raise ValueError(
            "The name needs lower-case letters, digits and dashes, and no source may have it yet."
        )
    if len(there) >= MOST_SOURCES:
        raise ValueError(f"There are {MOST_SOURCES} sources already; remove one first.")
    try:
        (where,) = mirrors(mirror)
    except ValueError:
        raise ValueError(
            "The mirror has to be one https address without user or password."
        ) from None
    begins = prefix if prefix.endswith(".") else f"{prefix}."
    taken = {it.prefix.casefold() for it in there}
    if (
        not _PREFIX.fullmatch(begins)
        or begins[:-1].casefold() in _OURS
        or begins.casefold() in taken
    ):
        raise ValueError(
            "The first part of its project names has to be its own: `acme` for acme.bridge. Those "
            "of the app's publisher and of other sources cannot be taken."
        )
    return name, where, begins


class SourceBook:
    """The added sources, in memory and in a file of the data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Read the file; what cannot be used is set aside, and its sources are not trusted."""
        self._path = data_dir / FILE_NAME
        self.warning = ""
        self.publishers: tuple[Publisher, ...] = self._read()

    def replace(self, publishers: tuple[Publisher, ...]) -> None:
        """
        Keep exactly these; blocks on the disk.

        Raises:
            OSError: nothing was changed.
        """
        rows = [
            {
                "name": it.name,
                "mirror": it.mirror,
                "prefix": it.prefix,
                "root": it.root.decode(),
                "root_sha256": it.fingerprint,
            }
            for it in publishers
        ]
        replace_file(self._path, json.dumps({"sources": rows}, indent=1))
        self.publishers = publishers

    def _read(self) -> tuple[Publisher, ...]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return tuple(_publisher(row) for row in document["sources"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.warning = (
                f"{FILE_NAME} cannot be used and was set aside: sources that were added are not "
                "trusted any more. Add them again by their fingerprints."
            )
            _LOGGER.warning("%s (%s)", self.warning, error)
            try:
                keep_aside(self._path)
            except OSError as stays:
                _LOGGER.warning("%s could not be moved aside: %s", FILE_NAME, stays)
            return ()


def _publisher(row: Mapping[str, Any]) -> Publisher:
    found = Publisher(
        str(row["name"]), str(row["mirror"]), str(row["prefix"]), str(row["root"]).encode()
    )
    if found.fingerprint != row["root_sha256"]:
        raise ValueError(f"the root of {found.name!r} is not the one that was confirmed")
    return found


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
    if bundle is None:
        return None
    try:
        root = (bundle / "metadata" / "1.root.json").read_bytes()
    except OSError:
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


def added(it: Publisher, chosen: ReleaseSettings, cafile: str | None = None) -> Source:
    """Return a source that a person has added."""
    return Source(it.name, it.root, (Online(it.mirror, frozenset(hosts(chosen.hosts)), cafile),))
