"""
One recovery over the cable without Home Assistant: the agent's own rooms around a single port.

All that is not of the cable is that of a flash over the air: data directory, journal, trust,
releases and images. Which port is meant a person says, or there is only one; which bridge hangs on
it the bridge says, and a person confirms it before anything is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from agent.firmware.image.models import ImageFacts
from agent.firmware.job.models import JobState, Patience, Request, Way
from agent.firmware.job.observer import FleetWatcher
from agent.firmware.job.over_the_air import OverTheAir
from agent.firmware.job.over_the_cable import Looked, OverTheCable
from agent.firmware.job.ports import Ports
from agent.firmware.job.preflight import Preflight
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.ota.driver import Limits
from agent.firmware.policy.decide import decide
from agent.firmware.policy.models import Asker, Decision, Device, Offer, Wish
from agent.firmware.policy.models import Way as PolicyWay
from agent.firmware.serial.checks import as_policy_device
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import SerialPort, choose_port, list_ports
from agent.flash_alone import FlashAlone, running
from agent.flash_models import CableWish, Ended, Exit, FlashError, FlashWish
from agent.flash_release import Chosen, image_for
from agent.flash_terminal import Screen
from agent.fleet.chips import plain_chip
from agent.fleet.identity import Mac, written
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Sighting, Source
from agent.journal import Journal
from agent.recovery.words import described
from agent.releases.sources import LOCAL

Ask = Callable[[str], Coroutine[Any, Any, bool]]


@dataclass(frozen=True, slots=True)
class Hands:
    """What a recovery has beside a flash over the air."""

    wish: CableWish
    driver: SerialDriver
    agrees: Ask
    """Asks a person a question; False where there is nobody."""


class FlashCable(FlashAlone):
    """One wish, from the first word of the chip to a verdict."""

    def __init__(
        self,
        wish: FlashWish,
        screen: Screen,
        journal: Journal,
        patience: Patience,
        limits: Limits,
        hands: Hands,
    ) -> None:
        self._cable = hands.wish
        self._driver = hands.driver
        self._agrees = hands.agrees
        self._found: SerialDevice | None = None
        super().__init__(wish, screen, journal, patience, limits)

    async def run(self) -> Ended:
        """Return what became of it; see `FlashAlone.run`."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._downloader)
            if self._wish.host:
                await stack.enter_async_context(running(self._bridge.run()))
            await self._jobs.recall()
            for state in self._jobs.jobs.open:
                if state.request.way == Way.OTA:
                    text = f"There is an open flash over the air of {written(state.mac)}. End that"
                    raise FlashError(Exit.REFUSED, "other-job", f"{text} first, with flash ota.")
            left = self._jobs.jobs.open
            await stack.enter_async_context(running(self._jobs.run()))
            for state in left:
                earlier = await self._followed(state.id)
                self._screen.say(f"An earlier flash of {written(state.mac)}: {earlier.text}")
            self._job = ""
            return await self._recover(await chosen_port(self._cable))

    def stop(self) -> None:
        """End it as safely as it can be ended now, and say how; a write goes on at first."""
        state = self._jobs.jobs.by_id.get(self._job)
        if state is None or not state.writes:
            if state is not None and state.upload_began:
                self._screen.say("It is written; what follows only looks. Ctrl-C again leaves.")
                return
            super().stop()
            return
        self._screen.say(
            "The bridge is being written: to stop now leaves it without firmware until it is "
            "written again. Ctrl-C again stops it all the same."
        )

    def leave(self) -> bool:
        """Stop a write that a person insists on stopping; return whether there was one."""
        state = self._jobs.jobs.by_id.get(self._job)
        if state is None or not state.writes:
            return False
        by = self._wish.by
        self._cancelling = asyncio.ensure_future(self._jobs.cancel(state.id, by, force=True))
        return True

    async def _recover(self, port: SerialPort) -> Ended:
        self._screen.say(f"Asking what is on {port.path}; nothing on it is changed.")
        try:
            found = await self._unless_given_up(self._driver.identify(port.path))
        except SerialError as error:
            raise cable_error(error) from error
        self._found = found
        if found.mac is None:
            raise FlashError(Exit.REFUSED, "secure-download", described(found))
        chosen = await self._unless_given_up(self._choose(found.mac))
        await self._confirm(found.mac, found, chosen)
        self._over.remember(port.path, found)
        cable = self._cable
        wish = Request(
            *(found.mac, chosen.ref, self._wish.by, str(Asker.RECOVERY)),
            acks=tuple(sorted(str(it) for it in self._wish.acks)),
            reason=self._wish.reason,
            way=Way.SERIAL,
            port=port.path,
            erase_settings=cable.erase_settings,
            backup=cable.backup,
            keep_backup=cable.keep_backup,
        )
        asked = await self._jobs.start(wish)
        if isinstance(asked, Refused):
            raise FlashError(Exit.REFUSED, asked.code, asked.text)
        end = await self._followed(asked.id)
        return self._with_backup(end, self._jobs.jobs.by_id[asked.id])

    async def _confirm(self, mac: Mac, found: SerialDevice, chosen: Chosen) -> None:
        known = "known here" if self._jobs.jobs.confirmed(mac) else "not known here"
        self._screen.say(f"{described(found)} It is {known}.")
        meant = self._cable.mac
        if meant is not None and meant != mac:
            text = f"The bridge on the cable is {written(mac)}, and {written(meant)} was meant."
            raise FlashError(Exit.REFUSED, "wrong-device", f"{text} Check what is plugged in.")
        release = f"{chosen.release.project} {chosen.release.version}"
        question = f"Write {release} to the {found.chip} {written(mac)}?"
        if meant is not None or self._cable.yes:
            return
        if not await self._unless_given_up(self._agrees(question)):
            text = f"{question} Nobody said yes. Give --mac {written(mac)} to say it beforehand."
            raise FlashError(Exit.REFUSED, "not-confirmed", text)

    def _with_backup(self, end: Ended, state: JobState) -> Ended:
        copy = self._over.backup_of(state.request)
        if not copy.exists():
            return end
        note = f"A copy of it is kept in {copy}; it holds secrets. Delete it when all is well."
        return replace(end, evidence=(*end.evidence, note))

    # What the rooms of a flash ask, answered for the cable.

    def _make_jobs(self, patience: Patience, limits: Limits) -> FlashJobs:
        bridge = self._bridge
        keeper = bridge.keeper
        watcher = FleetWatcher(
            keeper.fleet.records.get, keeper.bridge, bridge.subscribe, time.monotonic
        )
        over = self._over = OverTheCable(
            self._driver, self._blobs, self._wish.data, self._examine, looks=bool(self._wish.host)
        )
        air = OverTheAir(bridge.place, bridge.secrets, self._images.payload, limits=limits)
        ports = Ports(bridge, Preflight(self._gather), self._images, air, watcher, over)
        return FlashJobs(self._journal, ports, self._clock, patience=patience)

    def _examine(self, request: Request, device: SerialDevice) -> Looked | str:
        chosen = self._chosen
        if chosen is None or chosen.image.sha256 != request.release.digest:
            return "The release has another image now than the one that was asked for. Ask again."
        self._found = device
        facts = self._images.facts(request.release.digest)
        decision = self._decided(request.mac, facts)
        return Looked(chosen.release, chosen.image, facts, decision)

    def _decided(self, mac: Mac, facts: ImageFacts | None) -> Decision:
        chosen = self._chosen
        assert chosen is not None  # noqa: S101 - a job of this run
        assert self._found is not None  # noqa: S101 - it was identified before
        own = chosen.source == LOCAL
        offer = Offer(
            *(chosen.release, chosen.image, chosen.freshness, chosen.brakes, facts), own=own
        )
        runs = self._jobs.jobs.runs(mac)
        project, version = (runs.project, runs.version) if runs else (None, None)
        floor = self._floors(mac).get(chosen.release.project, 0)
        known = Device(mac, project, version, None, floor=floor)
        wish = Wish(PolicyWay.SERIAL, Asker.RECOVERY, self._wish.acks, self._wish.reason)
        return decide(as_policy_device(self._found, known), offer, wish)

    def _record(self, mac: Mac) -> BridgeRecord:
        runs = self._jobs.jobs.runs(mac)
        told = Sighting(
            source=Source.MANUAL,
            at_s=time.monotonic(),
            project_name=runs.project if runs else None,
        )
        return BridgeRecord(mac, {Source.MANUAL: told})

    def _pick(self) -> Callable[[Release, str | None], ReleaseImage]:
        chip = self._found.chip if self._found else None
        return lambda release, _: factory_for(release, chip)


def factory_for(release: Release, chip: str | None) -> ReleaseImage:
    """Return the image for the cable and this chip; another one only to hear why not."""
    by_cable = [it for it in release.images if it.kind is ImageKind.FACTORY]
    right = [it for it in by_cable if plain_chip(it.chip) == chip]
    return (right or by_cable or [image_for(release, chip)])[0]


async def chosen_port(cable: CableWish) -> SerialPort:
    """
    Return the port that is meant.

    Raises:
        FlashError: it is not there, is no bridge, or more than one could be meant.
    """
    ports = await asyncio.to_thread(list_ports)
    try:
        return choose_port(ports, cable.port, allow_stick=cable.allow_stick)
    except SerialError as error:
        raise cable_error(error) from error


def cable_error(error: SerialError) -> FlashError:
    """Return how a command ends that failed on the cable before there was a job."""
    from agent.firmware.job.cable_models import trouble_of  # noqa: PLC0415 - only on failure

    trouble = trouble_of(error)
    code = Exit.UNCHANGED if trouble.way else Exit.REFUSED
    if error.code == "port-ambiguous":
        code = Exit.USAGE
    return FlashError(code, trouble.code, trouble.text)
