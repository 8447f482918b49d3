"""A bridge is offered what is made for it, by whom its project belongs to, and by nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from agent.firmware.manifest.models import Channel, ChannelEntry, ChannelProject, Halt, Release
from agent.firmware.policy.models import Code
from agent.firmware.trust.models import (
    ChannelKnowledge,
    EventKind,
    Freshness,
    RoleState,
    SecurityEvent,
    SourceKnowledge,
)
from agent.fleet.chips import chip_of
from agent.fleet.identity import Mac
from agent.fleet.record import BridgeRecord, Fleet
from agent.releases.memory import Memory, as_json, looked, ran, recalled
from agent.releases.needs import wanted_manifests
from agent.releases.offers import (
    Shelf,
    Traits,
    device_of,
    gate_release,
    observed_floor,
    offer_of,
    policy_offer,
    shelf_of,
)
from agent.releases.pace import EVERY_S, LEAST_S, SPREAD_S, capped, changed, next_look_s
from agent.setting_releases import ReleaseSettings
from agent.surface.release_view import Standing
from tests.firmware.manifest.documents import release
from tests.fleet.devices import mac
from tests.releases.scene import bridge

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OURS, FACTORY = "pv-edge.alphaess-bridge", "pv-edge.alphaess-bridge-factory"


def made(project: str = OURS, version: str = "1.1.0", **changes: Any) -> Release:
    found = release(project=project, version=version, **changes)
    return replace(found, hw=(), min_version=None)


def shelf(
    *releases: Release, source: str = "official", name: str = "stable", **changes: Any
) -> Shelf:
    """Return a channel with these releases, the last of a project its latest."""
    projects: dict[str, ChannelProject] = {}
    for it in releases:
        before = projects.get(it.project)
        entry = ChannelEntry(it.version, it.rollback_index, f"stable/{it.project}/{it.version}")
        entries = (*(before.releases if before else ()), entry)
        projects[it.project] = ChannelProject(it.version, entries)
    known = ChannelKnowledge(name, Freshness.FRESH, "", Channel(projects), None, False)
    manifests = {f"stable/{it.project}/{it.version}": it for it in releases}
    return Shelf(source, replace(known, **changes), manifests)


def record(**said: Any) -> BridgeRecord:
    told = {"project_name": OURS, "project_version": "1.0.0", **said}
    return bridge(1, **told).records[Mac(mac(1))]


def offered(known: Shelf | None, traits: Traits | None = None, **said: Any) -> Any:
    return offer_of(record(**said), traits or Traits(), "stable", known)


def codes(offer: Any) -> set[Code]:
    return {it.code for it in offer.decision.refusals}


def test_a_factory_image_is_offered_the_production_image_of_its_family() -> None:
    offer = offered(shelf(made()), project_name=FACTORY, project_version="0.9.0")
    assert (offer.standing, offer.latest, codes(offer)) == (Standing.CHANGE, "1.1.0", set())
    found = gate_release(offer)
    assert found
    assert found[0].projects == {OURS, FACTORY}
    assert (found[0].digest, found[1].digest, found[1].fetched) == ("a" * 64, "a" * 64, False)


@pytest.mark.parametrize(
    ("runs", "standing"),
    [("1.0.0", "update"), ("1.1.0", "current"), ("1.1", "current"), ("1.2.0", "older"),
     ("nightly", "update")],
)  # fmt: skip
def test_what_the_newest_release_is_to_a_bridge(runs: str, standing: str) -> None:
    offer = offered(shelf(made()), project_version=runs)
    assert offer.standing == standing
    # Our own firmware is built to take nothing older.
    assert (Code.DEVICE_WOULD_REJECT_DOWNGRADE in codes(offer)) is (standing == "older")


def test_the_newest_that_is_made_for_its_chip_and_board_is_offered() -> None:
    old, new = made(), made(version="1.2.0", boards=["esp32-s3-devkitc-1"])
    assert offered(shelf(old, new)).latest == "1.1.0"
    other = offered(shelf(old, new), board="esp32-c3-devkitm-1")
    assert (other.latest, codes(other)) == ("1.2.0", {Code.WRONG_CHIP, Code.WRONG_BOARD})
    unknown = offered(shelf(made(boards=[])), board="garage-board")
    assert codes(unknown) == {Code.CHIP_UNKNOWN}
    # What the channel calls its latest is the newest that is offered.
    ahead = shelf(made(version="1.2.0"), old)
    assert offered(ahead).latest == "1.1.0"


def test_l01_l02_l05_a_channel_belongs_to_its_sources_and_nobody_else_is_asked() -> None:
    """No source is asked because another has nothing: dependency confusion begins there."""
    house = shelf(made(OURS, "8.8.8"), source="local", name="local")
    acme = shelf(made(OURS, "9.9.9"), source="acme", name="x-acme")
    official = shelf(made(OURS, "1.1.0"))
    shelves = [official, acme, house]
    for channel, source, latest in (
        ("stable", "official", "1.1.0"),
        ("x-acme", "acme", "9.9.9"),
        ("local", "local", "8.8.8"),
    ):
        theirs = offered(shelf_of(channel, shelves, {}))
        assert (theirs.source, theirs.latest) == (source, latest)
        assert (Code.UNSIGNED in codes(theirs)) is (channel == "local")
    assert shelf_of("x-other", shelves, {}) is None
    other = shelf(made("acme.bridge", "5.0.0"))
    nothing = offered(shelf_of("stable", [other, acme, house], {}))
    assert (nothing.standing, nothing.release) == (Standing.NONE, None)
    assert nothing.why == f"The channel stable has no release for {OURS}."
    assert "No source" in offered(None).why


def test_what_a_publisher_has_revoked_is_not_brought_back_as_an_own_build() -> None:
    build = made(OURS, "1.1.0")
    house = shelf(build, source="local", name="local")
    image = build.images[0]
    revoked = Channel({}, revoked=frozenset({image.sha256}))
    known = shelf(made())
    publisher = replace(known, knowledge=replace(known.knowledge, channel=revoked))
    assert image.sha256 in policy_offer(house, build, image, [publisher, house]).brakes.revoked
    assert image.sha256 not in policy_offer(house, build, image, [known, house]).brakes.revoked


def test_l06_l07_l08_a_gated_channel_offers_what_all_have_signed_alike() -> None:
    new, needed = made(), {"stable": 2}
    official, acme = shelf(new), shelf(new, source="acme")
    assert offered(shelf_of("stable", [official, acme], needed)).latest == "1.1.0"
    other = shelf(replace(new, notes="Other notes."), source="acme")
    for gate in ([official], [official, shelf(source="acme")], [official, other]):
        offer = offered(shelf_of("stable", gate, needed))
        assert offer.release is None
        assert "have to have signed the same" in offer.why
    # Also without a threshold two words against each other mean no.
    assert offered(shelf_of("stable", [official, other], {})).release is None
    assert acme.knowledge.channel
    harsh = replace(
        acme.knowledge.channel, revoked=frozenset({"a" * 64}), min_rollback_index={OURS: 9}
    )
    braked = replace(acme, knowledge=replace(acme.knowledge, channel=harsh))
    halted = replace(acme, knowledge=replace(acme.knowledge, halt=Halt(True, "Smoke.")))
    for gate, paused in ((acme, False), (halted, True)):
        both = shelf_of("stable", [official, gate], needed)
        assert both
        assert both.knowledge.channel
        assert both.knowledge.channel.paused is paused
    said = codes(offered(shelf_of("stable", [official, braked], needed)))
    assert said == {Code.IMAGE_REVOKED, Code.BELOW_SIGNED_FLOOR}
    old = replace(acme, knowledge=replace(acme.knowledge, freshness=Freshness.STALE, why="Old."))
    assert codes(offered(shelf_of("stable", [official, old], needed))) == {Code.STALE}


def test_why_nothing_is_offered_is_said() -> None:
    assert "connect it first" in offered(shelf(made()), project_name=None).why
    assert "a firmware without project" in offered(shelf(made()), project_name="").why
    unread = replace(shelf(made()), manifests={})
    assert "was not read yet" in offered(unread).why
    path = f"stable/{OURS}/1.1.0"
    assert offered(replace(unread, problems={path: "It is torn."})).why == "It is torn."
    only_cable = replace(made(), images=made().images[1:])
    assert "no image that goes over the air" in offered(shelf(only_cable)).why


def test_floors_rise_and_are_those_of_the_offered_project() -> None:
    known = shelf(made(version="1.0.0", rollback_index=7), made(rollback_index=2))
    seen = observed_floor(record(), [known])
    assert seen == (OURS, 7)
    assert observed_floor(record(project_version="6.6.6"), [known]) is None
    assert observed_floor(record(project_name=None), [known]) is None
    memory = ran(Memory(), Mac(mac(1)), *seen)
    assert memory
    assert ran(memory, Mac(mac(1)), OURS, 7) is None
    assert ran(memory, Mac(mac(1)), OURS, 3) is None
    again = recalled(as_json(memory))
    assert again == memory
    traits = Traits(again.floors[Mac(mac(1))])
    low = offered(known, traits=traits, project_version="0.1.0")
    assert (low.floor, codes(low)) == (7, {Code.BELOW_DEVICE_FLOOR})
    assert offered(known, project_version="0.1.0").floor == 0


def test_a_firmware_that_verifies_signatures_is_asked_whose_it_takes() -> None:
    runs, new = made(version="1.0.0"), made()
    known = shelf(runs, new)
    assert device_of(record(), Traits(), known).trusts is None
    assert device_of(record(ota_signed=True), Traits(), known).trusts == {"a" * 64, "b" * 64}
    unread = replace(known, manifests={f"stable/{OURS}/1.1.0": new})
    strict = offer_of(record(ota_signed=True), Traits(), "stable", unread)
    assert codes(strict) == {Code.DEVICE_WOULD_REJECT_SIGNATURE}
    source = SourceKnowledge("official", Freshness.FRESH, "", (known.knowledge,))
    fleet = Fleet({Mac(mac(1)): record(ota_signed=True)})
    wanted = wanted_manifests([source], fleet, ReleaseSettings(), {})
    assert [it.version for it in wanted] == ["1.1.0", "1.0.0"]
    plain = Fleet({Mac(mac(1)): record()})
    assert [it.version for it in wanted_manifests([source], plain, ReleaseSettings(), {})] == [
        "1.1.0"
    ]


@pytest.mark.parametrize(
    ("platform", "board", "chip"),
    [("ESP32", "esp32dev", "esp32"), ("ESP32", "esp32-s3-devkitc-1", "esp32s3"),
     ("ESP32", "somebodys-board", None), ("ESP32", None, None), (None, "esp32dev", "esp32"),
     ("ESP32-C3", None, "esp32c3"), ("ESP8266", "esp32dev", "esp8266"), (None, None, None)],
)  # fmt: skip
def test_the_board_says_which_chip_a_device_has(
    platform: str | None, board: str | None, chip: str | None
) -> None:
    assert chip_of(platform, board) == chip


def test_the_next_look_comes_after_six_hours_or_when_a_signature_ends() -> None:
    def known(in_s: float) -> SourceKnowledge:
        ends = NOW + timedelta(seconds=in_s)
        return SourceKnowledge("s", Freshness.FRESH, "", roles=(RoleState("timestamp", 1, ends),))

    assert next_look_s([], NOW, 0.5) == EVERY_S
    assert next_look_s([known(-5)], NOW, 0.0) == EVERY_S - SPREAD_S
    assert next_look_s([known(1e6)], NOW, 1.0) == EVERY_S + SPREAD_S
    assert next_look_s([known(3600), known(7200)], NOW, 0.5) == 3601
    assert next_look_s([known(0.5)], NOW, 0.5) == LEAST_S


def test_a_failed_look_keeps_what_was_known_and_never_as_fresh() -> None:
    channel = shelf(made()).knowledge
    before = SourceKnowledge("s", Freshness.FRESH, "", (channel,), confirmed=NOW)
    after = capped(before, "s", "The disk is full.")
    assert (after.freshness, after.channels[0].freshness) == (Freshness.STALE, Freshness.STALE)
    assert after.channels[0].channel is channel.channel
    assert after.why == after.channels[0].why == "The disk is full."
    assert capped(None, "s", "Why.") == SourceKnowledge("s", Freshness.NONE, "Why.")
    assert changed(before, after)
    assert not changed(before, replace(before, confirmed=NOW + timedelta(1), carrier="mirror"))


def test_alarms_stay_until_a_good_look_and_survive_a_restart() -> None:
    event = SecurityEvent(EventKind.ROLLBACK, "mirror", "Older.", NOW)
    lied = SourceKnowledge("s", Freshness.FRESH, "", events=(event,))
    memory = looked(Memory(), lied, NOW)
    other = SourceKnowledge("o", Freshness.STALE, "Old.")
    memory = looked(memory, other, NOW)
    memory = looked(memory, replace(lied, freshness=Freshness.STALE, events=()), NOW)
    assert set(memory.alarms) == {("s", EventKind.ROLLBACK)}
    assert memory.since == MappingProxyType({"o": NOW, "s": NOW})
    assert recalled(as_json(memory)) == memory
    # One mirror lies in another way, the next is honest: fresh, and still not a good look.
    unsigned = replace(event, kind=EventKind.WRONG_SIGNATURE)
    memory = looked(memory, replace(lied, events=(unsigned,)), NOW)
    assert {kind for _, kind in memory.alarms} == {EventKind.ROLLBACK, EventKind.WRONG_SIGNATURE}
    memory = looked(memory, replace(lied, events=()), NOW)
    assert (dict(memory.alarms), dict(memory.since)) == ({}, {"o": NOW})
