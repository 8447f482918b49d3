"""
What may go onto the chip that is on the cable now, and what the releases have for it.

The same policy as over the air decides, with what the chip has just said of itself instead of what
a board was built for, and a person with a reason in place of a gate. Nobody is asked about the
network: a bridge that needs the cable is mostly not on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from agent.firmware.image.models import ImageFacts
from agent.firmware.job.models import ReleaseRef, Request
from agent.firmware.job.replay import Jobs
from agent.firmware.manifest.agree import entry_of
from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.manifest.versions import version_key
from agent.firmware.policy.decide import decide
from agent.firmware.policy.floors import device_floor
from agent.firmware.policy.models import Ack, Asker, Decision, Device, Way, Wish
from agent.firmware.serial.checks import as_policy_device
from agent.firmware.serial.models import SerialDevice
from agent.flashing.looking import Found, Lookout
from agent.fleet.chips import plain_chip
from agent.fleet.identity import Mac
from agent.fleet.record import Fleet
from agent.releases.offers import Shelf, Traits, device_of, policy_offer, project_for

MOST = 40
"""So many releases are offered for a chip; the newest of each project first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A release that a person can choose; its manifest may not have been read yet."""

    channel: str
    project: str
    version: str
    source: str


def factory_of(release: Release, chip: str) -> ReleaseImage | None:
    """Return the image for the cable: that for this chip, or another one to hear why not."""
    by_cable = [it for it in release.images if it.kind is ImageKind.FACTORY]
    right = (it for it in by_cable if plain_chip(it.chip) == chip)
    return next(right, None) or next(iter(by_cable), None)


def choices(shelves: tuple[Shelf, ...], chip: str, project: str, channel: str) -> list[Choice]:
    """
    Return what could be written to a chip, the likeliest first.

    Args:
        shelves: every channel once.
        chip: as the cable says.
        project: that is known of the bridge, "" for a stranger.
        channel: that the bridge is to follow.
    """
    wanted = project_for(project)

    def likely(it: Choice) -> tuple[bool, bool]:
        return it.channel != channel, it.project != wanted

    newest = [it for shelf in shelves for it in _on(shelf, chip)]
    return sorted(newest, key=likely)[:MOST]


def _on(shelf: Shelf, chip: str) -> Iterator[Choice]:
    known = shelf.knowledge
    for name, offered in known.channel.projects.items() if known.channel else ():
        by_age = sorted(offered.releases, key=lambda it: version_key(it.version) or ())
        for entry in reversed(by_age):
            release = shelf.manifests.get(entry.manifest)
            image = factory_of(release, chip) if release else None
            if release is None or (image is not None and plain_chip(image.chip) == chip):
                yield Choice(known.name, name, entry.version, shelf.source)


def ref_of(found: Found) -> ReleaseRef:
    """Return what a job has to know of a release."""
    release, image, known = found.release, found.image, found.shelf.knowledge
    entry = entry_of(known.channel, release.project, release.version) if known.channel else None
    return ReleaseRef(
        project=release.project,
        version=release.version,
        rollback_index=release.rollback_index,
        digest=image.sha256,
        size_bytes=image.size,
        chip=image.chip,
        source=found.shelf.source,
        channel=known.name,
        manifest=entry.manifest if entry else "",
        confirm_after_s=release.health.confirm_after_s,
        expect_entities=release.health.expect_entities,
    )


class CableLookout:
    """Asks releases and policy about chips on cables."""

    def __init__(
        self, lookout: Lookout, fleet: Callable[[], Fleet], jobs: Callable[[], Jobs]
    ) -> None:
        self._lookout = lookout
        self._releases = lookout.releases
        self._fleet = fleet
        self._jobs = jobs

    @property
    def now(self) -> datetime:
        """Return the site's time."""
        return self._lookout.now()

    def project(self, mac: Mac) -> str:
        """Return the project that is known of a bridge, "" of a stranger."""
        record, runs = self._fleet().records.get(mac), self._jobs().runs(mac)
        told = record.told.project_name if record else None
        return told or (runs.project if runs else "")

    def title(self, mac: Mac) -> str:
        """Return what a bridge of this house is called, "" for any other."""
        record = self._fleet().records.get(mac)
        return record.title if record else ""

    def known(self, mac: Mac) -> str:
        """Return as what a bridge is known here, "" for a stranger."""
        flashed = "a bridge that was flashed from here" if self._jobs().confirmed(mac) else ""
        return self.title(mac) or flashed

    def choices(self, found: SerialDevice, channel: str) -> list[Choice]:
        """Return what could be written to a chip, the likeliest first."""
        names = dict.fromkeys(it.knowledge.name for it in self._releases.shelves)
        each = (self._releases.shelf(it) for it in names)
        shelves = tuple(it for it in each if it is not None)
        project = self.project(found.mac) if found.mac else ""
        return choices(shelves, found.chip, project, channel)

    async def chosen(self, channel: str, project: str, version: str, chip: str) -> Found | str:
        """Return a release as it is trusted now with its image for the cable, or why not."""
        named = await self._lookout.named(channel, project, version)
        if isinstance(named, str):
            return named
        shelf, release = named
        image = factory_of(release, chip)
        if image is None:
            return f"{project} {version} has no image for the cable. Choose another release."
        return Found(shelf, release, image)

    async def again(self, request: Request) -> Found | str:
        """Return the release of a job as it is trusted now, or why it is not."""
        found = await self._lookout.found(request.release)
        if isinstance(found, Found) and found.image.sha256 != request.release.digest:
            return "The release has another image now than the one that was asked for. Ask again."
        return found

    def decision(
        self,
        device: SerialDevice,
        found: Found,
        acks: tuple[str, ...],
        reason: str,
        facts: ImageFacts | None = None,
    ) -> Decision:
        """
        Return the policy's word on this chip and this image now.

        Raises:
            ValueError: the chip does not tell its address.
        """
        told = policy_offer(found.shelf, found.release, found.image, self._releases.shelves)
        accepted = frozenset(Ack(it) for it in acks if it in set(Ack))
        wish = Wish(Way.SERIAL, Asker.RECOVERY, accepted, reason)
        known = self._known(device.mac, found) if device.mac else None
        return decide(as_policy_device(device, known), replace(told, facts=facts), wish)

    def _known(self, mac: Mac, found: Found) -> Device:
        project, jobs = found.release.project, self._jobs()
        floors = dict(self._releases.floors(mac))
        for it in jobs.confirmed(mac):
            release = it.request.release
            floors[release.project] = max(floors.get(release.project, 0), release.rollback_index)
        record, runs = self._fleet().records.get(mac), jobs.runs(mac)
        if record is None or record.told.project_name is None:
            ran, version = (runs.project, runs.version) if runs else (None, None)
            return Device(mac, ran, version, None, floor=floors.get(project, 0))
        device = device_of(record, Traits(floors), found.shelf)
        reported = device.version if device.project == project else None
        floor = device_floor(floors.get(project), reported, found.shelf.knowledge.channel, project)
        return replace(device, floor=floor)
