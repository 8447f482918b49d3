"""Where Core is, and how long to wait for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.homeassistant.address import CoreAddress
from agent.homeassistant.link import Backoff


@pytest.mark.parametrize(
    ("url", "websocket", "api"),
    [
        ("http://ha:8123", "ws://ha:8123/api/websocket", "http://ha:8123/api"),
        ("https://ha.example/", "wss://ha.example/api/websocket", "https://ha.example/api"),
        (
            "http://supervisor/core",
            "ws://supervisor/core/websocket",
            "http://supervisor/core/api",
        ),
    ],
)
def test_both_ways_into_core_follow_from_its_url(url: str, websocket: str, api: str) -> None:
    address = CoreAddress.of(url)
    assert (str(address.websocket), str(address.api)) == (websocket, api)


@pytest.mark.parametrize("url", ["", "ha:8123", "homeassistant.local", "ftp://ha", "http://"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match="for example http://homeassistant"):
        CoreAddress.of(url)


def test_a_password_in_the_url_is_not_kept() -> None:
    assert "secret" not in repr(CoreAddress.of("http://me:secret@ha:8123"))


@given(st.integers(1, 10_000))
def test_a_wait_is_never_shorter_than_the_first_nor_longer_than_the_longest(failures: int) -> None:
    assert 1 <= Backoff().wait_s(failures) <= 60
