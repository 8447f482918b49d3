"""The agent as it is started finds the bridges, tells them apart and says what befalls them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile, Keyring, KeySource, SecretKind, checked, with_secret
from tests.acceptance.parts import WRITE, Agent, Json, eventually
from tests.fleet.test_discovery import REMEMBERED
from tests.fleet.test_keeper import OTHER_KEY, into_safe_mode
from tests.peers.esphome import Device
from tests.peers.esphome_mdns import Announcer, service
from tests.peers.fixtures import MakeCore, MakeDevice
from tests.peers.ha_storage import Adopted, remember_esphome
from tests.peers.install import NEWEST
from tests.peers.mosquitto import Broker
from tests.peers.process import LOOPBACK, free_port
from tests.surface.mqtt_scene import until, watching

LEAVES_WITHIN_S = 5
NOBODY = f"http://{LOOPBACK}:{free_port()}"


class Caretaker(Agent):
    """The agent with what it says of bridges."""

    async def bridges(self) -> dict[str, Json]:
        """Return the lines of the page by MAC, a stranger's by its title."""
        lines = (await self.state())["bridges"]
        return {line["mac"] or line["title"]: line for line in lines}

    async def states(self) -> dict[str, str]:
        return {mac: line["state"] for mac, line in (await self.bridges()).items()}

    async def becomes(self, wanted: dict[str, str], within_s: float) -> float:
        async def holds() -> bool:
            states = await self.states()
            return {mac: states.get(mac) for mac in wanted} == wanted

        return await eventually(holds, within_s, f"bridges are {wanted}", self.bridges)

    async def enters(self, mac: str, key: str) -> tuple[int, Json]:
        return await self._asks("key", {"mac": mac, "key": key})

    async def asks_key(self, mac: str) -> tuple[int, Json]:
        return await self._asks("ask-key", {"mac": mac})

    async def forgets(self, mac: str) -> tuple[int, Json]:
        return await self._asks("forget", {"mac": mac})

    async def _asks(self, what: str, body: Json) -> tuple[int, Json]:
        url = f"{self._url}/api/bridges/{what}"
        async with self._http.post(url, json=body, headers=WRITE) as answer:
            return answer.status, await answer.json()

    async def diagnosed(self) -> str:
        async with self._http.get(f"{self._url}/api/diagnostics", headers=WRITE) as answer:
            return await answer.text()

    def happened(self, mac: str, since: int = 0) -> list[str]:
        """Return the kinds of a bridge's events in the journal."""
        return [it["kind"] for it in self.events(since) if it.get("mac") == mac]


@asynccontextmanager
async def caretaker(
    directory: Path,
    url: str,
    token: str,
    keys: dict[str, str],
    *,
    kind: type[Caretaker] = Caretaker,
    **settings: Any,
) -> AsyncIterator[Caretaker]:
    """Prepare an agent that is not yet started and ends in order with the block."""
    async with aiohttp.ClientSession() as http:
        agent = kind(directory, http)
        agent.environment = dict(os.environ) | {"PV_EDGE_HA_URL": url, "PV_EDGE_HA_TOKEN": token}
        agent.data.mkdir()
        ring = Keyring()
        for mac, key in keys.items():
            secret = checked(SecretKind.API_KEY, key)
            ring = with_secret(ring, Mac(mac), SecretKind.API_KEY, secret, KeySource.ENTERED)
        KeyFile(agent.data).store(ring)
        (agent.data / "settings.json").write_text(json.dumps(settings))
        try:
            yield agent
            code, seconds = await agent.terminated(signal.SIGTERM, 30)
            assert (code, seconds < LEAVES_WITHIN_S) == (0, True), (code, seconds)
        finally:
            print(await agent.tail())  # noqa: T201 - a failed test shows it
            agent.kill()


def sticker(device: Device) -> str:
    mac = device.mac.upper()
    return ":".join(mac[i : i + 2] for i in range(0, 12, 2))


def listed(*devices: Device) -> str:
    """Return what a person writes down of devices, with the ports that ours have."""
    return ", ".join(f"{LOOPBACK}:{it.api_port}/{it.ota_port} = {sticker(it)}" for it in devices)


