"""
Is this the bridge that was meant, and may it be written to?

Pure functions: what was read from the chip and what is wanted come in, reasons against it come
out. esptool itself checks an image's chip at one address only, never looks at overlaps or
encryption in development, and knows nothing of which device a person meant.

Source: esptool.md, section 1.8, "Guards".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace

from agent.firmware.manifest.models import Part
from agent.firmware.policy.models import Device
from agent.firmware.serial.errors import Refusal, SerialCode, words
from agent.firmware.serial.models import FlashPlan, Partition, SerialDevice
from agent.fleet.identity import Mac, mac_of, written

CHIP_IDS = {
    "esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c2": 12, "esp32c6": 13,
    "esp32h2": 16, "esp32p4": 18, "esp32c61": 20, "esp32c5": 23,
}  # fmt: skip
"""As image headers have them."""
_BOOTLOADER_ELSEWHERE = {"esp32": 0x1000, "esp32s2": 0x1000, "esp32c5": 0x2000, "esp32p4": 0x2000}
_MAGIC = b"\xe9"
_CHIP_ID = struct.Struct("<12xH")
_NEW_DEVICE_STEP = "Check which bridge is plugged in, and choose it by its address."


def lock_refusals(found: SerialDevice) -> tuple[Refusal, ...]:
    """Return which locks of a chip forbid writing; none of them can be accepted."""
    locks = (
        (found.secure_download, SerialCode.SECURE_DOWNLOAD),
        (found.secure_boot, SerialCode.SECURE_BOOT),
        (found.flash_encryption, SerialCode.FLASH_ENCRYPTION),
    )
    return tuple(words(code) for locked, code in locks if locked)


def device_refusals(found: SerialDevice) -> tuple[Refusal, ...]:
    """Return what forbids any job on a device, whatever the image is."""
    locked = lock_refusals(found)
    silent = () if locked or found.flash_size is not None else (words(SerialCode.FLASH_SILENT),)
    return locked + silent


def meant_refusals(found: SerialDevice, meant: Device) -> tuple[Refusal, ...]:
    """Return why the chip on the cable is not the bridge that a person chose."""
    mac = mac_of(meant.mac)
    if found.mac is None or found.mac != mac:
        return (another_device(found.mac, mac),)
    told = (
        ("chip", meant.chip, found.chip),
        ("chip revision", meant.chip_revision, found.revision),
        ("flash size", meant.flash_size, found.flash_size),
    )
    return tuple(
        Refusal(
            SerialCode.WRONG_DEVICE,
            f"{written(found.mac)} was known with {what} {then} and has {now}.",
            "If the board was replaced, forget the bridge and add it again.",
        )
        for what, then, now in told
        if then is not None and now is not None and then != now
    )


def chip_refusals(found: SerialDevice, plan: FlashPlan) -> tuple[Refusal, ...]:
    """Return why a plan is not for the chip that is there now, whatever its flash is."""
    refusals = []
    if found.mac != plan.mac:
        refusals.append(another_device(found.mac, plan.mac))
    if found.chip != plan.chip:
        text = f"The image is made for {plan.chip}, and the bridge has {found.chip}."
        refusals.append(Refusal(SerialCode.WRONG_CHIP, text, "Choose a release for this chip."))
    if found.revision is not None and found.revision < plan.min_chip_revision:
        text = (
            f"The image needs chip revision {_revision(plan.min_chip_revision)} or later, "
            f"and the bridge has {_revision(found.revision)}."
        )
        step = "Choose a release for this board."
        refusals.append(Refusal(SerialCode.CHIP_REVISION, text, step))
    return tuple(refusals)


def plan_refusals(found: SerialDevice, plan: FlashPlan) -> tuple[Refusal, ...]:
    """Return what speaks against carrying out a plan on the device that is there now."""
    refusals = [*device_refusals(found), *chip_refusals(found, plan)]
    ends = [it.offset + it.size for it in plan.parts] + [it.end for it in plan.blank]
    needed = max(plan.flash_size, *ends, 0)
    if found.flash_size is not None and needed > found.flash_size:
        text = (
            f"The image needs {needed / 2**20:.3g} MiB of flash, "
            f"and the bridge has {found.flash_size / 2**20:.3g}."
        )
        step = "Choose a release for this board."
        refusals.append(Refusal(SerialCode.FLASH_TOO_SMALL, text, step))
    return tuple(refusals)


def image_refusal(plan: FlashPlan, content: bytes, table: Iterable[Partition]) -> Refusal | None:
    """
    Return why the programs in the file cannot run on that chip, `None` if they say they do.

    Args:
        plan: which bytes of the file go where.
        content: the file.
        table: the partitions that it brings.
    """
    boot = _BOOTLOADER_ELSEWHERE.get(plan.chip, 0)
    places = [boot, *(it.offset for it in table if it.is_app)]
    heads = {at: _head(plan.parts, content, at) for at in places}
    if not heads[boot].startswith(_MAGIC):
        text = f"The image has no boot loader for {plan.chip} at {boot:#x}."
        return Refusal(SerialCode.BAD_PLAN, text, "Choose another release, and report this one.")
    for at, head in heads.items():
        if head.startswith(_MAGIC) and _CHIP_ID.unpack(head)[0] != CHIP_IDS.get(plan.chip):
            text = f"The program at {at:#x} in the image is not made for {plan.chip}."
            return Refusal(SerialCode.WRONG_CHIP, text, "Choose a release for this chip.")
    return None


def as_policy_device(found: SerialDevice, known: Device | None = None) -> Device:
    """
    Return a device for the policy: what the cable says now, with what else is known of it.

    Raises:
        ValueError: the chip does not tell its address, or the known one is another device.
    """
    if found.mac is None or (known is not None and mac_of(known.mac) != found.mac):
        raise ValueError(f"{found.mac} on the cable is not {known.mac if known else 'a device'}")
    base = known or Device(mac=found.mac, project=None, version=None, chip=None)
    return replace(base, chip=found.chip, chip_revision=found.revision, flash_size=found.flash_size)


def _head(parts: tuple[Part, ...], content: bytes, offset: int) -> bytes:
    """Return the beginning of an image header at that place of the flash, "" if none is there."""
    for part in parts:
        at = part.start + offset - part.offset
        if part.offset <= offset and at + _CHIP_ID.size <= part.start + part.size:
            return content[at : at + _CHIP_ID.size]
    return b""


def another_device(found: Mac | None, meant: Mac | None) -> Refusal:
    """Return the words for a device that is not the one that was meant."""
    there = written(found) if found else "a device that hides its address"
    wanted = written(meant) if meant else "a bridge without an address"
    text = f"The bridge on the cable is {there}, and {wanted} was meant."
    return Refusal(SerialCode.WRONG_DEVICE, text, _NEW_DEVICE_STEP)


def _revision(number: int) -> str:
    return f"v{number // 100}.{number % 100}"
