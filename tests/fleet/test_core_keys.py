"""Home Assistant hands out the keys of the bridges that a person agreed to, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.fleet.contact import ContactState
from agent.fleet.core_keys import (
    ASK,
    NO_KEY,
    NOT_ADOPTED,
    NOT_ALLOWED,
    TOO_OLD,
    Agreement,
    ask_core,
)
from agent.fleet.identity import Mac, written
from agent.fleet.keys import KeyFile, KeySource, SecretKind, with_secret
from agent.homeassistant.errors import NotConnectedError
from agent.homeassistant.link import LinkState
from agent.homeassistant.websocket import CoreConnection
from tests.fleet.devices import mac
from tests.fleet.houses import by_hand, house
from tests.homeassistant.linked import linked, until_link
from tests.peers.fixtures import MakeCore, MakeDevice
from tests.peers.ha_storage import Adopted, remember_esphome
from tests.peers.install import NEWEST, OLDEST

PROJECT = "acme.garage", "1.0.0"
STRANGER = mac(99)


class Overheard(CoreConnection):
    """A link that remembers for which entries a key was asked."""

    def __init__(self, link: CoreConnection) -> None:
        self._link_used = link
        self.asked: list[str] = []

    async def command(self, kind: str, timeout_s: float = 10.0, **fields: Any) -> Any:
        if kind == ASK:
            self.asked.append(fields["entry_id"])
        return await self._link_used.command(kind, timeout_s, **fields)


async def test_a_key_that_the_newest_core_hands_out_opens_the_real_device(
    make_core: MakeCore, make_device: MakeDevice, tmp_path: Path
) -> None:
    ours = make_device("noise", name="bridge-1")
    keyless = make_device("plain", name="bridge-10")
    others = make_device("noise", name="bridge-2")
    core = make_core(NEWEST)
    adopted = {
        device.name.replace("-", "_"): Adopted(
            written(Mac(device.mac)).lower(), *PROJECT, port=device.api_port, key=device.key
        )
        for device in (ours, keyless, others)
    }
    remember_esphome(core.directory, newer=True, **adopted)
    keys = KeyFile(tmp_path)
    agreement = Agreement("Owner", frozenset({Mac(ours.mac), Mac(keyless.mac), STRANGER}))
    with ours, keyless, others:
        async with core:
            async with linked(core.url, lambda: core.token) as link:
                await until_link(link, LinkState.UP)
                overheard = Overheard(link)
                assert overheard.asked == []
                given = await ask_core(overheard, agreement)
                assert len(overheard.asked) == 2  # nobody agreed to the third
            assert {at: it.reveal() for at, it in given.keys.items()} == {ours.mac: ours.key}
            assert given.missing == {keyless.mac: NO_KEY, STRANGER: NOT_ADOPTED}
            async with linked(core.url, lambda: core.resident.token) as link:
                await until_link(link, LinkState.UP)
                refused = await ask_core(link, agreement)
            assert refused.keys == {}
            told = {ours.mac: NOT_ALLOWED, keyless.mac: NOT_ALLOWED, STRANGER: NOT_ADOPTED}
            assert refused.missing == told
        ring = keys.ring
        for at, secret in given.keys.items():
            ring = with_secret(ring, at, SecretKind.API_KEY, secret, KeySource.HOME_ASSISTANT)
        keys.store(ring)
        async with house(KeyFile(tmp_path).api_key, ours, others) as it:
            it.keeper.word(by_hand(ours))
            it.keeper.word(by_hand(others))
            await it.until(lambda: it.state(ours) is ContactState.ONLINE)
            await it.until(lambda: it.state(others) is ContactState.KEY_MISSING)


async def test_a_core_that_hands_no_keys_out_says_so_per_bridge(make_core: MakeCore) -> None:
    core = make_core(OLDEST)
    remember_esphome(
        core.directory, newer=False, bridge_1=Adopted(written(mac(1)).lower(), *PROJECT)
    )
    async with core, linked(core.url, lambda: core.token) as link:
        await until_link(link, LinkState.UP)
        given = await ask_core(link, Agreement("Owner", frozenset({mac(1), STRANGER})))
    assert given.keys == {}
    assert given.missing == {mac(1): TOO_OLD, STRANGER: NOT_ADOPTED}


async def test_without_a_link_there_is_an_error_and_no_answer() -> None:
    down = CoreConnection("http://127.0.0.1:1", lambda: "token")
    with pytest.raises(NotConnectedError):
        await ask_core(down, Agreement("Owner", frozenset({mac(1)})))
