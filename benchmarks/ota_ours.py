"""
Our uploads as they are measured, in a process of their own.

    python -m benchmarks.ota_ours one    each line on standard input is an upload
    python -m benchmarks.ota_ours many   one line: ports; all at once, one image
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from agent.firmware.ota import noise
from agent.firmware.ota.driver import upload
from agent.firmware.ota.models import Outcome, Secrets
from agent.firmware.ota.payload import Payload
from benchmarks.running import percentile

_TICK_S = 0.005
_IDLE_S = 1.0
_DEADLINE_S = 120.0


def one() -> None:
    """Upload until there is nothing more to do."""
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            job = json.loads(line)
            if job["key"]:
                noise.load()  # not counted
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            done = runner.run(
                upload(
                    [job["host"]],
                    job["port"],
                    Payload(Path(job["file"]).read_bytes()),
                    Secrets(job["password"], job["key"]),
                    deadline_s=_DEADLINE_S,
                )
            )
            took = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
            print(json.dumps({**took, "sent": done.outcome is Outcome.SENT}), flush=True)


async def many(
    host: str, ports: list[int], key: str | None, read: Callable[[], bytes]
) -> dict[str, float]:
    """Upload one image to all bridges at once and return memory in images, and the loop's lag."""
    secrets = Secrets(noise_psk=key)
    if key:
        noise.load()
    warm = Payload(bytes(20_000))
    await asyncio.gather(
        *(upload([host], port, warm, secrets, deadline_s=_DEADLINE_S) for port in ports[:1])
    )
    del warm
    before_bytes = _at_rest()
    idle: list[float] = []
    lags: list[float] = []
    async with _ticking(idle):
        await asyncio.sleep(_IDLE_S)
    began_s = time.perf_counter()
    image = Payload(read())
    async with _ticking(lags):
        done = await asyncio.gather(
            *(upload([host], port, image, secrets, deadline_s=_DEADLINE_S) for port in ports[1:])
        )
    took_s = time.perf_counter() - began_s
    return {
        "rss_images": (_memory("VmHWM") - before_bytes) / len(image),
        "loop_lag_p99_ms": percentile(lags, 99) * 1000,
        "loop_lag_max_ms": max(lags) * 1000,
        "idle_lag_p99_ms": percentile(idle, 99) * 1000,
        "seconds": took_s,
        "sent": sum(it.outcome is Outcome.SENT for it in done),
    }


@contextlib.asynccontextmanager
async def _ticking(lags: list[float]) -> AsyncIterator[None]:
    """Note how late the event loop comes while the block runs, in seconds."""

    async def tick() -> None:
        while True:
            due_s = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            lags.append(time.perf_counter() - due_s)

    ticking = asyncio.ensure_future(tick())
    yield
    ticking.cancel()


def _at_rest() -> int:
    """Return the memory before anything is held, and forget the peak of before."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(kind: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(kind)


if __name__ == "__main__":
    if sys.argv[1] == "one":
        one()
    else:
        asked = json.loads(sys.stdin.readline())
        file = Path(asked["file"])
        found = asyncio.run(many(asked["host"], asked["ports"], asked["key"], file.read_bytes))
        print(json.dumps(found))
