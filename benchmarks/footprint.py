"""
What the agent costs a small machine: seconds to start, memory, and processor time at rest.

The agent watches a real Home Assistant Core with the Hillview package's 141 sensors and talks to
a real broker, as in a house; ESPHome's Device Builder runs in the same run with nothing to do.
Start is from exec to the first 200 (`/health`, the peer's page), the median of several. Memory
is the resident memory of the process and its children, and processor time is theirs too.

    python benchmarks/footprint.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import device_builder
from benchmarks.running import Program, agent, directory, need_core, note, snapshot
from tests.peers.house import House, house
from tests.peers.install import MissingPeerError, program
from tests.peers.mosquitto import Broker
from tests.peers.process import free_port

TARGETS = {"start_s": 1.0, "rss_mb": 90.0, "idle_cpu_percent": 1.0}
_SETTLE_S = 6.0
"""The first seconds still belong to the start: caches fill, the peer checks its compiler."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one program costs."""

    start_s: float
    rss_mb: float
    idle_cpu_percent: float
    """Of one core."""


def starts(make: Callable[[Path, int], Program], path: str, times: int) -> list[float]:
    """Start and stop a program several times and return the seconds that each start took."""
    found = []
    for _ in range(times):
        with directory() as place:
            port = free_port()
            with make(place, port) as running:
                found.append(running.answers(port, path))
    return found


def at_rest(pids: dict[str, int], seconds: float) -> dict[str, tuple[float, float]]:
    """Return memory in MB and processor time in percent of each process tree, side by side."""
    trees = {name: _tree(pid) for name, pid in pids.items()}
    began_s = time.monotonic()
    before = {name: _cpu_s(tree) for name, tree in trees.items()}
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    return {
        name: (_rss_mb(_tree(pids[name])), 100 * (_cpu_s(tree) - before[name]) / took_s)
        for name, tree in trees.items()
    }


def _tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def _cpu_s(tree: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in tree if process.is_running()]
    return sum(each.user + each.system for each in times)


def _rss_mb(tree: list[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in tree) / _MB


def measure(home: House, broker: Broker | None, python: Path, quick: bool) -> list[Footprint]:
    """Return our footprint and the peer's."""
    mqtt = {}
    if broker is not None:
        mqtt = {
            "mqtt_host": broker.host,
            "mqtt_port": str(broker.port),
            "mqtt_username": broker.username,
            "mqtt_password": broker.password,
        }

    def ours(place: Path, port: int) -> Program:
        return agent(place / "data", port, home.core.url, home.core.token, **mqtt)

    def peers(place: Path, port: int) -> Program:
        return device_builder.program(python, place, port)

    times, seconds = (3, 20.0) if quick else (7, 60.0)
    note(f"starting each {times} times")
    started = [starts(ours, "/health", times + 1)[1:], starts(peers, "/", times + 1)[1:]]
    note(f"watching both at rest for {seconds:.0f} s")
    with directory() as place:
        ports = free_port(), free_port()
        with ours(place, ports[0]) as our, peers(place, ports[1]) as peer:
            our.answers(ports[0], "/health")
            peer.answers(ports[1], "/")
            time.sleep(_SETTLE_S)
            if not snapshot(ports[0])["linked"]:
                raise RuntimeError(f"the agent is not linked to Core:\n{our.said()}")
            resting = at_rest({"ours": our.pid, "peer": peer.pid}, seconds)
    return [
        Footprint(statistics.median(took), *resting[name])
        for took, name in zip(started, ("ours", "peer"), strict=True)
    ]


async def run(quick: bool) -> dict[str, float]:
    """Install and start what is needed, measure, and return the figures."""
    version = need_core()
    python = device_builder.install()
    with directory() as place:
        broker = Broker(place / "mosquitto") if program("mosquitto") else None
        try:
            if broker is None:
                note("no mosquitto here: measured without a broker")
            else:
                broker.start()
            (place / "core").mkdir()
            note(f"starting Home Assistant {version}")
            async with house(version, place / "core", broker=broker) as home:
                ours, peer = await asyncio.to_thread(measure, home, broker, python, quick)
        finally:
            if broker is not None:
                broker.kill()
    return {
        "start_s": round(ours.start_s, 3),
        "rss_mb": round(ours.rss_mb, 1),
        "idle_cpu_percent": round(ours.idle_cpu_percent, 2),
        "peer_start_s": round(peer.start_s, 3),
        "peer_rss_mb": round(peer.rss_mb, 1),
        "peer_idle_cpu_percent": round(peer.idle_cpu_percent, 2),
    }


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    args = parser.parse_args()
    try:
        found = asyncio.run(run(args.quick))
    except MissingPeerError as error:
        print(f"footprint: {error}", file=sys.stderr)
        return 2
    missed = [name for name, most in TARGETS.items() if found[name] >= most]
    for name, most in TARGETS.items():
        verdict = "MISSED" if name in missed else "ok"
        line = f"{name:18} {found[name]:8.2f}  target below {most:g}: {verdict};"
        note(f"{line} Device Builder {found[f'peer_{name}']:.2f}")
    print(json.dumps(found) if args.json else "see above")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
