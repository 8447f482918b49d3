"""A stored key opens its own device; one that does not fit is told, and replaced at once."""

from __future__ import annotations

from pathlib import Path

from agent.fleet.contact import ContactState
from agent.fleet.events import EventKind
from agent.fleet.findings import FindingCode
from agent.fleet.identity import Mac
from agent.fleet.keys import (
    KeyFile,
    KeySource,
    SecretKind,
    checked,
    with_secret,
    without_secret,
)
from tests.fleet.houses import by_hand, house
from tests.peers.esphome import Device
from tests.peers.fixtures import MakeDevice

OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


def keep(file: KeyFile, device: Device, text: str) -> None:
    secret = checked(SecretKind.API_KEY, text)
    file.store(
        with_secret(file.ring, Mac(device.mac), SecretKind.API_KEY, secret, KeySource.ENTERED)
    )


async def test_a_wrong_key_of_the_store_is_told_and_the_right_one_opens_its_own_device_only(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("noise", name="bridge-1"), make_device("noise", name="bridge-10")
    file = KeyFile(tmp_path)
    keep(file, one, OTHER_KEY)
    with one, ten:
        async with house(file.api_key, one, ten) as it:
            it.keeper.word(by_hand(one, mac=Mac(one.mac)))
            it.keeper.word(by_hand(ten, mac=Mac(ten.mac)))
            await it.until(lambda: it.state(one) is ContactState.WRONG_KEY)
            await it.until(lambda: it.state(ten) is ContactState.KEY_MISSING)
            assert FindingCode.WRONG_KEY in it.findings(one)
            assert FindingCode.KEY_MISSING in it.findings(ten)
            keep(file, one, one.key or "")
            it.keeper.refresh()
            await it.until(lambda: it.state(one) is ContactState.ONLINE)
            assert it.state(ten) is ContactState.KEY_MISSING
    said = " ".join(each.text for each in it.events)
    assert OTHER_KEY not in said
    assert (one.key or "") not in said


async def test_a_keyless_device_is_not_let_in_while_there_is_a_key_for_it(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path)
    with make_device("plain", name="bridge-1") as device:
        keep(file, device, OTHER_KEY)
        async with house(file.api_key, device) as it:
            it.keeper.word(by_hand(device, mac=Mac(device.mac)))
            await it.until(lambda: it.state(device) is ContactState.NOT_ENCRYPTED)
            assert FindingCode.NOT_ENCRYPTED in it.findings(device)
            assert it.bridge(device).panel.values == {}
            file.store(without_secret(file.ring, Mac(device.mac)))
            it.keeper.refresh()
            await it.until(lambda: it.state(device) is ContactState.ONLINE)
    assert it.events[0].kind is EventKind.NOT_ENCRYPTED
