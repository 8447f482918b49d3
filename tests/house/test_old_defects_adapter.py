"""Energy Export Monitor's defects D-07 and D-21, where the adapter has to be better."""

from __future__ import annotations

from typing import Any

from agent.homeassistant.states import EntityState
from agent.homeassistant.websocket import CoreConnection
from agent.house.alphaess import DispatchBlock
from agent.house.hass_alphaess import HassAlphaEss
from agent.house.hass_entities import DAY_ENERGY, POWER, EntityMapping, read


def entity(entity_id: str, text: str, unit: str) -> EntityState:
    attributes = {"unit_of_measurement": unit}
    return EntityState(entity_id, text, attributes, 0.0, 0.0, 0.0, live=True)


def test_d07_a_chosen_entity_is_read_and_the_packages_own_is_not() -> None:
    known = {
        "sensor.alphaess_power_grid": entity("sensor.alphaess_power_grid", "111", "W"),
        "sensor.my_meter": entity("sensor.my_meter", "-2.5", "kW"),
    }
    mapping = EntityMapping(grid_power="sensor.my_meter").over(
        EntityMapping(grid_power="sensor.alphaess_power_grid")
    )
    assert read(mapping.grid_power, known, POWER)[0] == -2500


async def test_d07_a_write_goes_to_the_configured_hub_and_carries_the_cut_off() -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = []

    class Recorder(CoreConnection):
        async def call_service(
            self, domain: str, service: str, data: Any = None, *_: Any, **__: Any
        ) -> None:
            calls.append((domain, service, dict(data)))

    core = Recorder("http://127.0.0.1:1", lambda: "")
    adapter = HassAlphaEss(core, hub="my_hub", unit=7)
    await adapter.write(DispatchBlock(True, 3000, 36.0, 90), deadline_s=1)
    ((domain, service, data),) = calls
    assert (domain, service) == ("modbus", "write_register")
    assert (data["hub"], data["slave"]) == ("my_hub", 7)
    assert data["value"][6] == int(36.0 / 0.392)


def test_d21_dc_and_ac_production_add_up_whatever_their_units() -> None:
    """DC strings in kWh and the AC meter's Riemann sum in Wh: added without a look at the units
    they made an allowance a thousand times too large."""
    known = {
        "sensor.dc": entity("sensor.dc", "4.2", "kWh"),
        "sensor.ac": entity("sensor.ac", "800", "Wh"),
    }
    value, _, _ = read(("sensor.dc", "sensor.ac"), known, DAY_ENERGY)
    assert value == 5000
