"""
What there is to look at before an image goes to a bridge: its gates, the release, the policy.

A job names its release by source, channel, project and version. It is found again in what is
trusted at this moment, so a release that was withdrawn, revoked or paused meanwhile is refused
though it was offered when somebody asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.bridges import Bridges
from agent.firmware.image.models import ImageFacts
from agent.firmware.job.models import ReleaseRef, Request
from agent.firmware.job.preflight import Looked
from agent.firmware.job.recovery import known_of
from agent.firmware.job.replay import Jobs
from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import Release, ReleaseImage
from agent.firmware.manifest.rollout import due_share, wave_position
from agent.firmware.ota.models import Secrets
from agent.firmware.policy.decide import decide
from agent.firmware.policy.models import Ack, Asker, Decision, Offer, Way, Wish
from agent.firmware.trust.source import TrustError
from agent.firmware.trust.worker import release_in_worker
from agent.fleet.contact import Port
from agent.fleet.evidence import Around, evidence_of
from agent.fleet.gate_models import Rules
from agent.fleet.identity import Mac, written
from agent.fleet.probe import ports
from agent.fleet.record import BridgeRecord
from agent.releases.offers import Shelf, Traits, device_of, policy_offer
from agent.releases.service import ReleaseService
from agent.releases.sources import LOCAL

KNOCK_S = 2.0
UPLOAD_PORT = 3232
Through = Callable[[], frozenset[Mac] | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A release as it is trusted now."""

    shelf: Shelf
    release: Release
    image: ReleaseImage
    """The one that was asked for, or the one that took its place."""


def image_of(ref: ReleaseRef, release: Release) -> ReleaseImage | None:
    """Return the image of a job, or the one that the release has in its place now."""
    same = (it for it in release.images if it.sha256 == ref.digest)
    alike = (it for it in release.images if it.chip == ref.chip and it.kind.value == "ota")
    return next(same, None) or next(alike, None)


def wish_of(request: Request, found: Found, now: datetime) -> Wish:
    """Return what the policy is asked, with the turn of this bridge in the signed waves."""
    release, channel = found.release, found.shelf.knowledge.channel
    entry = entry_of(channel, release.project, release.version) if channel else None
    acks = frozenset(Ack(it) for it in request.acks if it in set(Ack))
    return Wish(
        Way.OTA,
        Asker(request.asker),
        acks,
        request.reason,
        wave_position(request.mac, found.image.sha256),
        due_share(entry.rollout, release.released, now) if entry else 1.0,
    )


