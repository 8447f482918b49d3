"""
An Alpha ESS through an ESPHome bridge on its RS485 line: readings and commands without Core.

The bridge pushes each value as often as the inverter confirms it, also an unchanged one, so a
value's age is that of its last push. What it tells first on a connection is what it had: that may
be as old as the bridge keeps a value that nobody confirms, and is taken to be. A command is one
action that answers when the inverter has acknowledged the nine registers, or says why not; the
bridge reads them back by itself and shows them.

This module loads aioesphomeapi, which no agent without a bridge should pay for: import it when
there is one.

Source: bridge/README.md, which says what the firmware promises.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.fleet.bridge import Bridge, Timing
from agent.fleet.contact import Contact
from agent.fleet.events import BridgeEvent
from agent.fleet.introduction import Target
from agent.fleet.panel import NotOnlineError, Scalar, Value
from agent.house.alphaess import EXPORTED_WH, PRODUCED_WH, SOC_SCALE_FIELD, DispatchBlock
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import (
    CounterKind,
    DispatchReadings,
    HouseSample,
    Quality,
    Reading,
    SourceTraits,
    missing,
)

ACTION = "write_dispatch"
FOREIGN = "sensor.foreign_requests"
REFUSED = "refused: "
"""How the bridge's answer begins if the inverter has certainly not carried the block out."""
TRAITS = SourceTraits(
    path="bridge",
    exported_kind=CounterKind.LIFETIME,
    exported_step_wh=EXPORTED_WH.scale,
    produced_kind=CounterKind.LIFETIME,
    produced_step_wh=PRODUCED_WH.scale,
    power_poll_s=2.0,
    counter_poll_s=6.0,
    readback_poll_s=6.0,
)
HEARD_FOR_S = 600.0
"""A second master that was silent for so long has gone, or asks so seldom that the test sees it."""
_HIGHEST_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Shown:
    """One value as the bridge shows it."""

    entity: str
    unit: str
    kept_s: float
    """How long the bridge shows a value that the inverter does not confirm any more."""
    step: float = 0.0
    """Of the register, in the reading's unit: a float32 of an old counter is not exact."""
    factor: float = 1.0
    """Into the reading's unit."""
    lowest: float = -math.inf
    highest: float = math.inf


_POWER_KEPT_S, _PV_KEPT_S, _DISPATCH_KEPT_S = 7.0, 13.0, 19.0
GRID = Shown("sensor.grid_power", "W", _POWER_KEPT_S)
BATTERY = Shown("sensor.battery_power", "W", _POWER_KEPT_S)
SOC = Shown("sensor.battery_soc", "%", _POWER_KEPT_S, 0.1, lowest=0, highest=100)
EXPORTED = Shown("sensor.exported_energy", "kWh", _POWER_KEPT_S, EXPORTED_WH.scale, 1000, lowest=0)
PRODUCED = Shown("sensor.produced_energy", "kWh", _PV_KEPT_S, PRODUCED_WH.scale, 1000, lowest=0)
PV = tuple(
    Shown(f"sensor.{name}_power", "W", _PV_KEPT_S)
    for name in ("pv1", "pv2", "pv3", "pv4", "pv_meter")
)
START = Shown("sensor.dispatch_start", "", _DISPATCH_KEPT_S, lowest=0, highest=1)
POWER = Shown("sensor.dispatch_power", "W", _DISPATCH_KEPT_S)
MODE = Shown("sensor.dispatch_mode", "", _DISPATCH_KEPT_S, lowest=0)
CUTOFF_RAW = Shown("sensor.dispatch_soc", "", _DISPATCH_KEPT_S, lowest=0, highest=255)
DURATION = Shown("sensor.dispatch_time", "s", _DISPATCH_KEPT_S, lowest=0)
_EVERY = {
    it.entity: it
    for it in (
        GRID,
        BATTERY,
        SOC,
        EXPORTED,
        PRODUCED,
        *PV,
        START,
        POWER,
        MODE,
        CUTOFF_RAW,
        DURATION,
    )
}


@dataclass(frozen=True, slots=True)
class _Told:
    """The newest push of one entity."""

    value: Scalar
    unit: str
    at_s: float
    changed_s: float
    reported_s: float


