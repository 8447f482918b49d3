"""
Finds the release that was named on the command line, and asks the policy about it.

A version is looked for in its channel, at every source that speaks of that channel, and nowhere
else; where an installer is a gate, both have to have signed it. A file that a source has signed
counts as that release; any other file is an own build, for which a person vouches by name. The
same workers look and the same policy decides as in the running agent.

Source: signing.md 4.5 and 4.7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agent.firmware.image.models import ImageError, ImageFacts
from agent.firmware.image.store import MAX_IMAGE
from agent.firmware.job.models import ReleaseRef
from agent.firmware.manifest.agree import brakes_of, entry_of
from agent.firmware.manifest.models import Brakes, ImageKind, Release, ReleaseImage
from agent.firmware.own.builds import Brought, BuildRefusedError, release_of
from agent.firmware.policy.decide import decide
from agent.firmware.policy.floors import device_floor
from agent.firmware.policy.models import Asker, Decision, Device, Finding, Offer, Way, Wish
from agent.firmware.trust.models import ChannelKnowledge, Freshness, ReleaseName
from agent.firmware.trust.source import Question, Source, TrustError, TrustPolicy, place_of
from agent.firmware.trust.worker import look_in_worker, release_in_worker
from agent.flash_models import Exit, FlashError, FlashWish
from agent.fleet.chips import plain_chip
from agent.fleet.record import BridgeRecord
from agent.releases.offers import Shelf, Traits, device_of, project_for, shelf_of
from agent.releases.service import BUILT
from agent.releases.sources import LOCAL, Found


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release, and what is known of it."""

    release: Release
    image: ReleaseImage
    source: str
    freshness: Freshness
    brakes: Brakes
    manifest: str = ""
    shelf: Shelf | None = None
    file: bytes | None = None
    """An own build that nobody in this house has vouched for yet."""

    @property
    def ref(self) -> ReleaseRef:
        """What a job has to know of it."""
        health = self.release.health
        return ReleaseRef(
            project=self.release.project,
            version=self.release.version,
            rollback_index=self.release.rollback_index,
            digest=self.image.sha256,
            size_bytes=self.image.size,
            chip=self.image.chip,
            source=self.source,
            channel=self.shelf.knowledge.name if self.shelf else LOCAL,
            manifest=self.manifest,
            confirm_after_s=health.confirm_after_s,
            expect_entities=health.expect_entities,
        )


class Choosing:
    """Looks at sources for one wish; each look is a process of its own."""

    def __init__(
        self,
        wish: FlashWish,
        now: datetime,
        found: Found,
        pick: Callable[[Release, str | None], ReleaseImage] | None = None,
    ) -> None:
        """
        Prepare.

        Args:
            wish: what was asked for.
            now: an aware moment.
            found: every source, and how many have to agree on a channel.
            pick: which image of a release suits a chip; the one for the air if not given.
        """
        self._pick = pick or image_for
        self._wish = wish
        self._now = now
        self._found = found

    async def release(self, record: BridgeRecord, channel: str) -> Chosen:
        """
        Return what was named.

        Raises:
            FlashError: there is no such release, or nobody vouches for it.
        """
        named = self._wish.release
        if Path(named).suffix == ".bin" or "/" in named:
            return await self._of_file(Path(named), record, channel)
        project, _, version = named.rpartition("@")
        project = project or project_for(record.told.project_name or "")
        if not project:
            text = f"It says no project. Name one: --release PROJECT@{version}."
            raise FlashError(Exit.USAGE, "no-project", text)
        return await self._signed(project, version, record, channel)

    async def _signed(
        self, project: str, version: str, record: BridgeRecord, channel: str
    ) -> Chosen:
        shelf = await self._shelf(channel, ReleaseName(channel, project, version))
        known = shelf.knowledge
        assert known.channel is not None  # noqa: S101 - else it was refused
        entry = entry_of(known.channel, project, version)
        if entry is None:
            text = f"{shelf.source} has no {project} {version} in its channel {known.name}."
            raise FlashError(Exit.REFUSED, "no-release", f"{text} {_there(known, project)}")
        release = shelf.manifests.get(entry.manifest)
        if release is None:
            why = shelf.problems.get(entry.manifest, "Its manifest cannot be read.")
            raise FlashError(Exit.REFUSED, "no-trusted-metadata", why)
        image = self._pick(release, device_of(record, Traits(), shelf).chip)
        brakes = _brakes(known)
        return Chosen(release, image, shelf.source, known.freshness, brakes, entry.manifest, shelf)

    async def _of_file(self, path: Path, record: BridgeRecord, channel: str) -> Chosen:
        data, facts = await asyncio.to_thread(read_file, path)
        try:
            own = release_of(Brought(data, facts, f"the file {path.name}", self._now))
        except (BuildRefusedError, ImageError) as error:
            raise FlashError(Exit.REFUSED, "bad-image", str(error)) from error
        brakes = Brakes()
        # Nobody signed it, or nothing is known of who might have: for the person to accept.
        with suppress(FlashError):
            # What the publisher has revoked stays revoked, whoever brings it.
            known = (await self._shelf(channel, None)).knowledge
            brakes = Brakes(revoked=_brakes(known).revoked)
            signed = await self._signed(own.project, own.version, record, channel)
            same = (it for it in signed.release.images if it.sha256 == facts.sha256)
            if image := next(same, None):
                return replace(signed, image=image, file=data)
        return Chosen(own, own.images[0], LOCAL, Freshness.FRESH, brakes, file=data)

    async def _known(self, source: Source, channel: str) -> ChannelKnowledge:
        try:
            knowledge = await look_in_worker(self._question(source))
        except TrustError as error:
            raise FlashError(Exit.REFUSED, "no-trusted-metadata", str(error)) from error
        known = next((it for it in knowledge.channels if it.name in {channel, LOCAL}), None)
        if known is None or known.channel is None:
            why = (known.why if known else "") or knowledge.why
            raise FlashError(Exit.REFUSED, "no-trusted-metadata", f"{source.name}: {why}")
        return known

    async def _shelf(self, channel: str, wanted: ReleaseName | None) -> Shelf:
        """Return what the sources of a channel say together, with one manifest of it."""
        shelves = []
        for source in self._speakers(channel):
            known = await self._known(source, channel)
            shelves.append(await self._read(source, known, wanted))
        shelf = shelf_of(shelves[0].knowledge.name, shelves, self._found.needed)
        assert shelf is not None  # noqa: S101 - there is a speaker, else it was refused
        return shelf

    async def _read(
        self, source: Source, known: ChannelKnowledge, wanted: ReleaseName | None
    ) -> Shelf:
        assert known.channel is not None  # noqa: S101 - else it was refused
        entry = entry_of(known.channel, wanted.project, wanted.version) if wanted else None
        if wanted is None or entry is None:
            return Shelf(source.name, known, {})
        try:
            release = await release_in_worker(
                self._question(source), known.name, wanted.project, wanted.version
            )
        except TrustError as error:
            return Shelf(source.name, known, {}, {entry.manifest: str(error)})
        return Shelf(source.name, known, {entry.manifest: release})

    def _speakers(self, channel: str) -> list[Source]:
        """Return who speaks of a channel; naming one of them does not silence the others."""
        named, found = self._wish.source, self._found
        wanted = LOCAL if named == LOCAL else channel
        speakers = [it for it in found.sources if wanted in it.channels]
        if found.problem or not speakers or (named and named not in {it.name for it in speakers}):
            there = "; ".join(f"{it.name}: {', '.join(it.channels)}" for it in found.sources)
            whom = f"{named!r} does not speak" if named else "No source speaks"
            text = f"{whom} of the channel {wanted!r} here; there is {there or 'none'}."
            text = f"{found.problem} {text} See --bundle, --source, --channel.".strip()
            raise FlashError(Exit.USAGE if named else Exit.REFUSED, "no-source", text)
        return speakers

    def _question(self, source: Source) -> Question:
        policy = TrustPolicy(self._wish.allow_development_root)
        place = place_of(self._wish.data, source.name)
        return Question(source, place, BUILT, self._now, policy)


