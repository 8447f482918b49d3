"""
Gathers what the gates judge, from the record of a bridge and the values that it shows now.

Which of its entities tell of its health and of the inverter behind it is written down per
project: nothing is guessed from names that happen to fit. An entity that the firmware should have
and does not, or that shows no value now, arrives at the gates as missing, which is a failure
there, never as healthy.

Pure functions; the values come from the connection of exactly this MAC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from agent.fleet.contact import Port
from agent.fleet.gate_models import Evidence, Reading, Shown
from agent.fleet.identity import OUR_PROJECTS, Kind, Mac, Projects
from agent.fleet.record import BridgeRecord


class ShownValue(Protocol):
    """A value of an entity, as a connection keeps it."""

    @property
    def value(self) -> Shown:
        """What it shows; `None` for nothing."""

    @property
    def at_s(self) -> float:
        """When it arrived, on our monotonic clock."""


@dataclass(frozen=True, slots=True)
class Shows:
    """Where a firmware shows what the gates look at; entities by domain and object id."""

    healthy: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    """Each health sensor, and what it shows while all is well."""
    modbus: tuple[str, ...] = ()
    signal: str | None = None
    heap: str | None = None
    revision: str | None = None


OF_PROJECT: Mapping[str, Shows] = MappingProxyType(
    {
        "pv-edge.alphaess-bridge": Shows(
            healthy=MappingProxyType({"binary_sensor.inverter": True}),
            modbus=(
                "sensor.grid_power",
                "sensor.battery_power",
                "sensor.battery_soc",
                "sensor.dispatch_start",
            ),
            signal="sensor.signal",
            heap="sensor.free_memory",
        ),
        "pv-edge.alphaess-bridge-factory": Shows(signal="sensor.signal", heap="sensor.free_memory"),
        "PVAutonomy.Edge101": Shows(
            modbus=("sensor.battery_soc", "sensor.ac_output_power"), signal="sensor.wifi_signal"
        ),
        "PVAutonomy.Edge101Factory": Shows(signal="sensor.wifi_signal"),
    }
)
"""Source: the configurations in `bridge/`; pvautonomy.md 1.2 D and 3.1 for the old projects, whose
health is a sensor of Home Assistant."""


@dataclass(frozen=True, slots=True)
class Around:
    """What others know of the bridge; `None` where they could not say."""

    upload_port: Port | None = None
    discharging_through: frozenset[Mac] | None = None
    busy: str | None = None
    """Who else flashes it, if anybody does."""
    health: Mapping[str, Shown] = field(default_factory=lambda: MappingProxyType({}))
    """Health sensors that somebody else keeps for it: true or "on" is a problem."""


def evidence_of(
    record: BridgeRecord,
    values: Mapping[str, ShownValue],
    entities: frozenset[str],
    around: Around,
    at_s: float,
    at: datetime,
    projects: Projects = OUR_PROJECTS,
) -> Evidence:
    """
    Return what is to be judged of one bridge.

    Args:
        record: the bridge.
        values: what its own connection shows now, by entity.
        entities: all that it has; one without a value now is told from one that it lacks.
        around: what others know of it.
        at_s: now, on our monotonic clock.
        at: now for people, with a time zone.
        projects: which projects are factory images; those read no inverter yet.
    """
    project = record.told.project_name
    shows = OF_PROJECT.get(project or "", Shows())

    def reading(entity: str | None) -> Reading | None:
        found = values.get(entity) if entity is not None else None
        return Reading(found.value, found.at_s) if found is not None else None

    def problem(entity: str, well: bool) -> Shown:
        found = reading(entity)
        shown = found.value if found is not None else None
        return shown is not well if isinstance(shown, bool) else shown

    def exposed(entity: str | None) -> Reading | None:
        found = reading(entity)
        return Reading(None, at_s) if found is None and entity in entities else found

    revision = reading(shows.revision)
    return Evidence(
        record=record,
        at_s=at_s,
        at=at,
        upload_port=around.upload_port,
        health={
            **{entity: problem(entity, well) for entity, well in shows.healthy.items()},
            **around.health,
        },
        modbus={entity: reading(entity) for entity in shows.modbus},
        expects_modbus=projects.kind(project) is not Kind.FACTORY,
        signal=exposed(shows.signal),
        heap=exposed(shows.heap),
        revision=str(revision.value) if revision and revision.value is not None else None,
        discharging_through=around.discharging_through,
        busy=around.busy,
    )
