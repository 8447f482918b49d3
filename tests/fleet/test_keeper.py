"""Whatever stands in the house is found, told apart and kept, by its MAC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from agent.fleet.contact import Contact, ContactState
from agent.fleet.events import EventKind
from agent.fleet.findings import FindingCode
from agent.fleet.identity import OUR_PROJECTS, Kind, Mac
from agent.fleet.keeper import Keeper, targets
from agent.fleet.panel import Outcome
from agent.fleet.record import Fleet, contacted
from agent.fleet.sighting import Source
from tests.fleet.devices import fleet_of, mac, word
from tests.fleet.houses import announced_device, by_hand, house, no_keys
from tests.peers.esphome import Device
from tests.peers.esphome_mdns import Announcer, service
from tests.peers.fixtures import MakeDevice

OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


def test_only_who_has_an_address_is_connected_to_and_each_with_its_own_key() -> None:
    fleet = fleet_of(
        word(1, name="bridge-1", addresses=("10.0.0.1",)),
        word(10, name="bridge-10", addresses=("10.0.0.10",), api_port=6054),
        word(2, Source.CORE_REGISTRY, friendly_name="No address"),
        word(None, Source.MANUAL, addresses=("10.0.0.3",)),
    )
    found = targets(fleet, {mac(1): "one", mac(10): "ten"}.get)
    assert set(found) == {mac(1), mac(10), ("10.0.0.3", 6053)}
    assert [found[mac(number)].key for number in (1, 10)] == ["one", "ten"]
    assert found[mac(1)].hosts == ("10.0.0.1", "bridge-1.local")
    assert (found[mac(10)].api_port, found[mac(10)].mac) == (6054, mac(10))
    assert found["10.0.0.3", 6053].mac is None


def test_a_device_that_goes_keeps_the_same_hosts() -> None:
    fleet = fleet_of(word(1, name="bridge-1", addresses=("10.0.0.1",)))
    fleet = contacted(fleet, mac(1), Contact(ContactState.ONLINE, 1.0))
    before = targets(fleet, lambda _mac: None)
    after = targets(contacted(fleet, mac(1), Contact(ContactState.CRASHED, 2.0)), lambda _mac: None)
    assert set(before[mac(1)].hosts) == set(after[mac(1)].hosts)


async def test_five_devices_of_five_kinds_are_told_apart_within_five_seconds(
    make_device: MakeDevice, record_property: Callable[[str, object], None]
) -> None:
    plain = announced_device(make_device, "plain", 1)
    noise = announced_device(make_device, "noise", 10)
    wrong = announced_device(make_device, "noise", 2)
    strict = announced_device(make_device, "strict", 3)
    safe = announced_device(make_device, "plain", 4)
    sixth = announced_device(make_device, "plain", 5)
    keys = {noise.mac: noise.key or "", wrong.mac: OTHER_KEY, strict.mac: strict.key or ""}
    five = (plain, noise, wrong, strict, safe)
    for device in five:
        device.start()
    await into_safe_mode(safe)
    projects = {
        plain: "PVAutonomy.Edge101Factory",
        noise: "acme.garage",
        wrong: "acme.garage",
        strict: "pv-edge.alphaess-bridge",
    }
    wanted = {
        plain: ContactState.ONLINE,
        noise: ContactState.ONLINE,
        wrong: ContactState.WRONG_KEY,
        strict: ContactState.ONLINE,
        safe: ContactState.SAFE_MODE,  # announces nothing: known from before
    }
    async with Announcer() as announcer:
        for device, project in projects.items():
            await announcer.announce(service(device, project))
        began_s = time.monotonic()
        async with house(keys.get, *five, sixth, hears=True) as it:
            it.keeper.word(by_hand(safe, mac=Mac(safe.mac)))
            await it.until(lambda: {each: it.state(each) for each in five} == wanted)
            took_s = time.monotonic() - began_s
            record_property("five bridges are told apart after", took_s)
            assert took_s < 5
            kinds = {
                device: OUR_PROJECTS.kind(
                    it.keeper.fleet.records[Mac(device.mac)].told.project_name
                )
                for device in five
            }
            assert kinds == {
                plain: Kind.FACTORY,
                noise: Kind.FOREIGN,
                wrong: Kind.FOREIGN,
                strict: Kind.PRODUCTION,
                safe: Kind.UNKNOWN,
            }
            assert it.findings(plain) == {FindingCode.PLAINTEXT}
            assert it.findings(noise) == {FindingCode.FOREIGN}
            assert it.findings(wrong) == {FindingCode.FOREIGN, FindingCode.WRONG_KEY}
            assert it.findings(strict) == set()
            assert it.findings(safe) == {FindingCode.SAFE_MODE}

            sixth.start()
            announcing = asyncio.create_task(announcer.announce(service(sixth)))
            took_s = await it.until(lambda: it.state(sixth) is ContactState.ONLINE)
            record_property("a sixth bridge is connected after", took_s)
            assert took_s < 3
            await announcing


async def test_a_command_for_one_never_reaches_ten(make_device: MakeDevice) -> None:
    one, ten = (announced_device(make_device, "plain", number) for number in (1, 10))
    async with Announcer() as announcer:
        for device in (ten, one):
            device.start()
            await announcer.announce(service(device))
        async with house(no_keys, one, ten, hears=True) as it:
            online = ContactState.ONLINE
            await it.until(lambda: it.state(one) is online and it.state(ten) is online)
            assert await it.bridge(one).panel.set_number("number.level", 11) is Outcome.CONFIRMED
            await it.until(lambda: it.value(ten, "number.level") == 20)
            it.bridge(one).panel.press("button.restart")
            await asyncio.to_thread(one.wait_boot, 2)
            await it.until(lambda: it.state(one) is online)
            assert (one.boots, ten.boots) == (2, 1)
            assert it.state(ten) is online
            (record,) = it.keeper.fleet.named(one.name)
            assert record.mac == one.mac


async def test_an_address_written_down_becomes_the_device_that_answers_there(
    make_device: MakeDevice,
) -> None:
    with make_device("noise", name="bridge-1") as device:
        async with house({device.mac: device.key}.get, device) as it:
            it.keeper.word(by_hand(device))
            assert it.keeper.fleet.strangers
            await it.until(lambda: it.state(device) is ContactState.ONLINE)
            assert not it.keeper.fleet.strangers
            record = it.keeper.fleet.records[Mac(device.mac)]
            assert {Source.MANUAL, Source.CONNECTION} <= set(record.sightings)


async def test_a_key_that_somebody_enters_helps_at_once(make_device: MakeDevice) -> None:
    keys: dict[str, str] = {}
    with make_device("noise", name="bridge-1") as device:
        async with house(keys.get, device) as it:
            it.keeper.word(by_hand(device))
            await it.until(lambda: it.state(device) is ContactState.KEY_MISSING)
            assert FindingCode.KEY_MISSING in it.findings(device)
            keys[device.mac] = device.key or ""
            it.keeper.refresh()
            await it.until(lambda: it.state(device) is ContactState.ONLINE)


async def test_a_factory_device_that_becomes_a_production_device_is_the_same_device(
    make_device: MakeDevice,
) -> None:
    keys: dict[str, str] = {}
    with make_device("plain", name="bridge-1") as device:
        at = Mac(device.mac)
        async with house(keys.get, device) as it:

            def kind() -> Kind:
                return OUR_PROJECTS.kind(it.keeper.fleet.records[at].told.project_name)

            it.keeper.word(by_hand(device))
            await it.until(lambda: it.state(device) is ContactState.ONLINE)
            assert kind() is Kind.FACTORY
            await asyncio.to_thread(device.upload, "strict")
            await it.until(lambda: it.state(device) is ContactState.KEY_MISSING)
            keys[at] = device.key or ""
            it.keeper.refresh()
            await it.until(lambda: it.state(device) is ContactState.ONLINE)
            assert kind() is Kind.PRODUCTION
            assert list(it.keeper.fleet.records) == [at]
    assert EventKind.GOODBYE in [it.kind for it in it.events]


async def test_a_forgotten_device_is_left_alone(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with house(no_keys, device) as it:
            it.keeper.word(by_hand(device, mac=Mac(device.mac)))
            await it.until(lambda: it.state(device) is ContactState.ONLINE)
            it.keeper.forget(Mac(device.mac))
            assert it.keeper.bridge(Mac(device.mac)) is None
            assert it.keeper.fleet == Fleet()
            await asyncio.to_thread(device.wait_log, "PV Edge Agent (127.0.0.1): disconnected")


async def into_safe_mode(device: Device) -> None:
    """Let a device restart in safe mode, as somebody might have left it."""
    online: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    keeper = Keeper(
        keys=lambda _mac: device.key,
        on_event=lambda _event: None if online.done() else online.set_result(None),
    )
    running = asyncio.create_task(keeper.run())
    keeper.word(by_hand(device, mac=Mac(device.mac)))
    await asyncio.wait_for(online, 10)
    bridge = keeper.bridge(Mac(device.mac))
    assert bridge is not None
    bridge.panel.press("button.restart_in_safe_mode")
    await asyncio.to_thread(device.wait_upload, 2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
