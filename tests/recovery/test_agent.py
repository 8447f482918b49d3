"""The running agent and a bridge on its cable: what is asked, refused, written and waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.serial.ports import SerialPort, Usb, holders
from agent.flashing import rooms
from agent.flashing.moments import RUNS, Moment
from agent.simulator.esp_rom_faults import RomFaults
from tests.cable_help import MAC, PLUGGED, PROJECT, VERSION
from tests.firmware.esp_images import KIB, factory
from tests.firmware.serial.boards import SETTINGS
from tests.recovery.scene import STICK, recovering


async def test_ports_come_and_go_within_two_seconds_and_none_is_spoken_to(tmp_path: Path) -> None:
    async with recovering(tmp_path) as agent:
        PLUGGED.append(STICK)
        try:
            lines = await agent.until(lambda it: len(it["ports"]) == 2 and it["ports"], "both", 2)
            assert [it["stick"] for it in lines] == [False, True]
            status, answer = await agent.posts("identify", port=STICK.path)
            assert (status, answer["code"]) == (409, "wrong-device")
            assert "radio stick" in answer["text"]
        finally:
            PLUGGED.remove(STICK)
        await agent.until(lambda it: len(it["ports"]) == 1, "the stick is gone", 2)
        assert not agent.bench.esp.commands, "a port was spoken to that nobody asked about"


async def test_nothing_is_written_that_was_not_identified_checked_and_confirmed(
    tmp_path: Path,
) -> None:
    async with recovering(tmp_path) as agent:
        before = bytes(agent.bench.esp.flash.data)
        answer = await agent.checked()
        assert (answer["accepted"], answer["code"]) == (False, "not-identified")
        device = await agent.identified()
        assert (device["chip"], device["mac"], device["known"]) == ("esp32c3", MAC, "")
        (noted,) = await agent.app._journal.events(kinds=["cable_identified"], limit=9, after_id=0)
        assert (noted.data["mac"], noted.data["by"]) == (MAC, "page: local")
        assert [it["version"] for it in device["releases"][:1]] == [VERSION]
        answer = await agent.checked(reason="")
        assert [it["code"] for it in answer["refusals"]] == ["reason-missing"]
        answer = await agent.checked(mac="B8:D6:1A:00:00:01")
        assert answer["code"] == "wrong-device"
        answer = await agent.checked()
        assert answer["accepted"], answer
        for each in (VERSION, "esp32c3", MAC, "settings stay"):
            assert each in answer["text"]
        for changes, code in (
            ({"digest": "0" * 64}, "another-image"),
            ({"erase_settings": True}, "not-typed"),
            ({"erase_settings": True, "typed": "B8:D6:1A:00:00:01"}, "not-typed"),
            ({"mac": "B8:D6:1A:00:00:01"}, "wrong-device"),
            ({"reason": ""}, "reason-missing"),
            ({"backup": "some"}, "bad-request"),
            ({"version": "9.9.9"}, "no-release"),
        ):
            status, told = await agent.posts("write", **{**agent.wish, **changes})
            assert (status, told["code"]) == (409, code), (changes, told)
        assert bytes(agent.bench.esp.flash.data) == before
        assert (await agent.shown())["jobs"] == []


async def test_a_write_is_broken_off_only_by_a_person_who_insists_and_is_told_as_what_it_is(
    tmp_path: Path,
) -> None:
    async with recovering(tmp_path, size=64 * KIB) as agent:
        await agent.identified()
        await agent.checked()
        agent.bench.port.paced = True
        status, answer = await agent.posts("write", **agent.wish)
        assert status == 200, answer
        job = answer["job"]
        packets = agent.bench.esp.packets
        await agent.until(lambda _: agent.bench.esp.packets > packets, "content arrives")
        status, answer = await agent.posts("cancel", job=job)
        assert (status, answer["code"]) == (409, "writes")
        assert "without firmware" in answer["text"]
        status, answer = await agent.posts("identify", port=agent.bench.port.path)
        assert (status, answer["code"]) == (409, "locked")
        status, answer = await agent.posts("cancel", job=job, insist=True)
        assert status == 200, answer
        agent.bench.port.paced = False
        end = await agent.ended()
        assert (end["result"], end["code"]) == ("lost", "cancelled"), end
        assert "write the release again" in end["next_step"]
        assert (await agent.shown())["needs_flashing"] == [MAC]
        flashing = agent.app._flashing
        assert flashing is not None
        (told,) = flashing.notifications().values()
        assert "Needs Flashing" in told.kind.title
        view = flashing.desk.view().recovery
        assert (view.state, view.attributes["last_result"]) == ("idle", "lost")
        assert view.attributes["needs_flashing"] == [MAC]


async def test_a_question_to_a_chip_can_be_ended_and_is_not_asked_of_one_that_is_needed_now(
    tmp_path: Path,
) -> None:
    async with recovering(tmp_path, faults=RomFaults(mute=True)) as agent:
        path = agent.bench.port.path
        status, answer = await agent.posts("identify", port=path)
        assert status == 200, answer
        status, answer = await agent.posts("identify", port=path)
        assert (status, answer["code"]) == (409, "busy")
        await agent.until(lambda _: holders(agent.bench.port.node), "it is being asked")
        assert (await agent.posts("cancel", job=path))[0] == 200
        await agent.until(lambda _: not holders(agent.bench.port.node), "the port is free", 3)
        await agent.until(lambda it: it["ports"][0]["code"] == "cancelled", "it is told")

        itself = SerialPort("/dev/ttyACM9", Usb(0x303A, 0x1001, MAC))
        flashing = agent.app._flashing
        assert flashing is not None
        flashing._moment = lambda _: Moment(RUNS)  # type: ignore[method-assign]
        PLUGGED.append(itself)
        try:
            await agent.until(lambda it: len(it["ports"]) == 2, "both are listed")
            status, answer = await agent.posts("identify", port=itself.path)
            assert (status, answer["code"]) == (409, "not-now")
            assert "A dispatch runs through it" in answer["text"]
        finally:
            PLUGGED.remove(itself)


async def test_an_own_build_goes_to_a_bridge_that_was_known_once_a_person_vouches_for_it(
    tmp_path: Path,
) -> None:
    async with recovering(tmp_path) as agent:
        own = factory("esp32c3", PROJECT, "7.0.0", size=8 * KIB)
        url = f"{agent.url}/api/releases/own"
        async with agent.http.post(url, data=own) as answer:
            shown = await answer.json()
        async with agent.http.post(f"{url}/accept", json={"sha256": shown["sha256"]}) as answer:
            assert answer.status == 200, await answer.json()
        device = await agent.identified()
        local = {"channel": "local", "project": PROJECT, "version": "7.0.0"}

        def offered(it: dict[str, Any]) -> bool:
            return local in (it["ports"][0]["device"] or device)["releases"]

        await agent.until(offered, "the own build can be chosen")
        answer = await agent.checked(**local)
        assert [it["ack"] for it in answer["refusals"]] == ["ack_unsigned"]
        answer = await agent.checked(**local, acks=["ack_unsigned"])
        assert answer["accepted"], answer
        status, told = await agent.posts("write", **agent.wish)
        assert status == 200, told
        end = await agent.ended()
        assert (end["result"], end["version"]) == ("confirmed", "7.0.0"), end
        assert agent.bench.settings == SETTINGS
        device = await agent.identified()
        assert (device["app"], device["known"]) == (
            "alphaess-bridge 7.0.0",
            "a bridge that was flashed from here",
        )


async def test_a_stop_of_the_agent_waits_until_the_write_has_ended_and_keeps_the_page_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between two acts of it: what is erased already is written before the agent ends."""
    monkeypatch.setattr(rooms, "DRAIN_S", 0.1)
    async with recovering(tmp_path) as agent:
        await agent.identified()
        await agent.checked(erase_settings=True)
        status, answer = await agent.posts("write", **{**agent.wish, "typed": MAC})
        assert status == 200, answer
        flashing = agent.app._flashing
        assert flashing is not None
        await agent.until(lambda it: it["jobs"][0]["stage"] == "erase", "it is erased")
        assert flashing.busy() is not None
        agent.bench.port.paced = True
        agent.app.stopping.set()
        await agent.until(lambda it: it["jobs"][0]["stage"] == "write", "the page goes on to tell")
        held = agent.app.holds
        await agent.until(lambda _: "over USB" in held.now(), "the watchdog would wait, too")
        assert not agent.running.done()
        agent.bench.port.paced = False
        await asyncio.wait_for(asyncio.shield(agent.running), 60)
        assert agent.bench.flashed, "the stop broke the write off"
        assert agent.bench.settings == b"\xff" * len(SETTINGS)
        assert flashing.busy() is None
        assert held.now() == ""