async def test_five_bridges_and_a_sixth_and_each_fault_are_told_apart_by_the_started_agent(
    make_core: MakeCore,
    make_device: MakeDevice,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plain = make_device("plain", name="bridge-1")
    noise = make_device("noise", name="bridge-10")
    wrong = make_device("noise", name="bridge-2")
    strict = make_device("strict", name="bridge-3")
    safe = make_device("plain", name="bridge-4")
    sixth = make_device("plain", name="bridge-5")
    projects = {
        plain: "PVAutonomy.Edge101Factory",
        noise: "acme.garage",
        wrong: "acme.garage",
        strict: "pv-edge.alphaess-bridge",
    }
    keys = {noise.mac: noise.key or "", wrong.mac: OTHER_KEY, strict.mac: strict.key or ""}
    core = make_core(NEWEST, configuration={"zeroconf": None}, hears_announcements=True)
    for device in (*projects, safe):
        device.start()
    await into_safe_mode(safe)
    async with (
        core,
        Announcer() as announcer,
        caretaker(tmp_path, core.url, core.token, keys, bridge_list=listed(safe)) as agent,
    ):
        for device, project in projects.items():
            await announcer.announce(service(device, project))
        began_s = time.monotonic()
        await agent.start()
        wanted = {
            sticker(plain): "online",
            sticker(noise): "online",
            sticker(wrong): "wrong_key",
            sticker(strict): "online",
            sticker(safe): "safe_mode",  # announces nothing: it was written down
        }
        await agent.becomes(wanted, 20)
        took_s = time.monotonic() - began_s
        record_property("five bridges are told apart by an agent that starts", took_s)
        assert took_s < 5
        lines = await agent.bridges()
        kinds = {mac: line["kind"] for mac, line in lines.items()}
        assert kinds[sticker(plain)] == "factory"
        assert kinds[sticker(noise)] == "foreign"
        assert kinds[sticker(strict)] == "production"
        assert "does not fit" in lines[sticker(wrong)]["next_step"]
        assert "safe mode" in lines[sticker(safe)]["next_step"]
        assert not lines[sticker(strict)]["next_step"]

        sixth.start()
        announcing = asyncio.create_task(announcer.announce(service(sixth)))
        took_s = await agent.becomes({sticker(sixth): "online"}, 10)
        record_property("a sixth bridge is connected by the agent after", took_s)
        assert took_s < 3
        await announcing

        since = agent.last_event()
        plain.crash()
        strict.hang()
        noise.reboot()
        await agent.becomes({sticker(strict): "hung"}, 20)
        await agent.becomes({sticker(plain): "online", sticker(noise): "online"}, 20)
        assert agent.happened(sticker(plain), since) == ["bridge_crashed", "bridge_online"]
        assert agent.happened(sticker(noise), since) == ["bridge_goodbye", "bridge_online"]
        assert agent.happened(sticker(strict), since) == ["bridge_hung"]
        assert agent.happened(sticker(sixth), since) == []
        strict.wake()
        await agent.becomes({sticker(strict): "online"}, 60)


async def test_whom_each_home_assistant_remembers_is_shown(
    core_version: str, make_core: MakeCore, tmp_path: Path
) -> None:
    core = make_core(core_version)
    remember_esphome(core.directory, newer=core_version == NEWEST, **REMEMBERED)
    async with core, caretaker(tmp_path, core.url, core.token, {}) as agent:
        await agent.start()
        macs = {
            "02:00:5E:10:10:01": ["PVAutonomy.Edge101", "1.0.4"],
            "02:00:5E:10:10:10": ["acme.garage", "2.0.0"],
        }

        async def holds() -> bool:
            return set(await agent.bridges()) == set(macs)

        await eventually(holds, 20, "both are shown", agent.bridges)
        lines = await agent.bridges()
        assert {mac: [it["project"], it["version"]] for mac, it in lines.items()} == macs


async def test_a_key_for_one_never_reaches_ten_and_home_assistant_is_not_needed(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("noise", name="bridge-1"), make_device("noise", name="bridge-10")
    key = one.key or ""
    with one, ten:
        written = listed(one, ten)
        async with caretaker(tmp_path, NOBODY, "token", {}, bridge_list=written) as agent:
            await agent.start()
            await agent.becomes({sticker(one): "key_missing", sticker(ten): "key_missing"}, 20)
            status, answer = await agent.enters(sticker(one), key[:-8])
            assert status == 400
            assert key[:-8] not in answer["text"]
            status, answer = await agent.enters(sticker(one), key)
            assert status == 200, answer
            await agent.becomes({sticker(one): "online", sticker(ten): "key_missing"}, 10)
            since = agent.last_event()
            one.crash()
            await agent.becomes({sticker(one): "crashed"}, 10)
            await agent.becomes({sticker(one): "online"}, 20)
            assert agent.happened(sticker(ten), since) == []
            assert (one.boots, ten.boots) == (2, 1)
            assert key not in json.dumps(await agent.state())
            assert key not in agent.log.read_text()
            assert key not in json.dumps(agent.events())
            diagnosed = await agent.diagnosed()
            assert key not in diagnosed
            states = {it["state"] for it in json.loads(diagnosed)["bridges"]}
            assert states == {"online", "key_missing"}

            await agent.settings(bridge_list=listed(ten))
            await eventually(
                lambda: _only(agent, sticker(ten)), 10, "one is off the list", agent.bridges
            )
            await agent.settings(bridges="off")
            await eventually(lambda: _only(agent), 10, "bridges are left alone", agent.bridges)
            await agent.settings(bridges="watch")
            await agent.becomes({sticker(ten): "key_missing"}, 10)


async def _only(agent: Caretaker, *macs: str) -> bool:
    return set(await agent.bridges()) == set(macs)


async def test_an_address_without_a_device_is_shown_with_what_to_do(tmp_path: Path) -> None:
    place = f"{LOOPBACK}:{free_port()}/{free_port()}"
    async with caretaker(tmp_path, NOBODY, "token", {}, bridge_list=place) as agent:
        await agent.start()
        title = place.partition("/")[0]
        await agent.becomes({title: "unreachable"}, 20)
        line = (await agent.bridges())[title]
        assert line["words"] == "Not reachable"
        assert "power" in line["next_step"]


async def test_an_agent_without_bridges_has_not_loaded_their_client(tmp_path: Path) -> None:
    async with caretaker(tmp_path, NOBODY, "token", {}) as agent:
        await agent.start()
        assert await agent.bridges() == {}
        assert not loaded(agent)
        await agent.settings(bridge_list=f"{LOOPBACK}:{free_port()}")

        async def holds() -> bool:
            return bool(await agent.bridges())

        await eventually(holds, 10, "the bridge is shown", agent.bridges)
        assert loaded(agent)


def loaded(agent: Agent) -> bool:
    """Whether the process has the client for bridges in its memory, or zeroconf with it."""
    assert agent.popen is not None
    maps = Path(f"/proc/{agent.popen.pid}/maps").read_text()
    return "/aioesphomeapi/" in maps or "/zeroconf/" in maps


async def test_a_bridge_is_known_at_the_next_start_whoever_is_down_until_it_is_removed(
    make_core: MakeCore, make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device("noise", name="bridge-1")
    core = make_core(NEWEST, configuration={"zeroconf": None}, hears_announcements=True)
    keys = {device.mac: device.key or ""}
    who = sticker(device)
    with device:
        async with caretaker(tmp_path, core.url, core.token, keys) as agent:
            async with core, Announcer() as announcer:
                await announcer.announce(service(device))
                await agent.start()
                await agent.becomes({who: "online"}, 20)
            code, _ = await agent.terminated(signal.SIGTERM, 30)
            assert code == 0
            await agent.start()  # nobody tells it of the bridge now
            await agent.becomes({who: "online"}, 10)
            device.kill()
            await agent.becomes({who: "unreachable"}, 45)
            status, answer = await agent.forgets(who)
            assert status == 200, answer
            assert await agent.bridges() == {}
            assert (await agent.forgets(who))[0] == 400
            await agent.terminated(signal.SIGTERM, 30)
            await agent.start()
            assert not loaded(agent)
            assert await agent.bridges() == {}


async def test_an_agent_that_may_listen_needs_nobody_to_tell_it(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("plain", name="bridge-1"), make_device("plain", name="bridge-10")
    with one, ten:
        async with (
            Announcer() as announcer,
            caretaker(tmp_path, NOBODY, "token", {}, bridge_networks=LOOPBACK) as agent,
        ):
            await agent.start()
            await announcer.announce(service(ten))
            await agent.becomes({sticker(ten): "online"}, 10)
            assert set(await agent.bridges()) == {sticker(ten)}
            await announcer.announce(service(one))
            await agent.becomes({sticker(one): "online", sticker(ten): "online"}, 10)
            await agent.settings(bridge_networks="")
            await agent.becomes({sticker(one): "online", sticker(ten): "online"}, 10)


async def test_home_assistant_gives_the_key_of_the_bridge_that_a_person_asks_for(
    core_version: str, make_core: MakeCore, make_device: MakeDevice, tmp_path: Path
) -> None:
    one, ten = make_device("noise", name="bridge-1"), make_device("noise", name="bridge-10")
    adopted = {
        device.name.replace("-", "_"): Adopted(
            sticker(device).lower(), "acme.garage", "1.0.0", port=device.api_port, key=device.key
        )
        for device in (one, ten)
    }
    core = make_core(core_version)
    remember_esphome(core.directory, newer=core_version == NEWEST, **adopted)
    written = listed(one, ten)
    with one, ten:
        async with (
            core,
            caretaker(tmp_path, core.url, core.token, {}, bridge_list=written) as agent,
        ):
            await agent.start()
            await agent.becomes({sticker(one): "key_missing", sticker(ten): "key_missing"}, 20)
            status, answer = await agent.asks_key(sticker(one))
            if core_version != NEWEST:
                assert status == 400
                assert "does not hand keys out" in answer["text"]
                return
            assert status == 200, answer
            await agent.becomes({sticker(one): "online", sticker(ten): "key_missing"}, 10)
            lines = await agent.bridges()
            assert lines[sticker(one)]["keys"] == {"api_key": "home_assistant"}
            assert one.key not in json.dumps(lines)
            status, answer = await agent.asks_key("02:00:5E:10:FF:FF")
            assert status == 400
            assert "not adopted" in answer["text"]


async def test_the_started_agent_shows_its_bridges_over_mqtt_and_does_what_is_pressed(
    make_device: MakeDevice, broker: Broker, tmp_path: Path
) -> None:
    one, ten = make_device("plain", name="bridge-1"), make_device("plain", name="bridge-10")
    fleet = "pv_edge_agent/fleet"
    async with watching(broker, "pv_edge_agent") as home:

        def told(key: str) -> Json:
            return dict(json.loads(home.last.get(f"{fleet}/{key}/attributes", "{}")))

        def shown(device: Device) -> str | None:
            return home.last.get(f"pv_edge_agent/bridge/{device.mac}/connectivity/state")

        with one, ten:
            async with caretaker(
                tmp_path,
                NOBODY,
                "token",
                {},
                bridge_list=listed(one, ten),
                bridge_networks=LOOPBACK,
            ) as agent:
                agent.environment |= {
                    "PV_EDGE_MQTT_HOST": broker.host,
                    "PV_EDGE_MQTT_PORT": str(broker.port),
                    "PV_EDGE_MQTT_USERNAME": broker.username,
                    "PV_EDGE_MQTT_PASSWORD": broker.password,
                }
                await agent.start()
                await until(lambda: shown(one) == shown(ten) == "ON")
                home.say(f"{fleet}/target_device/set", "Bridge 1")
                await until(lambda: home.last[f"{fleet}/target_device/state"] == "Bridge 1")
                home.say(f"{fleet}/run_gates/press", "PRESS")
                await until(lambda: told("run_gates")["last_result"] == "fail")
                assert told("run_gates")["target_device"] == "Bridge 1"
                assert "GATE-012" in told("run_gates")["failed_gates"]
                assert "GATE-001" not in told("run_gates")["failed_gates"]
                verdict = f"pv_edge_agent/bridge/{one.mac}/last_verdict/state"
                await until(lambda: home.last[verdict] == "fail")
                gates = (await agent.state())["gates"]
                assert set(gates) == {sticker(one)}
                home.say(f"{fleet}/flash_production/press", "PRESS")
                await until(lambda: "mqtt_install" in str(told("flash_firmware")["error_message"]))
                home.say(f"{fleet}/restart_device/press", "PRESS")
                await until(lambda: told("restart_device")["last_result"] == "success")
                assert (one.boots, ten.boots) == (2, 1)
                audited = [it["action"] for it in agent.events() if it["kind"] == "audit"]
                assert f"restart_device {sticker(one)}" in audited
                await agent.settings(bridge_list=listed(one))
                await until(lambda: shown(ten) == "")
                assert shown(one) == "ON"
        assert home.last["pv_edge_agent/status"] == "offline"
