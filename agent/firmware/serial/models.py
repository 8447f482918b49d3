"""
What is known of a device on a cable, and what happened to it.

Source: esptool.md, sections 1.8, 1.10 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from agent.firmware.manifest.models import Part
from agent.fleet.identity import Mac


class Phase(StrEnum):
    """What goes on; what takes long without saying how far it is has a name at least."""

    CONNECT = "connect"
    IDENTIFY = "identify"
    STUB = "stub"
    """The flasher's helper program is being put into the memory of the chip."""
    READ = "read"
    COMPARE = "compare"
    WRITE = "write"
    """Each piece is erased as it is written, and compared by its checksum afterwards."""
    RESET = "reset"
    OBSERVE = "observe"
    """It was started, and somebody listens to what it says."""
    WAIT = "wait"
    """The port has gone, and may come back."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One event on the way."""

    phase: Phase
    done: int = 0
    """Bytes."""
    total: int = 0
    """Bytes; 0 where nobody knows."""
    text: str = ""
    """A line for the log, printable and without secrets; mostly esptool's own words."""
    touched: bool = False
    """Something has been erased or written since the job began."""

    @property
    def safe_to_stop(self) -> bool:
        """
        Whether ending it now leaves the device as it was, or finished.

        Otherwise it may not start any more and needs flashing; that is so as well while a write
        that broke off is being tried again.
        """
        return not self.touched or self.phase in {Phase.RESET, Phase.OBSERVE}


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry of a partition table."""

    kind: int
    """0 for an application, 1 for data."""
    subtype: int
    offset: int
    """Bytes from the start of the flash."""
    size: int
    label: str

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size

    @property
    def is_app(self) -> bool:
        """Whether it holds a program."""
        return self.kind == 0

    @property
    def keeps_settings(self) -> bool:
        """Whether it is NVS, where Wi-Fi and keys are, or holds the keys of an encrypted one."""
        return self.kind == 1 and self.subtype in {2, 4}

    @property
    def is_otadata(self) -> bool:
        """Whether it says which slot starts."""
        return (self.kind, self.subtype) == (1, 0)


@dataclass(frozen=True, slots=True)
class SerialDevice:
    """What a chip on a cable says of itself; nothing has been written to learn it."""

    chip: str
    """As esptool names it, in lower case without a dash: `esp32`, `esp32c3`."""
    mac: Mac | None = None
    """`None` if the chip is locked so far that it does not even tell that."""
    description: str = ""
    """For people: `ESP32-D0WD-V3 (revision v3.0)`."""
    revision: int | None = None
    """Major times 100 plus minor."""
    flash_size: int | None = None
    """Bytes; `None` if the flash chip does not answer or is of a kind that nobody knows."""
    flash_id: int | None = None
    """As JEDEC has it: vendor in the lowest byte."""
    secure_boot: bool = False
    flash_encryption: bool = False
    secure_download: bool = False
    table: tuple[Partition, ...] = ()
    """Empty if there is none or it is damaged."""
    app_name: str = ""
    """Name in the program that would start; with ESPHome that is the node, not the product."""
    app_version: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the flash, in bytes from its start."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """What is going to be written to which device; made by `plan_flash`, never by hand."""

    mac: Mac
    chip: str
    file_sha256: str
    file_size: int
    """Bytes."""
    flash_size: int
    """Bytes of flash that it needs."""
    parts: tuple[Part, ...]
    """Pieces of the file, without what is kept."""
    kept: tuple[Partition, ...] = ()
    """Settings that stay as they are."""
    blank: tuple[Span, ...] = ()
    """Pieces that are erased, because a person asked for it."""
    min_chip_revision: int = 0
    """Major times 100 plus minor."""

    @property
    def bytes_to_write(self) -> int:
        """Bytes of all parts."""
        return sum(it.size for it in self.parts)


@dataclass(frozen=True, slots=True)
class Written:
    """A write that succeeded."""

    written: tuple[Part, ...]
    already_right: tuple[Part, ...]
    """Parts that were there already and have not been touched."""
    erased: tuple[Span, ...] = ()
    baud: int = 0
    """Bits per second at which it worked."""
    with_stub: bool = True

    @property
    def nothing_to_do(self) -> bool:
        """Whether all of it was there already."""
        return not self.written and not self.erased


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of what was on a device, read back and compared. Holds secrets: mode 0600."""

    path: Path
    """The bytes, one region after the other."""
    mac: Mac
    chip: str
    flash_size: int
    sha256: str
    """Of the file."""
    regions: tuple[Part, ...] = field(default=())
    """Where each region was and where in the file it is."""