class BridgeAlphaEss:
    """
    `SiteMeter` and `BatteryActuator` over one bridge.

    Whoever keeps the connection hands its values to `value` and its changes to `contact`; see
    `alone` for an adapter with a connection of its own.

    Args:
        bridge: the connection as it is now; `None` while there is none.
        run: has to run while the adapter is in use; nothing where somebody else keeps it.
        soc_scale: percent per bit of the dispatch SOC.
        forecast_today: PV of the whole local day in Wh, from another source.
        reserve_soc: an external 'keep at least this' value in percent, from another source.
    """

    def __init__(
        self,
        bridge: Callable[[], Bridge | None],
        *,
        run: Callable[[], Awaitable[None]] | None = None,
        soc_scale: float = SOC_SCALE_FIELD,
        forecast_today: Callable[[], Reading] = lambda: missing("forecast"),
        reserve_soc: Callable[[], Reading] = lambda: missing("reserve_soc"),
    ) -> None:
        self._bridge = bridge
        self._run = run
        self._soc_scale = soc_scale
        self._forecast_today = forecast_today
        self._reserve_soc = reserve_soc
        self._told: dict[str, _Told] = {}
        self._texts: dict[str, str] = {}
        self._wakes: list[Callable[[], None]] = []
        self._heard: tuple[float, float] | None = None
        """How many foreign requests there were, and when the last one was heard."""
        # Numbers of commands; another agent's are others.
        self._number = secrets.randbelow(_HIGHEST_NUMBER // 2)

    @property
    def traits(self) -> SourceTraits:
        """Return what the bridge's firmware promises."""
        return TRAITS

    def sample(self) -> HouseSample:
        """Return the newest value of everything; no I/O."""
        bridge = self._bridge()
        contact = bridge.contact if bridge is not None else None

        def read(shown: Shown) -> Reading:
            return self._reading(shown, bridge)

        cutoff = read(CUTOFF_RAW)
        return HouseSample(
            linked=contact is not None and contact.online,
            grid_w=read(GRID),
            battery_w=read(BATTERY),
            pv_w=_total([read(each) for each in PV]),
            soc_percent=read(SOC),
            exported_wh=read(EXPORTED),
            produced_wh=read(PRODUCED),
            forecast_today_wh=self._forecast_today(),
            reserve_soc_percent=self._reserve_soc(),
            dispatch=DispatchReadings(
                start=read(START),
                power_w=read(POWER),
                mode=read(MODE),
                cutoff_soc_percent=_scaled(cutoff, self._soc_scale),
                duration_s=read(DURATION),
            ),
        )

    @property
    def foreign_requests(self) -> int | None:
        """
        Return how many requests of another master the bridge has heard; `None` while unknown.

        Two masters on one line disturb each other; such a house is not to be commissioned.
        """
        bridge = self._bridge()
        told = bridge.panel.values.get(FOREIGN) if bridge is not None else None
        return int(told.value) if told is not None and isinstance(told.value, float) else None

    def heard_of_late(self, now_s: float) -> int:
        """Return how many requests of another master were told, if any was within ten minutes."""
        count, at_s = self._heard or (0.0, 0.0)
        return int(count) if now_s - at_s <= HEARD_FOR_S else 0

    def text(self, entity: str) -> str:
        """Return the newest text of an entity; empty while none has been told."""
        return self._texts.get(entity, "")

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop after each new value; return a function that ends it."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake) if wake in self._wakes else None

    async def run(self) -> None:
        """Keep the connection if it is ours; until cancelled."""
        if self._run is not None:
            await self._run()
        await asyncio.Event().wait()

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Write the whole block in one frame; return after `deadline_s` at the latest."""
        bridge = self._bridge()
        if bridge is None:
            return WriteOutcome(WriteStatus.REFUSED, "not sent: there is no bridge; try again")
        self._number += 1
        command: dict[str, bool | int | float | str] = {
            "number": self._number,
            "start": block.start,
            "power_w": block.power_w,
            "soc_raw": block.registers(self._soc_scale)[6],
            "duration_s": block.duration_s,
        }
        try:
            answer = await bridge.panel.act(ACTION, command, deadline_s)
        except NotOnlineError as error:
            return WriteOutcome(WriteStatus.REFUSED, f"not sent: {error}; try again")
        except KeyError:
            return WriteOutcome(
                WriteStatus.REFUSED,
                f"the bridge has no action {ACTION}; flash the production firmware of this release",
            )
        if answer is None:
            return WriteOutcome(
                WriteStatus.UNCONFIRMED,
                "no answer from the bridge: it may have run, or may still; read the registers",
            )
        if answer.done:
            return WriteOutcome(WriteStatus.DELIVERED)
        undone = answer.text.startswith(REFUSED)
        return WriteOutcome(WriteStatus.REFUSED if undone else WriteStatus.UNCONFIRMED, answer.text)

    async def refresh(self) -> None:
        """Do nothing: the bridge reads the registers back after each command by itself."""

    def value(self, value: Value) -> None:
        """Take what the bridge has pushed."""
        bridge = self._bridge()
        if value.entity.startswith("text_sensor.") and isinstance(value.value, str):
            self._texts[value.entity] = value.value
        if value.entity == FOREIGN and isinstance(value.value, float):
            self._hear(value.value, value.at_s)
        shown = _EVERY.get(value.entity)
        if shown is None or bridge is None:
            return
        old = self._told.get(value.entity)
        first = old is None or old.at_s < bridge.contact.since_s
        reported_s = value.at_s - (shown.kept_s if first else 0.0)
        same = old is not None and (old.value, old.unit) == (value.value, value.unit)
        changed_s = old.changed_s if old is not None and same else reported_s
        self._told[value.entity] = _Told(value.value, value.unit, value.at_s, changed_s, reported_s)
        self._wake()

    def _hear(self, count: float, at_s: float) -> None:
        """Note a foreign request; of those before a connection nobody knows when they were."""
        if count > 0 and (self._heard is None or count != self._heard[0]):
            self._heard = count, at_s
            self._wake()

    def contact(self, _contact: Contact) -> None:
        """Take note that the connection is another one than before."""
        self._wake()

    def _reading(self, shown: Shown, bridge: Bridge | None) -> Reading:
        entity, told = shown.entity, self._told.get(shown.entity)
        if bridge is None or not bridge.contact.online:
            detail = "the bridge is not connected"
            if bridge is not None and bridge.contact.detail:
                detail = bridge.contact.detail
            quality = Quality.MISSING if told is None else Quality.UNAVAILABLE
        elif entity not in bridge.panel.entities:
            detail = "the bridge does not show it; flash the production firmware of this release"
            quality = Quality.MISSING
        elif told is None or told.at_s < bridge.contact.since_s:
            detail = "the bridge has not told it yet since it was connected"
            quality = Quality.MISSING if told is None else Quality.UNAVAILABLE
        else:
            return _read(shown, told)
        if told is None:
            return Reading(None, quality, entity, detail=detail)
        return Reading(None, quality, entity, told.changed_s, told.reported_s, detail)

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            wake()


def alone(
    target: Target,
    *,
    on_event: Callable[[BridgeEvent], None],
    timing: Timing | None = None,
    soc_scale: float = SOC_SCALE_FIELD,
) -> BridgeAlphaEss:
    """Return an adapter with a connection of its own, which its `run` keeps up."""

    async def run() -> None:
        await bridge.run()

    adapter = BridgeAlphaEss(lambda: bridge, run=run, soc_scale=soc_scale)
    bridge = Bridge(
        target,
        on_event=on_event,
        on_contact=adapter.contact,
        on_value=adapter.value,
        timing=timing,
    )
    return adapter


def _read(shown: Shown, told: _Told) -> Reading:
    """Return the reading of a value that was pushed on this connection."""
    value, quality, detail = None, Quality.GOOD, ""
    if told.value is None:
        quality = Quality.UNAVAILABLE
        detail = "the inverter does not answer the bridge; check both and the line between them"
    elif isinstance(told.value, bool | str) or told.unit != shown.unit:
        quality = Quality.INVALID
        detail = f"{told.value!r} {told.unit} is no value in {shown.unit or 'a plain number'}"
    else:
        value = told.value * shown.factor
        if shown.step:
            value = round(round(value / shown.step) * shown.step, 6)
        if not shown.lowest <= value <= shown.highest:
            quality = Quality.INVALID
            detail = f"{value:g} {shown.unit} cannot be; check the registers of this model"
            value = None
    return Reading(value, quality, shown.entity, told.changed_s, told.reported_s, detail)


def _total(parts: list[Reading]) -> Reading:
    """Return the sum of all generators, never negative; as good and as old as the worst part."""
    bad = next((part for part in parts if not part.good), None)
    if bad is not None:
        return bad
    total_w = sum(part.value or 0.0 for part in parts)
    reported_s = min(part.reported_s or 0.0 for part in parts)
    changed_s = min(reported_s, max(part.changed_s for part in parts))
    sources = " + ".join(part.source for part in parts)
    return Reading(max(0.0, total_w), Quality.GOOD, sources, changed_s, reported_s)


def _scaled(reading: Reading, scale: float) -> Reading:
    """Return the reading in another unit."""
    value = None if reading.value is None else reading.value * scale
    return Reading(
        value,
        reading.quality,
        reading.source,
        reading.changed_s,
        reading.reported_s,
        reading.detail,
    )
