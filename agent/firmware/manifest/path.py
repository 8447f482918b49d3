"""Whether every release still in use has a way to the latest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.firmware.manifest.models import Release


@dataclass(frozen=True, slots=True)
class Stranded:
    """Bridges on one release and chip that no sequence of updates brings to the latest."""

    version: str
    chip: str
    text: str
    """A sentence: what is in the way, and what to do."""


def stranded(releases: Sequence[Release], latest: str | None = None) -> tuple[Stranded, ...]:
    """Return who could not get to the latest release over the air."""
    raise NotImplementedError
