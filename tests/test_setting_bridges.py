"""A person writes down where bridges are, and a mistake is named before anything is stored."""

from __future__ import annotations

import pytest

from agent.setting_texts import ListedBridge, bridge_list, networks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("192.168.1.20", (ListedBridge("192.168.1.20"),)),
        ("Bridge-2.local:6054", (ListedBridge("bridge-2.local", 6054),)),
        ("10.0.0.1:6053/8266", (ListedBridge("10.0.0.1", 6053, 8266),)),
        ("10.0.0.1/8266", (ListedBridge("10.0.0.1", 6053, 8266),)),
        ("10.0.0.1 = 02:00:5E:10:00:01", (ListedBridge("10.0.0.1", mac="02005e100001"),)),
        ("fd00::1", (ListedBridge("fd00::1"),)),
        (
            " 10.0.0.1 , 10.0.0.1:6054 = 02005e100001,",
            (ListedBridge("10.0.0.1"), ListedBridge("10.0.0.1", 6054, mac="02005e100001")),
        ),
    ],
)
def test_bridges_are_read_as_they_are_written_down(
    text: str, expected: tuple[ListedBridge, ...]
) -> None:
    assert bridge_list(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://10.0.0.1",
        "10.0.0.1 10.0.0.2",
        "10.0.0.1:0",
        "10.0.0.1:66000",
        "10.0.0.1 =",
        "10.0.0.1 = 02:00:5E:10:00",
        "10.0.0.1, 10.0.0.1",
        "10.0.0.1 = 02005e100001, 10.0.0.2 = 02:00:5e:10:00:01",
        "<img src=x>",
        ":6053",
        "fd00::zz",
    ],
)
def test_what_is_no_place_of_a_bridge_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bridge_list(text)


def test_networks_are_all_or_addresses_of_ours() -> None:
    assert networks("") == ()
    assert networks("all") == ("all",)
    assert networks("127.0.0.1, 192.168.1.5") == ("127.0.0.1", "192.168.1.5")
    for text in ("all, 127.0.0.1", "eth0", "fd00::1"):
        with pytest.raises(ValueError, match=r"."):
            networks(text)
