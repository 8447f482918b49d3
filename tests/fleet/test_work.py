"""What is asked of real bridges happens to the one that was meant, or is refused in words."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent import bridge_work, bridges
from agent.bridge_rooms import BridgeRooms
from agent.dispatching import dispatching_through
from agent.export.snapshot import Phase
from agent.fleet.gate_models import Block, Result
from agent.fleet.identity import Mac
from agent.fleet.keeper import Keeper
from agent.fleet.keys import FILE_NAME, KeyFile
from agent.fleet.operations import Op, OpState
from agent.journal import Journal
from agent.settings import SettingsStore
from agent.surface.desk import Upload
from agent.surface.fleet_view import FleetView, label_of
from tests.fleet.test_agent import listed, sticker
from tests.fleet.test_keeper import OTHER_KEY
from tests.peers.esphome import Device
from tests.peers.fixtures import MakeDevice
from tests.surface.desks import DISCHARGING, QUIET, HandGuard

CONFIGURATION = "esphome:\n  name: {}\napi:\n  encryption:\n    key: {}\n"
BY_BRIDGE = dataclasses.replace(DISCHARGING, path="bridge")


class Rooms:
    """The bridges' rooms as the agent builds them, with a guard made by hand."""

    def __init__(self, made: BridgeRooms, store: SettingsStore) -> None:
        self.made = made
        self.store = store
        self.guard = HandGuard()
        made.guard = self.guard
        self.audited: list[tuple[str, str, str]] = []

    @property
    def view(self) -> FleetView:
        return self.made.work.view()

    def state(self, device: Device) -> str:
        record = self.view.fleet.records.get(Mac(device.mac))
        return record.contact.state if record and record.contact else ""

    async def until(self, holds: Callable[[], object], timeout_s: float = 20) -> None:
        changed = asyncio.Event()
        end = self.made.work.subscribe(changed.set)
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise AssertionError(self.made.bridges.shown()) from None
        finally:
            end()


@asynccontextmanager
async def rooms(folder: Path, *devices: Device) -> AsyncIterator[Rooms]:
    """Run the rooms with devices that a person has written down."""
    store = SettingsStore(folder)
    await store.update({"bridge_list": listed(*devices)}, "test")
    journal = await Journal.open(folder / "journal.sqlite3")
    audited: list[tuple[str, str, str]] = []
    made = BridgeRooms(
        store,
        None,
        KeyFile(folder),
        journal,
        lambda: datetime.now(UTC),
        lambda *what: audited.append(what),
    )
    it = Rooms(made, store)
    it.audited = audited
    task = asyncio.create_task(made.run())
    try:
        yield it
    finally:
        task.cancel()
        await asyncio.wait([task])
        await journal.close()


def gates(it: Rooms, device: Device) -> dict[str, str]:
    told = it.made.work.verdicts()[sticker(device)]
    return {each["gate"]: each["result"] for each in told["gates"]}


