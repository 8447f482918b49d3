"""Whatever the sources say and in whatever order, each device stays one device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.contact import Contact, ContactState
from agent.fleet.findings import CHANGE_SHOWN_S, FindingCode, findings
from agent.fleet.identity import OUR_PROJECTS, Kind, label, mac_of, projects_of, written
from agent.fleet.record import (
    Fleet,
    contacted,
    dial,
    forgotten,
    seen,
    silent,
    withdrawn,
)
from agent.fleet.sighting import Encryption, Source, announced
from tests.fleet.devices import fleet_of, mac, word

TXT = {
    "friendly_name": "Bridge 1",
    "version": "2026.10.0",
    "config_hash": "1a2b3c4d",
    "mac": "02005e100001",
    "platform": "ESP32",
    "board": "esp32dev",
    "network": "wifi",
    "api_encryption": "Noise_NNpsk0_25519_ChaChaPoly_SHA256",
    "project_name": "PVAutonomy.Edge101",
    "project_version": "1.0.4",
    "ota_signed": "1",
}


def codes(fleet: Fleet, number: int, now_s: float = 10.0) -> set[FindingCode]:
    return {it.code for it in findings(fleet, OUR_PROJECTS, now_s)[mac(number)]}


def hosts(fleet: Fleet, number: int) -> tuple[str, ...]:
    record = fleet.records[mac(number)]
    own = fleet.named(record.told.name) == (record,)
    return dial(record, name_is_its_own=own)[0]


@pytest.mark.parametrize(
    "text", ["02:00:5E:10:00:01", "02-00-5e-10-00-01", "02005e100001", " 0200.5e10.0001 "]
)
def test_a_mac_is_the_same_however_it_is_written(text: str) -> None:
    assert mac_of(text) == mac(1)
    assert written(mac(1)) == "02:00:5E:10:00:01"


@pytest.mark.parametrize(
    "text", [None, "", "10:00:01", "00:00:00:00:00:00", "ffffffffffff", "02005e10000g"]
)
def test_what_is_no_mac_is_nobody(text: str | None) -> None:
    assert mac_of(text) is None


def test_projects_tell_factory_production_and_foreign() -> None:
    assert OUR_PROJECTS.kind("PVAutonomy.Edge101Factory") is Kind.FACTORY
    assert OUR_PROJECTS.kind("pv-edge.alphaess-bridge") is Kind.PRODUCTION
    assert OUR_PROJECTS.kind("acme.garage") is Kind.FOREIGN
    assert OUR_PROJECTS.kind("") is Kind.FOREIGN
    assert OUR_PROJECTS.kind(None) is Kind.UNKNOWN


def test_a_person_may_call_a_project_his_own() -> None:
    mine = projects_of({"acme.garage": "production", "PVAutonomy.Edge101": "foreign"})
    assert mine.kind("acme.garage") is Kind.PRODUCTION
    assert mine.kind("PVAutonomy.Edge101") is Kind.FOREIGN
    assert mine.kind("pv-edge.alphaess-bridge") is Kind.PRODUCTION


@pytest.mark.parametrize("choices", [{"garage": "foreign"}, {"acme.garage": "unknown"}])
def test_a_project_that_cannot_be_is_refused_by_name(choices: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="garage"):
        projects_of(choices)


def test_an_announcement_is_read_whole() -> None:
    found = announced(
        Source.ZEROCONF,
        5.0,
        instance="bridge-1._esphomelib._tcp.local.",
        addresses=["fe80::1", "192.168.1.20", "not an address", "0.0.0.0"],  # noqa: S104 - a case
        port=6053,
        txt=TXT,
    )
    assert found is not None
    assert (found.mac, found.name, found.friendly_name) == (mac(1), "bridge-1", "Bridge 1")
    assert found.addresses == ("192.168.1.20", "fe80::1")
    assert (found.project_name, found.project_version) == ("PVAutonomy.Edge101", "1.0.4")
    assert (found.encryption, found.ota_signed) == (Encryption.KEY, True)
    assert (found.platform, found.board, found.config_hash) == ("ESP32", "esp32dev", "1a2b3c4d")


def test_another_service_is_no_device() -> None:
    txt = {"mac": "02005e100001"}
    assert (
        announced(
            Source.ZEROCONF, 0, instance="x._http._tcp.local.", addresses=[], port=80, txt=txt
        )
        is None
    )


@pytest.mark.parametrize(
    ("txt", "encryption"),
    [
        ({"version": "2026.10.0"}, Encryption.NONE),
        ({"version": "2026.10.0", "api_encryption_supported": "x"}, Encryption.UNPROVISIONED),
        ({}, None),
    ],
)
def test_an_incomplete_announcement_leaves_open_what_it_does_not_say(
    txt: dict[str, str | None], encryption: Encryption | None
) -> None:
    name = "b._esphomelib._tcp.local."
    found = announced(Source.ZEROCONF, 0, instance=name, addresses=[], port=None, txt=txt)
    assert found is not None
    assert found.encryption is encryption
    assert (found.project_name is None) == (encryption is None)


def test_a_name_cannot_bring_anything_into_a_log() -> None:
    assert label("evil\n2026 ERROR \x1b[31m" + "x" * 500) == ("evil2026 ERROR [31m" + "x" * 101)


def test_four_sources_of_one_device_are_one_record() -> None:
    fleet = fleet_of(
        word(1, Source.CORE_REGISTRY, friendly_name="Old name", at_s=9.0),
        word(1, Source.MANUAL, addresses=("10.0.0.9",), at_s=9.0),
        word(1, Source.CORE_ZEROCONF, name="bridge-1", addresses=("10.0.0.1",), at_s=1.0),
        word(1, Source.ZEROCONF, name="bridge-1", addresses=("10.0.0.2",), at_s=2.0),
    )
    (record,) = fleet.records.values()
    assert set(record.sightings) == set(Source) - {Source.CONNECTION, Source.MEMORY}
    assert record.told.name == "bridge-1"
    assert record.told.friendly_name == "Old name"  # nobody else says one
    assert record.told.addresses == ("10.0.0.2",)  # the newest of those who speak of now
    assert hosts(fleet, 1) == ("10.0.0.2", "10.0.0.1", "10.0.0.9", "bridge-1.local")


def test_a_port_that_a_person_wrote_down_stands_beside_whom_core_remembers() -> None:
    manual = word(1, Source.MANUAL, addresses=("10.0.0.9",), api_port=6054)
    remembered = word(1, Source.CORE_REGISTRY, addresses=("bridge-1.local",), at_s=9.0)
    fleet = fleet_of(manual, remembered)
    record = fleet.records[mac(1)]
    assert dial(record, name_is_its_own=True) == (("bridge-1.local", "10.0.0.9"), 6054)
    assert record.told.api_port == 6054


def test_a_device_that_is_connected_knows_itself_best_and_not_longer_than_that() -> None:
    fleet = fleet_of(
        word(1, Source.CONNECTION, name="bridge-1", at_s=1.0),
        word(1, Source.CORE_ZEROCONF, name="stale", at_s=5.0),
    )
    fleet = contacted(fleet, mac(1), Contact(ContactState.ONLINE, 1.0))
    assert fleet.records[mac(1)].told.name == "bridge-1"
    fleet = contacted(fleet, mac(1), Contact(ContactState.RESTARTING, 6.0))
    assert fleet.records[mac(1)].told.name == "stale"


def test_names_that_begin_alike_are_never_mistaken() -> None:
    fleet = fleet_of(
        word(1, name="bridge-1"), word(10, name="bridge-10"), word(2, name="Bridge-1x")
    )
    assert [it.mac for it in fleet.named("bridge-1")] == [mac(1)]
    assert [it.mac for it in fleet.named("BRIDGE-10")] == [mac(10)]
    assert fleet.named("bridge") == ()
    assert codes(fleet, 1) == codes(fleet, 10) == set()
    fleet = withdrawn(fleet, Source.ZEROCONF, "bridge-1")
    assert not fleet.records[mac(1)].live
    assert fleet.records[mac(10)].live


def test_two_devices_of_one_name_are_told_apart_and_reached_by_address_only() -> None:
    fleet = fleet_of(
        word(1, name="bridge", addresses=("10.0.0.1",)),
        word(2, name="BRIDGE", addresses=("10.0.0.2",)),
    )
    for number, address in ((1, "10.0.0.1"), (2, "10.0.0.2")):
        assert codes(fleet, number) == {FindingCode.DUPLICATE_NAME}
        assert hosts(fleet, number) == (address,)


def test_a_replaced_board_shows_on_the_old_one_only() -> None:
    fleet = fleet_of(word(1, Source.CORE_REGISTRY, name="bridge"), word(2, name="bridge"))
    assert codes(fleet, 1) == {FindingCode.NAME_TAKEN}
    assert codes(fleet, 2) == set()


def test_a_mac_behind_a_new_name_is_the_same_device_and_says_so_for_a_day() -> None:
    fleet = fleet_of(word(1, name="bridge-factory"), word(1, name="bridge-1", at_s=2.0))
    (record,) = fleet.records.values()
    assert record.renamed is not None
    assert (record.renamed.before, record.renamed.after) == ("bridge-factory", "bridge-1")
    assert codes(fleet, 1, now_s=2.0 + CHANGE_SHOWN_S) == {FindingCode.RENAMED}
    assert codes(fleet, 1, now_s=2.1 + CHANGE_SHOWN_S) == set()


def test_a_changed_address_is_shown_and_one_more_address_is_none() -> None:
    one = word(1, name="bridge-1", addresses=("10.0.0.1",))
    more = word(1, name="bridge-1", addresses=("10.0.0.1", "fe80::1"), at_s=2.0)
    fleet = fleet_of(one, more)
    assert codes(fleet, 1) == set()
    fleet = seen(fleet, word(1, name="bridge-1", addresses=("10.0.0.7",), at_s=3.0))
    assert codes(fleet, 1) == {FindingCode.MOVED}


def test_a_memory_that_was_wrong_is_no_change() -> None:
    fleet = fleet_of(
        word(1, Source.CORE_REGISTRY, name="as-adopted"),
        word(1, Source.MANUAL, addresses=("10.0.0.9",)),
        word(1, Source.ZEROCONF, name="bridge-1", addresses=("10.0.0.1",)),
    )
    assert codes(fleet, 1) == set()


def test_a_lost_source_vouches_for_nobody_and_takes_nobody_away() -> None:
    fleet = fleet_of(word(1, Source.CORE_ZEROCONF, name="bridge-1"), word(2, name="bridge-2"))
    fleet = silent(fleet, Source.CORE_ZEROCONF)
    assert not fleet.records[mac(1)].live
    assert fleet.records[mac(2)].live
    assert fleet.records[mac(1)].told.name == "bridge-1"


def test_an_address_without_a_mac_is_a_stranger_until_it_has_said_who_it_is() -> None:
    fleet = fleet_of(word(None, Source.MANUAL, addresses=("10.0.0.1",)))
    assert set(fleet.strangers) == {("10.0.0.1", 6053)}
    fleet = seen(fleet, word(1, Source.CONNECTION, addresses=("10.0.0.1",)))
    assert not fleet.strangers
    fleet = seen(fleet, word(None, Source.MANUAL, addresses=("10.0.0.1",)))
    assert not fleet.strangers


def test_a_stranger_on_another_port_is_another_device() -> None:
    fleet = fleet_of(word(1, addresses=("10.0.0.1",)))
    fleet = seen(fleet, word(None, Source.MANUAL, addresses=("10.0.0.1",), api_port=6054))
    assert set(fleet.strangers) == {("10.0.0.1", 6054)}


def test_a_forgotten_device_comes_back_with_its_next_word() -> None:
    fleet = forgotten(fleet_of(word(1)), mac(1))
    assert not fleet.records
    assert mac(1) in seen(fleet, word(1)).records


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"encryption": Encryption.NONE}, FindingCode.PLAINTEXT),
        ({"encryption": Encryption.UNPROVISIONED}, FindingCode.KEYLESS),
        ({"project_name": "acme.garage"}, FindingCode.FOREIGN),
        ({"project_name": ""}, FindingCode.FOREIGN),
    ],
)
def test_what_a_firmware_is_stands_there_in_words(
    said: dict[str, object], expected: FindingCode
) -> None:
    assert codes(fleet_of(word(1, **said)), 1) == {expected}


STATES_WITH_WORDS = set(ContactState) - {
    ContactState.CONNECTING,
    ContactState.ONLINE,
    ContactState.RESTARTING,
    ContactState.CRASHED,
}


@pytest.mark.parametrize("state", sorted(STATES_WITH_WORDS))
def test_what_stands_in_the_way_of_a_connection_is_a_finding(state: ContactState) -> None:
    fleet = contacted(fleet_of(word(1, name="bridge-1")), mac(1), Contact(state, 1.0))
    found = findings(fleet, OUR_PROJECTS, 1.0)[mac(1)]
    assert [str(it.code) for it in found] == [str(state)]
    assert found[0].text.endswith(".")


def test_a_name_that_is_no_host_name_is_never_dialled() -> None:
    fleet = fleet_of(word(1, name="bridge one; rm"))
    assert hosts(fleet, 1) == ()


words = st.builds(
    word,
    st.integers(1, 4),
    st.sampled_from(Source),
    name=st.sampled_from(["bridge-1", "bridge-10", "bridge", None]),
    addresses=st.sampled_from([(), ("10.0.0.1",), ("10.0.0.2", "fe80::2")]),
    project_name=st.sampled_from([None, "", "acme.garage"]),
    at_s=st.floats(0, 100),
)


@given(st.lists(words, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_the_words_makes_no_device_and_takes_none(said: list, order: object) -> None:
    shuffled = list(said)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = fleet_of(*said), fleet_of(*shuffled)
    assert set(one.records) == set(other.records) == {it.mac for it in said}
    for fleet in (one, other):
        for at, record in fleet.records.items():
            assert record.told.mac == at == record.mac
            assert {it.mac for it in record.sightings.values()} == {at}
