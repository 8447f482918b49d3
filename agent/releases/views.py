"""
Everything that the page shows of releases, in JSON's words.

What publishers and bridges say is passed on as text; the page sets it as text. Sentences about
trust are made here, so that page, entity and log say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.firmware.image.models import ImageFacts
from agent.firmware.policy.models import Finding
from agent.firmware.trust.models import ChannelKnowledge, Freshness, SourceKnowledge
from agent.fleet.identity import Mac, label, written
from agent.fleet.record import Fleet
from agent.releases.offers import Shelf
from agent.releases.sources import LOCAL, OFFICIAL
from agent.setting_releases import CHANNELS, OWN_CHANNEL, ReleaseSettings, bridge_channels
from agent.surface.fleet_view import iso
from agent.surface.release_view import BridgeOffer, TrustView, confirmed_words
from agent.surface.shown import (
    AgainstView,
    BuildShown,
    BuildView,
    Known,
    OfferView,
    SourceChannelView,
    SourceView,
)

NOBODY_SIGNED = (
    "Nobody signed this file but, once you accept it, this house: no publisher vouches for what is "
    "in it. Accept only what you have built yourself."
)
NO_MIRROR = (
    "No mirror is set: what is known is what the app brought. Write one under Firmware releases "
    "in the settings, or upload a bundle."
)


def picture(
    trust: TrustView,
    fleet: Fleet,
    offers: Mapping[Mac, BridgeOffer],
    chosen: ReleaseSettings,
) -> Known:
    """Return the state of all sources, and what each bridge is offered."""
    own = bridge_channels(chosen.channels)
    return {
        "state": trust.state.value,
        "hint": "" if chosen.mirrors else NO_MIRROR,
        "channel": chosen.channel,
        "channels": list(channels_of(trust)),
        "sources": [_source(it, trust) for it in trust.sources],
        "bridges": [
            _offered(fleet, it, own.get(mac))
            for mac, it in sorted(offers.items(), key=lambda each: each[0])
        ],
    }


def channels_of(trust: TrustView) -> tuple[str, ...]:
    """Return the channels that a bridge may have: the publisher's, and those that were added."""
    known = {it.name for source in trust.sources for it in source.channels}
    return (*CHANNELS, *sorted(it for it in known if OWN_CHANNEL.fullmatch(it)))


def _source(known: SourceKnowledge, trust: TrustView) -> SourceView:
    return {
        "name": known.source,
        "kind": {OFFICIAL: "official", LOCAL: "own"}.get(known.source, "added"),
        "freshness": known.freshness.value,
        "why": known.why,
        "words": confirmed_words(known),
        "confirmed": iso(known.confirmed),
        "stale_since": iso(trust.stale_since.get(known.source)),
        "carrier": known.carrier,
        "development": known.development,
        "root_sha256": known.root_sha256,
        "roles": [
            {"role": it.role, "version": it.version, "expires": iso(it.expires)}
            for it in known.roles
        ],
        "channels": [_channel(it) for it in known.channels],
        "events": [
            {"kind": it.kind.value, "carrier": it.carrier, "text": it.text, "at": iso(it.at)}
            for it in known.events
        ],
    }


def _channel(known: ChannelKnowledge) -> SourceChannelView:
    channel, halt = known.channel, known.halt
    usable = channel if known.freshness is not Freshness.NONE else None
    return {
        "name": known.name,
        "freshness": known.freshness.value,
        "why": known.why,
        "paused": bool((channel and channel.paused) or (halt and halt.paused)),
        "reason": halt.reason if halt and halt.paused else "",
        "latest": {name: it.latest for name, it in usable.projects.items()} if usable else {},
    }


def _offered(fleet: Fleet, offer: BridgeOffer, own_channel: str | None) -> OfferView:
    record, release, image = fleet.records[offer.mac], offer.release, offer.image
    decision = offer.decision
    return {
        "mac": written(offer.mac),
        "title": label(record.title),
        "channel": offer.channel,
        "own_channel": own_channel,
        "project": label(record.told.project_name),
        "installed": label(offer.installed),
        "standing": offer.standing.value,
        "why": offer.why,
        "source": offer.source,
        "latest": offer.latest,
        "released": iso(release.released) if release else None,
        "notes": release.notes if release else "",
        "notes_url": release.notes_url if release else None,
        "security": release.security.value if release else None,
        "sha256": image.sha256 if image else None,
        "size": image.size if image else None,
        "refusals": _findings(decision.refusals if decision else ()),
        "missing": sorted(it.value for it in decision.missing) if decision else [],
        "floor": offer.floor,
    }


def _findings(found: Iterable[Finding]) -> list[AgainstView]:
    return [
        {
            "code": it.code.value,
            "text": it.text,
            "next_step": it.next_step,
            "ack": it.ack.value if it.ack else None,
        }
        for it in found
    ]


def builds_json(shelves: Iterable[Shelf]) -> list[BuildView]:
    """Return the own builds that were accepted, one line for each image."""
    releases = (it for each in shelves if each.source == LOCAL for it in each.manifests.values())
    return [
        {
            "sha256": image.sha256,
            "size": image.size,
            "layout": image.kind.value,
            "chip": image.chip,
            "project": release.project,
            "version": release.version,
            "accepted": iso(release.released),
            "notes": release.notes,
        }
        for release in releases
        for image in release.images
    ]


def build_json(facts: ImageFacts) -> BuildShown:
    """Return what the page shows of a file before somebody accepts it."""
    whole = facts.checksum_ok and facts.hash_ok is not False
    return {
        "sha256": facts.sha256,
        "size": facts.size,
        "layout": facts.layout.value,
        "chip": facts.chip,
        "project": label(facts.project),
        "version": label(facts.version),
        "built": iso(facts.built),
        "idf": label(facts.idf),
        "whole": whole,
        "signatures": len(facts.signatures),
        "sentence": NOBODY_SIGNED,
    }