async def test_pv08_what_is_asked_of_one_never_reaches_ten(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("plain", name="bridge-1"), make_device("plain", name="bridge-10")
    with one, ten:
        async with rooms(tmp_path, one, ten) as it:
            await it.until(lambda: it.state(one) == it.state(ten) == "online")
            work = it.made.work
            done = await work.ask(Op.RUN_GATES, sticker(one), "test")
            assert (done.state, done.result) == (OpState.SUCCESS, "fail")
            assert set(work.verdicts()) == {sticker(one)}
            found = gates(it, one)
            assert len(found) == 12
            assert found["GATE-001"] == found["GATE-006"] == found["GATE-007"] == "pass"
            assert found["GATE-005"] == "fail"  # it was connected a moment ago
            assert found["GATE-012"] == "fail"  # there is no release
            await it.store.update({"strict_gates": False, "gates_fresh_min": 5}, "test")
            shown = work.verdicts()[sticker(one)]
            assert (shown["strict"], shown["holds_s"]) == (False, 300)
            done = await work.ask(Op.RESTART, sticker(one), "test")
            assert (done.result, done.error) == ("success", None)
            assert done.details["offline_detected"]
            assert done.details["online_detected"]
            assert (one.boots, ten.boots) == (2, 1)
            assert one.endings == [0]  # in order, as by its own button
            assert [what[1:] for what in it.audited] == [
                (f"run_gates {sticker(one)}", "fail"),
                (f"restart_device {sticker(one)}", "success"),
            ]


async def test_a_restart_is_refused_while_a_dispatch_runs_through_that_bridge(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("plain", name="bridge-1"), make_device("plain", name="bridge-10")
    with one, ten:
        async with rooms(tmp_path, one, ten) as it:
            await it.until(lambda: it.state(one) == it.state(ten) == "online")
            await it.store.update({"path_bridge": sticker(one)}, "test")
            it.guard.shown = BY_BRIDGE
            refused = await it.made.work.ask(Op.RESTART, sticker(one), "test")
            assert (refused.block, refused.result) == (Block.DISCHARGING, "rejected")
            assert refused.error
            done = await it.made.work.ask(Op.RESTART, sticker(ten), "test")
            assert done.result == "success"
            it.guard.shown = dataclasses.replace(QUIET, path="bridge")
            done = await it.made.work.ask(Op.RESTART, sticker(one), "test")
            assert done.result == "success"
            assert (one.boots, ten.boots) == (2, 2)


async def test_what_cannot_be_done_is_a_record_with_a_sentence(
    make_device: MakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_work, "COMES_BACK_S", 1.0)
    one, locked = make_device("plain", name="bridge-1"), make_device("noise", name="bridge-2")
    with one, locked:
        async with rooms(tmp_path, one, locked) as it:
            await it.until(lambda: (it.state(one), it.state(locked)) == ("online", "key_missing"))
            work = it.made.work
            for device in (one, locked):
                flashed = await work.ask(Op.FLASH, sticker(device), "test")
                assert (flashed.block, flashed.result) == (Block.NO_IMAGE, "blocked")
                assert "Install it under Firmware" in str(flashed.error)
            alone = await work.ask(Op.RESTART, sticker(locked), "test")
            assert "not connected" in str(alone.error)
            assert (await work.ask(Op.RESTART, None, "test")).block is Block.NO_TARGET
            nobody = await work.ask(Op.RUN_GATES, "02:00:5E:10:FF:FF", "test")
            assert nobody.block is Block.UNKNOWN_TARGET
            deaf = await work.ask(Op.DISCOVER, None, "test")
            assert (deaf.result, deaf.state) == ("error", OpState.FAILED)
            assert "bridge_networks" in str(deaf.error)
            restarting = asyncio.create_task(work.ask(Op.RESTART, sticker(one), "test"))
            await it.until(lambda: Op.RESTART in it.view.operations)
            await it.until(lambda: it.view.operations[Op.RESTART].state is OpState.RUNNING)
            busy = work.press(Op.DISCOVER, "mqtt")
            assert (busy.block, busy.result) == (Block.BUSY, "error")
            one.kill()
            ended = await restarting
            assert ended.result == "warn"
            assert "is not back" in str(ended.error)


async def test_the_chosen_bridge_is_pressed_and_known_after_a_restart(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("plain", name="bridge-1"), make_device("plain", name="bridge-10")
    with one, ten:
        async with rooms(tmp_path, one, ten) as it:
            await it.until(lambda: it.state(one) == it.state(ten) == "online")
            work = it.made.work
            assert work.press(Op.RUN_GATES, "mqtt").block is Block.NO_TARGET
            work.choose("bridge-1", "mqtt")
            assert it.view.choice_refused  # it is called Bridge 1
            work.choose("Bridge 10", "mqtt")
            assert (it.view.target, it.view.choice_refused) == (Mac(ten.mac), None)
            assert work.press(Op.RUN_GATES, "mqtt").state is OpState.RUNNING
            await it.until(lambda: Mac(ten.mac) in it.view.verdicts)
            assert Mac(one.mac) not in it.view.verdicts
            assert it.view.verdicts[Mac(ten.mac)].overall is Result.FAIL
        async with rooms(tmp_path, one, ten) as it:
            await it.until(lambda: label_of(it.view, it.view.target) == "Bridge 10")


async def test_a_secrets_file_opens_the_bridge_that_it_is_for_and_no_other(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("noise", name="bridge-1"), make_device("noise", name="bridge-10")
    both = f"one_key: {one.key}\nwifi_password: some\n"
    with one, ten:
        async with rooms(tmp_path, one, ten) as it:
            await it.until(lambda: it.state(one) == it.state(ten) == "key_missing")
            keys = it.made.keys
            asked = await keys.upload(Upload(secrets=both))
            assert asked["names"] == ["one_key"]
            assert {each["mac"] for each in asked["bridges"]} == {sticker(one), sticker(ten)}
            assert str(one.key) not in str(asked)
            done = await keys.upload(Upload(None, both, sticker(one), "one_key"))
            assert done["stored"] == sticker(one)
            await it.until(lambda: it.state(one) == "online")
            assert it.state(ten) == "key_missing"
            sources = {each["mac"]: each["keys"] for each in it.made.bridges.shown()}
            assert sources == {sticker(one): {"api_key": "uploaded"}, sticker(ten): {}}
            device = (
                f"esphome:\n  name: {ten.name}\napi:\n  encryption:\n    key: !secret one_key\n"
            )
            with pytest.raises(ValueError, match=r"upload the secrets\.yaml"):
                await keys.upload(Upload(device))
            done = await keys.upload(Upload(device, both, sticker(ten)))
            assert done["stored"] == sticker(ten)
            await it.until(lambda: it.state(ten) == "online")
            with pytest.raises(ValueError, match="no such bridge"):
                await keys.upload(Upload(None, both, "02:00:5E:10:FF:FF", "one_key"))
            with pytest.raises(ValueError, match="no key of that name"):
                await keys.upload(Upload(None, both, sticker(one), "wifi_password"))


async def test_a_configuration_finds_its_bridge_by_its_whole_name(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("noise", name="bridge-1"), make_device("plain", name="bridge-10")
    with one, ten:
        async with rooms(tmp_path, one, ten) as it:
            # A device tells its name also to somebody whose key does not fit.
            await it.made.keys.enter_key(sticker(one), OTHER_KEY)
            await it.until(lambda: (it.state(one), it.state(ten)) == ("wrong_key", "online"))
            asked = await it.made.keys.upload(Upload(CONFIGURATION.format("bridge", one.key)))
            assert len(asked["bridges"]) == 2
            done = await it.made.keys.upload(Upload(CONFIGURATION.format(one.name, one.key)))
            assert done["stored"] == sticker(one)
            await it.until(lambda: it.state(one) == "online")


async def test_a_damaged_file_of_keys_is_the_fault_that_the_status_tells(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    async with rooms(tmp_path) as it:
        assert it.view.fault
        assert FILE_NAME in it.view.fault


async def test_a_part_that_fails_is_told_by_the_status_and_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_device: MakeDevice
) -> None:
    def breaks(_: Keeper, words: object) -> None:
        raise RuntimeError(f"a bug, told {words}")

    with make_device("plain", name="bridge-1") as device, monkeypatch.context() as patched:
        patched.setattr(Keeper, "listed", breaks)
        patched.setattr(bridges, "AGAIN_S", 1.0)
        async with rooms(tmp_path, device) as it:
            await it.until(lambda: it.view.fault)
            assert "begun again" in (it.view.fault or "")
            assert it.view.fault_at is not None
            patched.undo()
            await it.until(lambda: it.state(device) == "online")
            assert it.view.fault is None


async def test_without_bridges_all_are_known_and_gone_when_they_are_left_alone(
    tmp_path: Path,
) -> None:
    async with rooms(tmp_path) as it:
        assert not it.view.complete
        await it.store.update({"bridges": "off"}, "test")
        await it.until(lambda: it.view.complete)


@pytest.mark.parametrize(
    ("changes", "through"),
    [
        ({}, {"02005e100001"}),
        ({"lease": None}, {"02005e100001"}),
        ({"lease": None, "phase": Phase.REST_ACTIVE}, {"02005e100001"}),
        ({"lease": None, "phase": Phase.IDLE}, set()),
        ({"path": "ha_register"}, set()),
    ],
)
def test_a_dispatch_runs_through_the_bridge_of_the_path(
    changes: dict[str, Any], through: set[str]
) -> None:
    picture = dataclasses.replace(BY_BRIDGE, **changes)
    assert dispatching_through(picture, Mac("02005e100001")) == through
    assert dispatching_through(None, Mac("02005e100001")) is None
    unknown = None if through else frozenset()
    assert dispatching_through(picture, None) == unknown
