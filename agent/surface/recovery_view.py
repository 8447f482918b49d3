"""What Home Assistant is shown of bridges on cables: whether one is being written, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from agent.firmware.job.models import ENDED, ORDER, Way

IDLE = "idle"
STATES = (IDLE, *(it.value for it in ORDER[Way.SERIAL] if it not in ENDED))
"""All words of the entity."""


@dataclass(frozen=True, slots=True)
class RecoveryView:
    """One moment."""

    state: str = IDLE
    """`idle`, or the stage of the job: `agent.firmware.job.models.Stage`."""
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType(BLANK))


BLANK: dict[str, Any] = {
    "ports": 0,
    "port": None,
    "mac": None,
    "release": None,
    "progress": None,
    "last_result": None,
    "last_text": None,
    "needs_flashing": [],
}
"""All attributes of the entity; without anything on a cable they are these."""
