"""
Which role ends when, and a bundle that outlives its use.

Expiry stops unattended updates only, but a robot that failed for a week should be noticed by
somebody before houses notice. A bundle is for houses without a network: a role that dies before
the bundle should makes it worthless on a shelf, so it is refused.

Source: signing.md 3, 4.2, 4.8.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.firmware.signing.contents import read_contents
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import ONLINE, SigningError, UsageError
from agent.firmware.signing.publish import write_site

_UNITS = {"d": 1, "m": 30, "y": 365}


@dataclass(frozen=True, slots=True)
class Expiry:
    """One role: when it ends, and when somebody has to renew it."""

    role: str
    version: int
    expires: datetime
    renew_from: datetime

    def state(self, now: datetime) -> str:
        """Return `ok`, `renew now` or `EXPIRED`."""
        if now >= self.expires:
            return "EXPIRED"
        return "renew now" if now >= self.renew_from else "ok"


def expiries(folder: Folder) -> list[Expiry]:
    """
    Return every published role, the one that ends first in front.

    Raises:
        SigningError: nothing has been published.
    """
    found = []
    for plan in folder.plan.roles.values():
        metadata = folder.published.metadata(plan.name)
        if metadata is None:
            raise SigningError(f"{plan.name} is not published yet: `manifests publish` first.")
        ends = metadata.signed.expires
        renew = ends - timedelta(days=plan.renew_days)
        found.append(Expiry(plan.name, metadata.signed.version, ends, renew))
    return sorted(found, key=lambda it: it.expires)


def life(text: str) -> timedelta:
    """
    Return a duration from `3y`, `6m` or `90d`; a month has 30 days, a year 365.

    Raises:
        UsageError: it is not written so.
    """
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS:
        raise UsageError(f"{text!r} is no duration: write 3y, 6m or 90d.")
    return timedelta(days=int(number) * _UNITS[unit])


def bundle(
    folder: Folder, out: Path, images: Sequence[Path], min_life: timedelta, now: datetime
) -> int:
    """
    Write an offline bundle and return how many images it carries.

    It has `metadata/`, `targets/` with digests in their names, and `blobs/sha256/` with the images
    of the latest release of each project.

    Args:
        folder: the repository, as published.
        out: a folder that is empty or not there.
        images: folders in which the image files lie under their names.
        min_life: how long the offline roles have to live on.
        now: the moment.

    Raises:
        SigningError: a role dies too early, or an image is missing or not what was signed.
    """
    needed = now + min_life
    short = [it for it in expiries(folder) if it.role not in ONLINE and it.expires < needed]
    if short:
        what = ", ".join(f"{it.role} ends {it.expires:%d %b %Y}" for it in short)
        raise SigningError(
            f"The bundle should live until {needed:%d %b %Y}, but {what}. Renew these with "
            "`manifests renew ROLE`, sign and publish, or ask for less with --min-life."
        )
    found = dict(_images(folder, images)) if images else {}
    write_site(folder, out)
    blobs = out / "blobs" / "sha256"
    for digest, path in found.items():
        target = blobs / digest[:2] / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return len(found)


def _images(folder: Folder, places: Sequence[Path]) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for channel in folder.plan.channels:
        contents = read_contents(folder.published.target, channel)
        for project, offered in contents.channel.projects.items():
            for release in contents.of(project):
                if release.version == offered.latest:
                    found += [
                        (it.sha256, _file(it.file, it.sha256, places)) for it in release.images
                    ]
    return found


def _file(name: str, digest: str, places: Sequence[Path]) -> Path:
    for place in places:
        path = place / name
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise SigningError(f"{path} is not the file that was signed. Fetch it again.")
            return path
    raise SigningError(f"{name} is in none of the folders. Fetch it and name its folder: --images.")
