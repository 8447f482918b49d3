"""What the gates judge comes from the bridge itself, and what it does not show is missing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agent.fleet.contact import Contact, ContactState
from agent.fleet.evidence import OF_PROJECT, Around, evidence_of
from agent.fleet.gate_models import (
    Evidence,
    GateId,
    Image,
    Reading,
    Release,
    Result,
    Rules,
    Verdict,
)
from agent.fleet.gates import judge
from agent.fleet.identity import Mac
from agent.fleet.probe import knock
from agent.fleet.record import contacted
from agent.fleet.sighting import Source
from tests.fleet.devices import fleet_of, mac, word
from tests.fleet.houses import House, by_hand, house
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import PROJECT_VERSION
from tests.peers.fixtures import MakeDevice

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
PROJECT = "pv-edge.alphaess-bridge"
RELEASE = Release("ab" * 32, 1000, True, frozenset({PROJECT}), "ESP32", frozenset({"host"}))
IMAGE = Image(RELEASE.digest, RELEASE.size_bytes)
SHOWN = {entity: Reading(5.0, 99.0) for entity in OF_PROJECT[PROJECT].modbus}
WELL = Reading(True, 99.0)


def gathered(values: dict[str, Reading], *entities: str, **said: Any) -> Evidence:
    around = said.pop("around", Around())
    told = {"project_name": PROJECT, "name": "bridge-1", **said}
    fleet = contacted(
        fleet_of(word(1, Source.CONNECTION, **told)), mac(1), Contact(ContactState.ONLINE, 1.0)
    )
    return evidence_of(fleet.records[mac(1)], values, frozenset(entities), around, 100.0, AT)


def of(verdict: Verdict, *gates: GateId) -> list[str]:
    return [str(it.result) for wanted in gates for it in verdict.gates if it.gate is wanted]


def test_our_bridge_is_healthy_while_it_hears_its_inverter() -> None:
    found = gathered({**SHOWN, "binary_sensor.inverter": WELL})
    assert found.health == {"binary_sensor.inverter": False}
    assert all(found.modbus.values())
    assert found.expects_modbus


def test_pv05_a_health_sensor_that_shows_nothing_is_missing_and_not_well() -> None:
    for values in (SHOWN, {**SHOWN, "binary_sensor.inverter": Reading(None, 99.0)}):
        assert gathered(values).health == {"binary_sensor.inverter": None}
    off = gathered({**SHOWN, "binary_sensor.inverter": Reading(False, 99.0)})
    assert off.health == {"binary_sensor.inverter": True}


def test_a_health_sensor_that_home_assistant_keeps_counts_too() -> None:
    kept = Around(health={"binary_sensor.bridge_1_health": "unavailable"})
    found = gathered({}, project_name="PVAutonomy.Edge101", around=kept)
    assert found.health == {"binary_sensor.bridge_1_health": "unavailable"}


def test_a_factory_image_is_asked_for_no_inverter() -> None:
    found = gathered({}, project_name="PVAutonomy.Edge101Factory")
    assert (found.expects_modbus, found.health, found.modbus) == (False, {}, {})


def test_a_signal_without_a_value_is_told_from_one_that_is_not_exposed() -> None:
    assert gathered({}).signal is None
    assert gathered({}, "sensor.signal").signal == Reading(None, 100.0)
    assert gathered({"sensor.signal": Reading(-60.0, 99.0)}).signal == Reading(-60.0, 99.0)


def test_a_firmware_that_nobody_described_has_no_health_to_tell() -> None:
    verdict = judge(gathered({}, project_name="acme.garage"), RELEASE, IMAGE, Rules())
    assert of(verdict, GateId.HEALTH, GateId.MODBUS) == ["fail", "warn"]


async def looked_at(it: House, device: Device, rules: Rules) -> Verdict:
    """Return the verdict on a device as its own connection and its port show it now."""
    at = Mac(device.mac)
    panel = it.bridge(device).panel
    around = Around(
        upload_port=await knock(device.host, device.ota_port, 5.0),
        discharging_through=frozenset(),
    )
    found = evidence_of(
        it.keeper.fleet.records[at],
        panel.values,
        panel.entities,
        around,
        time.monotonic(),
        datetime.now(UTC),
    )
    # The program for this machine reads no inverter; that its gates then fail is tested above.
    found = replace(found, health={"health": False}, modbus={"grid": Reading(1.0, found.at_s)})
    return judge(found, RELEASE, IMAGE, rules)


async def test_pv08_real_devices_are_judged_each_by_its_own_connection(
    make_device: MakeDevice,
) -> None:
    one, ten = make_device("strict", name="bridge-1"), make_device("strict", name="bridge-10")
    rules = Rules(stable_s=0.5)
    with one, ten:
        async with house({it.mac: it.key for it in (one, ten)}.get, one, ten) as it:
            for device in (ten, one):
                it.keeper.word(by_hand(device, mac=Mac(device.mac)))
            for device in (ten, one):
                await it.until(lambda each=device: it.state(each) is ContactState.ONLINE)
                await asyncio.to_thread(device.wait_upload, 1)  # ports open one by one
            young = await looked_at(it, one, Rules(stable_s=60))
            assert {gate.gate for gate in young.of(Result.FAIL)} == {GateId.STABLE}
            await asyncio.sleep(rules.stable_s)  # what is waited for is time itself
            assert (await looked_at(it, one, rules)).overall is Result.PASS
            (known,) = (
                gate.evidence
                for gate in (await looked_at(it, one, rules)).gates
                if gate.gate is GateId.FIRMWARE_KNOWN
            )
            assert PROJECT_VERSION in known

            ten.kill()
            await it.until(lambda: it.state(ten) is not ContactState.ONLINE)
            gone = await looked_at(it, ten, rules)
            assert {gate.gate for gate in gone.of(Result.FAIL)} == {
                GateId.REACHABLE,
                GateId.STABLE,
                GateId.FIRMWARE_KNOWN,
                GateId.UPLOAD_PORT,
            }
            assert (await looked_at(it, one, rules)).overall is Result.PASS

            one.crash()
            await it.until(lambda: it.state(one) is not ContactState.ONLINE)
            await it.until(lambda: it.state(one) is ContactState.ONLINE)
            await asyncio.to_thread(one.wait_upload, 2)
            back = await looked_at(it, one, Rules(stable_s=60))
            assert {gate.gate for gate in back.of(Result.FAIL)} == {GateId.STABLE}
