"""
Which entities of Home Assistant the agent reads and writes; `None` means: find it.

Source: the entities of Energy Export Monitor v1.9.17 and of the Hillview package.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.setting_fields import Group, OneEntity, SomeEntities

FROZEN = ConfigDict(
    frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
)

_source = Group("Entities read")
_helper = Group("Entities written (path ha_helpers)")


def _read(example: str, sentence: str) -> Any:
    return _source.other("entity", None, f"sensor.{example}", sentence)


def _forecast(example: str, sentence: str) -> Any:
    return _source.other("entities", None, example, sentence)


def _written(example: str, sentence: str) -> Any:
    return _helper.other("entity", None, example, sentence)


class Entities(BaseModel):
    """Home Assistant entities by their purpose; `None` means: find it."""

    model_config = FROZEN

    grid_power: OneEntity = _read(
        "alphaess_power_grid", "Power at the connection point; positive imports."
    )
    battery_power: OneEntity = _read(
        "alphaess_power_battery", "Power of the battery; positive discharges."
    )
    pv_power: SomeEntities = _source.other(
        "entities",
        None,
        "sensor.alphaess_pv1_power, sensor.alphaess_pv2_power",
        "Power of the generators; several are added up.",
    )
    soc: OneEntity = _read("alphaess_soc_battery", "State of charge of the battery.")
    exported_today: OneEntity = _read(
        "alphaess_today_s_energy_feed_to_grid_meter", "Energy fed to the grid today."
    )
    produced_today: SomeEntities = _source.other(
        "entities",
        None,
        "sensor.alphaess_today_s_energy_from_pv, sensor.alphaess_today_s_energy_from_pv_meter",
        "Energy from PV today; several are added up, each by its own unit.",
    )
    forecast_today: OneEntity = _read(
        "solcast_pv_forecast_forecast_today",
        "Forecast of the PV energy of the whole local day; plans read its attributes.",
    )
    forecast_tomorrow: OneEntity = _read(
        "solcast_pv_forecast_forecast_tomorrow", "The same for tomorrow."
    )
    reserve_soc: OneEntity = _read(
        "predbat_reserve_soc", "An external 'keep at least this state of charge'."
    )
    ci_forecast: SomeEntities = _forecast(
        "sensor.carbon_intensity_uk",
        "Forecast of the grid's carbon intensity, in the attributes; several continue each other.",
    )
    buy_rates: SomeEntities = _forecast(
        "event.octopus_current_day_rates, event.octopus_next_day_rates",
        "Prices of what is imported, in the attributes; several continue each other.",
    )
    sell_rates: SomeEntities = _forecast(
        "event.octopus_export_current_day_rates",
        "Prices of what is exported, in the same way.",
    )
    dispatch_start: OneEntity = _read(
        "alphaess_dispatch_start", "Read-back: 1 while a dispatch runs."
    )
    dispatch_power: OneEntity = _read(
        "alphaess_dispatch_active_power", "Read-back of the commanded power."
    )
    dispatch_mode: OneEntity = _read("alphaess_dispatch_mode", "Read-back of the dispatch mode.")
    dispatch_soc: OneEntity = _read("alphaess_dispatch_soc", "Read-back of the cut-off.")
    dispatch_time: OneEntity = _read("alphaess_dispatch_time", "Read-back of the duration.")
    feed_in_limit: OneEntity = _read(
        "alphaess_max_feed_to_grid", "Read-back of the inverter's own feed-in limit."
    )
    discharge_button: OneEntity = _written(
        "input_boolean.alphaess_helper_force_discharging", "Starts and stops forced discharge."
    )
    discharge_power: OneEntity = _written(
        "number.alphaess_template_force_discharging_power", "Power of forced discharge, in kW."
    )
    discharge_cutoff_soc: OneEntity = _written(
        "input_number.alphaess_helper_force_discharging_cutoff_soc", "Cut-off of forced discharge."
    )
    discharge_duration: OneEntity = _written(
        "input_number.alphaess_helper_force_discharging_duration",
        "Duration of forced discharge, in minutes.",
    )
    discharge_timer: OneEntity = _written(
        "timer.alphaess_helper_force_discharging_timer", "The package's timer of forced discharge."
    )
    charge_button: OneEntity = _written(
        "input_boolean.alphaess_helper_force_charging", "Starts and stops forced charge."
    )
    charge_power: OneEntity = _written(
        "number.alphaess_template_force_charging_power", "Power of forced charge, in kW."
    )
    charge_duration: OneEntity = _written(
        "input_number.alphaess_helper_force_charging_duration",
        "Duration of forced charge, in minutes.",
    )
    charge_cutoff_soc: OneEntity = _written(
        "input_number.alphaess_helper_force_charging_cutoff_soc", "Cut-off of forced charge."
    )
    charge_timer: OneEntity = _written(
        "timer.alphaess_helper_force_charging_timer", "The package's timer of forced charge."
    )
    reset_button: OneEntity = _written(
        "input_button.alphaess_helper_dispatch_reset_full",
        "Resets every dispatch; pressed when a stop finds no toggle to switch off.",
    )
