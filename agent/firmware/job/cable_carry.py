"""
Carries a recovery over the cable from the wish to its verdict.

Steps, journal and verdicts are those of every job. What is of its own is that each act is a
process on the port, and that nothing of ours ends a write: a stop of the agent waits for it, and
only the person, or the deadline that no healthy write meets, breaks it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from agent.firmware.job import replay
from agent.firmware.job.cable_models import CableFacts, Trouble, trouble_of
from agent.firmware.job.cable_step import next_cable_step
from agent.firmware.job.cable_verdict import broken_by, ended_of
from agent.firmware.job.carry import ACT_S, FAULT, Carry
from agent.firmware.job.models import Facts, How, JobState, Result, Stage, UploadEnd, Verdict, Way
from agent.firmware.job.ports import Cable
from agent.firmware.job.progress import Progress, Transfer, moving, reached
from agent.firmware.job.step import Do, Step
from agent.firmware.serial.boot_log import BootReport, Start
from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.models import Phase
from agent.firmware.serial.models import Progress as CableProgress

LOG = logging.getLogger(__name__)
T = TypeVar("T")
_STARTED = frozenset({Stage.RESET, Stage.OBSERVE})


SAYS = {
    Stage.CONNECT: "Waiting for a safe moment.",
    Stage.IDENTIFY: "Asking the chip who it is.",
    Stage.CHECK: "Looking whether it may be written, and what is there already.",
    Stage.BACKUP: "Copying its settings.",
    Stage.ERASE: "Erasing its settings.",
    Stage.WRITE: "Writing; do not pull the cable.",
    Stage.VERIFY: "Comparing the flash with the image.",
    Stage.RESET: "Starting it, and listening.",
    Stage.OBSERVE: "Looking for it on the network.",
}
"""What is shown where nothing moves."""


class CableCarry(Carry):
    """One job over the cable."""

    def begin(self) -> None:
        """Take it up; a job that nobody has begun is one of an earlier run, and only told."""
        looks = self._ports.cable is not None and self._ports.cable.looks
        self._facts = replace(self._facts, cable=CableFacts(looks=looks))
        self.progress = Progress(way=Way.SERIAL)

    async def run(self) -> Verdict:
        """Carry the job to its verdict."""
        try:
            return await super().run()
        finally:
            if self._state.open and self._facts.cable is not None:
                await self._leave()

    def give_up_act(self) -> None:
        """End what is being done, also a write; somebody has cancelled the job."""
        if self._writing is not None:
            self._writing.cancel()
        super().give_up_act()

    _writing: asyncio.Future[Any] | None = None
    _plugged = _touched = False
    _told: tuple[Phase, float] | None = None

    @property
    def _cable(self) -> Cable:
        if self._ports.cable is None:
            raise RuntimeError("there is no cable here")
        return self._ports.cable

    def _next(self, state: JobState, facts: Facts) -> Step:
        return next_cable_step(state, facts, self._now_s, self._patience)

    async def _do(self, do: Do) -> None:
        request, facts = self._state.request, self._facts.cable
        assert facts is not None  # noqa: S101 - nothing is done for a job of an earlier run
        device, plan = facts.device, facts.plan
        if do is Do.IDENTIFY:
            self._plugged = True
            self._learn(device=await self._at(do, self._cable.identify(request, self._show_cable)))
        elif do is Do.PLAN and device is not None:
            await self._plan(facts)
        elif do is Do.BACKUP and device is not None:
            if request.backup != "none":
                await self._at(do, self._cable.backup(request, device, self._show_cable))
            self._learn(backed_up=True)
        elif do in {Do.ERASE, Do.WRITE} and plan is not None:
            pieces = (
                replace(plan, parts=())
                if do is Do.ERASE
                else replace(plan, blank=() if facts.erased else plan.blank)
            )
            await self._write(do, self._cable.write(request, pieces, self._show_cable))
        elif do is Do.PROVE and plan is not None:
            await self._at(do, self._cable.verify(request, plan, self._show_cable))
            self._learn(proven=True)
        elif do is Do.LISTEN:
            await self._listen()
        else:
            await super()._do(do)

    async def _plan(self, facts: CableFacts) -> None:
        request, device = self._state.request, facts.device
        assert device is not None  # noqa: S101 - the caller looked
        found = await self._at(Do.PLAN, self._cable.plan(request, device))
        if isinstance(found, Trouble):
            self._learn(trouble=found)
        elif found is not None:
            same = await self._at(Do.PLAN, self._cable.holds(request, found, self._show_cable))
            # A look that broke off has found nothing, least of all that all is well.
            self._learn(plan=found, planned_s=self._now_s, same=same is True)

    async def _listen(self) -> None:
        heard = await self._at(
            Do.LISTEN, self._cable.observe(self._state.request, self._show_cable)
        )
        trouble = self._facts.cable.trouble if self._facts.cable else None
        if heard is None and trouble is not None:
            # What stands on the flash is proven; that nobody could listen takes nothing away.
            heard = BootReport(Start.SILENT, "Nobody could hear how it starts.", trouble.text)
            self._learn(trouble=None)
        self._learn(boot=heard)

    async def _at(self, do: Do, work: Awaitable[T]) -> T | None:
        """Return what an act found; `None` if it failed, with the trouble in the facts."""

        async def tried() -> T | Trouble:
            try:
                return await work
            except SerialError as error:
                LOG.info("flash_cable: %s: %s %s", self._state.mac, error.code, error.detail)
                return trouble_of(error)

        found = await self._tried(do, tried(), lambda text: Trouble("fault", text))
        if isinstance(found, Trouble) and do is not Do.PLAN:
            self._learn(trouble=found)
            return None
        return found  # type: ignore[return-value]  # a plan tells its trouble itself

    async def _write(self, do: Do, work: Awaitable[None]) -> None:
        """Write, whatever else ends meanwhile; only a person or the deadline breaks it off."""
        self._facts = replace(self._facts, uploading=True)
        writing = self._writing = asyncio.ensure_future(self._written(do, work))
        if self._state.cancelled_by:
            writing.cancel()
        stopped = False
        while not writing.done():
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                stopped = stopped or not writing.cancelled()
        self._writing = None
        broken = writing.cancelled()
        end = broken_by(self._state, touched=self._touched) if broken else writing.result()
        self._facts = replace(self._facts, uploading=False)
        if do is Do.ERASE and end.how is How.SENT:
            self._learn(erased=True)
        else:
            await self._book.write(replay.uploaded(self._id, end))
        if stopped:
            raise asyncio.CancelledError

    async def _written(self, do: Do, work: Awaitable[None]) -> UploadEnd:
        try:
            async with asyncio.timeout(ACT_S[do]):
                await work
        except SerialError as error:
            LOG.info("flash_cable: %s: %s %s", self._state.mac, error.code, error.detail)
            # Of a bridge whose settings are erased already, no write leaves what was there.
            touched = error.touched or self._touched
            return ended_of(replace(trouble_of(error), touched=touched))
        except TimeoutError:
            return UploadEnd(How.CUT, "The write came to no end in time.", "deadline", network=True)
        except Exception:
            LOG.exception("the write of flash job %s failed", self._id)
            return UploadEnd(How.CUT, FAULT, "fault")
        return UploadEnd(How.SENT, "All of it was written.")

    async def _closing(self, verdict: Verdict) -> None:
        if self._facts.cable is None:
            return
        if verdict.result is Result.CONFIRMED and not self._state.request.keep_backup:
            self._cable.forget(self._state.request)
        await self._leave()

    async def _leave(self) -> None:
        """Leave no bridge that waits in its boot loader for nothing."""
        untouched = not self._state.upload_began and self._state.stage not in _STARTED
        if self._plugged and untouched:
            self._plugged = False
            with contextlib.suppress(Exception):
                await self._cable.restart(self._state.request)

    def _show(self, stage: Stage, done: float, text: str, left_s: float | None = None) -> None:
        super()._show(stage, done, text or SAYS.get(stage, ""), left_s)

    def _learn(self, **facts: Any) -> None:
        cable = self._facts.cable
        assert cable is not None  # noqa: S101 - only a job of this run learns
        self._facts = replace(self._facts, cable=replace(cable, **facts))

    def _show_cable(self, now: CableProgress) -> None:
        """Show how far it is; a phase without a measure is shown by its name."""
        stage = self._state.stage
        self._touched = self._touched or now.touched
        if self._told is None or self._told[0] is not now.phase:
            self._told = now.phase, self._now_s
        if now.total and now.phase in {Phase.WRITE, Phase.READ}:
            transfer = Transfer(self._told[1], self._now_s, now.done, now.total)
            self.progress = moving(self.progress, stage, transfer)
        else:
            self.progress = replace(reached(self.progress, stage, 0.0), text=SAYS.get(stage, ""))
        self._book.changed()
