"""
Stand-ins for the two old integrations that a real Core loads. They command and flash nothing.

Energy Export Monitor has its form, its numbers and one action, with the keys, names and unique ids
of version 1.9.17; PVAutonomy Ops is there and does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.peers.ha_storage import remember_entry

DOMAIN, OPS = "export_monitor", "pvautonomy_ops"
_MANIFEST = {
    "version": "1.9.17",
    "config_flow": True,
    "documentation": "https://example.invalid",
    "codeowners": [],
    "iot_class": "local_polling",
}
_INIT = """
async def async_setup_entry(hass, entry):
    async def start(call):
        pass

    hass.services.async_register("export_monitor", "start_discharge", start)
    await hass.config_entries.async_forward_entry_setups(entry, ["number"])
    return True


async def async_unload_entry(hass, entry):
    return await hass.config_entries.async_unload_platforms(entry, ["number"])
"""
_FLOW = """
import voluptuous as vol
from homeassistant import config_entries


class Flow(config_entries.ConfigFlow, domain="export_monitor"):
    async def async_step_user(self, user_input=None):
        schema = vol.Schema({vol.Required("battery_capacity_kwh", default=99.0): float})
        return self.async_show_form(step_id="user", data_schema=schema)

    async def async_step_reconfigure(self, user_input=None):
        entry = self.hass.config_entries.async_get_entry(self.context["entry_id"])
        schema = {}
        for key, value in entry.data.items():
            schema[vol.Optional(key, default=value)] = type(value)
        return self.async_show_form(step_id="reconfigure", data_schema=vol.Schema(schema))
"""
_NUMBER = """
from homeassistant.components.number import NumberEntity

NUMBERS = {
    "target_export": ("Target Export", "W", 5000, 3000),
    "min_soc": ("Minimum SOC", "%", 100, 15),
    "safety_margin": ("Safety Margin", "kWh", 20, 1.5),
}


class Number(NumberEntity):
    def __init__(self, entry, suffix):
        name, unit, most, value = NUMBERS[suffix]
        self._attr_name = f"Energy Export Monitor {name}"
        self._attr_unique_id = f"{entry.entry_id}_{suffix}"
        self._attr_native_unit_of_measurement = unit
        self._attr_native_max_value = most
        self._attr_native_value = value


async def async_setup_entry(hass, entry, add):
    add([Number(entry, suffix) for suffix in NUMBERS])
"""


_QUIET_INIT = """
async def async_setup_entry(hass, entry):
    return True
"""
_QUIET_FLOW = """
from homeassistant import config_entries


class Flow(config_entries.ConfigFlow, domain="pvautonomy_ops"):
    pass
"""


def install(config: Path, data: Mapping[str, object]) -> str:
    """Have a Core that was not started yet know and load Export Monitor; return its entry."""
    files = {"__init__": _INIT, "config_flow": _FLOW, "number": _NUMBER}
    return _install(config, DOMAIN, "Energy Export Monitor", files, data)


def install_ops(config: Path) -> str:
    """Do the same with PVAutonomy Ops."""
    files = {"__init__": _QUIET_INIT, "config_flow": _QUIET_FLOW}
    return _install(config, OPS, "PVAutonomy Ops", files, {})


def _install(
    config: Path, domain: str, name: str, files: Mapping[str, str], data: Mapping[str, object]
) -> str:
    folder = config / "custom_components" / domain
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"domain": domain, "name": name, **_MANIFEST}))
    for each, text in files.items():
        (folder / f"{each}.py").write_text(text)
    return remember_entry(config, domain, name, data)
