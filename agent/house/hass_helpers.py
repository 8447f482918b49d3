"""
An Alpha ESS commanded as its owner would: by the toggles and sliders of the package in Core.

Helpers are not the inverter. A slider takes any value within its range and tells nobody what came
of it; one that gets the value it has writes nothing; a toggle that is on already starts nothing.
So everything is checked before anything is written, in the order cut-off, power, duration, toggle,
and what counts in the end are the registers read back. The package's timer is only started behind
a toggle that is on, and never left behind by a start that failed.

Source: export_monitor.md 4.3, 4.4 and 4.6; defects D-07, D-08, D-23, D-24, D-28.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from agent.homeassistant.errors import CallRefusedError, CoreError, NotConnectedError
from agent.homeassistant.states import EntityState
from agent.homeassistant.websocket import CoreConnection
from agent.house import helper_entities as helper
from agent.house.alphaess import DispatchBlock
from agent.house.hass_entities import HELPER_IDS, HelperMapping, Quantity
from agent.house.helper_entities import HelperError, Setting
from agent.house.port import WriteOutcome, WritePart, WriteStatus
from agent.house.readings import DispatchReadings

LOG = logging.getLogger(__name__)

SHOWN_S = 3.0
"""A helper shows what it was set to at once; this is for a Core that is busy."""
CARRIED_OUT_S = 10.0
"""Longest that the package's automations wait for Core's modbus queue behind 141 sensors."""
WRITTEN_S = 25.0
"""The same for a start, which waits for all polls before it: Core 2024.1 is half a minute behind
after the inverter was mute."""
UNTOLD_S = 10.0
"""The same, believed where no timer tells that they are done."""
TEST_S = 120
"""Leases are longer: a dispatch as short as this is the commissioning test, also when repeated."""
BEHIND_S = 300
"""The package's timer ends so long after a test, or its reset would do what the test must see the
inverter do unaided."""


class OvertakenError(HelperError):
    """A stop came while a start was under way."""


@dataclass(frozen=True, slots=True)
class Forced:
    """The helpers of one direction."""

    name: str
    toggle: str
    power: str
    cutoff: str
    duration: str
    timer: str | None


class HassHelpers:
    """
    `BatteryActuator` over the package's helpers.

    Args:
        connection: the link to Core, run by its owner.
        entities: what the user has chosen; the rest is detected.
        read_back: the dispatch registers as Core reads them.
        refresh: makes Core read them now.
        monotonic: seconds on a clock that never jumps.
    """

    def __init__(
        self,
        connection: CoreConnection,
        entities: HelperMapping | None,
        read_back: Callable[[], DispatchReadings],
        refresh: Callable[[], Awaitable[None]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = connection
        self._chosen = entities or HelperMapping()
        self._read_back = read_back
        self._refresh = refresh
        self._monotonic = monotonic
        self._seen: set[str] = set()
        self._turn = asyncio.Lock()
        self._stops = 0
        self._waiting: set[asyncio.Event] = set()
        self._acted_s = 0.0
        """When the registers may last have been changed by us; older readings prove nothing."""
        connection.watch(HELPER_IDS | self._chosen.entity_ids())

    @property
    def mapping(self) -> HelperMapping:
        """Return the helpers in use: chosen, else detected, also while Core is starting again."""
        self._seen |= HELPER_IDS & self._core.states.keys()
        return self._chosen.over(self._seen)

    async def refresh(self) -> None:
        """Ask for an early read-back of the dispatch registers; best effort, never raises."""
        await self._refresh()

    async def write(self, block: DispatchBlock, deadline_s: float) -> WriteOutcome:
        """Have the package write the block; return after `deadline_s` at the latest."""
        if not block.start:
            # A start that is under way gives up its turn, also where it only waits.
            self._stops += 1
            for waiting in self._waiting:
                waiting.set()
        job = _Job(self._monotonic() + deadline_s, self._stops)
        try:
            async with asyncio.timeout(deadline_s), self._turn:
                return await (self._run(block, job) if block.start else self._stop(job))
        except TimeoutError:
            detail = f"the package's helpers did not follow within {deadline_s:.0f} s; "
            return job.failed(detail + "look at them in Home Assistant")
        except NotConnectedError as error:
            return job.failed(f"not sent: {error}")
        except (HelperError, CoreError) as error:
            return job.failed(str(error))

    async def _run(self, block: DispatchBlock, job: _Job) -> WriteOutcome:
        """Start a dispatch, or change the one that runs."""
        forced = self._forced(block)
        settings = [
            self._setting(entity, value, quantity, job)
            for entity, value, quantity in (
                (forced.cutoff, block.cutoff_soc_percent, helper.CUTOFF),
                (forced.power, abs(block.power_w), helper.FORCED_POWER),
                (forced.duration, block.duration_s, helper.FORCED_TIME),
            )
        ]
        on = helper.is_on(self._state(forced.toggle))
        if on and not self._idle():
            return await self._change(forced, settings, block, job)
        if on:
            await self._switch(forced.toggle, job, on=False)
            await self._until(lambda: not self._runs(forced.timer), CARRIED_OUT_S, job)
        return await self._start(forced, settings, block, job)

    async def _start(
        self, forced: Forced, settings: list[Setting], block: DispatchBlock, job: _Job
    ) -> WriteOutcome:
        for setting in settings:
            await self._set(setting, job)
        self._acted_s = self._monotonic()
        job.may_run = True
        try:
            await self._switch(forced.toggle, job, on=True)
        except CallRefusedError:
            job.may_run = False  # Core says so itself
            raise
        except OvertakenError:
            raise
        except (HelperError, CoreError):
            await self._take_back(forced)
            raise
        if forced.timer is None:
            self._acted_s = self._monotonic() + UNTOLD_S
            return WriteOutcome(WriteStatus.DELIVERED)
        test = block.duration_s <= TEST_S
        await self._written(forced, job, by_timer=test)
        if test:
            await self._outlast(forced.timer, block.duration_s + BEHIND_S, job)
        return WriteOutcome(WriteStatus.DELIVERED)

    async def _written(self, forced: Forced, job: _Job, *, by_timer: bool) -> None:
        """Wait until the package has written a start, as its timer tells, or the registers."""

        def told() -> bool:
            return self._runs(forced.timer) or (not by_timer and self._running() is True)

        if await self._until(told, WRITTEN_S, job):
            self._acted_s = self._monotonic()
            return
        self._acted_s = self._monotonic() + UNTOLD_S
        raise HelperError(
            f"{forced.toggle} is on, and {forced.timer} was not started within {WRITTEN_S:.0f} s: "
            "the package has not written yet, and may still do so. Look whether its automations "
            "are enabled and whether Home Assistant is behind with its Modbus polls"
        )

    async def _change(
        self, forced: Forced, settings: list[Setting], block: DispatchBlock, job: _Job
    ) -> WriteOutcome:
        duration = settings[-1]
        if self._shows(duration):
            # Only a change is written; the guard asks for another duration next time.
            job.may_run = True
            raise HelperError(
                f"{duration.entity_id} stands at {duration.shown} already, and the package writes "
                "nothing for a repeated value: this renewal did not reach the inverter"
            )
        for setting in settings:
            await self._set(setting, job, acts=True)
        timer = forced.timer
        await self._until(
            lambda: helper.timer_s(self._core.states.get(timer or "")) == block.duration_s,
            CARRIED_OUT_S if timer else 0.0,
            job,
        )
        return WriteOutcome(WriteStatus.DELIVERED)

    async def _stop(self, job: _Job) -> WriteOutcome:
        """Switch off whatever is on; where nothing is, have the package reset the dispatch."""
        job.may_run = True
        mapping = self.mapping
        states = self._core.states
        on = [
            toggle
            for toggle in (mapping.discharge_button, mapping.charge_button)
            if toggle is not None and toggle in states and not helper.is_off(states[toggle])
        ]
        if not on and self._idle():
            return WriteOutcome(WriteStatus.DELIVERED)
        self._acted_s = self._monotonic()
        for toggle in on:
            await self._switch(toggle, job, on=False)
        if not on:
            await self._press(mapping.reset_button, job)
        timers = {mapping.discharge_timer, mapping.charge_timer} - {None}
        if not await self._until(
            lambda: not any(self._runs(timer) for timer in timers), CARRIED_OUT_S, job
        ):
            # It would end whatever runs by then, also what somebody else has started (D-23).
            running = [timer for timer in timers if self._runs(timer)]
            await self._call("timer", "cancel", {"entity_id": running}, job)
        return WriteOutcome(WriteStatus.DELIVERED)

    async def _press(self, button: str | None, job: _Job) -> None:
        if button is None or button not in self._core.states:
            raise HelperError(
                "no toggle is on and the package has no reset button, so the running dispatch "
                "cannot be reset; it ends by the inverter's own timer, or stop it in its app"
            )
        domain = button.partition(".")[0]
        await self._call(domain, "press", {"entity_id": button}, job)

    async def _take_back(self, forced: Forced) -> None:
        """Leave no toggle on and no timer running behind a start that failed."""
        job = _Job(self._monotonic() + SHOWN_S, self._stops)
        with suppress(HelperError, CoreError):
            await self._switch(forced.toggle, job, on=False)
            if forced.timer and self._runs(forced.timer):
                await self._call("timer", "cancel", {"entity_id": forced.timer}, job)

    async def _outlast(self, timer: str, seconds: int, job: _Job) -> None:
        state = self._core.states.get(timer)
        if (helper.timer_s(state) or 0) < seconds:
            await self._call("timer", "start", {"entity_id": timer, "duration": seconds}, job)

    def _setting(self, entity_id: str, value: float, quantity: Quantity, job: _Job) -> Setting:
        with job.about(quantity):
            return helper.setting(self._state(entity_id), value, quantity)

    async def _set(self, setting: Setting, job: _Job, *, acts: bool = False) -> None:
        """Set one helper, unless it stands there already, and wait until it shows it."""
        if not self._shows(setting):
            with job.about(setting.quantity):
                await self._move(setting, job, acts=acts)

    async def _move(self, setting: Setting, job: _Job, *, acts: bool) -> None:
        self._check(job)
        job.may_run = job.may_run or acts
        if acts:
            self._acted_s = self._monotonic()
        await self._call(setting.domain, setting.service, setting.data, job)
        if not await self._until(lambda: self._shows(setting), SHOWN_S, job):
            shown = self._core.states[setting.entity_id].state[:40]
            raise HelperError(
                f"{setting.entity_id} was set to {setting.shown} and shows {shown!r}; look at it, "
                "and choose another entity in the settings if it is not the package's slider"
            )

    async def _switch(self, toggle: str, job: _Job, *, on: bool) -> None:
        self._check(job)
        state = self._state(toggle)
        domain, service, data = helper.switching(state, on=on)
        await self._call(domain, service, data, job)
        wanted = helper.is_on if on else helper.is_off
        if not await self._until(lambda: wanted(self._state(toggle)), SHOWN_S, job):
            word = "on" if on else "off"
            raise HelperError(
                f"{toggle} was switched {word} and still shows {self._state(toggle).state!r}; "
                "look for an automation that switches it back"
            )

    async def _call(self, domain: str, service: str, data: dict[str, object], job: _Job) -> None:
        left_s = max(0.1, job.until_s - self._monotonic())
        LOG.debug("%s.%s %s", domain, service, data)
        await self._core.call_service(domain, service, data, timeout_s=left_s)

    async def _until(self, holds: Callable[[], bool], patience_s: float, job: _Job) -> bool:
        """Wait until a state is so; false when it is not in time. A stop ends a start's wait."""
        changed = asyncio.Event()
        end = self._core.subscribe_states(lambda _: changed.set())
        self._waiting.add(changed)
        try:
            async with asyncio.timeout(min(patience_s, job.until_s - self._monotonic())):
                while not holds():
                    self._check(job)
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return holds()
        finally:
            self._waiting.discard(changed)
            end()
        return True

    def _check(self, job: _Job) -> None:
        if job.stops != self._stops:
            job.may_run = True
            raise OvertakenError("overtaken by a stop; nothing more was written")

    def _shows(self, setting: Setting) -> bool:
        state = self._core.states.get(setting.entity_id)
        return state is not None and setting.is_shown_by(state)

    def _runs(self, timer: str | None) -> bool:
        state = self._core.states.get(timer) if timer else None
        return state is not None and state.state == "active"

    def _idle(self) -> bool:
        """Whether the registers, read since we last changed them, show no dispatch."""
        return self._running() is False

    def _running(self) -> bool | None:
        """Return what the registers show; `None` while they were not read since our last change."""
        start = self._read_back().start
        if not start.good or start.vouched_s < self._acted_s:
            return None
        return (start.value or 0.0) >= 0.5  # noqa: PLR2004 - a boolean register

    def _state(self, entity_id: str) -> EntityState:
        state = self._core.states.get(entity_id)
        if state is None:
            raise HelperError(
                f"{entity_id} does not exist in Home Assistant; is it renamed? Choose it in the "
                "settings"
            )
        return state

    def _forced(self, block: DispatchBlock) -> Forced:
        """Return the helpers of the block's direction; every one but the timer is needed."""
        name = "discharge" if block.power_w > 0 else "charge"
        mapping = self.mapping
        found = {
            what: getattr(mapping, f"{name}_{what}")
            for what in ("button", "power", "cutoff_soc", "duration")
        }
        for what, entity in found.items():
            if not entity:
                raise HelperError(
                    f"{name}_{what}: no helper is chosen or was found; choose it in the settings"
                )
        timer = getattr(mapping, f"{name}_timer")
        in_use = timer if timer in self._core.states and timer.startswith("timer.") else None
        return Forced(
            name, found["button"], found["power"], found["cutoff_soc"], found["duration"], in_use
        )


@dataclass(slots=True)
class _Job:
    """One command on its way through the helpers."""

    until_s: float
    stops: int
    """Stops that had come before it; one more, and it gives up."""
    may_run: bool = False
    """Something was written that reaches, or may reach, the inverter."""
    part: WritePart = WritePart.DISPATCH
    """What is being written; where it fails, that is what failed."""

    @contextmanager
    def about(self, quantity: Quantity) -> Iterator[None]:
        """Note what is being written until the block ends well."""
        self.part = WritePart.POWER if quantity is helper.FORCED_POWER else WritePart.DISPATCH
        yield
        self.part = WritePart.DISPATCH

    def failed(self, detail: str) -> WriteOutcome:
        """Return what is known of a command that did not get through."""
        status = WriteStatus.UNCONFIRMED if self.may_run else WriteStatus.REFUSED
        return WriteOutcome(status, detail, self.part)
