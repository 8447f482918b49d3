"""
The house as Home Assistant sees it: a package with the entities of the Hillview AlphaESS package.

Ids, registers and behaviour are those of the package that users of the old integration have; the
text is ours. Core polls the inverter through its own `modbus` integration; toggles, sliders and
timers of the package command it, and its automations reset the dispatch at Core's start and when
the grid power is lost. Nothing here is read by the agent except through Core.

For faults of a single sensor there are shadows: `sensor.shadow_soc` says what the real one says,
until `input_select.shadow_soc_fault` makes it lie in one of the ways of `FAULTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.peers.hillview_automations import TIMERS, TOGGLES, Yaml, automations, call
from tests.peers.hillview_registers import HUB, REGISTERS, UNIT, Register
from tests.peers.process import LOOPBACK

FAULTS = ["none", "unavailable", "frozen", "jump", "negative", "out_of_range", "wrong_unit"]
FOLLOWED = ("total_energy", "dispatch", "soc_battery", "max_feed_to_grid")
AC_LIMITS_KW = ["3", "4", "4.6", "5", "6", "8", "10", "12", "15", "20"]


class Generation(StrEnum):
    """How the package names the state of charge."""

    CURRENT = "current"
    """`sensor.alphaess_soc_battery`, as the package itself."""
    OLDER = "older"
    """`sensor.alphaess_battery_soc`, as the old integration's guide."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A sensor that can be made to lie; values are templates over `real`."""

    source: str
    unit: str
    device_class: str
    jump: str
    out_of_range: str
    wrong: str
    """What it says in Wh; energies convert, anything else has no business in that unit."""


SHADOWS = {
    "power_grid": Shadow(
        "sensor.alphaess_power_grid", "W", "power", "real - 15000", "150000", "real"
    ),
    "power_battery": Shadow(
        "sensor.alphaess_power_battery", "W", "power", "real + 15000", "150000", "real"
    ),
    "soc": Shadow(
        "sensor.alphaess_soc_battery", "%", "battery", "(real + 45) % 100", "150", "real"
    ),
    "exported_today": Shadow(
        "sensor.alphaess_today_s_energy_feed_to_grid_meter",
        "kWh",
        "energy",
        "real + 50",
        "1500",
        "real * 1000",
    ),
    "produced_today": Shadow(
        "sensor.alphaess_today_s_energy_from_pv",
        "kWh",
        "energy",
        "real + 50",
        "1500",
        "real * 1000",
    ),
}


def registers() -> list[tuple[int, int]]:
    """Return address and count of every reading Core makes, for whoever has to answer them."""
    return [(register.address, register.count) for register in REGISTERS]


def sensors(generation: Generation = Generation.CURRENT) -> list[str]:
    """Return the ids of the 141 sensors that Core reads from the inverter."""
    return [f"sensor.alphaess_{_key(register, generation)}" for register in REGISTERS]


def package(
    port: int,
    *,
    host: str = LOOPBACK,
    unit: int = UNIT,
    generation: Generation = Generation.CURRENT,
    slowest_scan_s: int = 60,
) -> Yaml:
    """
    Return the package as Core's YAML reads it.

    Args:
        port: where the inverter's Modbus server listens.
        host: the same, on loopback.
        unit: Modbus unit of the inverter.
        generation: which of the package's names for the state of charge.
        slowest_scan_s: shortens the minute that counters take, the 10 s of the state of charge and
            the 5 s of the read-back, for tests that cannot wait. The other registers keep their
            pace: a Core of 2024.1 whose hub is never idle does not finish its start-up.
    """
    readings = [_sensor(register, unit, generation, slowest_scan_s) for register in REGISTERS]
    hub = {
        "name": HUB,
        "type": "tcp",
        "host": host,
        "port": port,
        "message_wait_milliseconds": 10,
        "timeout": 10,
        "delay": 1,
        "sensors": readings,
    }
    return {
        "modbus": [hub],
        "sensor": [_pv_meter_energy()],
        "utility_meter": _meters(),
        "template": [
            {"sensor": [*_derived(), *_solcast(), *_shadow_sensors(generation)]},
            {"number": [_power_number(kind) for kind in ("charging", "discharging")]},
        ],
        **_helpers(),
        "automation": automations(unit),
    }


