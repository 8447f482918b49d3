"""
A house spoken to straight over Modbus TCP: for demo and bench, beside the simulated inverter.

One connection carries everything: power and SOC every 2 s, the dispatch block after each write.
A value whose poll failed stays what it was, with its old time, for three of its poll periods;
then it is unavailable. When the link is lost nothing is known any more, at once.

On a real inverter the only Modbus client is Home Assistant or a bridge, which is why this adapter
is not offered there. Source: control.md, section 3; the paths in the architecture.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from agent.house import alphaess as map_
from agent.house.alphaess import DispatchBlock, Register, decode
from agent.house.day_counters import DayCounters
from agent.house.embedded_link import EmbeddedLink, ExceptionCode, LinkLostError, NotSentError
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

_LOG = logging.getLogger(__name__)
_POLLS_UNTIL_UNAVAILABLE = 3
_FULL_PERCENT = 100
_NOT_DONE = frozenset(
    {
        ExceptionCode.ILLEGAL_FUNCTION,
        ExceptionCode.ILLEGAL_ADDRESS,
        ExceptionCode.ILLEGAL_VALUE,
        ExceptionCode.DEVICE_BUSY,
        ExceptionCode.NEGATIVE_ACKNOWLEDGE,
        ExceptionCode.GATEWAY_PATH_UNAVAILABLE,
    }
)
"""Exceptions that say the command was not carried out. The others leave it open: a device that
failed while performing it, a gateway whose target did not answer."""


@dataclass(frozen=True, slots=True)
class PollPeriods:
    """How often each group of values is read; the `bridge` path's figures."""

    power_s: float = 2.0
    pv_s: float = 4.0
    counters_s: float = 6.0
    dispatch_s: float = 6.0
    answer_s: float = 1.0
    """A read without answer for so long has failed."""
    backoff_s: float = 0.5
    """Pause before the first reconnect; doubles up to `backoff_max_s`."""
    backoff_max_s: float = 15.0


@dataclass(frozen=True, slots=True)
class _Block:
    """Registers that are read in one request."""

    address: int
    count: int
    registers: tuple[Register, ...]

    def values(self, words: list[int]) -> dict[str, float]:
        """Return the block's values by name."""
        return {
            register.name: decode(register, words[register.address - self.address :])
            for register in self.registers
        }


def _block(*registers: Register) -> _Block:
    first = min(registers, key=lambda register: register.address)
    last = max(registers, key=lambda register: register.address)
    return _Block(first.address, last.address + last.words - first.address, registers)


def _dispatch_registers(soc_scale: float) -> tuple[Register, ...]:
    base = map_.DISPATCH_ADDRESS
    offset = float(-map_.POWER_OFFSET)
    return (
        Register("start", base, 1, signed=False, scale=1),
        Register("power_w", base + 1, 2, signed=True, scale=1, offset=offset),
        Register("mode", base + 5, 1, signed=False, scale=1),
        Register("cutoff_soc_percent", base + 6, 1, signed=False, scale=soc_scale),
        Register("duration_s", base + 7, 2, signed=False, scale=1),
    )


@dataclass(slots=True)
class _Value:
    """What is known of one name."""

    value: float
    changed_s: float
    reported_s: float
    poll_s: float
    known: bool = True
    """False from the loss of the link until the value is read again."""


