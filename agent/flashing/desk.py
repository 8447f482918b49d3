"""
What people, Home Assistant and the command line ask of updates.

Each wish ends in a sentence, also one that is refused. What is installed is a release that is
trusted now, for exactly this bridge; what a person has to accept is accepted by its name, and
nothing is accepted over MQTT.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from agent.firmware.campaign.models import Calendar, CampaignState, Member, Plan, Window
from agent.firmware.campaign.runner import CampaignDesk
from agent.firmware.job.models import JobState, ReleaseRef, Request, Stage
from agent.firmware.job.runner import FlashJobs, Refused
from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.policy.models import Ack, Asker
from agent.flashing.looking import Found, Lookout
from agent.flashing.views import bridge_flash, campaigns_json, jobs_json, newest, operation_of
from agent.fleet.chips import chip_of, plain_chip
from agent.fleet.gate_models import Block, Refusal
from agent.fleet.identity import Mac, mac_of, written
from agent.fleet.operations import Op, Operation, OpState, refused
from agent.fleet.record import BridgeRecord, Fleet
from agent.journal import JournalError
from agent.releases.offers import Shelf
from agent.releases.sources import LOCAL
from agent.setting_flashing import FlashSettings, days, windows
from agent.surface.flash_view import FlashView
from agent.surface.recovery_view import RecoveryView
from agent.surface.shown import FlashingView

NO_DISK = "The journal cannot be written, so nothing is begun. Look at the disk, then ask again."
NOT_OVER_MQTT = (
    "Installing from Home Assistant is off (flashing.mqtt_install). Install it on the agent's "
    "page, or switch that on."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a wish."""

    accepted: bool
    code: str
    text: str
    job: str = ""
    """Of the job or the campaign that it made."""
    missing: tuple[str, ...] = ()
    """What a person would have to accept, by name."""


