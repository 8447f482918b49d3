"""
What is going to be written where, decided before anything is.

A factory image put whole onto a bridge overwrites its Wi-Fi settings with nothing. So the image is
cut around the partition that holds them, as long as old and new tables agree on where that is;
where they do not, it is said that the settings will be lost, and a person has to accept that.

Source: esptool.md, sections 1.8, 1.10 and 4.
"""

from __future__ import annotations

import hashlib

from agent.firmware.image.models import ImageFacts
from agent.firmware.manifest.models import ImageKind, Part, ReleaseImage
from agent.firmware.serial.checks import image_refusal, lock_refusals, plan_refusals
from agent.firmware.serial.errors import Refusal, SerialCode, SerialError
from agent.firmware.serial.layout import SECTOR, TABLE, read_table, subtract
from agent.firmware.serial.models import Backup, FlashPlan, Partition, SerialDevice, Span


def plan_flash(
    image: ReleaseImage,
    content: bytes,
    device: SerialDevice,
    *,
    facts: ImageFacts | None = None,
    min_chip_revision: int = 0,
    erase_settings: bool = False,
) -> FlashPlan:
    """
    Return how that image goes onto that device.

    Args:
        image: a factory image of a signed manifest, with its parts.
        content: the file.
        device: as it was identified.
        facts: what the file says of itself, to see that its program fits its partition.
        min_chip_revision: of the release; major times 100 plus minor.
        erase_settings: a person wants Wi-Fi and keys gone.

    Raises:
        SerialError: it must not, or cannot; the code says why. With `SETTINGS_LOST` it can, if
            `erase_settings` is accepted.
    """
    # A locked chip may hide its address too: the lock is what a person has to hear of.
    for locked in lock_refusals(device):
        raise SerialError(locked)
    if device.mac is None:
        raise SerialError(_bad("The device does not tell its address"))
    _check_digest(content, image.size, image.sha256)
    parts = image.parts or (Part(0, 0, image.size),)
    if image.kind is not ImageKind.FACTORY:
        raise SerialError(_bad("Only a factory image goes over the cable"))
    _check_parts(parts, image.size)
    table = read_table(_at(parts, content, TABLE))
    if not table:
        raise SerialError(_bad("The image has no partition table at 0x8000"))
    new = [it for it in table if it.keeps_settings]
    old = [it for it in device.table if it.keeps_settings]
    if old and not erase_settings and _places(old) - _places(new):
        raise SerialError(_lost(old))
    holes = [_span(it) for it in new]
    blank = [left for it in old for left in subtract(_span(it), [_of(part) for part in parts])]
    plan = FlashPlan(
        mac=device.mac,
        chip=image.chip,
        file_sha256=image.sha256,
        file_size=image.size,
        flash_size=max(image.flash_size or 0, *(it.end for it in table)),
        parts=_cut(parts, holes),
        kept=() if erase_settings else tuple(new),
        blank=tuple(_merged([*holes, *blank])) if erase_settings else (),
        min_chip_revision=max(min_chip_revision, facts.min_chip_revision if facts else 0),
    )
    wrong = [*plan_refusals(device, plan), image_refusal(plan, content, table), _fits(table, facts)]
    for why in wrong:
        if why is not None:
            raise SerialError(why)
    return plan


def plan_restore(backup: Backup, device: SerialDevice) -> FlashPlan:
    """
    Return how a backup goes back onto the device that it was taken from.

    Raises:
        SerialError: it is not that device.
    """
    size = max((it.start + it.size for it in backup.regions), default=0)
    plan = FlashPlan(
        mac=backup.mac,
        chip=backup.chip,
        file_sha256=backup.sha256,
        file_size=size,
        flash_size=backup.flash_size,
        parts=backup.regions,
    )
    for why in plan_refusals(device, plan):
        raise SerialError(why)
    return plan


def check_file(plan: FlashPlan, content: bytes) -> None:
    """
    Do nothing if the file is the one that the plan was made for.

    Raises:
        SerialError: it is another one, or was changed since.
    """
    _check_digest(content, plan.file_size, plan.file_sha256)


def _check_digest(content: bytes, size: int, sha256: str) -> None:
    if len(content) == size and hashlib.sha256(content).hexdigest() == sha256:
        return
    text = "The file is not the one that was checked."
    step = "Nothing was written from it. Choose the release again."
    raise SerialError(Refusal(SerialCode.IMAGE_CHANGED, text, step))


def _check_parts(parts: tuple[Part, ...], size: int) -> None:
    taken: list[Span] = []
    for part in sorted(parts, key=lambda it: it.offset):
        if part.offset % SECTOR:
            # The ROM erases whole sectors, and with them what stands before the part.
            raise SerialError(_bad(f"A part begins at {part.offset:#x}, inside a sector of 4 KiB"))
        if part.size <= 0 or part.start + part.size > size:
            raise SerialError(_bad(f"The part at {part.offset:#x} is not in the file"))
        if taken and taken[-1].end > part.offset:
            raise SerialError(_bad(f"Two parts overlap at {part.offset:#x}"))
        end = -(-(part.offset + part.size) // SECTOR) * SECTOR
        taken.append(Span(part.offset, end - part.offset))


def _at(parts: tuple[Part, ...], content: bytes, span: Span) -> bytes:
    """Return what the flash would hold there, "" if no part covers its beginning."""
    for part in parts:
        if part.offset <= span.offset < part.offset + part.size:
            start = part.start + span.offset - part.offset
            return content[start : min(start + span.size, part.start + part.size)]
    return b""


def _cut(parts: tuple[Part, ...], holes: list[Span]) -> tuple[Part, ...]:
    return tuple(
        Part(left.offset, part.start + left.offset - part.offset, left.size)
        for part in sorted(parts, key=lambda it: it.offset)
        for left in subtract(_of(part), holes)
    )


def _fits(table: tuple[Partition, ...], facts: ImageFacts | None) -> Refusal | None:
    if facts is None or not facts.app_size:
        return None
    for it in table:
        if it.is_app and it.offset <= facts.app_offset < it.end:
            over = facts.app_offset + facts.app_size - it.end
            return None if over <= 0 else _bad(f"The program is {over} bytes too long for its slot")
    return _bad(f"The program at {facts.app_offset:#x} is in no partition of its table")


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for it in sorted(spans, key=lambda it: it.offset):
        merged += subtract(it, merged)
    return merged


def _of(part: Part) -> Span:
    return Span(part.offset, part.size)


def _span(it: Partition) -> Span:
    return Span(it.offset, it.size)


def _places(partitions: list[Partition]) -> set[tuple[int, int, int]]:
    return {(it.subtype, it.offset, it.size) for it in partitions}


def _lost(old: list[Partition]) -> Refusal:
    where = ", ".join(f"{it.offset:#x}" for it in old)
    return Refusal(
        SerialCode.SETTINGS_LOST,
        f"The new firmware keeps its settings elsewhere than the old one, which has them at "
        f"{where}: Wi-Fi and keys would be lost.",
        "Accept that the settings are erased, and set up Wi-Fi again afterwards.",
    )


def _bad(text: str) -> Refusal:
    return Refusal(SerialCode.BAD_PLAN, f"{text}.", "Choose another release, and report this one.")
