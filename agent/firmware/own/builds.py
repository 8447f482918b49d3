"""
What a release says that was made from a file somebody brought.

Its facts are the file's own. One version of one project is one release: the images for several
chips and for both ways come together in it. Other bytes for the same chip, way and version are
refused, as nobody could tell from a running bridge which of the two it has; who means it says so
and replaces the earlier ones.

Source: signing.md 4.4 and 4.7; esptool.md 1.10 for what a cable writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from agent.firmware.image.chips import CHIPS_BY_ID
from agent.firmware.image.models import ImageFacts, Layout
from agent.firmware.image.partitions import OTA_DATA, TABLE_AT, Partition, read_partitions
from agent.firmware.manifest import grammar
from agent.firmware.manifest.models import Health, ImageKind, Part, Release, ReleaseImage

CHANNEL = "local"
LABEL = "Nobody signed it but this house."
NODE_PREFIX = "own."
"""Before ESPHome's node name, for a build that has no `project:`; a project has a dot."""
CONFIRM_AFTER_S = 120
_SECTOR = 4096
_PAGE = 0x10000
_LONGEST_SOURCE = 200
_LARGEST_FLASH = 128 << 20
_ERASED = b"\xff"


class BuildRefusedError(Exception):
    """A file that becomes no release; its text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A file that somebody brought, and what it is said to be."""

    data: bytes
    facts: ImageFacts
    """What `read_image` read from these bytes."""
    source: str
    """For people: `PVAutonomy release 1.0.4`, `ESPHome build`."""
    at: datetime


def release_of(brought: Brought) -> Release:
    """
    Return the release that this file alone makes.

    Raises:
        BuildRefusedError: it is damaged, no firmware, or names nothing that can be a release.
    """
    facts = brought.facts
    _whole(facts)
    project, version = _named(facts)
    kind = ImageKind.OTA if facts.layout is Layout.APPLICATION else ImageKind.FACTORY
    image = ReleaseImage(
        kind=kind,
        chip=facts.chip,
        file=f"{project}-{version}-{facts.chip}.{kind}.bin"[-128:],
        size=facts.size,
        sha256=facts.sha256,
        signed_by=tuple(it.key_digest for it in facts.signatures if it.valid),
    )
    if kind is ImageKind.OTA:
        slot = facts.size + -facts.size % _PAGE
        image = replace(image, slot_size=slot, md5=facts.md5)
    else:
        parts = parts_of(brought.data, facts)
        end = max(it.offset + it.size for it in parts)
        image = replace(image, parts=parts, flash_size=max(facts.flash_size or 0, end))
    return Release(
        project=project,
        version=version,
        rollback_index=0,
        released=brought.at.replace(microsecond=0),
        notes=f"{_said(brought.source)}\n{LABEL}",
        images=(image,),
        health=Health(CONFIRM_AFTER_S),
        min_chip_revision=facts.min_chip_revision,
    )


def joined(earlier: Release | None, new: Release, *, in_place: bool = False) -> Release:
    """
    Return the release with the new image in it; the earlier one itself if it has it already.

    Args:
        earlier: what the house has under this project and version, `None` if nothing.
        new: made by `release_of`, so with one image.
        in_place: other bytes for the same chip and way may take the place of the earlier ones.

    Raises:
        BuildRefusedError: other bytes are there, and they were not to be replaced.
    """
    if earlier is None:
        return new
    image = new.images[0]
    same = next(
        (it for it in earlier.images if (it.kind, it.chip) == (image.kind, image.chip)), None
    )
    if same is not None and same.sha256 == image.sha256:
        return earlier
    if same is not None and not in_place:
        raise BuildRefusedError(
            f"{new.project} {new.version} for {image.chip} ({image.kind}) is here already with "
            f"other bytes ({same.sha256[:12]}…, this is {image.sha256[:12]}…). A running bridge "
            "could not tell which it has: raise the version and build again, or replace the "
            "earlier one."
        )
    others = tuple(it for it in earlier.images if it is not same)
    revision = max(earlier.min_chip_revision if others else 0, new.min_chip_revision)
    return replace(new, images=(*others, image), min_chip_revision=revision)


def parts_of(data: bytes, facts: ImageFacts) -> tuple[Part, ...]:
    """
    Return what a cable writes of a factory image: everything but what keeps the bridge's settings.

    The bootloader, the table, the OTA data, the applications, and other data that is not empty.

    Raises:
        ImageError: it has no partition table.
    """
    bootloader = next(it.bootloader_at for it in CHIPS_BY_ID.values() if it.name == facts.chip)
    places = [(bootloader, TABLE_AT - bootloader), (TABLE_AT, _SECTOR)]
    places += [
        (it.offset, min(it.size, len(data) - it.offset))
        for it in sorted(read_partitions(data), key=lambda it: it.offset)
        if _is_written(it, data)
    ]
    return tuple(Part(at, at, size) for at, size in places)


def _is_written(partition: Partition, data: bytes) -> bool:
    held = data[partition.offset : partition.offset + partition.size]
    chosen = (partition.kind, partition.subtype) == OTA_DATA
    return bool(held) and (chosen or held.count(_ERASED) != len(held))


def _whole(facts: ImageFacts) -> None:
    if facts.layout is Layout.BOOTLOADER:
        raise BuildRefusedError(
            "This is a bootloader alone and no firmware. Give the file that ESPHome calls "
            "firmware.ota.bin or firmware.factory.bin."
        )
    if not facts.checksum_ok or facts.hash_ok is False:
        raise BuildRefusedError(
            "The file does not fit its own checksum: it is damaged and would not start. Download "
            "or build it again."
        )
    if any(not it.valid for it in facts.signatures):
        raise BuildRefusedError(
            "A signature in the file does not fit it: it was changed after it was signed. "
            "Download or sign it again."
        )
    if (facts.flash_size or 0) > _LARGEST_FLASH:
        raise BuildRefusedError("The file asks for more flash than any chip has. Build it again.")


def _named(facts: ImageFacts) -> tuple[str, str]:
    """Return project and version as a release may have them."""
    project, version = facts.project or "", facts.version or ""
    if "." not in project:
        project = NODE_PREFIX + project
    if not grammar.PROJECT.fullmatch(project) or ".." in project:
        raise BuildRefusedError(
            f"The file calls its project {facts.project!a}, and a project is named like "
            "vendor.model. Set `project: name:` in ESPHome and build it again."
        )
    if not grammar.VERSION.fullmatch(version):
        raise BuildRefusedError(
            f"The file calls its version {facts.version!a}, and a version is numbers and dots "
            "like 1.2.0. Set `project: version:` in ESPHome and build it again."
        )
    return project, version


def _said(source: str) -> str:
    """Return what a person said of the file, in one line that can be shown."""
    plain = "".join(c if c.isprintable() else " " for c in source)
    plain = re.sub(r"\s+", " ", plain).strip()[:_LONGEST_SOURCE]
    return f"{plain or 'Brought by a person'}."
