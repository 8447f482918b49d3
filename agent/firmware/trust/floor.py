"""
The latest moment that this house knows to have passed.

Expiry is worth as much as the clock, and a small machine may come up in 1970 or be set back. So
time never runs below a floor: the day the app was built, or the last look that succeeded online.
Such a look was valid at its own moment, so a clock that runs wild cannot push the floor beyond
what the publisher has signed for.

Each channel remembers its own moment: where only its role has expired, the last moment at which
it was valid is what a person can still rely on.

Source: signing.md 4.5 "Clock", P03 to P09, P14 and P15.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from agent.private_file import replace_file

_LOGGER = logging.getLogger(__name__)
FILE_NAME = "floor.json"
CLOCK_SLACK = timedelta(minutes=5)
"""A clock that NTP sets back by less than this is no clock that is wrong."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What is remembered of one source; aware moments in UTC."""

    online: datetime | None = None
    """The last look that succeeded online."""
    channels: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """The last look online at which a channel was valid as a whole."""


def time_floor(floor: Floor, built: datetime) -> datetime:
    """Return the latest moment that has surely passed."""
    return max(built, floor.online or built)


def channel_floor(floor: Floor, built: datetime, channel: str) -> datetime:
    """Return the latest moment at which this channel was, or could have been, valid."""
    return max(built, floor.channels.get(channel, built))


def effective_time(floor: Floor, built: datetime, wall: datetime) -> datetime:
    """Return the moment at which expiry is judged."""
    return max(wall, time_floor(floor, built))


def clock_behind(floor: Floor, built: datetime, wall: datetime) -> bool:
    """Tell whether the clock says a moment that has surely passed."""
    return wall < time_floor(floor, built) - CLOCK_SLACK


def confirmed(floor: Floor, now: datetime, fresh: Iterable[str]) -> Floor:
    """
    Return the floor after a look that succeeded online.

    Args:
        floor: as it was.
        now: the effective time of that look.
        fresh: the channels of which everything was valid then.
    """
    return Floor(now, MappingProxyType({**floor.channels, **dict.fromkeys(fresh, now)}))


def read_floor(place: Path) -> Floor:
    """Return what is remembered in this folder; nothing if that is missing or cannot be read."""
    path = place / FILE_NAME
    try:
        document = json.loads(path.read_bytes())
        online = document["online"]
        return Floor(
            None if online is None else _moment(online),
            MappingProxyType({str(k): _moment(v) for k, v in document["channels"].items()}),
        )
    except FileNotFoundError:
        return Floor()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # The build time still holds, and the metadata keeps its versions.
        _LOGGER.warning("The time floor in %s cannot be read and starts anew: %s", path, error)
        return Floor()


def write_floor(place: Path, floor: Floor) -> None:
    """
    Remember the floor, whole or not at all.

    Raises:
        OSError: the old one stays.
    """
    document = {
        "online": floor.online.isoformat() if floor.online else None,
        "channels": {name: moment.isoformat() for name, moment in sorted(floor.channels.items())},
    }
    replace_file(place / FILE_NAME, json.dumps(document))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(UTC)
