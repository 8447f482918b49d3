"""
Which firmware releases this house looks at: the channel of each bridge, and where to ask.

A mirror is only a place to fetch from. What comes from there has to be signed by the keys that
the app was built with, so a wrong address here costs freshness and nothing else.

Source: pvautonomy.md 1.5 (`artifact_channel`); signing.md 4.3 and 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel

from agent.fleet.identity import Mac, mac_of, written
from agent.setting_entities import FROZEN
from agent.setting_fields import Group

CHANNELS = ("stable", "beta")
OWN_CHANNEL = re.compile(r"x-[a-z0-9-]{1,37}")
"""A channel of a publisher whom a person has added."""
MOST_MIRRORS = 8
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*(:[0-9]{1,5})?")
_group = Group("Firmware releases")


def bridge_channels(text: str) -> Mapping[Mac, str]:
    """
    Return the channel of each bridge of `02:00:5E:10:00:01 = beta, 02005E100002 = stable`.

    Raises:
        ValueError: an entry is none of this, or a bridge is given twice.
    """
    found: dict[Mac, str] = {}
    for part in (it.strip() for it in text.split(",") if it.strip()):
        given, _, channel = (it.strip() for it in part.partition("="))
        mac = mac_of(given)
        name = channel.casefold()
        known = name in CHANNELS or OWN_CHANNEL.fullmatch(name)
        if mac is None or not known or mac in found:
            raise ValueError(f"{part!r} is no MAC with a channel, or is given twice")
        found[mac] = name
    return MappingProxyType(found)


def channels_text(channels: Mapping[Mac, str]) -> str:
    """Return the line that `bridge_channels` reads."""
    return ", ".join(f"{written(mac)} = {channels[mac]}" for mac in sorted(channels))


def mirrors(text: str) -> tuple[str, ...]:
    """
    Return the base addresses of `https://one.example/firmware, https://two.example`.

    Each is taken without its last slash.

    Raises:
        ValueError: one is no https address, bears a password, a query or a fragment, or is
            given twice; or there are too many.
    """
    found = tuple(_mirror(part.strip()) for part in text.split(",") if part.strip())
    if len(set(found)) < len(found) or len(found) > MOST_MIRRORS:
        raise ValueError("one of them is given twice, or there are too many")
    return found


def _mirror(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises for a port that is none
    surplus = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme != "https" or not parts.hostname or surplus or not text.isprintable():
        raise ValueError("not an https address of a mirror")
    return text.rstrip("/")


def hosts(text: str) -> tuple[str, ...]:
    """
    Return the hosts of `objects.example.com, cdn.example.com:8443`, in small letters.

    Raises:
        ValueError: one is no host name.
    """
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(_HOST.fullmatch(each) for each in found):
        raise ValueError("one of them is no host name")
    return found


def _channels(text: str) -> str:
    return channels_text(bridge_channels(text))


def _mirrors(text: str) -> str:
    return ", ".join(mirrors(text))


def _hosts(text: str) -> str:
    return ", ".join(hosts(text))


class ReleaseSettings(BaseModel):
    """Where releases come from, and which of them a bridge is offered."""

    model_config = FROZEN

    channel: Literal["stable", "beta"] = _group.choice(
        "stable",
        CHANNELS,
        "Which releases the bridges are offered; PVAutonomy Ops called it `artifact_channel`. "
        "`beta` is signed by other keys and is for houses that want to try what comes.",
    )
    channels: Annotated[str, AfterValidator(_channels)] = _group.other(
        "channels",
        "",
        "02:00:5E:10:00:01 = beta",
        "Bridges that are offered another channel than the rest: MAC and channel each; also that "
        "of a publisher whom you have added, such as `x-acme`.",
        max_length=4000,
    )
    mirrors: Annotated[str, AfterValidator(_mirrors)] = _group.other(
        "mirrors",
        "",
        "https://firmware.example.com/pv-edge",
        "Where signed releases are looked for, one after the other; empty asks nobody, and the "
        "releases of the app itself are what is known.",
        max_length=2000,
    )
    hosts: Annotated[str, AfterValidator(_hosts)] = _group.other(
        "hosts",
        "",
        "objects.example.com",
        "Further hosts that a mirror may send us on to; its own host is always allowed.",
        max_length=2000,
    )

    def channel_of(self, mac: Mac) -> str:
        """Return the channel of one bridge."""
        return bridge_channels(self.channels).get(mac, self.channel)
