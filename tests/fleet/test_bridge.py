"""A connection to real ESPHome firmware says what happened to it, and comes back by itself."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from agent.fleet.bridge import Bridge, Timing
from agent.fleet.contact import ContactState
from agent.fleet.events import BridgeEvent, EventKind
from agent.fleet.identity import Mac
from agent.fleet.introduction import Target
from agent.fleet.panel import NotOnlineError, Outcome, Value
from agent.fleet.sighting import Encryption, Sighting
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import PROJECT_VERSION, VERSION
from tests.peers.fixtures import MakeDevice
from tests.peers.process import free_port

OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="
QUICK = Timing(
    keepalive_s=0.2,
    knock_s=0.5,
    look_every_s=0.3,
    look_again_s=0.2,
    hung_retry_s=2.0,
    refused_retry_s=0.5,
)


def target_of(device: Device, **changes: object) -> Target:
    target = Target(
        hosts=(device.host,),
        api_port=device.api_port,
        upload_port=device.ota_port,
        mac=Mac(device.mac),
        title=device.name,
        key=device.key,
    )
    return replace(target, **changes)  # type: ignore[arg-type]


class Watched:
    """A bridge that runs, and everything it has said."""

    def __init__(self, target: Target, timing: Timing) -> None:
        self.events: list[BridgeEvent] = []
        self.words: list[Sighting] = []
        self.values: list[Value] = []
        self.contacts: list[ContactState] = []
        self._came = asyncio.Event()
        self.bridge = Bridge(
            target,
            on_event=self._keep(self.events),
            on_contact=lambda contact: self.contacts.append(contact.state),
            on_word=self._keep(self.words),
            on_value=self._keep(self.values),
            timing=timing,
        )

    @property
    def kinds(self) -> list[str]:
        return [str(it.kind) for it in self.events]

    async def until(self, holds: Callable[[], bool], timeout_s: float = 15) -> float:
        """Wait until a condition holds, looking whenever something was said; return seconds."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{self.kinds}, {self.bridge.contact}") from None
        return time.monotonic() - began_s

    async def until_kinds(self, *kinds: EventKind, timeout_s: float = 15) -> float:
        """Wait until these events, and no others, have come in this order."""
        return await self.until(lambda: self.kinds == [str(it) for it in kinds], timeout_s)

    def _keep(self, into: list) -> Callable:
        def keep(it: object) -> None:
            into.append(it)
            self._came.set()

        return keep


