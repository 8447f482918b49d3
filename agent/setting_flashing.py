"""
How bridges are updated: who may ask for it, how many at once, and when.

Source: signing.md 6.3 for stages and windows.
"""

from __future__ import annotations

import re
from datetime import date, time
from typing import Annotated

from pydantic import AfterValidator, BaseModel

from agent.setting_entities import FROZEN
from agent.setting_fields import Group, Number, Whole

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_group = Group("Firmware updates")


def windows(text: str) -> tuple[tuple[time, time], ...]:
    """
    Return the spans of the local day of `22:00-05:00, 12:00-13:30`.

    Raises:
        ValueError: one of them is none.
    """
    found = []
    for part in (it.strip() for it in text.split(",") if it.strip()):
        span = _SPAN.fullmatch(part)
        if span is None:
            raise ValueError(f"{part!r} is no span of the day")
        hours = [int(it) for it in span.groups()]
        found.append((time(hours[0], hours[1]), time(hours[2], hours[3])))
    return tuple(found)


def days(text: str) -> frozenset[date]:
    """
    Return the dates of `2026-12-24, 2026-12-25`.

    Raises:
        ValueError: one of them is none.
    """
    return frozenset(date.fromisoformat(it.strip()) for it in text.split(",") if it.strip())


def _windows(text: str) -> str:
    return ", ".join(f"{begin:%H:%M}-{end:%H:%M}" for begin, end in windows(text))


def _days(text: str) -> str:
    return ", ".join(it.isoformat() for it in sorted(days(text)))


class FlashSettings(BaseModel):
    """Who may ask for updates of bridges, and how updates of many go."""

    model_config = FROZEN

    mqtt_install: bool = _group.switch(
        "Home Assistant may install what a bridge is offered: the `update` entity gets its button, "
        "and `button.pvautonomy_ops_flash_firmware` works. Only while the knowledge of releases is "
        "fresh and nothing has to be accepted by a person.",
        "false",
    )
    parallel: Whole = _group.number(
        1,
        (1, 16, 1),
        "",
        "Bridges that are updated at the same time; 1 in a house, 4 in an installer's fleet. A "
        "change counts from the next start on.",
    )
    soak_min: Number = _group.number(
        60,
        (0, 10_080, 5),
        "min",
        "How long each of the first three stages of an update of many bridges is watched before "
        "the next begins.",
    )
    windows: Annotated[str, AfterValidator(_windows)] = _group.other(
        "windows",
        "",
        "22:00-05:00, 12:00-13:30",
        "When updates of many bridges may begin, in the site's time; empty is always.",
        max_length=200,
    )
    blackout: Annotated[str, AfterValidator(_days)] = _group.other(
        "dates",
        "",
        "2026-12-24, 2026-12-25",
        "Days on which updates of many bridges do not begin.",
        max_length=2000,
    )
    not_while_producing: bool = _group.switch(
        "Updates of many bridges do not begin while the inverter produces, or nobody knows "
        "whether it does.",
        "false",
    )
    keep_mib: Number = _group.number(
        256,
        (32, 4096, 32),
        "MiB",
        "Room for firmware images. What a bridge runs or ran before is kept in any case; a change "
        "counts from the next start on.",
    )
