"""The peers are what they claim to be: real, on loopback, restartable, gone with the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant
from tests.peers import hillview
from tests.peers.fixtures import MakeBroker, MakeCore
from tests.peers.ha_client import NO_VALUE, CoreClient, CoreRefusedError
from tests.peers.hillview import Generation
from tests.peers.hillview_automations import RESET_BLOCK
from tests.peers.house import House, house
from tests.peers.mosquitto import Broker

FORCE_DISCHARGING = "input_boolean.alphaess_helper_force_discharging"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived_in(
    core_version: str, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """
    One house for all tests that leave it as they found it.

    It exports all the time: a daily meter of Core has no value until its source has moved.
    """
    inverter = Inverter(speed=30)
    inverter.plant.soc_percent = 100
    inverter.plant.pv_override_w, inverter.plant.load_override_w = 5000, 300
    directory = tmp_path_factory.mktemp("house")
    async with house(
        core_version, directory, inverter=inverter, broker=broker, slowest_scan_s=2
    ) as running:
        yield running


def connected(broker: Broker, password: str) -> ReasonCode:
    """Return the broker's answer to a client with that password."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(broker.username, password)
    answers: list[ReasonCode] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.connect(broker.host, broker.port)
    while not answers:
        client.loop(timeout=1)
    client.disconnect()
    return answers[0]


def test_broker_lets_in_only_who_knows_the_password(broker: Broker) -> None:
    assert connected(broker, broker.password) == "Success"
    assert connected(broker, "wrong") == "Not authorized"


def test_broker_keeps_its_port_over_a_restart(make_broker: MakeBroker) -> None:
    own = make_broker()
    port = own.port
    own.restart()
    assert own.port == port
    assert connected(own, own.password) == "Success"


def test_package_polls_141_sensors_that_the_inverter_all_answers() -> None:
    inverter = Inverter()
    answers = [inverter.registers.read(at, count) for at, count in hillview.registers()]
    assert len(answers) == len(set(hillview.sensors())) == 141


@pytest.mark.peers("inverter")
async def test_core_shows_every_reading(lived_in: House) -> None:
    entities = [
        *hillview.sensors(),
        "sensor.alphaess_current_pv_production",
        "sensor.alphaess_current_house_load",
        "sensor.alphaess_today_s_energy_feed_to_grid_meter",
        "sensor.alphaess_today_s_energy_from_pv",
        "sensor.solcast_pv_forecast_forecast_today",
        "sensor.solcast_pv_forecast_forecast_tomorrow",
        *(f"sensor.shadow_{name}" for name in hillview.SHADOWS),
    ]
    async with lived_in.client() as client:
        await client.until_known(entities)
        soc = float(client.states["sensor.alphaess_soc_battery"]["state"])
        assert soc == pytest.approx(lived_in.inverter.plant.soc_percent, abs=3)


@pytest.mark.peers("inverter")
async def test_toggle_becomes_a_dispatch_and_its_end_a_reset(lived_in: House) -> None:
    lived_in.inverter.writes.clear()
    async with lived_in.client() as client:
        power = "number.alphaess_template_force_discharging_power"
        await client.call("number.set_value", power, value=3.7)
        await client.call("input_boolean.turn_on", FORCE_DISCHARGING)
        await client.until("sensor.alphaess_dispatch_active_power", "3700")
        await client.until("timer.alphaess_helper_force_discharging_timer", "active")
        await client.call("input_boolean.turn_off", FORCE_DISCHARGING)
        await client.until("sensor.alphaess_dispatch_start", "0")
        await client.until("timer.alphaess_helper_force_discharging_timer", "idle")
    written = [list(write.values) for write in lived_in.inverter.writes]
    assert written == [[1, 0, 35_700, 0, 32_000, 2, 25, 0, 7200], RESET_BLOCK]


