"""
What goes wrong between a computer and an ESP on a cable, one entry each.

Packets and bytes are counted from the first one that the device ever got, so that a fault that
happens once is over when somebody tries again.

Source: esptool.md, sections 1.4, 1.5, 3 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RomFaults:
    """All off by default."""

    mute: bool = False
    """Nothing answers: no power, a cable without data wires, or no chip at all."""
    runs_its_program: bool = False
    """It never enters its boot loader and prints its log instead: nobody holds BOOT."""
    unknown_chip: bool = False
    """It says that it is of a family that nobody knows."""
    short_packet: int | None = None
    """A byte of this data packet gets lost."""
    no_greeting: bool = False
    """It takes the helper program into its memory and is never heard of again."""
    lost_packet: int | None = None
    """This data packet is lost; the first one is 1."""
    spoilt_packet: int | None = None
    """This data packet arrives with a wrong bit."""
    unplugged_after: int | None = None
    """Somebody pulls the cable after this many bytes of flash content."""
    power_cut_after: int | None = None
    """The power fails and returns after this many bytes; the device then starts its program."""
    noisy_above_baud: int | None = None
    """Faster than this, nothing but noise gets through."""
    flash_silent: bool = False
    """The flash chip does not answer."""
    worn_sector: int | None = None
    """A sector of 4 KiB that takes nothing any more, by its index."""
    forgets: bool = False
    """What was written can be read back, and is gone after the next start."""
    wrong_md5: bool = False
    """The checksum that it computes over its flash is never right."""
