"""
What maintainers agree on before anybody signs.

Source: signing.md 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TOP_LEVEL = ("root", "targets", "snapshot", "timestamp")
ONLINE = ("snapshot", "timestamp")
"""Roles whose keys lie where a robot can use them."""
HALT = "halt"
NOT_A_CHANNEL = (*TOP_LEVEL, HALT)
PURPOSE_FIELD = "x-pv-edge-purpose"
"""Signed in root: what the repository is for, if it is not for houses."""
OWNER_FIELD = "x-pv-edge-owner"
"""In a key: the person who holds it."""
DEVELOPMENT = "DEVELOPMENT ONLY"
"""A purpose that begins so makes a development root."""


class SigningError(Exception):
    """Something was refused; its text says what, about what, and what to do."""


class UsageError(SigningError):
    """The command does not say what it has to."""


@dataclass(frozen=True, slots=True)
class RolePlan:
    """Who signs one role, how many of them, and for how long."""

    name: str
    keys: tuple[str, ...]
    """Names of files in `keys/`, without `.pub.json`."""
    threshold: int
    expires_days: int
    renew_days: int
    """So many days before the end somebody has to renew it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All of `roles.toml`."""

    roles: Mapping[str, RolePlan]
    purpose: str = ""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the file."""
        return tuple(name for name in self.roles if name not in NOT_A_CHANNEL)

    @property
    def delegated(self) -> tuple[str, ...]:
        """Roles below targets: the brake first."""
        return (HALT, *self.channels)