def _key(register: Register, generation: Generation) -> str:
    if register.key == "soc_battery" and generation is Generation.OLDER:
        return "battery_soc"
    return register.key


def _named(key: str) -> Yaml:
    """Return name and unique id that give `<domain>.alphaess_<key>`."""
    return {
        "name": f"AlphaESS {key.replace('_', ' ').title()}",
        "unique_id": f"alphaess_{key}",
    }


def _sensor(register: Register, unit: int, generation: Generation, slowest_scan_s: int) -> Yaml:
    followed = register.key.startswith(FOLLOWED)
    sensor = {
        **_named(_key(register, generation)),
        "slave": unit,
        "address": register.address,
        "input_type": "holding",
        "data_type": register.data_type,
        "scale": register.scale,
        "offset": register.offset,
        "precision": register.decimals,
        "scan_interval": min(register.scan_s, slowest_scan_s if followed else register.scan_s),
        "unit_of_measurement": register.unit,
        "device_class": register.device_class,
        "state_class": register.state_class,
    }
    return {name: value for name, value in sensor.items() if value is not None}


def _derived() -> list[Yaml]:
    powers = [f"sensor.alphaess_pv{string}_power" for string in range(1, 5)]
    powers.append("sensor.alphaess_active_power_pv_meter")
    production = " + ".join(f"states('{entity}') | float" for entity in powers)
    balance = [
        "sensor.alphaess_current_pv_production",
        "sensor.alphaess_power_battery",
        "sensor.alphaess_power_grid",
    ]
    load = " + ".join(f"states('{entity}') | float" for entity in balance)
    watts = {"unit_of_measurement": "W", "device_class": "power", "state_class": "measurement"}
    return [
        {
            **_named("current_pv_production"),
            **watts,
            "state": f"{{{{ ({production}) | round(0) }}}}",
            "availability": _all_have_values(powers),
        },
        {
            **_named("current_house_load"),
            **watts,
            "state": f"{{{{ [0, {load}] | max | round(0) }}}}",
            "availability": _all_have_values(balance),
        },
    ]


def _all_have_values(entities: list[str]) -> str:
    return "{{ " + " and ".join(f"has_value('{entity}')" for entity in entities) + " }}"


def _meters() -> Yaml:
    daily = {
        "Feed to Grid (Meter)": "total_energy_feed_to_grid_meter",
        "Consumption From Grid (Meter)": "total_energy_consumption_from_grid_meter",
        "Charge Battery": "total_energy_charge_battery",
        "Discharge Battery": "total_energy_discharge_battery",
        "From PV": "total_energy_from_pv",
        "From PV (Meter)": "total_energy_from_pv_meter",
    }
    return {
        f"alphaess_today_{index}": {
            "name": f"AlphaESS Today's Energy {what}",
            "unique_id": f"alphaess_today_{source}",
            "source": f"sensor.alphaess_{source}",
            "cycle": "daily",
        }
        for index, (what, source) in enumerate(daily.items())
    }


def _pv_meter_energy() -> Yaml:
    """Return the trap of the package: its neighbours count kWh, this one counts Wh."""
    return {
        "platform": "integration",
        "source": "sensor.alphaess_active_power_pv_meter",
        "name": "AlphaESS Total Energy From PV Meter",
        "unique_id": "alphaess_total_energy_from_pv_meter",
        "method": "left",
        "round": 1,
    }


def _solcast() -> list[Yaml]:
    return [
        {
            "name": f"Solcast PV Forecast Forecast {day.title()}",
            "unique_id": f"test_solcast_{day}",
            "unit_of_measurement": "kWh",
            "device_class": "energy",
            "state": f"{{{{ states('input_number.test_solcast_{day}') }}}}",
        }
        for day in ("today", "tomorrow")
    ]


