"""
What an upload is given, and what is known when it is over.

The outcome is a type and never "no error": an upload whose last block is on its way and whose
answer is lost may have been committed, and only watching the bridge can tell. So that is an
outcome of its own, and it is never repeated.

Source: esphome.md, section 5; pvautonomy.md, D-01 and D-18.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class OtaError(Exception):
    """The session was used against its rules, which is a defect of the caller."""


class Outcome(StrEnum):
    """How an upload ended."""

    SENT = "sent"
    """The bridge checked the image, committed it and starts it next. Whether it runs is seen."""
    REFUSED = "refused"
    """The bridge said no, or we would have had to show a secret that we keep. Nothing changed."""
    FAILED = "failed"
    """The network or the other side broke off before the last block was sent. Nothing changed."""
    AMBIGUOUS = "ambiguous"
    """The answer was lost after the last block was sent: watch what the bridge runs."""
    CANCELLED = "cancelled"
    """Stopped by us before the last block was sent. Nothing changed."""


class Reason(StrEnum):
    """Why, stable for code that must tell them apart."""

    COMMITTED = "committed"
    # the bridge refused
    BAD_MAGIC = "bad_magic"
    PREPARE = "prepare"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason, not a password
    WRITING_FLASH = "writing_flash"
    UPDATE_END = "update_end"
    MANUAL_RESET = "manual_reset"
    FLASH_CONFIG = "flash_config"
    TOO_LARGE = "too_large"
    NO_PARTITION = "no_partition"
    DAMAGED = "damaged"
    SIGNATURE = "signature"
    UNSUPPORTED_TYPE = "unsupported_type"
    PARTITION_TABLE = "partition_table"
    BOOTLOADER = "bootloader"
    DOWNGRADE = "downgrade"
    ENCRYPTION_REQUIRED = "encryption_required"
    UNKNOWN_ERROR = "unknown_error"
    # secrets
    WRONG_KEY = "wrong_key"
    NO_PASSWORD = "no_password"  # noqa: S105 - a reason, not a password
    WEAK_AUTH = "weak_auth"
    NOT_ENCRYPTED = "not_encrypted"
    UNPROVEN = "unproven"
    # the network
    UNREACHABLE = "unreachable"
    LOST = "lost"
    SILENT = "silent"
    PROTOCOL = "protocol"
    # ourselves
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


NETWORK = frozenset({Reason.UNREACHABLE, Reason.LOST, Reason.SILENT, Reason.PROTOCOL})
"""Another attempt may do better, as long as the last block was not sent."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What opens one bridge, and what may be given up to open it."""

    password: str | None = field(default=None, repr=False)
    noise_psk: str | None = field(default=None, repr=False)
    """The API key: 32 bytes as base64. With it, an upload is encrypted or does not happen."""
    allow_md5: bool = False
    """This bridge is known to be from before 2025.10; its password may be shown by MD5."""
    allow_plaintext: bool = False
    """This bridge is known to have no encrypted uploads (before 2026.9), though it has a key."""
    proves: bool = False
    """Who takes an upload without any secret is not the one who is meant: it gets nothing."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is; all bytes are those on the wire, after compression."""

    acknowledged_bytes: int
    """What the bridge said it has; 0 to the end on bridges of version 1, which say nothing."""
    sent_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    """Acknowledged bytes over the time since the first block; sent ones on version 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one connection ended, and why."""

    outcome: Outcome
    reason: Reason
    text: str
    """What happened, one sentence or two; never with a secret or raw bytes of the other side."""
    next_step: str
    """What a person does now; "" where there is nothing to do."""
    code: int | None = None
    """The error byte that the bridge sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """How an upload over all its attempts ended, with the evidence."""

    verdict: Verdict
    address: str | None
    """The address of the last attempt that reached somebody."""
    last_block_sent: bool
    acknowledged_bytes: int
    total_bytes: int
    """Bytes on the wire; 0 if it did not come to that."""
    encrypted: bool
    attempts: int
    seconds: float
    evidence: tuple[str, ...]
    """One sentence for each attempt, in order."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        return self.verdict.outcome
