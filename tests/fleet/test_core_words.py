"""What Home Assistant says about devices is read as it is, and nothing more is read into it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.core_words import adopted, announcements, withdrawals
from agent.fleet.sighting import Encryption
from tests.fleet.devices import mac

ENTRIES = [{"entry_id": "e1", "domain": "esphome"}, {"entry_id": "h1", "domain": "hue"}]


def device(**said: Any) -> dict[str, Any]:
    return {
        "connections": [["mac", "02:00:5e:10:00:01"]],
        "config_entries": ["e1"],
        "name": "PV Bridge 1",
        "manufacturer": "Espressif",
        "model": "esp32dev",
        "sw_version": "2026.10.0 (2026-11-22 06:15:00 +0000)",
        "hw_version": None,
        "configuration_url": None,
        **said,
    }


def test_an_announcement_of_core_is_that_of_the_device() -> None:
    service = {
        "name": "bridge-1._esphomelib._tcp.local.",
        "type": "_esphomelib._tcp.local.",
        "port": 6053,
        "properties": {
            "mac": "02005e100001",
            "version": "2026.10.0",
            "api_encryption": "Noise_NNpsk0_25519_ChaChaPoly_SHA256",
        },
        "ip_addresses": ["192.168.1.20"],
    }
    (word,) = announcements({"add": [service]}, 7.0)
    assert (word.mac, word.name, word.addresses) == (mac(1), "bridge-1", ("192.168.1.20",))
    assert (word.encryption, word.at_s) == (Encryption.KEY, 7.0)


def test_other_services_that_core_hears_are_no_devices() -> None:
    service = {"name": "printer._ipp._tcp.local.", "properties": {}, "ip_addresses": []}
    assert announcements({"add": [service]}, 0) == []
    removed = {"remove": [{"name": "printer._ipp._tcp.local."}]}
    assert withdrawals(removed) == []
    assert withdrawals({"remove": [{"name": "bridge-1._esphomelib._tcp.local."}]}) == ["bridge-1"]


def test_the_registry_remembers_only_what_esphome_adopted() -> None:
    hue = device(config_entries=["h1"])
    part = device(connections=[])
    assert adopted([hue, part, device()], ENTRIES, 0)[0].mac == mac(1)
    assert len(adopted([hue, part, device()], ENTRIES, 0)) == 1


def test_a_core_of_2026_8_and_later_names_the_one_entry_of_a_device() -> None:
    newer = device(config_entries=None, config_entry_id="e1")
    assert len(adopted([newer], ENTRIES, 0)) == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {
                "manufacturer": "PVAutonomy",
                "model": "Edge101",
                "sw_version": "1.0.4 (ESPHome 2026.10.0)",
            },
            ("PVAutonomy.Edge101", "1.0.4", "2026.10.0"),
        ),
        (
            {"manufacturer": "PVAutonomy", "model": "Edge101", "hw_version": "1.0.4"},
            ("PVAutonomy.Edge101", "1.0.4", "2026.10.0"),
        ),
        ({}, ("", None, "2026.10.0")),
        ({"sw_version": None}, (None, None, None)),
    ],
)
def test_each_core_writes_the_project_in_its_own_way(
    said: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    (word,) = adopted([device(**said)], ENTRIES, 0)
    assert (word.project_name, word.project_version, word.esphome_version) == expected


def test_an_address_that_core_links_to_comes_before_one_made_from_the_name() -> None:
    (word,) = adopted([device(configuration_url="http://192.168.1.20:80")], ENTRIES, 0)
    assert word.addresses == ("192.168.1.20", "pv-bridge-1.local")
    (word,) = adopted([device(configuration_url="homeassistant://app/x")], ENTRIES, 0)
    assert word.addresses == ("pv-bridge-1.local",)
    assert word.name is None  # the registry does not know it


KEYS = [
    *("add", "remove", "name", "properties", "ip_addresses", "port", "mac"),
    *("connections", "config_entries", "config_entry_id", "configuration_url", "sw_version"),
]
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(json, json)
def test_nothing_that_core_may_send_breaks_the_reading(one: Any, other: Any) -> None:
    for event in (one, other):
        if isinstance(event, dict):
            announcements(event, 0)
            withdrawals(event)
    adopted([one], [other], 0)
    adopted(one if isinstance(one, list) else [], other if isinstance(other, list) else [], 0)
