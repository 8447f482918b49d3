"""
Simulated bridges that take uploads, in a process of their own: `COUNT [KEY]`.

Prints host and ports as one line and serves until standard input ends. Nothing restarts: what is
measured is the uploader.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack

from agent.simulator.ota_boot import Flash, Image, Timing
from agent.simulator.ota_bridge import LOOPBACK, OtaBridge
from agent.simulator.ota_rules import OtaRules


async def main(count: int, key: str | None) -> None:
    """Serve."""
    rules = OtaRules(noise_psk=key)
    stays = Timing(closes_s=3600)
    async with AsyncExitStack() as stack:
        bridges = [
            await stack.enter_async_context(OtaBridge(Flash(Image("")), rules, timing=stays))
            for _ in range(count)
        ]
        print(json.dumps([LOOPBACK, [it.port for it in bridges]]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