class Lookout:
    """Gathers for `Preflight`, and asks the policy again with what a file says of itself."""

    def __init__(
        self,
        bridges: Bridges,
        releases: ReleaseService,
        rules: Callable[[], Rules],
        through: Through,
        now: Callable[[], datetime],
        jobs: Callable[[], Jobs],
        secrets: Callable[[], Mapping[Mac, Secrets]],
    ) -> None:
        """
        Prepare.

        Args:
            bridges: who there is.
            releases: what is trusted.
            rules: how strict the gates are.
            through: bridges through which a dispatch runs; `None` if nobody can say.
            now: the site's time.
            jobs: what was confirmed on a bridge.
            secrets: what opens each bridge; in safe mode its own has to prove who it is.
        """
        self._bridges = bridges
        self.releases = releases
        self._rules = rules
        self._through = through
        self.now = now
        self._jobs = jobs
        self._secrets = secrets
        self.rival: Callable[[], str] = lambda: ""
        """Why nobody may flash now, because somebody else does; empty while nobody does."""

    async def gather(self, request: Request) -> Looked | str:
        """Return what there is to look at now, or a sentence if there is nothing."""
        mac = request.mac
        record = self._bridges.fleet.records.get(mac)
        if record is None:
            return f"{written(mac)} is not known any more. Look for it under Bridges."
        if rival := self.rival():
            return rival
        found = await self.found(request.release)
        if isinstance(found, str):
            return found
        told, upload = record.told, None
        if told.addresses:
            port = told.upload_port or UPLOAD_PORT
            upload = (await ports(told.addresses[:1], told.api_port, port, KNOCK_S)).upload
        # Taken after the wait: what is judged is how it is now.
        record, bridge = self._bridges.fleet.records.get(mac), self._bridges.bridge(mac)
        if record is None:
            return f"{written(mac)} was removed meanwhile."
        around = Around(upload_port=upload or Port.SILENT, discharging_through=self._through())
        now_s = time.monotonic()
        evidence = evidence_of(
            record,
            bridge.panel.values if bridge else {},
            bridge.panel.entities if bridge else frozenset(),
            around,
            now_s,
            self.now(),
        )
        decision = self.decision(request, record, found)
        records, rules = self._bridges.fleet.records.values(), self._rules()
        known = known_of(record, records, self._jobs(), self._secrets())
        return Looked(evidence, found.release, found.image, decision, rules, now_s, known)

    async def judge(self, request: Request, facts: ImageFacts) -> Decision | str:
        """Return the policy's word with the file's own, or a sentence if there is nothing."""
        record = self._bridges.fleet.records.get(request.mac)
        found = await self.found(request.release)
        if isinstance(found, str) or record is None:
            return found if isinstance(found, str) else f"{written(request.mac)} is gone."
        return self.decision(request, record, found, facts)

    def decision(
        self,
        request: Request,
        record: BridgeRecord,
        found: Found,
        facts: ImageFacts | None = None,
    ) -> Decision:
        """Return the policy's word on this bridge and this image now."""
        project = found.release.project
        floors = dict(self.releases.floors(request.mac))
        floors[project] = max(floors.get(project, 0), _confirmed(self._jobs(), request, project))
        device = device_of(record, Traits(floors), found.shelf)
        told = policy_offer(found.shelf, found.release, found.image, self.releases.shelves)
        own = found.shelf.source == LOCAL
        offer = Offer(told.release, told.image, told.freshness, told.brakes, facts, own)
        return decide(device, offer, wish_of(request, found, self.now().astimezone(UTC)))

    async def found(self, ref: ReleaseRef) -> Found | str:
        """Return the release as it is trusted now, or why it is not."""
        named = await self.named(ref.channel, ref.project, ref.version, ref.source)
        if isinstance(named, str):
            return named
        shelf, release = named
        image = image_of(ref, release)
        if image is None:
            what = f"{ref.project} {ref.version}"
            return f"{what} has no image for this bridge any more. Choose another one."
        return Found(shelf, release, image)

    async def named(
        self, name: str, project: str, version: str, source: str | None = None
    ) -> tuple[Shelf, Release] | str:
        """
        Return a release and the shelf that it stands on, or why it is not trusted now.

        Args:
            name: the channel.
            project: whose firmware.
            version: of it.
            source: that has to speak of the channel; any if not given.
        """
        what = f"{project} {version}"
        shelf = self.releases.shelf(name)
        channel = shelf.knowledge.channel if shelf else None
        entry = entry_of(channel, project, version) if channel else None
        if shelf is None or entry is None or source not in {None, shelf.source}:
            return f"{what} is not among the trusted releases any more. Choose another one."
        release = shelf.manifests.get(entry.manifest)
        question = self.releases.question(shelf.source)
        if release is None and question is not None and not self.releases.gated(name):
            try:
                release = await release_in_worker(question, name, project, version)
            except TrustError as error:
                return f"{what} cannot be verified now: {error}"
        if release is None:
            return f"{what} has no manifest that all who sign for {name} agree on. Choose another."
        return shelf, release


def _confirmed(jobs: Jobs, request: Request, project: str) -> int:
    """Return the highest rollback index of a project that a job has confirmed on the bridge."""
    releases = (it.request.release for it in jobs.confirmed(request.mac))
    return max((it.rollback_index for it in releases if it.project == project), default=0)
