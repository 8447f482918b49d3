"""
How toggles and sliders of the Hillview package become register writes, and what resets them.

Only a change of state writes: a slider that gets the value it has does nothing, and a slider
moved while its toggle is off does nothing either. Nobody reads back. Any toggle that goes off
resets the dispatch; Core's start, a lost grid power and a finished timer reset everything.
"""

from __future__ import annotations

from typing import Any

from tests.peers.hillview_registers import HUB

Yaml = dict[str, Any]

TOGGLES = ["force_charging", "force_discharging", "force_export", "excess_export", "dispatch"]
TIMERS = ["force_charging", "force_discharging", "force_export", "dispatch"]

DISPATCH_BLOCK = 0x0880
DISPATCH_POWER = 0x0881
DISPATCH_SOC = 0x0886
DISPATCH_TIME = 0x0887
MAX_FEED_TO_GRID = 0x0800
ZERO_W = 32_000
RESET_BLOCK = [0, 0, ZERO_W, 0, ZERO_W, 0, 0, 0, 90]
BY_SOC = 2
"""The dispatch mode that holds a battery power until a state of charge."""
SOC_PER_BIT = 0.392
SETTLE_S = 2
"""Between ending one mode and beginning another."""


def automations(unit: int) -> list[Yaml]:
    """Return all automations of the package for an inverter behind that Modbus unit."""
    return [
        *_forced("charging", -1, unit),
        *_forced("discharging", +1, unit),
        *_max_feed_to_grid(unit),
        *_resets(unit),
    ]


def call(service: str, entity_id: str | list[str], **data: Any) -> Yaml:
    """Return the action that calls a service on entities."""
    return {"service": service, "target": {"entity_id": entity_id}, "data": data}


def _forced(kind: str, sign: int, unit: int) -> list[Yaml]:
    """Return what starts a forced charge or discharge, and what follows its sliders."""
    helper = f"alphaess_helper_force_{kind}"
    toggle, timer = f"input_boolean.{helper}", f"timer.{helper}_timer"
    power_kw, minutes, cutoff = (
        f"states('input_number.{helper}_{what}') | float"
        for what in ("power", "duration", "cutoff_soc")
    )
    power = f"{ZERO_W} + {sign} * (({power_kw}) * 1000) | round | int"
    soc = f"(({cutoff}) / {SOC_PER_BIT}) | int"
    seconds = f"(({minutes}) * 60) | int"
    others = [_toggle(name) for name in TOGGLES if _toggle(name) != toggle]
    another_runs = {
        "condition": "or",
        "conditions": [{"condition": "state", "entity_id": it, "state": "on"} for it in others],
    }
    restart_timer = call("timer.start", timer, duration=f"{{{{ {seconds} }}}}")
    is_on = {"condition": "state", "entity_id": toggle, "state": "on"}

    def follow(what: str, address: int, value: str, *more: Yaml) -> Yaml:
        return {
            **_named(f"Update Force {kind.title()} {what.replace('_', ' ').title()}"),
            "trigger": {"platform": "state", "entity_id": f"input_number.{helper}_{what}"},
            "condition": is_on,
            "action": [_write(unit, address, value), *more],
        }

    block = f"{{{{ [1, 0, {power}, 0, {ZERO_W}, {BY_SOC}, {soc}, 0, {seconds}] }}}}"
    return [
        {
            **_named(f"Force {kind.title()}"),
            "mode": "single",
            "trigger": {"platform": "state", "entity_id": toggle, "to": "on"},
            "action": [
                {
                    "if": [another_runs],
                    "then": [
                        call("input_boolean.turn_off", others),
                        call("timer.cancel", _timers()),
                        {"delay": SETTLE_S},
                    ],
                },
                _write(unit, DISPATCH_BLOCK, block),
                restart_timer,
            ],
        },
        follow("power", DISPATCH_POWER, f"{{{{ [0, {power}] }}}}"),
        follow("cutoff_soc", DISPATCH_SOC, f"{{{{ [{soc}] }}}}"),
        follow(
            "duration",
            DISPATCH_TIME,
            f"{{{{ [0, {seconds}] }}}}",
            call("timer.cancel", timer),
            restart_timer,
        ),
    ]


def _max_feed_to_grid(unit: int) -> list[Yaml]:
    """Return the two directions between the slider and the inverter's own export limit."""
    slider = "input_number.alphaess_helper_max_feed_to_grid"
    sensor = "sensor.alphaess_max_feed_to_grid"
    return [
        {
            **_named("Max Feed to Grid"),
            "trigger": {"platform": "state", "entity_id": slider},
            "action": [
                _write(unit, MAX_FEED_TO_GRID, f"{{{{ [states('{slider}') | int] }}}}"),
            ],
        },
        {
            **_named("Update Max Feed to Grid Slider"),
            "trigger": {"platform": "state", "entity_id": sensor, "not_to": "unavailable"},
            "action": [
                call("input_number.set_value", slider, value=f"{{{{ states('{sensor}') }}}}")
            ],
        },
    ]


def _resets(unit: int) -> list[Yaml]:
    toggles = [_toggle(name) for name in TOGGLES]
    stop = [_write(unit, DISPATCH_BLOCK, RESET_BLOCK), call("timer.cancel", _timers())]
    timer_finished = [
        {"platform": "event", "event_type": "timer.finished", "event_data": {"entity_id": timer}}
        for timer in _timers()
    ]
    power_lost = {
        "platform": "state",
        "entity_id": "sensor.alphaess_power_grid",
        "to": ["unknown", "unavailable"],
    }
    button = "input_button.alphaess_helper_dispatch_reset_full"
    return [
        {
            **_named("Dispatch Reset"),
            "trigger": {"platform": "state", "entity_id": toggles, "from": "on", "to": "off"},
            "action": stop,
        },
        {
            **_named("Dispatch Reset Full"),
            "trigger": [
                {"platform": "homeassistant", "event": "start"},
                power_lost,
                {"platform": "state", "entity_id": button},
                *timer_finished,
            ],
            "action": [stop[0], call("input_boolean.turn_off", toggles), stop[1]],
        },
    ]


def _write(unit: int, address: int, value: str | list[int]) -> Yaml:
    """Return a write of a list, which Core sends as one frame of function code 16."""
    data = {"hub": HUB, "slave": unit, "address": address, "value": value}
    return {"service": "modbus.write_register", "data": data}


def _named(alias: str) -> Yaml:
    return {"id": f"alphaess_{alias.lower().replace(' ', '_')}", "alias": f"AlphaESS {alias}"}


def _toggle(name: str) -> str:
    return f"input_boolean.alphaess_helper_{name}"


def _timers() -> list[str]:
    return [f"timer.alphaess_helper_{name}_timer" for name in TIMERS]