@asynccontextmanager
async def watched(target: Target, timing: Timing = QUICK) -> AsyncIterator[Watched]:
    it = Watched(target, timing)
    running = asyncio.create_task(it.bridge.run())
    try:
        yield it
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.mark.parametrize(
    ("configuration", "project", "encryption"),
    [
        ("plain", "PVAutonomy.Edge101Factory", Encryption.NONE),
        ("noise", "acme.garage", Encryption.KEY),
        ("strict", "pv-edge.alphaess-bridge", Encryption.KEY),
    ],
)
async def test_a_device_that_is_connected_introduces_itself(
    make_device: MakeDevice, configuration: str, project: str, encryption: Encryption
) -> None:
    with make_device(configuration, name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            await it.until_kinds(EventKind.ONLINE)
        (word,) = it.words
        assert (word.mac, word.name, word.friendly_name) == (device.mac, "bridge-1", "Bridge 1")
        assert (word.project_name, word.project_version) == (project, PROJECT_VERSION)
        assert (word.esphome_version, word.encryption) == (VERSION, encryption)
        assert word.addresses == (device.host,)
        assert word.built


async def test_values_arrive_as_the_device_pushes_them(make_device: MakeDevice) -> None:
    with make_device("noise", name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            beats: list[float] = []

            def four() -> bool:
                shown = [each.value for each in it.values if each.entity == "sensor.beat"]
                beats[:] = [each for each in shown if each is not None]  # none before the first
                return len(beats) >= 4

            await it.until(four)
            assert beats[1:] == [beats[0] + 1, beats[0] + 2, beats[0] + 3]
            assert it.bridge.panel.values["number.level"].value == 20
            assert it.bridge.panel.values["number.level"].unit == "%"
            assert it.bridge.panel.values["text_sensor.esphome_version"].value.startswith(VERSION)
            assert {"switch.relay", "button.restart"} <= it.bridge.panel.entities
        assert not it.bridge.panel.values


async def test_a_command_is_confirmed_by_the_state_it_wanted(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            await it.until_kinds(EventKind.ONLINE)
            assert await it.bridge.panel.set_number("number.level", 42) is Outcome.CONFIRMED
            assert await it.bridge.panel.set_switch("switch.relay", on=True) is Outcome.CONFIRMED
            assert it.bridge.panel.values["number.level"].value == 42
            # Out of range: the device refuses without a word.
            outcome = await it.bridge.panel.set_number("number.level", 400, within_s=0.5)
            assert outcome is Outcome.UNCONFIRMED
            with pytest.raises(KeyError, match=r"number\.height"):
                await it.bridge.panel.set_number("number.height", 1)


async def test_a_command_to_an_absent_device_is_not_sent(make_device: MakeDevice) -> None:
    device = make_device("plain", name="bridge-1")
    async with watched(target_of(device)) as it:
        await it.until_kinds(EventKind.LOST)
        with pytest.raises(NotOnlineError, match="is not connected"):
            it.bridge.panel.press("button.restart")


@pytest.mark.parametrize("configuration", ["plain", "noise"])
async def test_crash_hang_and_restart_are_three_different_things(
    make_device: MakeDevice, configuration: str
) -> None:
    with make_device(configuration, name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            story = [EventKind.ONLINE]
            await it.until_kinds(*story)
            device.crash()
            await it.until_kinds(*story, EventKind.CRASHED, EventKind.ONLINE)
            story += [EventKind.CRASHED, EventKind.ONLINE]
            device.hang()
            await it.until_kinds(*story, EventKind.HUNG)
            assert not it.bridge.panel.values
            device.wake()
            await it.until_kinds(*story, EventKind.HUNG, EventKind.ONLINE)
            story += [EventKind.HUNG, EventKind.ONLINE]
            it.bridge.panel.press("button.restart")
            await it.until_kinds(*story, EventKind.GOODBYE, EventKind.ONLINE)
        assert device.endings == [-9, 0]
        assert it.events[-1].figures["away_s"] > 0


async def test_a_hang_is_noticed_within_fifteen_seconds_as_the_agent_will_run(
    make_device: MakeDevice, record_property: Callable[[str, object], None]
) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device), Timing()) as it:
            await it.until_kinds(EventKind.ONLINE)
            device.hang()
            took_s = await it.until_kinds(EventKind.ONLINE, EventKind.HUNG, timeout_s=15)
            record_property("a bridge that hangs is noticed after", took_s)
            assert took_s > 5  # a device that is merely busy is not called hung


async def test_a_device_that_hangs_from_the_start_is_called_so(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        device.hang()
        async with watched(target_of(device)) as it:
            await it.until_kinds(EventKind.HUNG, timeout_s=25)
            device.crash()
            await it.until(lambda: it.bridge.contact.online)


async def test_power_that_goes_and_comes_back_is_a_loss_and_a_return(
    make_device: MakeDevice,
) -> None:
    device = make_device("plain", name="bridge-1")
    async with watched(target_of(device)) as it:
        await it.until_kinds(EventKind.LOST)
        device.switch_on()
        await it.until_kinds(EventKind.LOST, EventKind.ONLINE)
        device.kill()


@pytest.mark.parametrize(
    ("configuration", "key", "expected"),
    [
        ("noise", OTHER_KEY, EventKind.WRONG_KEY),
        ("noise", "no key at all", EventKind.WRONG_KEY),
        ("noise", None, EventKind.KEY_MISSING),
        ("plain", OTHER_KEY, EventKind.NOT_ENCRYPTED),
    ],
)
async def test_a_key_that_does_not_fit_is_said_once_and_the_right_one_helps_at_once(
    make_device: MakeDevice, configuration: str, key: str | None, expected: EventKind
) -> None:
    with make_device(configuration, name="bridge-1") as device:
        async with watched(target_of(device, key=key)) as it:
            await it.until_kinds(expected)
            it.bridge.redirect(target_of(device))
            await it.until_kinds(expected, EventKind.ONLINE)


async def test_a_device_says_who_it_is_even_to_a_wrong_key(make_device: MakeDevice) -> None:
    with make_device("noise", name="bridge-10") as device:
        async with watched(target_of(device, key=OTHER_KEY, mac=None)) as it:
            await it.until_kinds(EventKind.WRONG_KEY)
        assert (it.words[0].mac, it.words[0].name) == (device.mac, "bridge-10")


@pytest.mark.parametrize("configuration", ["plain", "noise"])
async def test_another_device_at_the_address_gets_nothing(
    make_device: MakeDevice, configuration: str
) -> None:
    with make_device(configuration, name="bridge-10") as other:
        async with watched(target_of(other, mac=Mac("02005e10abcd"))) as it:
            await it.until_kinds(EventKind.WRONG_DEVICE)
            assert other.mac.upper()[-2:] in it.events[0].text
            with pytest.raises(NotOnlineError):
                await it.bridge.panel.set_number("number.level", 1)
            assert not it.values
            assert not it.words
            it.bridge.redirect(target_of(other))
            await it.until_kinds(EventKind.WRONG_DEVICE, EventKind.ONLINE)


async def test_a_stranger_is_identified_by_the_connection(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device, mac=None, title="")) as it:
            await it.until_kinds(EventKind.ONLINE)
        assert it.words[0].mac == device.mac


async def test_safe_mode_is_recognised_and_its_end_too(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            await it.until_kinds(EventKind.ONLINE)
            it.bridge.panel.press("button.restart_in_safe_mode")
            await it.until_kinds(EventKind.ONLINE, EventKind.GOODBYE, EventKind.SAFE_MODE)
            device.reboot()  # out of safe mode: the next boot is an ordinary one
            await it.until(lambda: it.bridge.contact.online)
        assert EventKind.LOST not in it.kinds


async def test_a_changed_address_is_followed(make_device: MakeDevice) -> None:
    device = make_device("plain", name="bridge-1")
    old = target_of(device, upload_port=free_port())
    device.api_port = free_port()
    with device:
        async with watched(old) as it:
            await it.until_kinds(EventKind.LOST)
            it.bridge.redirect(target_of(device))
            await it.until_kinds(EventKind.LOST, EventKind.ONLINE)


async def test_a_name_is_followed_where_no_address_is_known(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device, hosts=("localhost",))) as it:
            await it.until_kinds(EventKind.ONLINE)
        async with watched(target_of(device, hosts=("nowhere.invalid",))) as it:
            await it.until_kinds(EventKind.LOST)
            assert "name leads nowhere" in it.events[0].text
            it.bridge.redirect(target_of(device))
            await it.until_kinds(EventKind.LOST, EventKind.ONLINE)


async def test_a_name_that_leads_nowhere_does_not_hold_up_a_known_address(
    make_device: MakeDevice,
) -> None:
    with make_device("plain", name="bridge-1") as device:
        hosts = (device.host, "bridge-1.local")
        async with watched(target_of(device, hosts=hosts), Timing()) as it:
            assert await it.until_kinds(EventKind.ONLINE) < 2


async def test_a_listener_that_fails_does_not_cost_the_connection(
    make_device: MakeDevice, caplog: pytest.LogCaptureFixture
) -> None:
    shown = asyncio.Event()

    def fails(told: object) -> None:
        if isinstance(told, Value):
            shown.set()
        raise RuntimeError("a bug of ours")

    with make_device("plain", name="bridge-1") as device:
        bridge = Bridge(
            target_of(device), on_event=fails, on_word=fails, on_value=fails, timing=QUICK
        )
        running = asyncio.create_task(bridge.run())
        await asyncio.wait_for(shown.wait(), 10)
        assert await bridge.panel.set_number("number.level", 3) is Outcome.CONFIRMED
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert "a listener to a bridge failed" in caplog.text


async def test_a_connection_that_stands_is_kept_when_only_addresses_change(
    make_device: MakeDevice,
) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with watched(target_of(device)) as it:
            await it.until_kinds(EventKind.ONLINE)
            it.bridge.redirect(target_of(device, hosts=("127.0.0.1", "127.0.0.2")))
            assert await it.bridge.panel.set_number("number.level", 7) is Outcome.CONFIRMED
            assert it.contacts == [ContactState.ONLINE]


async def test_the_key_is_in_no_text_of_a_target(make_device: MakeDevice) -> None:
    assert OTHER_KEY not in repr(Target(hosts=("10.0.0.1",), key=OTHER_KEY))


def orphans() -> list[asyncio.Transport]:
    """Return the transports whose sockets were closed under them."""
    open_ = [it for it in gc.get_objects() if isinstance(it, asyncio.Transport)]
    open_ = [it for it in open_ if not it.is_closing() and it.get_extra_info("socket")]
    return [it for it in open_ if it.get_extra_info("socket").fileno() < 0]


async def test_a_connection_given_up_in_any_moment_of_its_beginning_leaves_no_socket_behind(
    make_device: MakeDevice,
) -> None:
    """A socket closed under its transport makes asyncio refuse every later one of its number."""
    with make_device("noise", name="bridge-1") as device:
        for moment_ms in range(0, 100, 2):
            async with watched(target_of(device), Timing()):
                await asyncio.sleep(moment_ms / 4000)
            assert not orphans(), f"after {moment_ms / 4} ms"
