"""
What people ask of bridges on cables.

Each wish ends in a sentence, also one that is refused. A chip is asked who it is only when a person
says so, and written only after he has confirmed release, chip and MAC; the policy is asked when he
looks, when he confirms, and once more with the file before the first byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent import __version__
from agent.firmware.job.models import JobState, Request, Way
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.policy.models import Asker
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import SerialPort, choose_port
from agent.flashing.desk import NO_DISK, Answer
from agent.flashing.looking import Found
from agent.flashing.views import jobs_json
from agent.fleet.identity import Mac, mac_of, written
from agent.journal import Journal, JournalError
from agent.recovery.asking import Asking
from agent.recovery.board import PortBoard
from agent.recovery.cable import AgentCable
from agent.recovery.policy import Choice, ref_of
from agent.recovery.views import Identified, port_json, view_of
from agent.recovery.words import locks, question
from agent.surface.cable_desk import CableWish
from agent.surface.cable_shown import CableJobView, CablesView, PortView
from agent.surface.recovery_view import RecoveryView

BACKUPS = ("quick", "full", "none")
ONLY_LOOKS = (
    "This agent only looks: there is no Home Assistant behind it, and no bridges. Start it with "
    "`run`, or write with `python -m agent flash serial`."
)
BREAKS = (
    "The bridge is being written: to stop now leaves it without firmware until it is written "
    "again. Insist, if you mean it."
)


@dataclass(frozen=True, slots=True)
class Writing:
    """What a write stands on beside the port."""

    jobs: FlashJobs
    cable: AgentCable
    names: dict[str, str]
    """File names of images by digest, for who fetches them."""
    channel_of: Callable[[Mac], str]
    waits: Callable[[Mac], str]
    """Why a bridge may not be reset now; "" if it may."""
    fault: Callable[[], str]
    """Why nothing may be flashed at all; "" while all is well."""


class RecoveryDesk:
    """Takes wishes about bridges on cables, and shows how far they are."""

    def __init__(
        self,
        board: PortBoard,
        driver: SerialDriver,
        journal: Journal,
        now: Callable[[], datetime],
        writing: Writing | None,
    ) -> None:
        """
        Prepare.

        Args:
            board: the ports.
            driver: asks chips who they are.
            journal: takes what they said.
            now: the site's time.
            writing: `None` where there is nothing to write, as in the demo.
        """
        self._board = board
        self._writing = writing
        self._asking = Asking(driver, journal, now, self._known)
        self._asking.changed = self._changed
        self._wakes: list[Callable[[], None]] = []

    # Wishes.

    async def identify(self, port: str, by: str, *, insist: bool = False) -> Answer:
        """Begin to ask the chip on a port who it is; nothing on it is changed."""
        await self._board.look()
        there = self._port(port, insist=insist)
        if isinstance(there, Answer):
            return there
        if there.mac and self._writing and (waits := self._writing.waits(there.mac)):
            return Answer(False, "not-now", f"To ask the chip resets it. {waits} Ask again later.")
        if not self._asking.ask(there, by):
            return Answer(False, "busy", "It is being asked already. Wait for its answer.")
        text = f"Asking what is on {there.title}; nothing on it is changed."
        return Answer(True, "asking", text)

    async def check(self, wish: CableWish, _by: str) -> dict[str, Any]:
        """Ask the policy about a release for the chip that was identified."""
        looked = await self._looked(wish)
        if isinstance(looked, Answer):
            return {"accepted": False, "code": looked.code, "text": looked.text, "refusals": []}
        found, identified = looked
        decision = self._rest.cable.lookout.decision(
            identified.device, found, wish.acks, wish.reason
        )
        refusals = [
            {
                "code": str(it.code),
                "text": it.text,
                "next_step": it.next_step,
                "ack": str(it.ack) if it.ack else None,
            }
            for it in decision.refusals
        ]
        return {
            "accepted": decision.allowed,
            "code": "confirm" if decision.allowed else str(decision.refusals[0].code),
            "text": question(found.release, identified.device, erases=wish.erase_settings),
            "refusals": refusals,
            "digest": found.image.sha256,
        }

    async def write(self, wish: CableWish, by: str) -> Answer:
        """Write what was checked and confirmed, if it still is what it was."""
        await self._board.look()
        looked = await self._looked(wish)
        if isinstance(looked, Answer):
            return looked
        there = self._port(wish.port, insist=wish.insist)
        if isinstance(there, Answer):
            return there
        found, identified = looked
        if refused := self._unconfirmed(wish, found, identified):
            return refused
        mac, writing = identified.device.mac, self._rest
        assert mac is not None  # noqa: S101 - else it was refused
        writing.names[found.image.sha256] = found.image.file
        request = Request(
            *(mac, ref_of(found), by, str(Asker.RECOVERY)),
            acks=tuple(sorted(set(wish.acks))),
            reason=wish.reason,
            way=Way.SERIAL,
            port=there.path,
            erase_settings=wish.erase_settings,
            backup=wish.backup,
            keep_backup=wish.keep_backup,
        )
        told = await self._told(writing.jobs.start(request))
        if told.accepted:
            self._asking.forget(there.path)
        return told

    async def cancel(self, job: str, by: str, *, insist: bool = False) -> Answer:
        """End a job, or a question to a chip by its port; a write only if the person insists."""
        if self._asking.cancel(job):
            return Answer(True, "cancelled", "It is asked no longer.")
        state = self._jobs().get(job)
        if state is not None and state.writes and not insist:
            return Answer(False, "writes", BREAKS, job)
        if self._writing is None:
            return Answer(False, "unknown", "There is no such job under way.")
        return await self._told(self._rest.jobs.cancel(job, by, force=insist))

    # What is shown.

    def shown(self) -> CablesView:
        """Return everything that the page shows, in JSON's words."""
        writing = self._writing
        told: list[CableJobView] = []
        if writing is not None:
            titles = {it.mac: writing.cable.lookout.title(it.mac) for it in self._jobs().values()}
            jobs = jobs_json(writing.jobs.view(), titles)
            logs = writing.cable.logs
            for it in jobs:
                if it["way"] == Way.SERIAL:
                    log = logs.get(it["job"])
                    newest = log.newest if log and it["open"] else []
                    told.append({**it, "log": newest, "has_log": log is not None})
        return {
            "writes": writing is not None,
            "fault": writing.fault() if writing else ONLY_LOOKS,
            "ports": [self._port_json(it) for it in self._board.ports],
            "jobs": told,
            "needs_flashing": [written(it) for it in sorted(self._needs())],
        }

    def view(self) -> RecoveryView:
        """Return what Home Assistant is shown."""
        progress = self._writing.jobs.view().progress if self._writing else {}
        needs = (written(it) for it in self._needs())
        asking = next(iter(self._asking.under_way), "")
        return view_of(self._jobs(), progress, needs, len(self._board.ports), asking)

    def log(self, job: str) -> str | None:
        """Return what was said during a job, without secrets; `None` if nobody knows any more."""
        state, writing = self._jobs().get(job), self._writing
        log = writing.cable.logs.get(job) if writing else None
        if state is None or log is None:
            return None
        release, verdict = state.request.release, state.verdict
        head = (
            f"PV Edge Agent {__version__}, job {job} over the cable",
            f"{release.project} {release.version} for {written(state.mac)} ({release.chip})",
            f"{verdict.result}: {verdict.text}" if verdict else f"under way: {state.stage}",
            *(verdict.evidence if verdict else ()),
        )
        return log.text(head)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when something may have changed; the result ends it."""
        self._wakes.append(wake)
        ends = [self._board.subscribe(wake)]
        if self._writing is not None:
            ends.append(self._writing.jobs.subscribe(wake))

        def end() -> None:
            self._wakes.remove(wake)
            for each in ends:
                each()

        return end

    def forget_gone(self) -> None:
        """Forget what was said on ports that are not there any more; another may come."""
        self._asking.keep({it.path for it in self._board.ports})

    async def close(self) -> None:
        """End every question to a chip; its port is free when this returns."""
        await self._asking.close()

    # Inside.

    def _changed(self) -> None:
        for wake in tuple(self._wakes):
            wake()

    def _known(self, device: SerialDevice) -> tuple[str, bool]:
        """Return what a bridge is called here, "" for a stranger, and whether it needs flashing."""
        if self._writing is None or device.mac is None:
            return "", False
        return self._writing.cable.lookout.known(device.mac), device.mac in self._needs()

    def _port_json(self, port: SerialPort) -> PortView:
        asked, users = self._asking.of(port.path), self._board.users
        found, writing = asked.found, self._writing
        mac = found.device.mac if found else None
        channel = writing.channel_of(mac) if writing and mac else ""
        offered: list[Choice] = []
        if writing and found and mac:
            offered = writing.cable.lookout.choices(found.device, channel)
        return port_json(port, users.get(port.path, ()), asked, offered, channel)

    @property
    def _rest(self) -> Writing:
        assert self._writing is not None  # noqa: S101 - who asks has looked
        return self._writing

    def _jobs(self) -> Mapping[str, JobState]:
        known = self._writing.jobs.jobs.by_id if self._writing else {}
        return {job: it for job, it in known.items() if it.request.way == Way.SERIAL}

    def _needs(self) -> frozenset[Mac]:
        return self._writing.jobs.jobs.needs_flashing if self._writing else frozenset()

    def _holding(self, path: str) -> Iterator[JobState]:
        return (it for it in self._jobs().values() if it.open and it.request.port == path)

    def _port(self, wanted: str, *, insist: bool) -> SerialPort | Answer:
        """Return a port that may be used now, or why not."""
        try:
            there = choose_port(self._board.ports, wanted, allow_stick=insist)
        except SerialError as error:
            return Answer(False, str(error.code), str(error))
        if job := next(self._holding(there.path), None):
            text = f"Job {job.id} for {written(job.mac)} uses that port. Wait until it has ended."
            return Answer(False, "locked", text)
        if (used := self._board.users.get(there.path)) and not insist:
            text = f"{there.title} is in use by {', '.join(used)}."
            return Answer(False, "port-busy", f"{text} Stop that first, or choose another port.")
        return there

    async def _looked(self, wish: CableWish) -> tuple[Found, Identified] | Answer:
        """Return the release and the chip that a wish is about, or why there is none."""
        identified = self._shown_as(wish)
        if isinstance(identified, Answer):
            return identified
        found = await self._rest.cable.lookout.chosen(
            wish.channel, wish.project, wish.version, identified.device.chip
        )
        if isinstance(found, str):
            return Answer(False, "no-release", found)
        return found, identified

    def _shown_as(self, wish: CableWish) -> Identified | Answer:
        """Return the chip that the person was shown, if it still is the one on that port."""
        fault = self._writing.fault() if self._writing else ONLY_LOOKS
        if fault:
            return Answer(False, "fault" if self._writing else "only-looks", fault)
        found = self._asking.of(wish.port).found
        if found is None:
            text = "Nobody knows what is on that port. Press Identify first."
            return Answer(False, "not-identified", text)
        if by := locks(found.device):
            text = f"The chip is locked by {', '.join(by)}: no image of ours would start there."
            return Answer(False, "locked-chip", f"{text} Use the tools of whoever locked it.")
        if found.device.mac is None or mac_of(wish.mac) != found.device.mac:
            text = "Another bridge is on that port than the one that was shown. Look again."
            return Answer(False, "wrong-device", text)
        return found

    def _unconfirmed(self, wish: CableWish, found: Found, it: Identified) -> Answer | None:
        """Return what is missing of a person's yes, or what the policy says against it now."""
        if found.image.sha256 != wish.digest:
            text = "The release has another image now than the one that was shown. Look again."
            return Answer(False, "another-image", text)
        if wish.backup not in BACKUPS:
            return Answer(False, "bad-request", f"backup is one of: {', '.join(BACKUPS)}.")
        if wish.erase_settings and mac_of(wish.typed) != it.device.mac:
            text = "To erase its settings, type the MAC of the bridge as it is shown."
            return Answer(False, "not-typed", text)
        decision = self._rest.cable.lookout.decision(it.device, found, wish.acks, wish.reason)
        if decision.allowed:
            return None
        text = " ".join(f"{each.text} {each.next_step}".strip() for each in decision.refusals)
        missing = tuple(sorted(each.value for each in decision.missing))
        return Answer(False, str(decision.refusals[0].code), text, missing=missing)

    async def _told(self, asked: Any) -> Answer:
        try:
            found: JobState | Refused = await asked
        except JournalError:
            return Answer(False, "journal", NO_DISK)
        if isinstance(found, Refused):
            return Answer(False, found.code, found.text)
        if found.cancelled_by:
            return Answer(True, "cancelled", f"Job {found.id} ends.", found.id)
        said = f"{found.request.release.project} {found.request.release.version}"
        text = f"Job {found.id} for {written(found.mac)}: {said}."
        return Answer(True, found.stage.value, text, found.id)
