"""
What Home Assistant is told of firmware releases: how good our knowledge is, and what is offered.

The state of trust is one entity beside those of the bridges; what a bridge is offered stands in
the attributes of its firmware, where automations look for it.

Source: signing.md 4.5; pvautonomy.md 1.5 for the channel.
"""

from __future__ import annotations

from agent.firmware.trust.models import Freshness, SourceKnowledge
from agent.fleet.record import BridgeRecord
from agent.surface.entities_fleet import FLEET_ENTITIES, FleetEntity
from agent.surface.entities_model import Attributes, Platform
from agent.surface.fleet_view import FleetView, iso
from agent.surface.recovery_view import STATES
from agent.surface.release_view import confirmed_words


def _trust_attributes(view: FleetView) -> Attributes:
    """Return all sources, and in short what the worst of them says."""
    worst = next((it for it in view.trust.sources if it.freshness is view.trust.state), None)
    return {
        "source": worst.source if worst else None,
        "why": worst.why if worst else "No source of releases has been looked at yet.",
        "stale_since": iso(view.trust.stale_since.get(worst.source)) if worst else None,
        "last_confirmed": iso(worst.confirmed) if worst else None,
        "carrier": worst.carrier if worst else None,
        "sources": {it.source: _source(view, it) for it in view.trust.sources},
    }


def _source(view: FleetView, it: SourceKnowledge) -> Attributes:
    return {
        "freshness": it.freshness.value,
        "why": it.why,
        "words": confirmed_words(it),
        "stale_since": iso(view.trust.stale_since.get(it.source)),
        "last_confirmed": iso(it.confirmed),
        "carrier": it.carrier,
        "development": it.development,
        "expires": {role.role: iso(role.expires) for role in it.roles},
        "channels": {channel.name: channel.freshness.value for channel in it.channels},
    }


def offer_attributes(view: FleetView, record: BridgeRecord) -> Attributes:
    """Return what a bridge is offered; all keys also where nothing is."""
    offer = view.offers.get(record.mac)
    release = offer.release if offer else None
    decision = offer.decision if offer else None
    return {
        "channel": offer.channel if offer else None,
        "latest_version": offer.latest if offer else None,
        "update": offer.standing.value if offer else None,
        "security": release.security.value if release else None,
        "released": iso(release.released) if release else None,
        "release_url": release.notes_url if release else None,
        "blocked_by": [it.code.value for it in decision.refusals] if decision else [],
    }


RELEASE_ENTITIES: tuple[FleetEntity, ...] = (
    FleetEntity(
        platform=Platform.SENSOR,
        key="trust_state",
        name="Trust State",
        icon="mdi:shield-key-outline",
        about="How good the knowledge of firmware releases is, the worst of all sources; the "
        "attributes hold each of them with the expiry of its roles.",
        value=lambda view: view.trust.state.value,
        attributes=_trust_attributes,
        states=tuple(it.value for it in Freshness),
        prefix="pv_edge",
    ),
)
RECOVERY_ENTITIES: tuple[FleetEntity, ...] = (
    FleetEntity(
        platform=Platform.SENSOR,
        key="recovery",
        name="Recovery",
        icon="mdi:usb-port",
        about="What is done to a bridge on a USB cable, and in the attributes how far it is, how "
        "the last one ended and which bridges need flashing. It is asked for on the page alone.",
        value=lambda view: view.flashes.recovery.state,
        attributes=lambda view: view.flashes.recovery.attributes,
        states=STATES,
        prefix="pv_edge",
    ),
)
FLEET_ROWS: tuple[FleetEntity, ...] = (*FLEET_ENTITIES, *RELEASE_ENTITIES, *RECOVERY_ENTITIES)
"""Everything that is published of the fleet as a whole."""
