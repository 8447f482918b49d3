"""
An Alpha ESS through Home Assistant: values from its entities, commands by `modbus.write_register`.

Core stands between us and the inverter with a queue of its own. So a value is only as old as Core
can prove, a link that breaks takes every value with it at once, and a command that was not
answered in time is unconfirmed: it may still wait in Core's queue and run later. A write that
Core reports as done is delivered, no more; Core swallows Modbus errors, the registers read back
are the proof.

How old a value is and whether its source has answered since Core's start, `hass_evidence` knows.

Source: ha_e2e.md section 4; `modbus/services.py` of Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

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
from agent.house.hass_evidence import ASK_AGAIN_S, LOOK_S, Evidence
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
REFRESH_S = 8.0
"""With 141 sensors at 50 ms each, Core 2024.1 takes 4 to 5 s to get round to it."""

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
        ask_again_s: float = ASK_AGAIN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = connection
        self._chosen = entities or EntityMapping()
        self._hub = hub
        self._unit = unit
        self._soc_scale = soc_scale
        self._traits = traits
        self._monotonic = monotonic
        self._mapping = self._chosen
        self._findings: list[str] = []
        self._settled = False
        self._evidence = Evidence(
            connection, self._wake, look_s=look_s, ask_again_s=ask_again_s, monotonic=monotonic
        )
        self._evidence.use(self._mapping)
        self._refreshing = False
        self._refresh_wanted = False
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
            forecast_today_wh=self.forecast_today(),
            reserve_soc_percent=self.reserve_soc(),
            dispatch=DispatchReadings(
                start=self._reading(m.dispatch_start, FLAG),
                power_w=self._reading(m.dispatch_power, POWER),
                mode=self._reading(m.dispatch_mode, MODE),
                cutoff_soc_percent=self._reading(m.dispatch_soc, PERCENT),
                duration_s=self._reading(m.dispatch_time, DURATION),
            ),
        )

    def forecast_today(self) -> Reading:
        """Return the PV of the whole local day, Wh."""
        return self._reading(self._mapping.forecast_today, DAY_ENERGY)

    def reserve_soc(self) -> Reading:
        """Return the external value to keep, percent."""
        return self._reading(self._mapping.reserve_soc, PERCENT)

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
            await self._evidence.run()
        finally:
            for end in endings:
                end()

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Write the nine registers in one frame; return after `deadline_s` at the latest."""
        registers = block.registers(self._soc_scale)
        return await self.write_registers(DISPATCH_ADDRESS, registers, deadline_s)

    async def write_registers(
        self, address: int, registers: list[int], deadline_s: float
    ) -> WriteOutcome:
        """Write registers in one frame; return after `deadline_s` at the latest."""
        data = {
            "hub": self._hub,
            "slave": self._unit,  # Core 2026.11 still calls it so
            "address": address,
            "value": registers,
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
            await self._evidence.update(wanted, REFRESH_S)
        except CoreError as error:
            LOG.debug("no early read-back: %s", error)
            return
        self._evidence.vouched(wanted, asked_s)
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
        changed_s, reported_s = self._evidence.times(ids(source))
        if value is not None and changed_s is None:
            value, quality = None, Quality.UNAVAILABLE
            detail = f"the age of {name} is not known yet. {self._evidence.trouble}".rstrip()
        if value is not None and self._evidence.unproven(ids(source)):
            value, quality = None, Quality.UNAVAILABLE
            detail = f"{name} still shows what it showed before; waiting for its source to answer"
        return Reading(value, quality, name, changed_s or 0.0, reported_s, detail)

    def _link_changed(self, link: Link) -> None:
        if link.up:
            self._evidence.connected()
            self._states_told(frozenset(self._core.states))
        else:
            self._wake()

    def _states_told(self, entity_ids: frozenset[str]) -> None:
        if self._evidence.told(entity_ids) or not self._settled:
            self._detect()
        self._evidence.look_if_unknown()
        if not self._mapping.entity_ids().isdisjoint(entity_ids):
            self._wake()

    def _detect(self) -> None:
        states = self._core.states
        found, self._findings = detect(states)
        self._mapping = self._chosen.over(found)
        self._evidence.use(self._mapping)
        every = all(tells(states.get(entity)) for entity in self._mapping.entity_ids())
        self._settled = every and not self._findings

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            wake()
