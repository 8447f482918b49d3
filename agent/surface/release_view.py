"""
What page and entities show of firmware releases: how good our knowledge is, and what is offered.

Knowledge ages: a house that was offline for a year knows what was right a year ago, and nobody
can tell it here what was revoked since. So each state comes with its reason, and with the moment
at which it was confirmed last.

Source: signing.md 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from agent.firmware.manifest.models import Release, ReleaseImage
from agent.firmware.policy.models import Decision
from agent.firmware.trust.models import Freshness, SourceKnowledge
from agent.fleet.identity import Mac

_WORST_FIRST = (Freshness.NONE, Freshness.STALE, Freshness.FRESH)


class Standing(StrEnum):
    """What the newest release of its channel is to a bridge."""

    UPDATE = "update"
    """It is newer than what the bridge runs, or the bridge does not say what it runs."""
    CURRENT = "current"
    """The bridge runs it."""
    OLDER = "older"
    """The bridge runs something newer."""
    CHANGE = "change"
    """It is of another project, such as the production image for a factory image."""
    NONE = "none"
    """There is none that fits; the reason says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOffer:
    """What one bridge is offered, and what speaks against it."""

    mac: Mac
    channel: str
    installed: str | None
    standing: Standing
    why: str = ""
    """Why there is none, or not the channel's latest; "" if it is that."""
    source: str = ""
    release: Release | None = None
    image: ReleaseImage | None = None
    decision: Decision | None = None
    """For a person, over the air; `None` where there is nothing to decide."""
    floor: int = 0
    """The device floor that was asked about."""

    @property
    def latest(self) -> str | None:
        """The version that is offered, `None` if there is none."""
        return self.release.version if self.release else None


@dataclass(frozen=True, slots=True)
class TrustView:
    """What is known of all sources, at one moment."""

    sources: tuple[SourceKnowledge, ...] = ()
    stale_since: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """By the name of the source: since when it is not fresh."""

    @property
    def state(self) -> Freshness:
        """How good the knowledge is: the worst of all sources, `NONE` without any."""
        found = {it.freshness for it in self.sources}
        return next((it for it in _WORST_FIRST if it in found), Freshness.NONE)


def confirmed_words(knowledge: SourceKnowledge) -> str:
    """Return until when the publisher vouched for it, for people; "" unless it is stale."""
    if knowledge.freshness is not Freshness.STALE:
        return ""
    known = (it.as_of for it in knowledge.channels if it.as_of is not None)
    at = knowledge.confirmed or max(known, default=None)
    if at is None:
        return "Never confirmed online; what was revoked meanwhile is unknown here."
    return f"Last confirmed {at.day} {at:%b %Y}, revocations since then are unknown here."
