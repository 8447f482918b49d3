"""
Runs the simulated inverter as a process of its own: `python -m agent.simulator`.

Prints one line of JSON with the ports when both servers listen, and ends cleanly by SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import fields
from typing import Any

from aiohttp import web

from agent.simulator.control import application
from agent.simulator.dispatch import DispatchSettings
from agent.simulator.inverter import Inverter, InverterSettings
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.sky import Weather


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    options = _parser().parse_args(arguments)
    asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    inverter = _inverter(options)
    runner = web.AppRunner(application(inverter), access_log=None, shutdown_timeout=1.0)
    try:
        await inverter.start(options.host, options.port)
        await runner.setup()
        await web.TCPSite(runner, options.host, options.control_port).start()
        control_port = runner.addresses[0][1]
        ready = {"modbus_port": inverter.port, "control_port": control_port}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()
        await inverter.stop()


def _inverter(options: argparse.Namespace) -> Inverter:
    chosen = vars(options)

    def those_of(kind: type) -> dict[str, Any]:
        return {
            entry.name: chosen[entry.name]
            for entry in fields(kind)
            if chosen.get(entry.name) is not None
        }

    dispatch = DispatchSettings(**those_of(DispatchSettings))
    plant = Plant(PlantSettings(**those_of(PlantSettings) | {"dispatch": dispatch}))
    plant.pv_override_w, plant.load_override_w = options.pv_w, options.load_w
    settings = InverterSettings(**those_of(InverterSettings))
    return Inverter(plant, settings, speed=options.speed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent.simulator", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="Modbus TCP port; 0 lets the system choose")
    add("--control-port", type=int, default=0, help="HTTP port of /state and /set; 0 the same")
    add("--seed", type=int, help="the same seed gives the same weather and loads")
    add("--speed", type=float, default=1.0, help="simulated seconds per second; 0 stands still")
    add("--start-s", type=float, help="time of day at the start, seconds since midnight")
    add("--weather", type=Weather, choices=list(Weather), help="what the sky is like")
    add("--pv-w", type=float, help="pin PV to this power")
    add("--load-w", type=float, help="pin the house load to this power")
    add("--soc", type=float, dest="soc_percent", help="state of charge at the start, percent")
    add("--capacity-wh", type=float, help="of the battery")
    add("--gain", type=float, help="delivered over commanded power")
    add("--noise-w", type=float, help="largest error of the power meters")
    add("--unit", type=int, help="Modbus unit id")
    add("--response-ms", type=_milliseconds, dest="response_s", help="time until an answer")
    add("--one-client", action="store_true", default=None, help="hang up on a second client")
    add("--counters-swapped", action="store_true", default=None, help="0x0010 against 0x0012")
    add("--refused-function", type=int, choices=(6, 16), help="refused for single registers")
    add("--dead-time-s", type=float, help="from a write to the first change of power")
    add("--exit-lag-s", type=float, help="from the end of the Dispatch Time to self-consumption")
    add("--soc-scale", type=float, help="percent per bit of the dispatch SOC: 0.392 or 0.4")
    add("--timer-ignored", action="store_true", default=None, help="a dispatch never ends")
    add("--timer-step-s", type=int, help="60 rounds the Dispatch Time up to whole minutes")
    add("--shortest-s", type=int, help="shorter Dispatch Times are clamped upwards")
    return parser


def _milliseconds(text: str) -> float:
    return float(text) / 1000


if __name__ == "__main__":
    sys.exit(main())
