"""
Who a device is: its MAC. Everything else about it is a label.

Names repeat, change and begin with one another (`bridge-1`, `bridge-10`); addresses are lent. So
every record, key and command belongs to the full MAC. What a device is *for* it says itself, by
the project of its firmware: a factory image that waits to be set up, a production image that runs
the house, or something of somebody else's, which is shown and otherwise left alone.

Source: pvautonomy.md, section 2 and defect D-08; ESPHome's `project:` option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

Mac = NewType("Mac", str)
"""Twelve lower-case hexadecimal digits."""
_DIGITS = re.compile(r"[0-9a-f]{12}")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NOBODY = {"000000000000", "ffffffffffff"}
_LONGEST_LABEL = 120


class Kind(StrEnum):
    """What a device is for, by the project of its firmware."""

    FACTORY = "factory"
    PRODUCTION = "production"
    FOREIGN = "foreign"
    """Not ours: shown, and not flashed unless somebody says so for this device."""
    UNKNOWN = "unknown"
    """It has not said yet, for instance because we have no key to ask it."""


@dataclass(frozen=True, slots=True)
class Projects:
    """Which projects are ours."""

    kinds: Mapping[str, Kind]

    def kind(self, project_name: str | None) -> Kind:
        """Return the kind of a project; `None` is unknown, "" a firmware without a project."""
        if project_name is None:
            return Kind.UNKNOWN
        return self.kinds.get(project_name, Kind.FOREIGN)


OUR_PROJECTS = Projects(
    {
        "PVAutonomy.Edge101Factory": Kind.FACTORY,
        "PVAutonomy.Edge101": Kind.PRODUCTION,
        "pv-edge.alphaess-bridge-factory": Kind.FACTORY,
        "pv-edge.alphaess-bridge": Kind.PRODUCTION,
    }
)


def projects_of(choices: Mapping[str, str]) -> Projects:
    """
    Return our own projects with a person's additions and changes.

    Args:
        choices: project name, as `name.of-it`, to `factory`, `production` or `foreign`.

    Raises:
        ValueError: a project name or a kind cannot be; the message names it.
    """
    kinds = dict(OUR_PROJECTS.kinds)
    for project, kind in choices.items():
        if project.count(".") < 1 or project != project.strip():
            raise ValueError(
                f"{label(project)!r} is no project name; ESPHome's have a dot: acme.bridge"
            )
        if kind not in {Kind.FACTORY, Kind.PRODUCTION, Kind.FOREIGN}:
            raise ValueError(f"{project} cannot be {label(kind)!r}: factory, production or foreign")
        kinds[project] = Kind(kind)
    return Projects(kinds)


def mac_of(text: str | None) -> Mac | None:
    """Return the MAC that a text holds, however it is written; `None` if it holds none."""
    digits = re.sub(r"[:.\-]", "", (text or "").strip().lower())
    if not _DIGITS.fullmatch(digits) or digits in _NOBODY:
        return None
    return Mac(digits)


def written(mac: Mac) -> str:
    """Return a MAC as it stands on the sticker of a device."""
    return ":".join(mac[i : i + 2] for i in range(0, 12, 2)).upper()


def label(text: str | None) -> str | None:
    """Return what a device calls something, without what could do harm in a log or a page."""
    if text is None:
        return None
    return "".join(it for it in text if it.isprintable())[:_LONGEST_LABEL].strip()


def host_name(name: str | None) -> str | None:
    """Return the host name of a node name, `None` where that is no name for a host."""
    return f"{name}.local" if name and _HOST_LABEL.fullmatch(name) else None


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two node names are the same one; the network does not tell upper from lower case."""
    return bool(one) and bool(other) and str(one).casefold() == str(other).casefold()
