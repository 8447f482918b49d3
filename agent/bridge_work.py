"""
Carries out what people ask of the bridges: look again, judge one, restart one.

One thing is done at a time, and each press ends in a record with words, also one that is refused.
What is shown to Home Assistant and on the page is made from one view of it all. A target is a
MAC; the chosen one and nothing else survives a restart of the agent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent import __version__
from agent.bridge_ports import Flashes, Releases
from agent.bridges import STATE, Bridges, Fault
from agent.export.snapshot import GuardSnapshot, Phase
from agent.fleet.contact import Contact, Port
from agent.fleet.evidence import Around, evidence_of
from agent.fleet.findings import findings
from agent.fleet.gate_models import Block, Refusal, Rules, Shown, Verdict
from agent.fleet.gates import judge
from agent.fleet.identity import OUR_PROJECTS, Mac, mac_of, written
from agent.fleet.keys import KeyFile
from agent.fleet.operations import NO_UPDATES, Op, Operation, OpState, Situation, refusal, refused
from agent.fleet.probe import ports
from agent.journal import Journal, JournalError
from agent.releases.offers import gate_release
from agent.settings import Settings, SettingsStore
from agent.surface.flash_view import FlashView
from agent.surface.fleet_view import FleetView, chosen, iso
from agent.surface.release_view import TrustView
from agent.surface.shown import VerdictView
from agent.surface.verdict_view import verdicts_json

LOG = logging.getLogger(__name__)
TARGET = f"{STATE}_target"
RESTART = "button.restart"
"""ESPHome's own button, as it is called where nobody calls it otherwise."""
KNOCK_S = 2.0
LEAVES_S = 15.0
"""How long a bridge may take to say goodbye."""
COMES_BACK_S = 90.0
_S_PER_MIN = 60
_ACTIVE = {Phase.DISCHARGE_ACTIVE, Phase.CHARGE_ACTIVE, Phase.REST_ACTIVE}
Audit = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of an operation."""

    result: str
    error: str | None = None
    details: Mapping[str, Shown] | None = None


class BridgeWork:
    """`WorkDesk` and `FleetDesk`: takes wishes about bridges and shows what became of them."""

    def __init__(
        self,
        bridges: Bridges,
        store: SettingsStore,
        keys: KeyFile,
        journal: Journal,
        now: Callable[[], datetime],
        through: Callable[[], frozenset[Mac] | None],
        audit: Audit,
    ) -> None:
        """
        Prepare; `run` recalls the target and follows.

        Args:
            bridges: who there is.
            store: how strict the gates are.
            keys: whose damage is a fault of the whole.
            journal: keeps the target.
            now: the site's time.
            through: through which bridges a dispatch runs now; `None` where nobody can say.
            audit: told of every wish and its outcome.
        """
        self._bridges = bridges
        self._store = store
        self._keys = keys
        self._journal = journal
        self._now = now
        self._through = through
        self._audit = audit
        self.releases: Releases | None = None
        """Who knows of releases; set before `run` where there is somebody."""
        self.flashes: Flashes | None = None
        """Who flashes; set before `run` where there is somebody."""
        self._target: Mac | None = None
        self._choice_refused: str | None = None
        self._operations: dict[Op, Operation] = {}
        self._verdicts: dict[Mac, Verdict] = {}
        self._wakes: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = now()

    async def run(self) -> None:
        """Follow bridges and settings until cancelled."""
        await self._recall()
        ends = (self._bridges.subscribe(self._changes), self._store.subscribe(self._settings))
        try:
            await asyncio.Event().wait()
        finally:
            for end in ends:
                end()
            for task in self._tasks:
                task.cancel()

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever the view may have changed; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    def view(self) -> FleetView:
        """Return everything that entities show, now."""
        fleet, now_s = self._bridges.fleet, time.monotonic()
        connected = ((mac, self._bridges.bridge(mac)) for mac in fleet.records)
        fault = self._bridges.fault
        flashes = self.flashes.view() if self.flashes else FlashView()
        if self._keys.damaged:
            fault = Fault(self._keys.warning, self._started)
        return FleetView(
            version=__version__,
            now_s=now_s,
            fleet=fleet,
            values={mac: bridge.panel.values for mac, bridge in connected if bridge},
            complete=self._bridges.complete,
            sources_up=self._bridges.sources_up,
            discovered=self._bridges.discovered,
            target=self._target,
            choice_refused=self._choice_refused,
            verdicts=self._verdicts,
            remarkable=findings(fleet, OUR_PROJECTS, now_s),
            operations={**self._operations, **_flash(flashes)},
            flashes=flashes,
            fault=fault.text if fault else None,
            fault_at=fault.at if fault else None,
            trust=self.releases.trust if self.releases else TrustView(),
            offers=self.releases.offers() if self.releases else {},
        )

    def wake(self) -> None:
        """Take note that what is known of releases may have changed."""
        self._changes()

    def verdicts(self) -> dict[str, VerdictView]:
        """Return the newest verdict of each bridge by its MAC, in JSON's words."""
        known = self._bridges.fleet.records
        told = {mac: it for mac, it in self._verdicts.items() if mac in known}
        return verdicts_json(told, self.rules())

    def choose(self, option: str, by: str) -> None:
        """Mean the bridge with this label from now on; a refusal is shown with the choice."""
        try:
            self._target = chosen(self._bridges.fleet, option)
            self._choice_refused = None
        except ValueError as error:
            self._choice_refused = f"{error}."
        self._audit(by, "choose a bridge", self._choice_refused or option)
        self._changes()
        self._start(self._keep_target())

    def press(self, op: Op, by: str) -> Operation:
        """Ask for something about the chosen bridge; the view says what becomes of it."""
        if op is Op.FLASH and self.flashes is not None:
            return self.install(self._target, by)
        asked, _ = self._begin(op, None if op is Op.DISCOVER else self._target, by)
        return asked

    def install(self, target: Mac | None, by: str) -> Operation:
        """Install over MQTT what a bridge is offered; the view says what becomes of it."""
        if self.flashes is None:
            return refused(Op.FLASH, target, Refusal(Block.NO_IMAGE, NO_UPDATES), self._now())
        asked = self.flashes.press(target, by, self._start)
        self._audited(asked, by)
        self._changes()
        return asked

    async def ask(self, op: Op, mac: str | None, by: str) -> Operation:
        """Ask for something about that bridge, and wait for what becomes of it."""
        target = mac_of(mac)
        asked, task = self._begin(op, target, by)
        if task is None:
            return asked
        await asyncio.wait([task])
        return self._operations[op]

    def _begin(
        self, op: Op, target: Mac | None, by: str
    ) -> tuple[Operation, asyncio.Task[None] | None]:
        why = refusal(op, target, self._situation())
        if why is not None:
            asked = refused(op, target, why, self._now())
            running = self._operations.get(op)
            if running is None or running.state is not OpState.RUNNING:
                self._operations[op] = asked
            self._audited(asked, by)
            self._changes()
            return asked, None
        asked = Operation(op=op, state=OpState.RUNNING, started=self._now(), target=target)
        self._operations[op] = asked
        self._changes()
        return asked, self._start(self._carry_out(asked, by))

    def _situation(self) -> Situation:
        runs = (it for it in self._operations.values() if it.state is OpState.RUNNING)
        flashes, fleet = self.flashes, self._bridges.fleet
        flashing = {mac: flashes.busy(mac) for mac in fleet.records} if flashes else {}
        return Situation(
            fleet=fleet,
            now_s=time.monotonic(),
            rules=self.rules(),
            running=next(runs, None),
            verdicts=self._verdicts,
            on_trial=flashes.on_trial if flashes else frozenset(),
            flashing={mac: who for mac, who in flashing.items() if who},
            discharging_through=self._through(),
        )

    async def _carry_out(self, asked: Operation, by: str) -> None:
        try:
            done = await self._work(asked)
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("%s failed", asked.op)
            done = _Done("error", "It failed by a fault of the agent; the log says more.")
        well = done.error is None
        ended = replace(
            asked,
            state=OpState.SUCCESS if well else OpState.FAILED,
            finished=self._now(),
            progress_percent=100.0,
            result=done.result,
            error=done.error,
            details=done.details or {},
        )
        self._operations[asked.op] = ended
        self._audited(ended, by)
        self._changes()

    async def _work(self, asked: Operation) -> _Done:
        if asked.op is Op.DISCOVER:
            try:
                await self._bridges.discover()
            except OSError as error:
                return _Done("error", str(error))
            return _Done("success")
        assert asked.target is not None  # noqa: S101 - else it was refused
        if asked.op is Op.RUN_GATES:
            return await self._judge(asked.target)
        return await self._restart(asked.target)

    async def _judge(self, target: Mac) -> _Done:
        told = self._bridges.fleet.records[target].told
        found = None
        if told.addresses:
            upload_port = told.upload_port or 3232
            seen = await ports(told.addresses[:1], told.api_port, upload_port, KNOCK_S)
            found = seen.upload
        # Taken after the wait: what is judged is how it is now.
        record, bridge = self._bridges.fleet.records.get(target), self._bridges.bridge(target)
        if record is None:
            return _Done("error", "The bridge was removed meanwhile.")
        evidence = evidence_of(
            record,
            bridge.panel.values if bridge else {},
            bridge.panel.entities if bridge else frozenset(),
            Around(
                upload_port=found or Port.SILENT,
                discharging_through=self._through(),
                busy=self.flashes.busy(target) if self.flashes else None,
            ),
            time.monotonic(),
            self._now(),
        )
        offered = gate_release(self.releases.offer(record)) if self.releases else None
        release, image = offered or (None, None)
        verdict = judge(evidence, release, image, self.rules())
        self._verdicts[target] = verdict
        return _Done(str(verdict.overall))

    async def _restart(self, target: Mac) -> _Done:
        bridge = self._bridges.bridge(target)
        before = bridge.contact if bridge else None
        if bridge is None or before is None or not before.online:
            return _Done("error", "It is not connected; nothing was sent to it.")
        if RESTART not in bridge.panel.entities:
            return _Done("error", f"It has no {RESTART}: its firmware cannot be told to restart.")
        bridge.panel.press(RESTART)
        left = await self._until(target, lambda now: now.since_s != before.since_s, LEAVES_S)
        if left is None:
            text = "It was told to restart and has stayed connected. Look at its log."
            return _Done("error", text)
        details: dict[str, Shown] = {"offline_detected": left}
        back = await self._until(
            target, lambda now: now.online and now.since_s != before.since_s, COMES_BACK_S
        )
        if back is None:
            text = f"It restarted and is not back after {COMES_BACK_S:.0f} s. Look at its power."
            return _Done("warn", text, details)
        return _Done("success", None, {**details, "online_detected": back})

    async def _until(
        self, target: Mac, holds: Callable[[Contact], bool], within_s: float
    ) -> str | None:
        """Return when the contact was so, `None` if it was not in time."""
        changed = asyncio.Event()
        end = self._bridges.subscribe(changed.set)
        try:
            async with asyncio.timeout(within_s):
                while True:
                    changed.clear()
                    bridge = self._bridges.bridge(target)
                    if bridge is not None and holds(bridge.contact):
                        return iso(self._now())
                    await changed.wait()
        except TimeoutError:
            return None
        finally:
            end()

    def rules(self) -> Rules:
        """Return how strict the gates are."""
        now = self._store.current
        return Rules(strict=now.strict_gates, fresh_s=now.gates_fresh_min * _S_PER_MIN)

    def _audited(self, it: Operation, by: str) -> None:
        action = f"{it.op} {written(it.target) if it.target else ''}".strip()
        outcome = f"{it.result}: {it.error}" if it.error else str(it.result)
        self._audit(by, action, outcome)

    async def _recall(self) -> None:
        try:
            kept = await self._journal.load_state(TARGET) or {}
        except JournalError as error:
            LOG.warning("the chosen bridge is not known any more: %s", error)
            return
        if self._target is None:
            self._target = mac_of(str(kept.get("mac")))
        self._changes()

    async def _keep_target(self) -> None:
        kept = {"mac": written(self._target) if self._target else None}
        try:
            await self._journal.save_state(TARGET, kept, self._now())
        except JournalError as error:
            LOG.warning("the chosen bridge will not be known after a restart: %s", error)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _settings(self, _now: Settings) -> None:
        self._changes()

    def _changes(self) -> None:
        for wake in tuple(self._wakes):
            wake()


def dispatching_through(picture: GuardSnapshot | None, bridge: Mac | None) -> frozenset[Mac] | None:
    """
    Return through which bridges a dispatch runs; `None` if nobody can say.

    Args:
        picture: the guard's newest; `None` before there is one.
        bridge: the one that the path leads through, if it leads through one.
    """
    if picture is None:
        return None
    runs = picture.lease is not None or picture.commissioning.running or picture.phase in _ACTIVE
    if picture.path != "bridge" or not runs:
        return frozenset()
    return None if bridge is None else frozenset({bridge})


def _flash(flashes: FlashView) -> dict[Op, Operation]:
    return {Op.FLASH: flashes.operation} if flashes.operation else {}