class FlashDesk:
    """Takes wishes about updates, and shows how far they are."""

    def __init__(
        self,
        jobs: FlashJobs,
        campaigns: CampaignDesk,
        lookout: Lookout,
        fleet: Callable[[], Fleet],
        settings: Callable[[], FlashSettings],
        names: dict[str, str],
    ) -> None:
        """
        Prepare.

        Args:
            jobs: one flash each.
            campaigns: many bridges.
            lookout: knows what is trusted, and asks the policy.
            fleet: all bridges.
            settings: who may ask, and how campaigns go.
            names: takes the file name of each image by its digest, for who fetches it.
        """
        self._jobs = jobs
        self._campaigns = campaigns
        self._lookout = lookout
        self._releases = lookout.releases
        self._now = lookout.now
        self._fleet = fleet
        self._settings = settings
        self._names = names
        self._pressed: Operation | None = None
        self.recovery: Callable[[], RecoveryView] = RecoveryView
        """What is done over the cable; set by whoever does it."""
        self.fault = ""
        """Why nothing may be flashed at all; empty while all is well."""

    # Wishes.

    async def install(
        self,
        mac: str | None,
        version: str | None,
        acks: Iterable[str],
        by: str,
        *,
        asker: Asker = Asker.PERSON,
        own: bool = False,
    ) -> Answer:
        """
        Install what a bridge is offered, or an own build, if nothing speaks against it.

        Args:
            mac: the bridge.
            version: that the person saw; another one is refused. `None` takes what is offered.
            acks: what the person accepts, by name.
            by: who.
            asker: a person on the page, or nobody who looks.
            own: an own build of this house instead of what is offered.
        """
        record = self._record(mac)
        if record is None:
            return Answer(False, "unknown-bridge", "There is no such bridge. Choose one.")
        wanted = self._wanted(record, version, own=own)
        if isinstance(wanted, Answer):
            return wanted
        found, ref = wanted
        request = Request(record.mac, ref, by, asker.value, tuple(sorted(set(acks))))
        if refusal := self._refusal(request, record, found):
            return refusal
        return await self._asked(self._jobs.start, request)

    async def go_back(self, mac: str | None, acks: Iterable[str], by: str) -> Answer:
        """Put back what was confirmed on a bridge before; policy and gates are asked as ever."""
        record = self._record(mac)
        if record is None:
            return Answer(False, "unknown-bridge", "There is no such bridge. Choose one.")
        release = self._jobs.jobs.before(record.mac)
        accepted = tuple(sorted(set(acks)))
        if release is not None:
            found = await self._lookout.found(release)
            if isinstance(found, str):
                return Answer(False, "not-trusted", found)
            request = Request(record.mac, release, by, "person", accepted, goes_back=True)
            if refusal := self._refusal(request, record, found):
                return refusal
        return await self._asked(self._jobs.go_back, record.mac, by, accepted)

    async def cancel(self, job: str, by: str) -> Answer:
        """End a job that has not begun to send."""
        return await self._asked(self._jobs.cancel, job, by)

    async def plan(
        self, macs: Iterable[str], acks: Iterable[str], by: str, canaries: Iterable[str] = ()
    ) -> Answer:
        """Update many bridges, each with what it is offered, in stages that stop by themselves."""
        if rival := self._lookout.rival():
            return Answer(False, "second_controller", rival)
        first = {mac_of(it) for it in canaries}
        members: dict[str, tuple[ReleaseRef, Release, list[Member]]] = {}
        for mac in macs:
            record = self._record(mac)
            if record is None:
                text = f"{str(mac)[:40]} is no known bridge."
                return Answer(False, "unknown-bridge", text)
            wanted = self._wanted(record, None, own=False)
            if isinstance(wanted, Answer):
                return Answer(False, wanted.code, f"{written(record.mac)}: {wanted.text}")
            found, ref = wanted
            of_image = members.setdefault(ref.digest, (ref, found.release, []))
            of_image[2].append(Member(record.mac, record.mac in first))
        if not members:
            return Answer(False, "no-members", "There is no bridge to update. Choose one.")
        answers = [
            await self._asked(self._campaigns.plan, self._plan(ref, release, them, acks, by))
            for ref, release, them in members.values()
        ]
        return next((it for it in answers if not it.accepted), answers[0])

    async def steer(self, campaign: str, what: str, by: str) -> Answer:
        """Pause, resume or abort a campaign."""
        acts = {
            "pause": self._campaigns.pause,
            "resume": self._campaigns.resume,
            "abort": self._campaigns.abort,
        }
        if what not in acts:
            return Answer(False, "bad-request", f"It can be one of: {', '.join(acts)}.")
        return await self._asked(acts[what], campaign, by)

    def press(self, target: Mac | None, by: str, start: Callable[[Any], object]) -> Operation:
        """
        Install over MQTT what a bridge is offered; the record says if it was refused at once.

        Args:
            target: the bridge, `None` if none was chosen.
            by: who.
            start: runs the rest in the background.
        """
        why: Refusal | None = None
        if target is None:
            why = Refusal(Block.NO_TARGET, "No device is chosen. Choose one first.")
        elif target not in self._fleet().records:
            text = "The chosen device is not known any more. Choose one that is."
            why = Refusal(Block.UNKNOWN_TARGET, text)
        elif not self._settings().mqtt_install:
            why = Refusal(Block.NO_IMAGE, NOT_OVER_MQTT)
        if why is not None:
            self._pressed = refused(Op.FLASH, target, why, self._now())
            return self._pressed
        assert target is not None  # noqa: S101 - else it was refused
        asked = Operation(op=Op.FLASH, state=OpState.RUNNING, started=self._now(), target=target)
        self._pressed = asked
        start(self._install_unattended(target, by))
        return asked

    # What is shown.

    def shown(self) -> FlashingView:
        """Return everything that the page shows, in JSON's words."""
        titles = {mac: it.title for mac, it in self._fleet().records.items()}
        view = self._jobs.view()
        return {
            "fault": self.fault,
            "jobs": jobs_json(view, titles),
            "campaigns": campaigns_json(self._campaigns.view(), titles),
            "may_go_back": [
                written(mac)
                for mac in self._fleet().records
                if view.jobs.lock(mac) is None and view.jobs.before(mac) is not None
            ],
        }

    def view(self) -> FlashView:
        """Return what entities show."""
        view = self._jobs.view()
        jobs = newest(view)
        flashes = {mac: bridge_flash(it, view.progress.get(it.id)) for mac, it in jobs.items()}
        last = max(jobs.values(), key=lambda it: (it.open, it.asked_at), default=None)
        told = operation_of(last, view.progress.get(last.id)) if last else None
        pressed = self._pressed
        if pressed is not None and (told is None or told.started < pressed.started):
            told = pressed
        return FlashView(flashes, told, self._settings().mqtt_install, self.recovery())

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the event loop when something may have changed; the result ends it."""
        ends = (self._jobs.subscribe(wake), self._campaigns.subscribe(wake))

        def end() -> None:
            for each in ends:
                each()

        return end

    @property
    def on_trial(self) -> frozenset[Mac]:
        """Bridges that must not be restarted: an image may be on trial."""
        return self._jobs.jobs.on_trial

    def busy(self, mac: Mac) -> str | None:
        """Return who flashes a bridge now, `None` if nobody does."""
        job = self._jobs.jobs.lock(mac)
        return f"Job {job.id} for {job.request.by}" if job and job.stage is not Stage.INIT else None

    # Inside.

    def _record(self, mac: str | None) -> BridgeRecord | None:
        whose = mac_of(mac)
        return self._fleet().records.get(whose) if whose else None

    def _wanted(
        self, record: BridgeRecord, version: str | None, *, own: bool
    ) -> tuple[Found, ReleaseRef] | Answer:
        if own:
            return self._own(record, version)
        offer = self._releases.offer(record)
        release, image = offer.release, offer.image
        if release is None or image is None:
            return Answer(False, "no-release", offer.why or "Nothing is offered to this bridge.")
        if version is not None and version != release.version:
            text = f"It is offered {release.version} now, not {version}. Look again, then install."
            return Answer(False, "another-version", text)
        shelf = self._releases.shelf(offer.channel)
        if shelf is not None and shelf.source == offer.source:
            return self._named(shelf, release, image)
        return Answer(False, "no-release", "What it was offered is not known any more. Look again.")

    def _own(self, record: BridgeRecord, digest: str | None) -> tuple[Found, ReleaseRef] | Answer:
        """Return an own build by its digest, or by its version where one is for this chip."""
        chip = chip_of(record.told.platform, record.told.board)
        for shelf in self._releases.shelves:
            for release in shelf.manifests.values() if shelf.source == LOCAL else ():
                for image in release.images:
                    fits = image.kind is ImageKind.OTA and plain_chip(image.chip) == chip
                    if image.sha256 == digest or (fits and release.version == digest):
                        return self._named(shelf, release, image)
        return Answer(False, "no-release", "There is no such own build for this bridge.")

    def _named(
        self, shelf: Shelf, release: Release, image: ReleaseImage
    ) -> tuple[Found, ReleaseRef]:
        channel = shelf.knowledge.channel
        entry = entry_of(channel, release.project, release.version) if channel else None
        self._names[image.sha256] = image.file
        ref = ReleaseRef(
            release.project,
            release.version,
            release.rollback_index,
            image.sha256,
            image.size,
            image.chip,
            shelf.source,
            shelf.knowledge.name,
            entry.manifest if entry else "",
            release.health.confirm_after_s,
            release.health.expect_entities,
        )
        return Found(shelf, release, image), ref

    def _refusal(self, request: Request, record: BridgeRecord, found: Found) -> Answer | None:
        """Return why the policy says no already, `None` if it does not."""
        if self.fault:
            return Answer(False, "fault", self.fault)
        if rival := self._lookout.rival():
            return Answer(False, "second_controller", rival)
        decision = self._lookout.decision(request, record, found)
        if decision.allowed:
            return None
        text = " ".join(f"{it.text} {it.next_step}".strip() for it in decision.refusals)
        missing = tuple(sorted(it.value for it in decision.missing))
        return Answer(False, decision.refusals[0].code.value, text, missing=missing)

    def _plan(
        self,
        ref: ReleaseRef,
        release: Release,
        members: list[Member],
        acks: Iterable[str],
        by: str,
    ) -> Plan:
        chosen = self._settings()
        spans = tuple(Window(begin, end) for begin, end in windows(chosen.windows))
        return Plan(
            id=secrets.token_hex(4),
            release=ref,
            manifest_sha256=ref.digest,
            members=tuple(members),
            by=by,
            planned_at=self._now().astimezone(UTC),
            parallel=chosen.parallel,
            soak_s=chosen.soak_min * 60.0,
            calendar=Calendar(spans, days(chosen.blackout), chosen.not_while_producing),
            released=release.released,
            acks=tuple(sorted({it for it in acks if it in set(Ack)})),
        )

    async def _install_unattended(self, target: Mac, by: str) -> None:
        answer = await self.install(target, None, (), by, asker=Asker.AUTOMATIC)
        if not answer.accepted:
            why = Refusal(Block.FAILED, answer.text)
            self._pressed = refused(Op.FLASH, target, why, self._now())
            self._jobs.changed()

    async def _asked(self, act: Callable[..., Any], *words: Any) -> Answer:
        if self.fault:
            return Answer(False, "fault", self.fault)
        try:
            found: JobState | CampaignState | Refused = await act(*words)
        except JournalError:
            return Answer(False, "journal", NO_DISK)
        if isinstance(found, Refused):
            return Answer(False, found.code, found.text)
        if isinstance(found, CampaignState):
            return Answer(True, found.status.value, "The campaign has it.", found.plan.id)
        said = f"{found.request.release.project} {found.request.release.version}"
        text = f"Job {found.id} for {written(found.mac)}: {said}."
        if found.cancelled_by:
            text = f"Job {found.id} ends; nothing was sent."
        return Answer(True, found.stage.value, text, found.id)


def digests(refs: Mapping[str, JobState]) -> frozenset[str]:
    """Return the images of jobs that are under way."""
    return frozenset(it.request.release.digest for it in refs.values() if it.open)
