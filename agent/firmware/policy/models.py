"""
What the policy is asked, and what it answers.

Source: signing.md 4.5, "Decision function" and "Floors", and the lab's D01 to D22.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.firmware.image.models import ImageFacts
from agent.firmware.manifest.models import Brakes, Release, ReleaseImage
from agent.firmware.trust.models import Freshness


class Way(StrEnum):
    """How the image would reach the flash."""

    OTA = "ota"
    SERIAL = "serial"


class Asker(StrEnum):
    """Who wants it."""

    AUTOMATIC = "automatic"
    """Nobody looks: unattended, or by a command over MQTT."""
    PERSON = "person"
    RECOVERY = "recovery"
    """A person with a cable, and a reason."""


class Ack(StrEnum):
    """What a person can accept, each by its own name."""

    STALE = "ack_stale"
    DOWNGRADE = "ack_downgrade"
    PROJECT_CHANGE = "ack_project_change"
    DEVICE_FLOOR = "ack_device_floor"
    """Only in recovery over serial, with a reason."""
    UNSIGNED = "ack_unsigned"
    """The source is the house's own: nobody but this house signed it."""


class Code(StrEnum):
    """Why not, or what was accepted; stable words for journal, page and exit codes."""

    NO_TRUSTED_METADATA = "no-trusted-metadata"
    UNKNOWN_SCHEMA = "unknown-schema"
    IMAGE_REVOKED = "image-revoked"
    BELOW_SIGNED_FLOOR = "below-signed-floor"
    BELOW_DEVICE_FLOOR = "below-device-floor"
    WRONG_CHIP = "wrong-chip"
    CHIP_UNKNOWN = "chip-unknown"
    CHIP_REVISION = "chip-revision"
    WRONG_BOARD = "wrong-board"
    WRONG_HARDWARE_REVISION = "wrong-hardware-revision"
    FACTORY_NEEDS_SERIAL = "factory-needs-serial"
    NO_FLASH_PLAN = "ota-image-has-no-flash-plan"
    SLOT_TOO_SMALL = "slot-too-small"
    FLASH_TOO_SMALL = "flash-too-small"
    IMAGE_DIFFERS = "image-differs"
    """The file is not what its manifest says."""
    IMAGE_DAMAGED = "image-damaged"
    DEVICE_WOULD_REJECT_SIGNATURE = "device-would-reject-signature"
    DEVICE_WOULD_REJECT_DOWNGRADE = "device-would-reject-downgrade"
    NEEDS_STEPPING_STONE = "needs-stepping-stone"
    PROJECT_DIFFERS = "project-differs"
    DOWNGRADE = "downgrade"
    STALE = "stale-metadata"
    CHANNEL_PAUSED = "channel-paused"
    NOT_YOUR_WAVE = "not-your-wave"
    NOTHING_NEW = "nothing-new"
    """It runs this version already; for the automatic asker only."""
    UNSIGNED = "own-build"
    REASON_MISSING = "reason-missing"


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of the bridge; `None` where nobody knows."""

    mac: str
    project: str | None
    version: str | None
    chip: str | None
    board: str | None = None
    chip_revision: int | None = None
    """Major times 100 plus minor."""
    hw: str | None = None
    slot_size: int | None = None
    """Bytes."""
    flash_size: int | None = None
    """Bytes."""
    trusts: frozenset[str] | None = None
    """Digests of the keys that its firmware accepts; `None` if it verifies no signatures."""
    refuses_downgrade: bool = False
    """Its firmware was built with ESPHome's `enable_ota_downgrade_protection`."""
    floor: int = 0
    """The device floor: the highest rollback index confirmed on it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants."""

    way: Way
    asker: Asker
    acks: frozenset[Ack] = frozenset()
    reason: str = ""
    wave_position: float = 0.0
    """Of this bridge for this release, from 0 to 1; counts for the automatic asker only."""
    wave_share: float = 1.0
    """The share that is due now."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be flashed, and what is known of it."""

    release: Release
    image: ReleaseImage
    freshness: Freshness
    brakes: Brakes
    facts: ImageFacts | None = None
    """What the file itself says; `None` before it has been fetched."""
    own: bool = False
    """From the local source: nobody but this house signed it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that speaks against it, or was accepted."""

    code: Code
    text: str
    """A sentence."""
    next_step: str
    """What to do."""
    ack: Ack | None = None
    """What passes it; `None` if nothing does."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer."""

    refusals: tuple[Finding, ...]
    accepted: tuple[Finding, ...] = ()
    """What an acknowledgement passed, for the journal and the page."""

    @property
    def allowed(self) -> bool:
        """True if nothing speaks against it."""
        return not self.refusals

    @property
    def missing(self) -> frozenset[Ack]:
        """What would have to be accepted; only complete if every refusal can be."""
        return frozenset(it.ack for it in self.refusals if it.ack is not None)
