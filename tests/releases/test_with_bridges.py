"""A real bridge over its own API, and the repository that the app comes with, meet in the gates."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from agent.bridge_rooms import BridgeRooms
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile
from agent.fleet.operations import Op
from agent.journal import Journal
from agent.place import Demo, Place
from agent.releases.rooms import BESIDE, ReleaseRooms, release_setup
from agent.settings import SettingsStore
from tests.fleet.test_agent import listed, sticker
from tests.fleet.test_work import Rooms
from tests.peers.fixtures import MakeDevice


async def test_a_bridge_is_told_what_its_channel_offers_and_its_gates_name_what_does_not_fit(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device("strict", name="bridge-1")
    with device:
        store = SettingsStore(tmp_path)
        await store.update({"bridge_list": listed(device)}, "test")
        journal = await Journal.open(tmp_path / "journal.sqlite3")
        now = lambda: datetime.now(UTC)  # noqa: E731 - a name for one line
        setup = release_setup(Place(tmp_path, demo=Demo()))
        assert (setup.bundle, setup.allow_development) == (BESIDE, True)
        assert not release_setup(Place(tmp_path)).allow_development
        releases = ReleaseRooms(setup, store, journal, now)
        keys = KeyFile(tmp_path)
        made = BridgeRooms(
            store, None, keys, journal, now, lambda *_: None, releases=releases.service
        )
        it = Rooms(made, store)
        tasks = [asyncio.create_task(work) for work in (made.run(), releases.service.run())]
        try:
            await it.until(lambda: it.state(device) == "key_missing")
            await made.keys.enter_key(sticker(device), str(device.key))
            mac = Mac(device.mac)
            await it.until(lambda: mac in it.view.offers and it.view.offers[mac].latest == "1.1.0")
            assert it.view.trust.state == "fresh"
            # The peer is a Linux program: everything fits but its board, whose chip nobody knows.
            refusals = it.view.offers[mac].decision
            assert refusals
            assert {each.code for each in refusals.refusals} == {"chip-unknown", "wrong-board"}
            done = await made.work.ask(Op.RUN_GATES, sticker(device), "test")
            assert done.result == "fail"
            told = made.work.verdicts()[sticker(device)]["gates"]
            said = {each["gate"]: (each["result"], each["evidence"]) for each in told}
            assert said["GATE-012"][0] == "pass"
            assert "The release is not for its board" in said["GATE-003"][1]
            flash = await made.work.ask(Op.FLASH, sticker(device), "test")
            assert "Install it under Firmware" in str(flash.error)
            (line,) = releases.desk.shown()["bridges"]
            assert (line["mac"], line["latest"]) == (sticker(device), "1.1.0")
            assert line["notes"] == "Reads the dispatch block back after each command."
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await journal.close()
