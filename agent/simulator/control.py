"""
Steers a simulated inverter that runs in a process of its own.

`GET /state` shows the plant, the dispatch and the counters; `POST /set` changes what a test or a
demo may change: the plant's overrides, the faults, the speed, a foreign dispatch. It listens on
loopback and knows no users: for tests and demos only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from agent.house.alphaess import DISPATCH_COUNT
from agent.simulator.dispatch import BLOCK_COUNT
from agent.simulator.faults import Faults
from agent.simulator.inverter import Inverter
from agent.simulator.sky import Weather

_WORD = 0x1_0000
_FASTEST = 10_000.0
_LONGEST_ADVANCE_S = 7 * 86_400.0


def state(inverter: Inverter) -> dict[str, object]:
    """Return the whole picture in JSON types; powers as they truly are, and as the meters say."""
    plant, dispatch = inverter.plant, inverter.plant.dispatch
    return {
        "speed": inverter.speed,
        "plant": {
            "time_s": plant.time_s,
            "seconds_of_day": plant.seconds_of_day,
            "day": plant.day,
            "pv_w": plant.pv_w,
            "load_w": plant.load_w,
            "battery_w": plant.battery_w,
            "grid_w": plant.grid_w,
            "true_battery_w": plant.true_battery_w,
            "true_grid_w": plant.true_grid_w,
            "soc_percent": plant.soc_percent,
            "gain": plant.gain,
            "pv_override_w": plant.pv_override_w,
            "load_override_w": plant.load_override_w,
            "weather": plant.sky.weather,
        },
        "counters": {
            "exported_wh": plant.true_exported_wh,
            "imported_wh": plant.true_imported_wh,
            "produced_wh": plant.true_produced_wh,
            "charged_wh": plant.true_charged_wh,
            "discharged_wh": plant.true_discharged_wh,
        },
        "dispatch": {
            "active": dispatch.active,
            "registers": dispatch.readable(),
            "power_w": dispatch.power_w,
            "duration_s": dispatch.duration_s,
            "remaining_s": dispatch.remaining_s,
        },
        "faults": inverter.faults.as_json(),
        "clients": inverter.clients,
        "reads": inverter.reads,
        "writes": len(inverter.writes),
        "last_writes": [
            {
                "at_s": write.at_s,
                "plant_s": write.plant_s,
                "function": write.function,
                "address": write.address,
                "values": list(write.values),
            }
            for write in inverter.writes[-20:]
        ],
    }


def change(inverter: Inverter, wishes: Mapping[str, object]) -> None:
    """
    Carry out the wishes of one `POST /set`.

    Keys: `plant` (attributes), `faults` (switches), `speed`, `advance_s`, `block` (a foreign
    dispatch, 9 to 11 registers), `hang_up`, `clear_faults`. Everything is checked before
    anything is changed.

    Raises:
        ValueError: an unknown key, or a value that cannot be.
    """
    todo: list[Callable[[], None]] = []
    for key, value in wishes.items():
        check = _WISHES.get(key)
        if check is None:
            raise ValueError(f"nothing to set called {key!r}; there are {', '.join(_WISHES)}")
        todo.append(check(inverter, value))
    for act in todo:
        act()


def application(inverter: Inverter) -> web.Application:
    """Return the two routes as an aiohttp application."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response(state(inverter))

    async def set_(request: web.Request) -> web.Response:
        try:
            change(inverter, _object("the body", await request.json()))
        except (ValueError, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(state(inverter))

    app = web.Application()
    app.add_routes([web.get("/state", show), web.post("/set", set_)])
    return app


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
        return float(value)
    raise ValueError(f"{name} takes {least:g} to {most:g}, not {value!r}")


def _object(name: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} has to be a JSON object, not {value!r}")


def _plant(inverter: Inverter, value: object) -> Callable[[], None]:
    checked: dict[str, Any] = {}
    for name, wanted in _object("plant", value).items():
        if name == "weather":
            checked[name] = Weather(str(wanted))
        elif name in {"pv_override_w", "load_override_w"} and wanted is None:
            checked[name] = None
        elif name in _PLANT:
            checked[name] = _number(name, wanted, *_PLANT[name])
        else:
            raise ValueError(f"the plant has no {name!r}; there are weather, {', '.join(_PLANT)}")

    def act() -> None:
        for name, wanted in checked.items():
            setattr(inverter.plant.sky if name == "weather" else inverter.plant, name, wanted)

    return act


def _faults(inverter: Inverter, value: object) -> Callable[[], None]:
    switches = _object("faults", value)
    Faults().apply(switches)
    return lambda: inverter.faults.apply(switches)


def _speed(inverter: Inverter, value: object) -> Callable[[], None]:
    speed = _number("speed", value, 0, _FASTEST)
    return lambda: setattr(inverter, "speed", speed)


def _advance(inverter: Inverter, value: object) -> Callable[[], None]:
    seconds = _number("advance_s", value, 0, _LONGEST_ADVANCE_S)
    return lambda: inverter.advance(seconds)


def _block(inverter: Inverter, value: object) -> Callable[[], None]:
    if not isinstance(value, list) or not DISPATCH_COUNT <= len(value) <= BLOCK_COUNT:
        raise ValueError(f"block takes {DISPATCH_COUNT} to {BLOCK_COUNT} registers")
    words = [int(_number("a register", word, 0, _WORD - 1)) for word in value]
    return lambda: inverter.write_local(words)


def _hang_up(inverter: Inverter, _: object) -> Callable[[], None]:
    return inverter.hang_up


def _clear(inverter: Inverter, _: object) -> Callable[[], None]:
    return inverter.faults.clear


_PLANT = {
    "pv_override_w": (0.0, 50_000.0),
    "load_override_w": (0.0, 50_000.0),
    "soc_percent": (0.0, 100.0),
    "seconds_of_day": (0.0, 86_399.999),
    "gain": (0.5, 1.5),
}
_WISHES: dict[str, Callable[[Inverter, object], Callable[[], None]]] = {
    "clear_faults": _clear,
    "plant": _plant,
    "faults": _faults,
    "speed": _speed,
    "block": _block,
    "advance_s": _advance,
    "hang_up": _hang_up,
}
