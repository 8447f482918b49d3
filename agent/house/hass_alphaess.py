"""
An Alpha ESS through Home Assistant: values from its entities, commands by `modbus.write_register`.

Core stands between us and the inverter with a queue of its own. So a value is only as old as Core
can prove, a link that breaks takes every value with it at once, and a command that was not
answered in time is unconfirmed: it may still wait in Core's queue and run later. A write that
Core reports as done is delivered, no more; Core swallows Modbus errors, the registers read back
are the proof.

After a connect or a restart of Core its Modbus sensors show the values of before, with a fresh
time. Nothing is taken from an entity until its value has changed before our eyes or Core has
been made to ask the source again.

Source: ha_e2e.md section 4; `modbus/services.py` and `sensor.py` of Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

from agent.homeassistant import ages
from agent.homeassistant.errors import (
    CallRefusedError,
    CallUnconfirmedError,
    CoreError,
    NotConnectedError,
)
from agent.homeassistant.link import Link
from agent.homeassistant.websocket import CoreConnection
from agent.house.alphaess import DISPATCH_ADDRESS, SOC_SCALE_FIELD, DispatchBlock
from agent.house.hass_entities import (
    CANDIDATE_IDS,
    DAY_ENERGY,
    DURATION,
    FLAG,
    MODE,
    PERCENT,
    POWER,
    PV_POWER,
    EntityMapping,
    Quantity,
    Source,
    detect,
    ids,
    label,
    read,
    tells,
)
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import (
    CounterKind,
    DispatchReadings,
    HouseSample,
    Quality,
    Reading,
    SourceTraits,
)

LOG = logging.getLogger(__name__)

HUB = "modbuspvsystem"
UNIT = 85
CERTAINLY_NOT_RUN = frozenset(
    {"not_found", "invalid_format", "service_validation_error", "unauthorized"}
)
"""Answers that Core gives before it hands the call to the Modbus queue."""
LOOK_S = 5.0
LOOK_GAP_S = 0.2
"""Between two looks that events ask for."""
LOOK_WITHOUT_REPORTS_S = 30.0
"""Where Core keeps no report times, a look only checks its clock."""
REFRESH_S = 8.0
"""With 141 sensors at 50 ms each, Core 2024.1 takes 4 to 5 s to get round to it."""
PROOF_S = 75.0
"""After its start Core 2024.1 polls 141 sensors at 50 ms each, and ours wait in that queue."""
PROOF_RETRY_S = 5.0

TRAITS = SourceTraits(
    path="ha_register",
    exported_kind=CounterKind.DAILY,
    exported_step_wh=10,
    produced_kind=CounterKind.DAILY,
    produced_step_wh=100,
    power_poll_s=15,
    counter_poll_s=60,
    readback_poll_s=10,
)
HELPER_TRAITS = replace(TRAITS, path="ha_helpers", readback_poll_s=15)
"""The same values; but what helpers write goes out in several frames, one after the other."""


class HassAlphaEss:
    """`SiteMeter` and `BatteryActuator` over Home Assistant; the link is run by its owner."""

    def __init__(  # noqa: PLR0913 - one per trait of the house, all with defaults
        self,
        connection: CoreConnection,
        entities: EntityMapping | None = None,
        *,
        hub: str = HUB,
        unit: int = UNIT,
        soc_scale: float = SOC_SCALE_FIELD,
        traits: SourceTraits = TRAITS,
        look_s: float = LOOK_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = connection
        self._chosen = entities or EntityMapping()
        self._hub = hub
        self._unit = unit
        self._soc_scale = soc_scale
        self._traits = traits
        self._look_s = look_s
        self._monotonic = monotonic
        self._mapping = self._chosen
        self._measured = self._chosen.measured_ids()
        self._findings: list[str] = []
        self._settled = False
        self._present: frozenset[str] = frozenset()
        self._placeholders: frozenset[str] = frozenset()
        self._ages = ages.AgeKeeper()
        self._age_trouble = ""
        self._unproven: dict[str, int] = {}
        self._births = 0
        self._refreshing = False
        self._refresh_wanted = False
        self._look = asyncio.Event()
        self._prove = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []

    @property
    def traits(self) -> SourceTraits:
        """Return what Core's package can deliver."""
        return self._traits

    @property
    def mapping(self) -> EntityMapping:
        """Return the entities in use: chosen, else detected."""
        return self._mapping

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what the detection could not settle, in words for a person."""
        return tuple(self._findings)

    def sample(self) -> HouseSample:
        """Return the newest value of everything; no I/O."""
        m = self._mapping
        pv_w = self._reading(m.pv_power, PV_POWER)
        if pv_w.value is not None and pv_w.value < 0:
            pv_w = Reading(0.0, pv_w.quality, pv_w.source, pv_w.changed_s, pv_w.reported_s)
        return HouseSample(
            linked=self._core.link.up,
            grid_w=self._reading(m.grid_power, POWER),
            battery_w=self._reading(m.battery_power, POWER),
            pv_w=pv_w,
            soc_percent=self._reading(m.soc, PERCENT),
            exported_wh=self._reading(m.exported_today, DAY_ENERGY),
            produced_wh=self._reading(m.produced_today, DAY_ENERGY),
            forecast_today_wh=self._reading(m.forecast_today, DAY_ENERGY),
            reserve_soc_percent=self._reading(m.reserve_soc, PERCENT),
            dispatch=DispatchReadings(
                start=self._reading(m.dispatch_start, FLAG),
                power_w=self._reading(m.dispatch_power, POWER),
                mode=self._reading(m.dispatch_mode, MODE),
                cutoff_soc_percent=self._reading(m.dispatch_soc, PERCENT),
                duration_s=self._reading(m.dispatch_time, DURATION),
            ),
        )

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after each new value; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    async def run(self) -> None:
        """Keep mapping, ages and proofs current until cancelled."""
        endings = [
            self._core.subscribe_states(self._states_told),
            self._core.subscribe_link(self._link_changed),
        ]
        self._core.watch(CANDIDATE_IDS | self._chosen.entity_ids())
        self._link_changed(self._core.link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_looking())
                tasks.create_task(self._keep_proving())
        finally:
            for end in endings:
                end()

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Write the nine registers in one frame; return after `deadline_s` at the latest."""
        data = {
            "hub": self._hub,
            "slave": self._unit,  # Core 2026.11 still calls it so
            "address": DISPATCH_ADDRESS,
            "value": block.registers(self._soc_scale),
        }
        try:
            await self._core.call_service("modbus", "write_register", data, timeout_s=deadline_s)
        except NotConnectedError as error:
            return WriteOutcome(WriteStatus.REFUSED, f"not sent: {error}")
        except CallUnconfirmedError as error:
            return WriteOutcome(WriteStatus.UNCONFIRMED, str(error))
        except CallRefusedError as error:
            return self._refusal(error)
        return WriteOutcome(WriteStatus.DELIVERED)

    async def refresh(self) -> None:
        """
        Make Core poll the dispatch registers now; best effort, never raises.

        One at a time: on a saturated hub several would wait in the queue before the next write.
        """
        self._refresh_wanted = True
        if self._refreshing:
            return
        self._refreshing = True
        try:
            while self._refresh_wanted:
                self._refresh_wanted = False
                await self._read_back()
        finally:
            self._refreshing = False

    async def _read_back(self) -> None:
        wanted = self._mapping.dispatch_ids()
        if not wanted:
            return
        asked_s = self._monotonic()
        try:
            await self._update(wanted, REFRESH_S)
        except CoreError as error:
            LOG.debug("no early read-back: %s", error)
            return
        self._ages.vouched(wanted, asked_s)
        self._wake()

    def _refusal(self, error: CallRefusedError) -> WriteOutcome:
        if error.code == "not_found":
            detail = (
                "Home Assistant has no action modbus.write_register; "
                "is the AlphaESS package loaded? Look at Core's log"
            )
            return WriteOutcome(WriteStatus.REFUSED, detail)
        if error.code in CERTAINLY_NOT_RUN:
            return WriteOutcome(WriteStatus.REFUSED, f"modbus.write_register: {error}")
        if error.message == repr(self._hub):  # the KeyError of Core's own look-up
            detail = f"Home Assistant has no Modbus hub {self._hub!r}; set modbus_hub to its name"
            return WriteOutcome(WriteStatus.REFUSED, detail)
        detail = f"modbus.write_register failed: {error}; it may have run, look at the registers"
        return WriteOutcome(WriteStatus.UNCONFIRMED, detail)

    def _reading(self, source: Source, quantity: Quantity) -> Reading:
        name = label(source)
        if not ids(source):
            reason = "no entity is chosen or was found; choose one in the settings"
            return Reading(None, Quality.MISSING, name, detail=reason)
        if not self._core.link.up:
            return Reading(None, Quality.UNAVAILABLE, name, detail=self._core.link.detail)
        value, quality, detail = read(source, self._core.states, quantity)
        changed_s, reported_s = self._times(ids(source))
        if value is not None and changed_s is None:
            value, quality = None, Quality.UNAVAILABLE
            detail = f"the age of {name} is not known yet. {self._age_trouble}".rstrip()
        if value is not None and not self._unproven.keys().isdisjoint(
            self._measured.intersection(ids(source))
        ):
            value, quality = None, Quality.UNAVAILABLE
            detail = f"{name} still shows what it showed before; waiting for its source to answer"
        return Reading(value, quality, name, changed_s or 0.0, reported_s, detail)

    def _times(self, entity_ids: tuple[str, ...]) -> tuple[float | None, float | None]:
        """Return the oldest change and the oldest report of several entities."""
        changed_s, reported_s = math.inf, math.inf
        told = True
        for entity_id in entity_ids:
            changed, reported = self._ages.times(entity_id)
            if changed is None:
                return None, None
            changed_s = min(changed_s, changed)
            told = told and reported is not None
            reported_s = min(reported_s, math.inf if reported is None else reported)
        return changed_s, reported_s if told else None

    def _link_changed(self, link: Link) -> None:
        if link.up:
            self._births += 1
            self._unproven = dict.fromkeys(self._core.states, self._births)
            self._states_told(frozenset(self._core.states))
            self._look.set()
            self._prove.set()
        else:
            self._wake()

    def _states_told(self, entity_ids: frozenset[str]) -> None:
        states = self._core.states
        before = {entity_id: self._ages.times(entity_id)[0] for entity_id in entity_ids}
        self._ages.told(states, entity_ids)
        present = frozenset(states)
        placeholders = frozenset(e for e in present if states[e].restored)
        born = (present - self._present) | (self._placeholders - placeholders)
        self._present, self._placeholders = present, placeholders
        for entity_id in entity_ids:
            if entity_id in born:
                self._births += 1
                self._unproven[entity_id] = self._births
                self._prove.set()
            elif before[entity_id] != self._ages.times(entity_id)[0]:
                state = states.get(entity_id)
                if state is not None and state.live and tells(state):
                    self._unproven.pop(entity_id, None)
        if born or not self._settled:
            self._detect()
        if self._ages.unknown(self._mapping.entity_ids()):
            self._look.set()
        if not self._mapping.entity_ids().isdisjoint(entity_ids):
            self._wake()

    def _detect(self) -> None:
        states = self._core.states
        found, self._findings = detect(states)
        self._mapping = self._chosen.over(found)
        self._measured = self._mapping.measured_ids()
        every = all(tells(states.get(entity)) for entity in self._mapping.entity_ids())
        self._settled = every and not self._findings

    async def _keep_looking(self) -> None:
        """Ask Core for the ages of all values, every few seconds and after each connect."""
        while True:
            told = await self._look_once()
            await asyncio.sleep(LOOK_GAP_S if told else self._look_s)
            pause_s = self._look_s if self._ages.reports else LOOK_WITHOUT_REPORTS_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def _look_once(self) -> bool:
        """Ask once; false when Core was asked and did not tell."""
        self._look.clear()
        wanted = self._mapping.entity_ids()
        if not wanted or not self._core.link.up:
            return True
        sent_s = self._monotonic()
        try:
            core_now, rows = ages.parse(await self._core.render_template(ages.template(wanted)))
        except (CoreError, ValueError) as error:
            self._age_trouble = f"Home Assistant does not tell: {error}"
            LOG.debug("%s", self._age_trouble)
            return False
        self._age_trouble = ""
        self._ages.looked(sent_s, core_now, rows)
        self._wake()
        return True

    async def _keep_proving(self) -> None:
        """
        Make Core ask the inverter for every value that has not moved since it appeared.

        Forecasts are left alone: to ask their source again may cost a quota.
        """
        while True:
            await self._prove.wait()
            self._prove.clear()
            states, mapped = self._core.states, self._measured
            asked = {
                e: n for e, n in self._unproven.items() if e in mapped and tells(states.get(e))
            }
            if not asked or not self._core.link.up:
                continue
            births = sorted(asked.items())
            proofs = await asyncio.gather(*(self._prove_one(e, n) for e, n in births))
            if not all(proofs):
                await asyncio.sleep(PROOF_RETRY_S)
                self._prove.set()

    async def _prove_one(self, entity_id: str, birth: int) -> bool:
        """One call each: Core 2024.1 asks them one after the other, each behind its whole queue."""
        try:
            await self._update([entity_id], PROOF_S)
        except CoreError as error:
            LOG.debug("the source of %s did not answer: %s", entity_id, error)
            return False
        if self._unproven.get(entity_id) == birth:
            del self._unproven[entity_id]
        self._wake()
        return True

    async def _update(self, entity_ids: list[str], timeout_s: float) -> None:
        data = {"entity_id": entity_ids}
        await self._core.call_service("homeassistant", "update_entity", data, timeout_s=timeout_s)

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            wake()