def image_for(release: Release, chip: str | None) -> ReleaseImage:
    """Return the image for the air and this chip; another one only to hear why not."""
    over_air = [it for it in release.images if it.kind is ImageKind.OTA]
    right = [it for it in over_air if plain_chip(it.chip) == chip]
    return (right or over_air or list(release.images))[0]


def decided(
    chosen: Chosen,
    record: BridgeRecord,
    floors: Mapping[str, int],
    wish: FlashWish,
    facts: ImageFacts | None,
) -> Decision:
    """
    Return the policy's word on putting it onto this bridge, as asked for.

    Args:
        chosen: the release.
        record: the bridge.
        floors: the highest rollback index confirmed on it, by project.
        wish: with what was accepted.
        facts: what the file says of itself; `None` before it is here.
    """
    shelf = chosen.shelf or Shelf(LOCAL, ChannelKnowledge(LOCAL, chosen.freshness, "", None, None))
    offer = Offer(
        chosen.release,
        chosen.image,
        chosen.freshness,
        chosen.brakes,
        facts,
        own=chosen.source == LOCAL,
    )
    asked = Wish(Way.OTA, Asker.PERSON, wish.acks, wish.reason)
    return decide(_device(chosen, record, floors, shelf), offer, asked)


def _device(
    chosen: Chosen, record: BridgeRecord, floors: Mapping[str, int], shelf: Shelf
) -> Device:
    project = chosen.release.project
    device = device_of(record, Traits(floors), shelf)
    reported = device.version if device.project == project else None
    # The floor belongs to the project that would be installed, which may be another one.
    floor = device_floor(floors.get(project), reported, shelf.knowledge.channel, project)
    return replace(device, floor=floor)


def read_file(path: Path) -> tuple[bytes, ImageFacts]:
    """
    Return a file and what it says of itself; blocks on the disk.

    Raises:
        FlashError: it cannot be read, or is no image.
    """
    from agent.firmware.image.read import read_image  # noqa: PLC0415 - few ever flash a file

    try:
        if path.stat().st_size > MAX_IMAGE:
            text = f"{path.name} is larger than any image: {MAX_IMAGE >> 20} MiB."
            raise FlashError(Exit.USAGE, "bad-file", text)
        data = path.read_bytes()
        return data, read_image(data)
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}. Check its name."
        raise FlashError(Exit.USAGE, "bad-file", text) from error
    except ImageError as error:
        raise FlashError(Exit.REFUSED, "bad-image", f"{path.name}: {error}") from error


def _brakes(known: ChannelKnowledge) -> Brakes:
    if known.channel is None:
        return Brakes()
    return brakes_of(known.channel, known.halt, halt_role=known.halt_role)


def _there(known: ChannelKnowledge, project: str) -> str:
    offered = known.channel.projects.get(project) if known.channel else None
    if offered is None:
        return "It has nothing of that project. Look at --channel and --source."
    return f"It has {', '.join(it.version for it in offered.releases)}."


def sentences(findings: Sequence[Finding]) -> str:
    """Return what speaks against it, each with its next step."""
    return " ".join(f"{it.text} {it.next_step}".strip() for it in findings)
