"""
How long does a bridge take over a cable, beside esptool's own command line?

A virtual ESP32-C3 takes bytes as slowly as a wire of that speed brings them. Ours writes a factory
image of 1.1 MB and then proves it after a fresh start; beside it, on the same device,
`esptool write-flash` and `esptool verify-flash`. The wall time, the processor time of the
flashing processes, and how near ours comes to what the wire allows.

    python benchmarks/serial.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.firmware.manifest.models import Part
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.models import FlashPlan
from agent.firmware.serial.pace import Rung
from agent.fleet.identity import Mac
from agent.simulator.esp_rom import VirtualEsp
from agent.simulator.esp_rom_chips import Specimen
from agent.simulator.esp_rom_port import EspPort

BAUDS = (460_800, 921_600)
MOST_WALL, MOST_CPU = 1.02, 0.5
_BITS_PER_BYTE = 10
_IMAGE_BYTES = 1_118_848
_QUICK_BYTES = 200 << 10
_RANDOM_SHARE = 0.64
"""Of the image, so that it deflates as a real one does."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took."""

    wall_s: float
    cpu_s: float


def image(size: int) -> bytes:
    """Return what is as long, and deflates as well, as a factory image."""
    drawn = random.Random(1)  # noqa: S311 - the same bytes in every run
    block = 1024
    noise = int(block * _RANDOM_SHARE)
    blocks = (drawn.randbytes(noise) + bytes(block - noise) for _ in range(-(-size // block)))
    # Ends of four bytes: esptool pads others, and its own check would then differ.
    return b"".join(blocks)[: size // 4 * 4]


async def cost(work: Awaitable[None]) -> Cost:
    """Await it, and return what it took; the time of the processor is that of child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    await work
    wall_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s)


async def ours(port: EspPort, file: Path, baud: int) -> None:
    """Write and prove with the agent's driver."""
    content = await asyncio.to_thread(file.read_bytes)
    plan = FlashPlan(
        mac=Mac(port.esp.specimen.mac),
        chip=port.esp.specimen.chip,
        file_sha256=hashlib.sha256(content).hexdigest(),
        file_size=len(content),
        flash_size=port.esp.specimen.flash_size,
        parts=(Part(0, 0, len(content)),),
    )
    driver = SerialDriver(ladder=(Rung(baud, True),))
    done = await driver.write(port.path, plan, file)
    await driver.verify(port.path, plan, file)
    if done.nothing_to_do:
        raise RuntimeError("nothing was written")


async def theirs(port: EspPort, file: Path, baud: int) -> None:
    """Write and prove with esptool's command line."""
    for command in ("write-flash", "verify-flash"):
        tool = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "esptool", "--port", port.path, "--baud", str(baud)),
            *(command, "0x0", str(file)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await tool.wait():
            raise RuntimeError(f"esptool {command} failed")


async def measure(size: int) -> dict[str, Any]:
    """Return all figures."""
    found: dict[str, Any] = {"image_bytes": size}
    content = image(size)
    deflated = len(zlib.compress(content, 9))
    with tempfile.TemporaryDirectory(prefix="pv-edge-serial-") as folder:
        file = Path(folder) / "image.bin"
        await asyncio.to_thread(file.write_bytes, content)
        for baud in BAUDS:
            costs = {}
            for way in (theirs, ours):
                esp = VirtualEsp(Specimen("esp32c3"))
                async with EspPort(esp, paced=True) as port:
                    costs[way] = await cost(way(port, file, baud))
                if esp.flash.data[: len(content)] != content:
                    raise RuntimeError("the flash does not hold the image")
            wire_s = deflated * _BITS_PER_BYTE / baud
            found |= {
                f"ours_{baud}_s": round(costs[ours].wall_s, 2),
                f"esptool_{baud}_s": round(costs[theirs].wall_s, 2),
                f"wall_ratio_{baud}": round(costs[ours].wall_s / costs[theirs].wall_s, 3),
                f"wire_share_{baud}": round(wire_s / costs[ours].wall_s, 3),
                "cpu_ratio": round(costs[ours].cpu_s / costs[theirs].cpu_s, 3),
                "cpu_s": round(costs[ours].cpu_s, 2),
                "esptool_cpu_s": round(costs[theirs].cpu_s, 2),
            }
    return found


def missed(found: dict[str, Any]) -> list[str]:
    """Return what is not as it has to be, in words."""
    wrong = [
        f"at {baud} baud it took {found[f'wall_ratio_{baud}']} times as long as esptool"
        for baud in BAUDS
        if found[f"wall_ratio_{baud}"] > MOST_WALL
    ]
    if found["cpu_ratio"] > MOST_CPU:
        wrong.append(f"it took {found['cpu_ratio']} of the processor time of esptool")
    return wrong


def main() -> int:
    """Measure, print a table or JSON, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="an image of 200 KiB; judges nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    options = parser.parse_args()
    found = asyncio.run(measure(_QUICK_BYTES if options.quick else _IMAGE_BYTES))
    wrong = [] if options.quick else missed(found)
    for text in wrong:
        print(f"missed: {text}", file=sys.stderr)
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in found.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
