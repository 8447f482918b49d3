"""
Which release a bridge is offered, and what speaks against it.

A bridge is offered the newest release of its channel that is made for it: of its own project, or
of the production project that its factory image waits for, for its chip and its board. A channel
belongs to its sources, and nothing is taken from another because they have nothing: nobody else
can offer a newer "release". Where an installer gates a channel, both have to have signed the same.

Pure functions: knowledge, manifests and records come in.

Source: signing.md 4.5 and 4.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.firmware.manifest.agree import brakes_of, entry_of, latest_of
from agent.firmware.manifest.models import Brakes, Channel, ImageKind, Release, ReleaseImage
from agent.firmware.manifest.versions import older, version_key
from agent.firmware.policy.decide import decide
from agent.firmware.policy.families import OUR_FAMILIES
from agent.firmware.policy.floors import device_floor
from agent.firmware.policy.models import Asker, Device, Offer, Way, Wish
from agent.firmware.trust.models import ChannelKnowledge, Freshness
from agent.fleet import gate_models
from agent.fleet.chips import chip_of, plain_chip
from agent.fleet.identity import Mac, written
from agent.fleet.record import BridgeRecord
from agent.releases.sources import LOCAL
from agent.surface.release_view import BridgeOffer, Standing

BY_A_PERSON = Wish(Way.OTA, Asker.PERSON)
"""What the page asks: could somebody who looks at it install this over the air?"""
GUARDED = "pv-edge."
"""Our own firmware: built with ESPHome's downgrade protection (`bridge/boards/esp32-any.yaml`)."""
Manifests = Mapping[str, Release]
"""Release manifests by their path in the channel's source."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One channel of one source, with the manifests that it names as far as they were read."""

    source: str
    knowledge: ChannelKnowledge
    manifests: Manifests = field(default_factory=lambda: MappingProxyType({}))
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Why a manifest could not be read, by its path."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of one bridge beside its record."""

    floors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The highest rollback index that was ever confirmed on it, by project."""
    revision: str | None = None
    """Of its board."""


def project_for(project: str) -> str:
    """Return the project whose releases a bridge of this one is offered."""
    return OUR_FAMILIES.get(project, project)


def shelf_of(channel: str, shelves: Iterable[Shelf], needed: Mapping[str, int]) -> Shelf | None:
    """
    Return what a channel offers, `None` where no source speaks of it.

    Args:
        channel: its name.
        shelves: all, the publisher's first.
        needed: how many sources have to agree, by channel; 1 where it is not said.
    """
    found = [it for it in shelves if it.knowledge.name == channel]
    if not found:
        return None
    least = needed.get(channel, 1)
    return found[0] if least == len(found) == 1 else _gated(found, least)


def _gated(shelves: Sequence[Shelf], least: int) -> Shelf:
    """Return what that many sources have signed alike; every brake of any of them counts."""
    first = shelves[0]
    agreed, problems = {}, dict(first.problems)
    for path, release in first.manifests.items():
        said = [it.manifests[path] for it in shelves if path in it.manifests]
        if len(said) >= least and all(it == release for it in said):
            agreed[path] = release
        else:
            who = ", ".join(it.source for it in shelves)
            problems[path] = f"{least} of {who} have to have signed the same, and have not yet."
    worst = max(shelves, key=lambda it: list(Freshness).index(it.knowledge.freshness)).knowledge
    known = replace(first.knowledge, freshness=worst.freshness, why=worst.why)
    if known.channel is not None:
        known = replace(known, channel=_braked(known.channel, [it.knowledge for it in shelves]))
    return Shelf(first.source, known, agreed, problems)


def _braked(first: Channel, known: Iterable[ChannelKnowledge]) -> Channel:
    """Return a channel with the brakes of all who speak of it."""
    brakes = [brakes_of(it.channel, it.halt, halt_role=it.halt_role) for it in known if it.channel]
    floors: dict[str, int] = {}
    for it in brakes:
        for project, index in it.min_rollback_index.items():
            floors[project] = max(index, floors.get(project, 0))
    return replace(
        first,
        min_rollback_index=MappingProxyType(floors),
        revoked=frozenset[str]().union(*(it.revoked for it in brakes)),
        paused=any(it.paused for it in brakes),
    )


def offer_of(
    record: BridgeRecord, traits: Traits, channel: str, shelf: Shelf | None
) -> BridgeOffer:
    """
    Return what a bridge is offered.

    Args:
        record: the bridge.
        traits: what else is known of it.
        channel: its channel.
        shelf: what that channel offers.
    """
    told = record.told
    installed = told.project_version or None

    def nothing(why: str) -> BridgeOffer:
        return BridgeOffer(
            mac=record.mac, channel=channel, installed=installed, standing=Standing.NONE, why=why
        )

    if told.project_name is None:
        return nothing("It does not say which firmware it runs; connect it first.")
    project = project_for(told.project_name)
    if shelf is None or shelf.knowledge.channel is None:
        return nothing(
            (shelf.knowledge.why if shelf else "") or "No source of releases is trusted yet."
        )
    if shelf.knowledge.channel.projects.get(project) is None:
        return nothing(
            f"The channel {channel} has no release for {project or 'a firmware without project'}."
        )
    releases = _newest_first(shelf, project)
    if not releases:
        return nothing(_held_up(shelf, project) or "The manifest of its release was not read yet.")
    device = device_of(record, traits, shelf)
    right = (it for it in releases if made_for(it, device.chip, device.board))
    fitting = next(right, releases[0])
    image = _image_for(fitting, device)
    if image is None:
        return nothing(f"{project} {fitting.version} has no image that goes over the air.")
    return _offered(record.mac, device, channel, shelf, fitting, image)


def _offered(
    mac: Mac, device: Device, channel: str, shelf: Shelf, release: Release, image: ReleaseImage
) -> BridgeOffer:
    return BridgeOffer(
        mac=mac,
        channel=channel,
        installed=device.version,
        standing=_standing(device, release),
        why=_held_up(shelf, release.project),
        source=shelf.source,
        release=release,
        image=image,
        decision=decide(device, policy_offer(shelf, release, image), BY_A_PERSON),
        floor=device.floor,
    )


def _held_up(shelf: Shelf, project: str) -> str:
    """Return why the latest release of a project cannot be offered, "" if it can."""
    channel = shelf.knowledge.channel
    latest = latest_of(channel, project) if channel else None
    return shelf.problems.get(latest.manifest, "") if latest else ""


def made_for(release: Release, chip: str | None, board: str | None) -> bool:
    """Whether a release has an image for the air that is for this chip and this board."""
    chips = {plain_chip(it.chip) for it in release.images if it.kind is ImageKind.OTA}
    return chip in chips and (not release.boards or board in release.boards)


def policy_offer(
    shelf: Shelf, release: Release, image: ReleaseImage, shelves: Iterable[Shelf] = ()
) -> Offer:
    """
    Return the question to the policy for one image of a shelf.

    Args:
        shelf: what offers it.
        release: one of its releases.
        image: one of its images.
        shelves: all; what a publisher has revoked is not brought back as an own build.
    """
    brakes, own = _brakes_of(shelf), shelf.source == LOCAL
    if own:
        others = (_brakes_of(it).revoked for it in shelves if it.knowledge.channel)
        brakes = replace(brakes, revoked=brakes.revoked.union(*others))
    return Offer(release, image, shelf.knowledge.freshness, brakes, own=own)


def _brakes_of(shelf: Shelf) -> Brakes:
    known = shelf.knowledge
    assert known.channel is not None  # noqa: S101 - else there is no release of it
    return brakes_of(known.channel, known.halt, halt_role=known.halt_role)


def device_of(record: BridgeRecord, traits: Traits, shelf: Shelf) -> Device:
    """Return what the policy is told of a bridge; the floor is that of the offered project."""
    told = record.told
    project, version = told.project_name or None, told.project_version or None
    offered = project_for(project or "")
    channel = shelf.knowledge.channel
    reported = version if project == offered else None
    running = entry_of(channel, offered, reported) if channel else None
    manifest = shelf.manifests.get(running.manifest) if running else None
    # Whom a firmware believes stands in its own manifest; without that nobody is surely believed.
    trusts = frozenset(manifest.trusts) if manifest else frozenset()
    return Device(
        mac=written(record.mac),
        project=project,
        version=version,
        chip=chip_of(told.platform, told.board),
        board=told.board,
        hw=traits.revision,
        trusts=trusts if told.ota_signed else None,
        refuses_downgrade=bool(project and project.startswith(GUARDED)),
        floor=device_floor(traits.floors.get(offered), reported, channel, offered),
    )


def observed_floor(record: BridgeRecord, shelves: Iterable[Shelf]) -> tuple[str, int] | None:
    """
    Return the project and rollback index that a bridge runs, as it says itself.

    Any of these channels may know the version: a bridge keeps what it had in `beta`. `None` where
    it says nothing, or says a version that nobody signed.
    """
    project, version = record.told.project_name, record.told.project_version
    if not project or not version:
        return None
    channels = (it.knowledge.channel for it in shelves)
    entries = (entry_of(it, project, version) for it in channels if it is not None)
    found = [it.rollback_index for it in entries if it is not None]
    return (project, max(found)) if found else None


def gate_release(offer: BridgeOffer) -> tuple[gate_models.Release, gate_models.Image] | None:
    """Return what the gates of the bridge are held against, `None` where nothing is offered."""
    release, image = offer.release, offer.image
    if release is None or image is None or offer.decision is None:
        return None
    family = {one for one, grown in OUR_FAMILIES.items() if grown == release.project}
    verified = gate_models.Release(
        digest=image.sha256,
        size_bytes=image.size,
        verified=True,
        projects=frozenset({release.project, *family}),
        chip=image.chip,
        boards=frozenset(release.boards),
        revisions=frozenset(release.hw),
    )
    return verified, gate_models.Image(image.sha256, image.size, fetched=False)


def _newest_first(shelf: Shelf, project: str) -> list[Release]:
    """Return the readable releases of a project, none newer than what the channel calls latest."""
    channel = shelf.knowledge.channel
    offered = channel.projects.get(project) if channel else None
    if offered is None or shelf.knowledge.freshness is Freshness.NONE:
        return []
    found = [
        shelf.manifests[it.manifest]
        for it in offered.releases
        if it.manifest in shelf.manifests and not older(offered.latest, it.version)
    ]
    return sorted(found, key=lambda it: version_key(it.version) or (), reverse=True)


def _image_for(release: Release, device: Device) -> ReleaseImage | None:
    """Return the image for the air that is for this chip; another one only to say why not."""
    over_air = [it for it in release.images if it.kind is ImageKind.OTA]
    right = (it for it in over_air if plain_chip(it.chip) == device.chip)
    return next(right, None) or next(iter(over_air), None)


def _standing(device: Device, release: Release) -> Standing:
    if device.project != release.project:
        return Standing.CHANGE
    if version_key(device.version) == version_key(release.version):
        return Standing.CURRENT
    return Standing.OLDER if older(release.version, device.version) else Standing.UPDATE
