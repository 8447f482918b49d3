"""
Tells Home Assistant's event bus of operations, gates and flash stages, as PVAutonomy Ops did.

Automations of its users listen to these events. They follow from two pictures of the same entities,
so bus and entities never disagree. Nobody waits for them: a Core that is away, or that does not
let this user fire events, misses them.

Source: pvautonomy.md 1.6 and 4.2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from agent.fleet.gate_models import Result
from agent.fleet.operations import OpState
from agent.homeassistant.errors import CallRefusedError, CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.surface.entities_fleet import CONTRACT_VERSION
from agent.surface.fleet_view import FleetView, iso, label_of

LOG = logging.getLogger(__name__)
PREFIX = "pvautonomy_ops_"
STEP_PERCENT = 5
"""Progress of a stage is told in such steps: an event each costs every automation's attention."""
SPACING_S = 0.5
_MS = 1000
BusEvent = tuple[str, dict[str, Any]]


def bus_events(before: FleetView, now: FleetView) -> Iterator[BusEvent]:
    """Yield type and data of every event between two pictures."""
    yield from _operations(before, now)
    yield from _gates(before, now)
    yield from _stages(before, now)


def _operations(before: FleetView, now: FleetView) -> Iterator[BusEvent]:
    for op, it in now.operations.items():
        old = before.operations.get(op)
        same = old is not None and old.started == it.started
        if not same:
            data = {"operation": op.value, "started": iso(it.started)}
            yield _event("operation_started", data)
        if it.state is OpState.RUNNING:
            percent = _step(it.progress_percent)
            if same and old is not None and percent != _step(old.progress_percent):
                progress = {"operation": op.value, "progress": percent, "message": None}
                yield _event("operation_progress", progress)
        elif not same or old is None or old.state is OpState.RUNNING:
            duration_s = it.duration_s
            yield _event(
                "operation_completed",
                {
                    "operation": op.value,
                    "success": it.state is OpState.SUCCESS,
                    "error": it.error,
                    "finished": iso(it.finished),
                    "duration_ms": None if duration_s is None else round(duration_s * _MS),
                },
            )


def _gates(before: FleetView, now: FleetView) -> Iterator[BusEvent]:
    for mac, told in now.verdicts.items():
        old = before.verdicts.get(mac)
        if old is not None and old.at_s == told.at_s:
            continue
        found = {each: [str(it.gate) for it in told.of(each)] for each in Result}
        yield _event(
            "gates_completed",
            {
                "overall": told.overall.value,
                "gates_total": len(told.gates),
                "gates_passed": len(found[Result.PASS]),
                "gates_failed": len(found[Result.FAIL]),
                "gates_warned": len(found[Result.WARN]),
                "failed_gates": found[Result.FAIL],
                "warned_gates": found[Result.WARN],
                "details": {str(it.gate): it.evidence for it in told.gates},
                "checked_at": told.at.isoformat(),
                "target_device": label_of(now, mac),
            },
        )


def _stages(before: FleetView, now: FleetView) -> Iterator[BusEvent]:
    for mac, it in now.flashes.bridges.items():
        old = before.flashes.bridges.get(mac)
        if old is not None and (old.job, old.stage, _step(old.percent)) == (
            it.job,
            it.stage,
            _step(it.percent),
        ):
            continue
        failed = it.result not in {None, "confirmed"}
        yield _event(
            "flash_stage",
            {
                "stage": it.stage,
                "progress": it.percent,
                "version": it.version,
                "target_device": label_of(now, mac),
                "error": it.text if failed else None,
                "result": it.result,
            },
        )


def _event(kind: str, data: dict[str, Any]) -> BusEvent:
    return f"{PREFIX}{kind}", {**data, "contract_version": CONTRACT_VERSION}


def _step(percent: float) -> int:
    return int(percent) // STEP_PERCENT * STEP_PERCENT


class BusTeller:
    """Fires the events while Home Assistant is there."""

    def __init__(
        self,
        view: Callable[[], FleetView],
        subscribe: Callable[[Callable[[], None]], Callable[[], None]],
        core: CoreConnection,
    ) -> None:
        self._view = view
        self._subscribe = subscribe
        self._core = core

    async def run(self) -> None:
        """Tell what changes until cancelled; what was before is not told."""
        changed = asyncio.Event()
        end = self._subscribe(changed.set)
        before = self._view()
        try:
            while True:
                await changed.wait()
                changed.clear()
                now = self._view()
                for kind, data in bus_events(before, now) if self._core.link.up else ():
                    if not await self._fire(kind, data):
                        return
                before = now
                await asyncio.sleep(SPACING_S)
        finally:
            end()

    async def _fire(self, kind: str, data: dict[str, Any]) -> bool:
        """Fire one event; return False if this user may not."""
        try:
            await self._core.command("fire_event", event_type=kind, event_data=data)
        except CallRefusedError as error:
            LOG.warning("Home Assistant takes no events of us: %s", error)
            return False
        except CoreError as error:
            LOG.debug("an event was not told: %s", error)
        return True