@pytest.mark.peers("inverter")
@pytest.mark.parametrize(
    ("fault", "unit", "lies"),
    [
        ("unavailable", None, lambda state: state == "unavailable"),
        ("jump", "%", lambda state: 0 <= float(state) < 100),
        ("negative", "%", lambda state: float(state) < 0),
        ("out_of_range", "%", lambda state: float(state) == 150),
        ("wrong_unit", "Wh", lambda state: 0 <= float(state) <= 100),
    ],
)
async def test_shadow_lies_on_demand_and_recovers(
    lived_in: House, fault: str, unit: str | None, lies: Callable[[str], bool]
) -> None:
    select = "input_select.shadow_soc_fault"
    async with lived_in.client() as client:
        await client.until("sensor.shadow_soc", lambda state: state not in NO_VALUE)
        await client.call("input_select.select_option", select, option=fault)
        said = await client.until_state(
            "sensor.shadow_soc",
            lambda state: (
                lies(state["state"]) and state["attributes"].get("unit_of_measurement") == unit
            ),
        )
        assert said["state"] != client.state("sensor.alphaess_soc_battery") or fault == "wrong_unit"
        await client.call("input_select.select_option", select, option="none")
        await client.until_state(
            "sensor.shadow_soc",
            lambda state: (
                state["state"] == client.state("sensor.alphaess_soc_battery")
                and state["attributes"].get("unit_of_measurement") == "%"
            ),
        )


@pytest.mark.peers("inverter")
async def test_frozen_shadow_does_not_move_with_the_real_one(lived_in: House) -> None:
    select = "input_select.shadow_power_grid_fault"
    async with lived_in.client() as client:
        await client.until("sensor.shadow_power_grid", lambda state: state not in NO_VALUE)
        await client.call("input_select.select_option", select, option="frozen")
        frozen = client.state("sensor.shadow_power_grid")
        for load_w in (900.0, 1900.0):
            lived_in.inverter.plant.load_override_w = load_w
            before = client.state("sensor.alphaess_power_grid")
            await client.until("sensor.alphaess_power_grid", lambda now, was=before: now != was)
        assert client.state("sensor.shadow_power_grid") == frozen
        await client.call("input_select.select_option", select, option="none")
    lived_in.inverter.plant.load_override_w = 300


async def test_core_finds_what_is_announced_over_mqtt(lived_in: House, broker: Broker) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(broker.username, broker.password)
    client.connect(broker.host, broker.port)
    client.loop_start()
    topic = "homeassistant/sensor/peers/probe/config"
    announced = {"name": "Probe", "unique_id": "peers_probe", "state_topic": "peers/probe"}
    async with lived_in.client() as core:
        client.publish(topic, json.dumps(announced), qos=1, retain=True)
        await core.until("sensor.probe", "unknown")
        client.publish("peers/probe", "42", qos=1, retain=True)  # Core may subscribe later
        await core.until("sensor.probe", "42")
        for each in (topic, "peers/probe"):
            client.publish(each, "", qos=1, retain=True)
        await core.until_all(lambda states: "sensor.probe" not in states, 10)
    client.disconnect()
    client.loop_stop()


async def test_resident_is_no_administrator(lived_in: House) -> None:
    async with CoreClient(lived_in.core.url, lived_in.core.resident.token) as resident:
        assert not (await resident.command("auth/current_user"))["is_admin"]
        with pytest.raises(CoreRefusedError):
            await resident.command("config/auth/list")


async def test_core_speaks_to_nobody_but_loopback(lived_in: House) -> None:
    sockets = psutil.Process(lived_in.core.pid).net_connections("inet")
    assert sockets
    addresses = {end.ip for it in sockets for end in (it.laddr, it.raddr) if end}
    assert addresses == {"127.0.0.1"}


async def test_core_keeps_address_and_token_over_a_power_cut(
    core_version: str, make_core: MakeCore
) -> None:
    core = make_core(core_version)
    async with core:
        url, token, first = core.url, core.token, core.pid
        core.kill()
        assert not core.is_running()
        core.spawn()
        await core.running()
        assert core.pid != first
        async with CoreClient(url, token) as client:
            assert (await client.command("auth/current_user"))["is_owner"]
        await core.stopped()
        assert core.pid is None


async def test_core_ends_when_the_test_does(core_version: str, make_core: MakeCore) -> None:
    core = make_core(core_version)
    core.spawn()
    await core.running()
    process = psutil.Process(core.pid)
    core.let_go()
    assert await asyncio.to_thread(process.wait, 10) is not None


@pytest.mark.peers("inverter")
async def test_older_package_names_the_charge_differently(
    core_version: str, tmp_path: Path
) -> None:
    plant = Plant()
    plant.soc_percent = 42
    inverter = Inverter(plant, speed=0)
    older = house(
        core_version, tmp_path, inverter=inverter, generation=Generation.OLDER, slowest_scan_s=2
    )
    async with older as running, running.client() as client:
        await client.until("sensor.alphaess_battery_soc", "42.0")
        await client.until("sensor.shadow_soc", "42.0")
        assert "sensor.alphaess_soc_battery" not in client.states