class EmbeddedHouse:
    """
    Both ports of a house over one Modbus TCP connection.

    Args:
        host: address of the inverter.
        port: its Modbus TCP port.
        unit: its Modbus unit id.
        day_base: lifetime counters (exported, produced) at the start of today; with it the
            counters are delivered as daily ones and start again at each new `today`.
        forecast_today_wh: a constant, or a function called at each sample; `None` is missing.
        soc_scale: percent per bit of the dispatch SOC.
        periods: how often what is read.
        clock: monotonic seconds for the readings.
        today: the site's local day.
    """

    def __init__(  # noqa: PLR0913 - one per trait of the house, all with defaults
        self,
        host: str,
        port: int,
        *,
        unit: int = 85,
        day_base: tuple[float, float] | None = None,
        forecast_today_wh: float | Callable[[], float | None] | None = None,
        soc_scale: float = map_.SOC_SCALE_FIELD,
        periods: PollPeriods | None = None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).astimezone().date(),
    ) -> None:
        self._name = f"{host}:{port}"
        self._link = EmbeddedLink(host, port, unit)
        self._soc_scale = soc_scale
        self._periods = periods or PollPeriods()
        self._clock, self._today = clock, today
        self._forecast = forecast_today_wh
        self._counters = DayCounters(day_base, today()) if day_base is not None else None
        self._wakes: list[Callable[[], None]] = []
        self._values: dict[str, _Value] = {}
        self._due = asyncio.Event()
        self._dispatch_due_s = 0.0

    @property
    def traits(self) -> SourceTraits:
        """Return what the values of this source can be expected to be."""
        kind = CounterKind.DAILY if self._counters else CounterKind.LIFETIME
        return SourceTraits(
            path="direct",
            exported_kind=kind,
            exported_step_wh=map_.EXPORTED_WH.scale,
            produced_kind=kind,
            produced_step_wh=map_.PRODUCED_WH.scale,
            power_poll_s=self._periods.power_s,
            counter_poll_s=self._periods.counters_s,
            readback_poll_s=self._periods.dispatch_s,
        )

    def sample(self) -> HouseSample:
        """Return the newest value of everything; no I/O."""
        now_s = self._clock()

        def newest(name: str) -> Reading:
            return self._newest(name, now_s)

        return HouseSample(
            linked=self._link.linked,
            grid_w=newest("grid_w"),
            battery_w=newest("battery_w"),
            pv_w=newest("pv_w"),
            soc_percent=newest("soc_percent"),
            exported_wh=newest("exported_wh"),
            produced_wh=newest("produced_wh"),
            forecast_today_wh=self._forecast_reading(now_s),
            reserve_soc_percent=missing("reserve_soc", "not configured for the embedded house"),
            dispatch=DispatchReadings(
                start=newest("start"),
                power_w=newest("power_w"),
                mode=newest("mode"),
                cutoff_soc_percent=newest("cutoff_soc_percent"),
                duration_s=newest("duration_s"),
            ),
        )

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop after each new value; return a function that ends it."""
        self._wakes.append(wake)

        def end() -> None:
            with suppress(ValueError):
                self._wakes.remove(wake)

        return end

    async def run(self) -> None:
        """Keep the connection alive until cancelled; reconnects for ever, never raises for I/O."""
        periods = self._periods
        pause_s = periods.backoff_s
        try:
            while True:
                if await self._link.connect(max(1.0, periods.answer_s)):
                    try:
                        await self._poll()
                    except LinkLostError as error:
                        _LOG.info("inverter %s: %s", self._name, error)
                    if self._link.linked:
                        pause_s = periods.backoff_s
                self._forget()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, periods.backoff_max_s)
        finally:
            self._forget()

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Write the whole block in one frame; return after `deadline_s` at the latest."""
        try:
            registers = block.registers(self._soc_scale)
            return await self.write_registers(map_.DISPATCH_ADDRESS, registers, deadline_s)
        finally:
            await self.refresh()

    async def read_registers(self, address: int, count: int, deadline_s: float) -> list[int] | None:
        """Read registers that are not polled; `None` when the inverter did not give them."""
        try:
            answer = await self._link.read(address, count, deadline_s)
        except LinkLostError:
            return None
        return list(answer.registers) if answer is not None and not answer.isError() else None

    async def write_registers(
        self, address: int, registers: list[int], deadline_s: float
    ) -> WriteOutcome:
        """Write registers in one frame; return after `deadline_s` at the latest."""
        try:
            answer = await self._link.write(address, registers, deadline_s)
        except NotSentError as error:
            return WriteOutcome(WriteStatus.REFUSED, f"not sent: {error}; try again")
        except TimeoutError:
            return WriteOutcome(
                WriteStatus.UNCONFIRMED, "no answer in time: it may have run; read the registers"
            )
        except LinkLostError as error:
            return WriteOutcome(
                WriteStatus.UNCONFIRMED, f"{error} before the answer: it may have run"
            )
        if not answer.isError():
            return WriteOutcome(WriteStatus.DELIVERED)
        undone = answer.exception_code in _NOT_DONE
        return WriteOutcome(
            WriteStatus.REFUSED if undone else WriteStatus.UNCONFIRMED,
            f"the inverter answered with Modbus exception {answer.exception_code}; "
            "check that remote dispatch is allowed and no other controller is active",
        )

    async def refresh(self) -> None:
        """Ask for an early read-back of the dispatch registers; best effort, never raises."""
        self._dispatch_due_s = 0.0
        self._due.set()

    def _forget(self) -> None:
        """Close the link; what was read through it is no longer known."""
        was_linked = self._link.linked
        self._link.close()
        for kept in self._values.values():
            kept.known = False
        if was_linked:
            self._wake()

    async def _poll(self) -> None:
        """Read each group when it is due, until the link is lost."""
        loop = asyncio.get_running_loop()
        periods = self._periods
        groups: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._read_power, periods.power_s),
            (self._read_pv, periods.pv_s),
            (self._read_counters, periods.counters_s),
        ]
        due_s = [loop.time()] * len(groups)
        self._dispatch_due_s = 0.0
        while True:
            self._due.clear()
            if loop.time() >= self._dispatch_due_s:
                self._dispatch_due_s = loop.time() + periods.dispatch_s
                await self._read_dispatch()
            for n, (read, period_s) in enumerate(groups):
                if loop.time() >= due_s[n]:
                    due_s[n] = max(due_s[n] + period_s, loop.time())
                    await read()
                    break  # a read-back that became due meanwhile goes first
            else:
                wait_s = min(*due_s, self._dispatch_due_s) - loop.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, wait_s)):
                        await self._idle()

    async def _idle(self) -> None:
        """Wait until a read-back is asked for or the link is lost."""
        link = self._link
        lost = asyncio.ensure_future(link.lost.wait())
        due = asyncio.ensure_future(self._due.wait())
        try:
            await asyncio.wait((lost, due), return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            due.cancel()
        if link.lost.is_set():
            raise LinkLostError("the connection was closed")

    async def _read_power(self) -> None:
        # Grid and battery right after each other: their sum is the house's net load.
        await self._read(_GRID, self._periods.power_s)
        await self._read(_BATTERY, self._periods.power_s)

    async def _read_pv(self) -> None:
        strings = await self._fetch(_STRINGS)
        meter = await self._fetch(_PV_METER) if strings is not None else None
        if strings is not None and meter is not None:
            total_w = sum(strings.values()) + sum(meter.values())
            self._store({"pv_w": total_w}, self._periods.pv_s)

    async def _read_counters(self) -> None:
        exported, produced = await self._fetch(_EXPORTED), await self._fetch(_PRODUCED)
        lifetime = (exported or {}) | (produced or {})
        if self._counters:
            lifetime = self._counters.daily(lifetime, self._today())
        if lifetime:
            self._store(lifetime, self._periods.counters_s)

    async def _read_dispatch(self) -> None:
        await self._read(_block(*_dispatch_registers(self._soc_scale)), self._periods.dispatch_s)

    async def _read(self, block: _Block, poll_s: float) -> None:
        values = await self._fetch(block)
        if values is not None:
            self._store(values, poll_s)

    async def _fetch(self, block: _Block) -> dict[str, float] | None:
        """Return a block's values; `None` when the inverter did not give them."""
        answer = await self._link.read(block.address, block.count, self._periods.answer_s)
        if answer is not None and answer.isError():
            _LOG.debug("registers %#06x: exception %s", block.address, answer.exception_code)
            return None
        return block.values(list(answer.registers)) if answer is not None else None

    def _store(self, values: dict[str, float], poll_s: float) -> None:
        now_s = self._clock()
        for name, value in values.items():
            old = self._values.get(name)
            changed_s = old.changed_s if old is not None and old.value == value else now_s
            self._values[name] = _Value(value, changed_s, now_s, poll_s)
        self._wake()

    def _newest(self, name: str, now_s: float) -> Reading:
        kept = self._values.get(name)
        if kept is None:
            return missing(name, "never read; wait for the first poll")
        value, quality, detail = None, Quality.UNAVAILABLE, ""
        if not kept.known:
            detail = f"the link to {self._name} was lost; check the inverter"
        elif now_s - kept.reported_s > _POLLS_UNTIL_UNAVAILABLE * kept.poll_s:
            detail = f"{_POLLS_UNTIL_UNAVAILABLE} polls failed; check the inverter"
        elif name == "soc_percent" and not 0 <= kept.value <= _FULL_PERCENT:
            quality = Quality.INVALID
            detail = f"{kept.value:g} % cannot be; check the register map of this model"
        else:
            value, quality = kept.value, Quality.GOOD
        return Reading(value, quality, name, kept.changed_s, kept.reported_s, detail)

    def _forecast_reading(self, now_s: float) -> Reading:
        value = self._forecast() if callable(self._forecast) else self._forecast
        if value is None:
            return missing("forecast", "no forecast is configured")
        return Reading(value, Quality.GOOD, "forecast", now_s, now_s)

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            wake()


_GRID = _block(map_.GRID_W)
_BATTERY = _block(map_.SOC_PERCENT, map_.BATTERY_W)
_STRINGS = _block(*map_.PV_STRINGS_W)
_PV_METER = _block(map_.PV_METER_W)
_EXPORTED = _block(map_.EXPORTED_WH)
_PRODUCED = _block(map_.PRODUCED_WH)
