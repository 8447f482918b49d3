"""Where releases are looked for is written down, and a mistake is named before it is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.fleet.identity import Mac
from agent.setting_releases import ReleaseSettings, bridge_channels, hosts, mirrors
from agent.settings import SettingsStore
from tests.settings_help import refusal

ONE, TWO = Mac("02005e100001"), Mac("02005e100002")


async def test_a_bridge_may_have_another_channel_than_the_rest(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    assert store.current.releases.channel_of(ONE) == "stable"
    changes = {"releases.channel": "beta", "releases.channels": "02005e100001=Stable"}
    now = (await store.update(changes, "test")).releases
    assert now.channels == "02:00:5E:10:00:01 = stable"
    assert (now.channel_of(ONE), now.channel_of(TWO)) == ("stable", "beta")
    assert SettingsStore(tmp_path).current.releases == now


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("releases.channel", "nightly", "is not one of stable, beta"),
        ("releases.channels", "02005e100001 = dev", "MACs, each with = stable, = beta or"),
        ("releases.channels", "bridge-1 = beta", "MACs, each with = stable, = beta or"),
        ("releases.channels", "02005e100001=beta, 02:00:5e:10:00:01=beta", "MACs, each with"),
        ("releases.mirrors", "http://mirror.example", "https addresses without user or password"),
        ("releases.mirrors", "https://me:secret@mirror.example", "https addresses without"),
        ("releases.mirrors", "https://mirror.example/?a=b", "https addresses without"),
        ("releases.mirrors", "https://mirror.example, https://mirror.example/", "https addresses"),
        ("releases.hosts", "https://objects.example", "host names with commas"),
    ],
)
async def test_what_cannot_be_is_refused_in_words_and_no_password_is_repeated(
    tmp_path: Path, key: str, value: str, words: str
) -> None:
    error = await refusal(SettingsStore(tmp_path), **{key: value})
    assert error.key == key
    assert words in str(error)
    assert "secret" not in str(error)


def test_lines_are_read_as_they_are_written_down() -> None:
    assert bridge_channels("") == {}
    assert mirrors(" https://one.example/a/ ,https://two.example:8443") == (
        "https://one.example/a",
        "https://two.example:8443",
    )
    assert hosts("Objects.Example.com, cdn.example:8443") == (
        "objects.example.com",
        "cdn.example:8443",
    )
    assert ReleaseSettings().mirrors == ""
