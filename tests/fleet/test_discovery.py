"""Devices are found as they announce themselves and as Home Assistant remembers them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

from agent.fleet.discovery import CoreDiscovery
from agent.fleet.identity import Mac, mac_of
from agent.fleet.own_zeroconf import OwnZeroconf
from agent.fleet.record import BridgeRecord, Fleet, seen, silent, withdrawn
from agent.fleet.sighting import Encryption, Sighting, Source
from agent.homeassistant.link import LinkState
from tests.homeassistant.linked import linked, until_link
from tests.peers.esphome_mdns import Announcer, PaperDevice, service
from tests.peers.fixtures import MakeCore
from tests.peers.ha_storage import Adopted, remember_esphome
from tests.peers.install import NEWEST, OLDEST
from tests.peers.process import LOOPBACK


class Kept:
    """The fleet as somebody keeps it who listens to discovery."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._came = asyncio.Event()

    def word(self, word: Sighting) -> None:
        self._take(seen(self.fleet, word))

    def withdrawn(self, source: Source, name: str) -> None:
        self._take(withdrawn(self.fleet, source, name))

    def silent(self, source: Source) -> None:
        self._take(silent(self.fleet, source))

    def named(self, name: str) -> list[BridgeRecord]:
        return list(self.fleet.named(name))

    async def until(self, holds: Callable[[], object], timeout_s: float = 30) -> float:
        """Wait until a condition holds and return the seconds it took."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(str(self.fleet)) from None
        return time.monotonic() - began_s

    def _take(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._came.set()


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


RUN = os.getpid()


def paper(name: str, number: int, key: str | None = None) -> PaperDevice:
    """Return a device of this test run alone: others of this machine hear its announcements."""
    whose = Mac(f"02{RUN % (1 << 24):06x}{number:04x}")
    return PaperDevice(f"{name}{RUN}-{number}", f"{name} {number}", whose, 6000 + number, key)


def remembered(kept: Kept) -> bool:
    """Whether everybody whom Core remembers is known; it may pass on others of this machine."""
    return {mac_of(it.mac) for it in REMEMBERED.values()} <= kept.fleet.records.keys()


def core_discovery(kept: Kept, link: object) -> CoreDiscovery:
    return CoreDiscovery(
        link,  # type: ignore[arg-type]
        on_word=kept.word,
        on_withdrawn=kept.withdrawn,
        on_silent=kept.silent,
    )


async def test_announcements_are_heard_by_ourselves_and_withdrawn_again() -> None:
    kept = Kept()
    one, ten = paper("bridge", 1), paper("bridge", 10, key="some")
    ours = OwnZeroconf(on_word=kept.word, on_withdrawn=kept.withdrawn, interfaces=[LOOPBACK])
    async with Announcer() as announcer, running(ours.run()):
        first = service(one, "PVAutonomy.Edge101Factory")
        await announcer.announce(first)
        await kept.until(lambda: kept.named(one.name))
        await announcer.announce(service(ten))
        took_s = await kept.until(lambda: kept.named(ten.name))
        assert took_s < 3
        await announcer.withdraw(first)
        await kept.until(lambda: not kept.named(one.name)[0].live)
        assert kept.named(ten.name)[0].live
        kept.fleet = Fleet()
        ours.again()
        await kept.until(lambda: kept.named(ten.name))
        assert not kept.named(one.name)
        await announcer.announce(first)  # and who comes later is heard as before
        await kept.until(lambda: kept.named(one.name))
    told = kept.named(one.name)[0].told
    assert (told.mac, told.api_port, told.addresses) == (one.mac, one.api_port, (LOOPBACK,))
    assert (told.project_name, told.encryption) == ("PVAutonomy.Edge101Factory", Encryption.NONE)
    assert kept.named(ten.name)[0].told.encryption is Encryption.KEY


async def test_the_newest_core_passes_on_what_is_announced_and_whom_it_remembers(
    make_core: MakeCore,
    record_property: Callable[[str, object], None],
) -> None:
    kept, strangers = Kept(), Kept()
    core = make_core(NEWEST, configuration={"zeroconf": None}, hears_announcements=True)
    remember_esphome(core.directory, newer=True, **REMEMBERED)
    known, later = paper("live", 1, key="some"), paper("live", 10)
    async with core, Announcer() as announcer, linked(core.url, lambda: core.token) as link:
        await announcer.announce(service(known, "acme.garage"))
        discovery = core_discovery(kept, link)
        async with running(discovery.run()):
            await kept.until(lambda: kept.named(known.name) and remembered(kept))
            check_remembered(kept)
            kept.fleet = Fleet({known.mac: kept.named(known.name)[0]})
            assert await discovery.again()
            check_remembered(kept)
            late = service(later)
            announcing = asyncio.create_task(announcer.announce(late))
            took_s = await kept.until(lambda: kept.named(later.name), 3)
            await announcing
            record_property("a new device is seen through Core after", took_s)
            assert discovery.hears_announcements
            await announcer.withdraw(late)
            await kept.until(lambda: not kept.named(later.name)[0].live)
            (record,) = kept.named(known.name)
            assert record.live == {Source.CORE_ZEROCONF}
            told = record.told
            assert (told.mac, told.addresses) == (known.mac, (LOOPBACK,))
            assert (told.api_port, told.project_name) == (known.api_port, "acme.garage")
            async with linked(core.url, lambda: core.resident.token) as resident:
                # Not an administrator: hears nothing, and costs nobody the link.
                deaf = core_discovery(strangers, resident)
                async with running(deaf.run()):
                    await until_link(resident, LinkState.UP)
                    assert deaf.hears_announcements is False
            core.kill()
            await kept.until(lambda: not kept.named(known.name)[0].live)
    assert kept.named(known.name)  # nobody is forgotten
    assert not {it.mac for it in strangers.fleet.records.values()} & {known.mac}


async def test_an_older_core_says_whom_it_remembers_and_keeps_its_link(
    make_core: MakeCore,
) -> None:
    kept = Kept()
    core = make_core(OLDEST)
    remember_esphome(core.directory, newer=False, **REMEMBERED)
    async with core, linked(core.url, lambda: core.token) as link:
        discovery = core_discovery(kept, link)
        async with running(discovery.run()):
            await kept.until(lambda: len(kept.fleet.records) == 2)
            assert link.link.up
            kept.fleet = Fleet()
            assert await discovery.again()
            assert len(kept.fleet.records) == 2
            assert discovery.hears_announcements is False
    check_remembered(kept)
    assert not any(it.live for it in kept.fleet.records.values())


REMEMBERED = {
    "bridge_1": Adopted("02:00:5e:10:10:01", "PVAutonomy.Edge101", "1.0.4"),
    "bridge_10": Adopted("02:00:5e:10:10:10", "acme.garage", "2.0.0"),
}


def check_remembered(kept: Kept) -> None:
    told = {it.mac: it.told for it in kept.fleet.records.values()}
    ours = told[Mac("02005e101001")]
    assert (ours.friendly_name, ours.addresses) == ("Bridge 1", ("bridge-1.local",))
    assert (ours.project_name, ours.project_version) == ("PVAutonomy.Edge101", "1.0.4")
    assert ours.esphome_version == "2026.10.0"
    assert told[Mac("02005e101010")].addresses == ("bridge-10.local",)
