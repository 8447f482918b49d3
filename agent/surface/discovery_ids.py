"""
Finds out whether Home Assistant gave our entities the ids that they should have.

An id that somebody else holds already, most often Energy Export Monitor itself while it is still
installed, is not given twice: Core puts `_2` behind ours, and every dashboard and automation that
knows the old id goes on showing the other one. Core says nothing about that, so its registry is
read. An id that a person has chosen by hand is his own business and no problem.

Source: ha_e2e.md section 3 (an id that another integration holds).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.export.snapshot import Reason
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.surface.discovery import unique_id
from agent.surface.entities_model import Entity
from agent.surface.entities_release import FLEET_ROWS

CODE = "entity_id_taken"
READ_COMMAND = "config/entity_registry/list"
CHANGED_EVENT = "entity_registry_updated"
LONGEST_READ_S = 30.0
SETTLE_S = 2.0
"""A round of announcements changes the registry many times; it is read once afterwards."""
_LOG = logging.getLogger(__name__)

Registry = Iterable[Mapping[str, Any]]
Report = Callable[[tuple[Reason, ...]], None]


def collisions(registry: Registry, table: Sequence[Entity], prefix: str) -> tuple[Reason, ...]:
    """
    Return one problem per entity of ours that got a numbered id because its own was taken.

    Args:
        registry: what Core answers to `config/entity_registry/list`.
        table: the entities that were announced.
        prefix: the one that they were announced with.
    """
    rows = [row for row in registry if "." in str(row.get("entity_id"))]
    holders = {row["entity_id"]: str(row.get("platform")) for row in rows}
    ours = {
        (row["entity_id"].split(".")[0], row.get("unique_id")): row["entity_id"]
        for row in rows
        if row.get("platform") == "mqtt"
    }
    found = []
    for wanted, unique, way_out in (*_of_guard(table, prefix), *_of_fleet()):
        given = ours.get((wanted.split(".")[0], unique))
        if given is None or not re.fullmatch(rf"{re.escape(wanted)}_\d+", given):
            continue
        holder = holders.get(wanted)
        who = f"an entity of {holder} holds it" if holder else "it was taken at that time"
        found.append(
            Reason(
                CODE,
                f"{wanted} is called {given} in Home Assistant, because {who}. Remove or rename "
                f"the other one, then rename {given} to {wanted}{way_out}.",
                given,
            )
        )
    return tuple(found)


def _of_guard(table: Sequence[Entity], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield id, unique id, and what else helps, of each row."""
    for it in table:
        wanted = f"{it.platform.value}.{prefix}_{it.key}"
        yield wanted, unique_id(it), "; or change entity_prefix"


def _of_fleet() -> Iterator[tuple[str, str, str]]:
    for it in FLEET_ROWS:
        yield it.entity_id, it.unique_id, ""


async def watch_ids(
    core: CoreConnection, table: Sequence[Entity], prefix: Callable[[], str], report: Report
) -> None:
    """Report the collisions now and whenever they may have changed, until cancelled."""
    changed = asyncio.Event()
    ends = (
        core.subscribe_link(lambda _: changed.set()),
        core.subscribe_events(CHANGED_EVENT, lambda _: changed.set()),
    )
    told: tuple[Reason, ...] | None = None
    changed.set()
    try:
        while True:
            await changed.wait()
            changed.clear()
            try:
                registry = await core.command(READ_COMMAND, LONGEST_READ_S)
                found = collisions(registry, table, prefix())
                if found != told:
                    told = found
                    report(found)
                    for problem in found:
                        _LOG.warning("%s", problem.text)
            except CoreError:
                if core.link.up:  # else it is read when the link comes back
                    changed.set()
            await asyncio.sleep(SETTLE_S)
    finally:
        for end in ends:
            end()