def _shadow_sensors(generation: Generation) -> list[Yaml]:
    found = []
    for name, shadow in SHADOWS.items():
        source = shadow.source
        if source == "sensor.alphaess_soc_battery" and generation is Generation.OLDER:
            source = "sensor.alphaess_battery_soc"
        fault = f"{{% set fault = states('input_select.shadow_{name}_fault') %}}"
        # A frozen sensor must not even look at the real one: Core would count that as a report.
        state = (
            fault + "{% if fault == 'frozen' %}{{ this.state }}{% else %}"
            f"{{% set real = states('{source}') | float(0) %}}"
            f"{{{{ {{'jump': {shadow.jump}, 'negative': -5 - (real | abs), "
            f"'out_of_range': {shadow.out_of_range}, 'wrong_unit': {shadow.wrong}}}"
            ".get(fault, real) | round(3) }}{% endif %}"
        )
        available = (
            f"{fault}{{{{ fault == 'frozen' or (fault != 'unavailable' and "
            f"has_value('{source}')) }}}}"
        )
        found.append(
            {
                "name": f"Shadow {name.replace('_', ' ').title()}",
                "unique_id": f"shadow_{name}",
                "state": state,
                "availability": available,
                "attributes": {  # as attributes, because only these may be templates
                    "unit_of_measurement": f"{fault}{{{{ 'Wh' if fault == 'wrong_unit' "
                    f"else '{shadow.unit}' }}}}",
                    "device_class": shadow.device_class,
                },
            }
        )
    return found


def _helpers() -> Yaml:
    toggles: Yaml = {
        f"alphaess_helper_{name}": {"name": f"AlphaESS {name}", "initial": False}
        for name in [*TOGGLES, "excess_export_pause"]
    }
    del toggles["alphaess_helper_dispatch"]["initial"]  # this one is restored, then reset
    numbers: Yaml = {}
    for kind, cutoff in (("charging", 100), ("discharging", 10)):
        prefix = f"alphaess_helper_force_{kind}"
        numbers[f"{prefix}_power"] = _slider(0, 20, 0.1, 5, "kW")
        numbers[f"{prefix}_duration"] = _slider(0, 480, 5, 120, "min")
        numbers[f"{prefix}_cutoff_soc"] = _slider(4, 100, 1, cutoff, "%")
    numbers["alphaess_helper_max_feed_to_grid"] = _slider(0, 100, 1, 100, "%")
    numbers["test_solcast_today"] = _slider(0, 200, 0.001, 20, "kWh")
    numbers["test_solcast_tomorrow"] = _slider(0, 200, 0.001, 20, "kWh")
    return {
        "input_boolean": toggles,
        "input_number": numbers,
        "input_select": {
            "alphaess_helper_inverter_ac_limit": {"options": AC_LIMITS_KW, "initial": "10"},
            **{f"shadow_{name}_fault": {"options": FAULTS, "initial": "none"} for name in SHADOWS},
        },
        "input_button": {"alphaess_helper_dispatch_reset_full": {"name": "Dispatch Reset Full"}},
        "timer": {f"alphaess_helper_{name}_timer": {"duration": "02:00:00"} for name in TIMERS},
    }


def _slider(low: float, high: float, step: float, initial: float, unit: str) -> Yaml:
    return {
        "min": low,
        "max": high,
        "step": step,
        "initial": initial,
        "unit_of_measurement": unit,
        "mode": "box",
    }


def _power_number(kind: str) -> Yaml:
    slider = f"input_number.alphaess_helper_force_{kind}_power"
    limit = "states('input_select.alphaess_helper_inverter_ac_limit')"
    return {
        "name": f"AlphaESS Template Force {kind.title()} Power",
        "unique_id": f"alphaess_template_force_{kind}_power",
        "min": "{{ 0 }}",
        "max": f"{{{{ {limit} | float(0) }}}}",
        "step": "{{ 0.1 }}",
        "state": f"{{{{ states('{slider}') | float(0) }}}}",
        "availability": f"{{{{ is_number({limit}) }}}}",
        "set_value": call("input_number.set_value", slider, value="{{ value }}"),
    }
