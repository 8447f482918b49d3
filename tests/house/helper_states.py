"""States of the package's helpers, as Core tells them."""

from __future__ import annotations

from typing import Any

from agent.homeassistant.states import EntityState

TOGGLE = "input_boolean.alphaess_helper_force_discharging"
CHARGING = "input_boolean.alphaess_helper_force_charging"
POWER = "number.alphaess_template_force_discharging_power"
DURATION = "input_number.alphaess_helper_force_discharging_duration"
CUT = "input_number.alphaess_helper_force_discharging_cutoff_soc"
TIMER = "timer.alphaess_helper_force_discharging_timer"
RESET = "input_button.alphaess_helper_dispatch_reset_full"


def entity(entity_id: str, state: str, **attributes: Any) -> EntityState:
    return EntityState(entity_id, state, attributes, 0.0, 0.0, 0.0, live=True)


def slider(entity_id: str, state: str, low: float, high: float, unit: str | None) -> EntityState:
    attributes = {"min": low, "max": high}
    return entity(entity_id, state, **attributes, **({"unit_of_measurement": unit} if unit else {}))
