"""
What a look means: fresh, stale or nothing, for each channel.

python-tuf has verified signatures, thresholds, versions and hashes, and that nothing had expired
at the floor. What is left is to compare each role's end with the effective time, the channel's
own role among them: ngclient loads that one late, so a refresh alone calls an expired channel
fresh. Nothing verified is nothing at all, and no acknowledgement passes it.

Source: signing.md 4.5, P01 to P15.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from agent.firmware.manifest.models import Channel, Halt
from agent.firmware.trust.models import ChannelKnowledge, Freshness, RoleState

_ORDER = (Freshness.NONE, Freshness.STALE, Freshness.FRESH)


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One channel as the trusted metadata has it."""

    name: str
    problem: str = ""
    """Why it cannot be used, "" if it can."""
    role: RoleState | None = None
    channel: Channel | None = None
    halt: Halt | None = None
    halt_state: RoleState | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A whole set of metadata that was valid at the floor."""

    roles: tuple[RoleState, ...]
    """Root, timestamp, snapshot and targets."""
    channels: tuple[ChannelView, ...]
    """Those that the source offers."""
    development: bool
    documents: frozenset[str] = frozenset()
    """SHA-256 of everything that the roles name."""

    @property
    def whole(self) -> bool:
        """Tell whether every channel can be used."""
        return not any(it.problem for it in self.channels)

    @property
    def every_role(self) -> tuple[RoleState, ...]:
        """All roles that were loaded, each once."""
        found = {it.role: it for it in self.roles}
        for channel in self.channels:
            found |= {it.role: it for it in (channel.role, channel.halt_state) if it}
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else the verdict depends on."""

    now: datetime
    """The effective time."""
    known: datetime
    """The floor: the last moment that this house knows."""
    doubts: tuple[str, ...] = ()
    """What caps it at stale, as sentences: a clock that is behind, a mirror that lied."""
    halt_role: bool = True


def expired(roles: Iterable[RoleState], now: datetime) -> tuple[RoleState, ...]:
    """Return the roles that are past their end; as in TUF the end itself is past it."""
    return tuple(it for it in roles if it.expires <= now)


def channel_knowledge(view: View, channel: ChannelView, about: Circumstances) -> ChannelKnowledge:
    """Return what is known of one channel."""
    if channel.problem or channel.role is None:
        why = channel.problem or f"The channel {channel.name} is signed by nobody."
        return ChannelKnowledge(
            channel.name, Freshness.NONE, why, None, None, halt_role=about.halt_role
        )
    late = expired((*view.roles, channel.role), about.now)
    reasons = [f"The signatures of {it.role} expired on {_day(it.expires)}." for it in late]
    reasons += about.doubts
    if reasons:
        reasons.append(
            f"This was confirmed last on {_day(about.known)}; what was revoked since then is "
            "unknown here."
        )
    return ChannelKnowledge(
        channel.name,
        Freshness.STALE if reasons else Freshness.FRESH,
        " ".join(reasons),
        channel.channel,
        _halt(channel, about.now),
        halt_role=about.halt_role,
        as_of=about.known if reasons else about.now,
    )


def worst(channels: Iterable[ChannelKnowledge]) -> Freshness:
    """Return the worst freshness; that of no channel is none."""
    return min((it.freshness for it in channels), key=_ORDER.index, default=Freshness.NONE)


def _halt(channel: ChannelView, now: datetime) -> Halt | None:
    """Return the brake; one whose signatures have expired is pulled, and revokes what it did."""
    halt, state = channel.halt, channel.halt_state
    if halt is None or state is None or state.expires > now or halt.paused:
        return halt
    return replace(
        halt,
        paused=True,
        reason=f"the signatures of the halt role expired on {_day(state.expires)}",
    )


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"
