"""
What many bridges cost one agent: processor, memory, time until all are online, age of a state.

Simulated bridges with 32 entities each, all reporting once a second, run in processes of their
own (`fleet_bridges.py`). The agent's keeper connects to all of them in one process and hands over
every state; the same bridges then serve aioesphomeapi alone, which is the least that any agent
pays. Both are measured plain and with Noise, one after the other.

    python benchmarks/fleet.py [--bridges N] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.running import ROOT, environment, note

TARGETS = {"cpu_cores": 0.3, "rss_mb": 150.0, "online_s": 10.0, "delay_p99_ms": 250.0}
FLEETS = (1, 50, 200, 500)
LARGEST = max(FLEETS)
KEY = base64.b64encode(b"a key of the benchmark, 32 bytes").decode()
_PER_PROCESS = 125
_ENDS_WITHIN_S = 20.0
_CLIENTS_WITHIN_S = 120.0


@contextlib.contextmanager
def bridges(count: int, key: str | None) -> Iterator[list[tuple[str, int]]]:
    """Run simulated bridges in processes of their own; gives their MACs and ports."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for first in range(0, count, _PER_PROCESS):
            some = str(min(_PER_PROCESS, count - first))
            command = [sys.executable, "-m", "benchmarks.fleet_bridges", some, str(first)]
            processes.append(
                subprocess.Popen(
                    command + ([key] if key else []),
                    cwd=ROOT,
                    env=environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        found: list[tuple[str, int]] = []
        for process in processes:
            if process.stdout is not None:  # it is a pipe
                found += json.loads(process.stdout.readline())
        yield found
    finally:
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()  # they serve until then
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN_S)
            process.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait()


def clients(
    kind: str, served: list[tuple[str, int]], key: str | None, settle_s: float, window_s: float
) -> dict[str, float]:
    """
    Return what the clients of these bridges cost.

    Raises:
        RuntimeError: they did not get there; the message ends with what they said.
    """
    command = [sys.executable, "-m", "benchmarks.fleet_clients", kind, str(settle_s), str(window_s)]
    try:
        done = subprocess.run(
            command + ([key] if key else []),
            cwd=ROOT,
            env=environment(),
            input=json.dumps(served),
            capture_output=True,
            text=True,
            check=False,
            timeout=_CLIENTS_WITHIN_S + settle_s + window_s,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(
            f"{kind} did not come to an end on {len(served)} bridges within {error.timeout:.0f} s; "
            "measure again when nothing else keeps both cores busy"
        ) from None
    if done.returncode:
        raise RuntimeError(f"{kind} on {len(served)} bridges ended early:\n{done.stderr[-2000:]}")
    if done.stderr:
        note(f"{kind}: {done.stderr.strip()[-300:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(count: int, settle_s: float, window_s: float) -> dict[str, float]:
    """Return all figures of one size of fleet."""
    found: dict[str, float] = {}
    for key, sort in ((None, ""), (KEY, "noise_")):
        with bridges(count, key) as served:
            for kind, whose in (("bare", "peer_"), ("ours", "")):
                cost = clients(kind, served, key, settle_s, window_s)
                found |= {f"{whose}{sort}{name}": value for name, value in cost.items()}
                line = ", ".join(f"{name} {value:g}" for name, value in cost.items())
                note(f"{count} bridges{' with Noise' if key else ''}, {kind}: {line}")
    order = (*TARGETS, "delay_p50_ms", "states_per_s")
    prefixes = ("", "noise_", "peer_", "peer_noise_")
    return {f"{it}{name}": found[f"{it}{name}"] for it in prefixes for name in order}


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    sizes = ", ".join(map(str, FLEETS))
    parser.add_argument("--bridges", type=int, help=f"only this many, not {sizes}")
    parser.add_argument("--quick", action="store_true", help=f"under a minute; {LARGEST} only")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    args = parser.parse_args()
    if args.bridges is not None and args.bridges < 1:
        parser.error("--bridges is a number of bridges")
    settle_s, window_s = (1.5, 5.0) if args.quick else (5.0, 30.0)
    asked = (LARGEST,) if args.quick else FLEETS
    if args.bridges is not None:
        asked = (args.bridges,)
    try:
        found = {count: measure(count, settle_s, window_s) for count in asked}
    except RuntimeError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 2
    missed = False
    for count, figures in found.items():
        if count > LARGEST:
            continue  # nothing is promised beyond
        for name, most in TARGETS.items():
            verdict = "ok" if figures[name] < most else "MISSED"
            missed |= verdict == "MISSED"
            beside = f"Noise {figures[f'noise_{name}']:g}, bare {figures[f'peer_{name}']:g}"
            note(f"{count:4} {name:13} {figures[name]:8g}  target {most:g}: {verdict}; {beside}")
    if args.json:
        print(json.dumps(found[asked[0]] if len(asked) == 1 else found))
    else:
        print("see above")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
