"""
What a person reads of a bridge on a cable.

Pure functions; what a chip or a program in it says of itself comes in printable.
"""

from __future__ import annotations

from agent.firmware.manifest.models import Release
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import Adapter
from agent.fleet.identity import written

KINDS = {
    Adapter.USB_JTAG: "an ESP with USB of its own",
    Adapter.USB_OTG: "an ESP with USB of its own",
    Adapter.BRIDGE: "a converter as bridges have it; others have it too",
    Adapter.STICK: "a radio stick or a meter, no bridge",
    Adapter.UNKNOWN: "of a kind that is not known here",
}
"""What hangs on a port, as far as its USB says."""


def locks(found: SerialDevice) -> tuple[str, ...]:
    """Return what a chip is locked by; with any of them it cannot be written."""
    told = (
        ("secure boot", found.secure_boot),
        ("flash encryption", found.flash_encryption),
        ("secure download mode", found.secure_download),
    )
    return tuple(word for word, locked in told if locked)


def described(found: SerialDevice) -> str:
    """Return what a chip says of itself, in sentences."""
    what = found.description or found.chip
    mac = written(found.mac) if found.mac else "an address that it hides"
    size = f", {found.flash_size >> 20} MiB of flash" if found.flash_size else ""
    runs = f" It has {found.app_name} {found.app_version}." if found.app_version else ""
    by = locks(found)
    locked = f" It is locked by {', '.join(by)} and cannot be written." if by else ""
    return f"{what} with {mac}{size}.{runs}{locked}"


def question(release: Release, found: SerialDevice, *, erases: bool) -> str:
    """Return what a person confirms: release, chip and MAC, and what is lost."""
    whom = written(found.mac) if found.mac else "an address that it hides"
    asked = f"Write {release.project} {release.version} to the {found.chip} {whom}?"
    lost = " Its Wi-Fi settings and keys are erased." if erases else " Its settings stay."
    return f"{asked}{lost}"
