"""A factory firmware becomes the production firmware of its own family without a question."""

from __future__ import annotations

from dataclasses import replace

from agent.firmware.policy.decide import decide
from agent.firmware.policy.families import OUR_FAMILIES
from agent.firmware.policy.models import Ack
from agent.fleet.identity import OUR_PROJECTS, Kind
from tests.firmware.policy.offers import (
    AUTOMATIC,
    DEVICE,
    OTA,
    PERSON,
    RELEASE,
    asked,
    facts_of,
    offer,
)


def test_a_factory_firmware_grows_into_its_own_family_only() -> None:
    bridge = replace(RELEASE, project="pv-edge.alphaess-bridge")
    grown = {"release": bridge, "facts": facts_of(OTA, project=bridge.project)}
    factory = {"project": "pv-edge.alphaess-bridge-factory", "version": "9.0"}
    assert asked(AUTOMATIC, on=factory, **grown).allowed
    for other in ("PVAutonomy.Edge101Factory", "PVAutonomy.Edge101"):
        assert asked(on={"project": other}, **grown).missing == {Ack.PROJECT_CHANGE}
    back = replace(RELEASE, project="pv-edge.alphaess-bridge-factory")
    said = {"release": back, "facts": facts_of(OTA, project=back.project)}
    assert asked(on={"project": bridge.project}, **said).missing == {Ack.PROJECT_CHANGE}


def test_the_families_are_the_projects_that_the_fleet_knows() -> None:
    kinds = OUR_PROJECTS.kinds
    assert set(OUR_FAMILIES) == {it for it, kind in kinds.items() if kind is Kind.FACTORY}
    assert set(OUR_FAMILIES.values()) == {
        it for it, kind in kinds.items() if kind is Kind.PRODUCTION
    }


def test_another_family_can_be_told() -> None:
    wish = replace(PERSON, acks=frozenset())
    device = replace(DEVICE, project="acme.blank")
    assert not decide(device, offer(), wish).allowed
    assert decide(device, offer(), wish, {"acme.blank": "acme.bridge"}).allowed
