"""
ESPHome's own uploader as it is measured: runs under ESPHome's Python, without this project.

Each line on standard input is an upload, each line on standard output what it took. The second
that it sleeps after an upload is left out; imports are over before the first one.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from esphome import espota2  # type: ignore[import-not-found]


def main() -> None:
    """Upload until there is nothing more to do."""
    espota2.time.sleep = lambda _: None
    for line in sys.stdin:
        job = json.loads(line)
        if job["key"]:
            import aioesphomeapi.noise  # noqa: F401, PLC0415 - not counted
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        code, _ = espota2.run_ota(
            job["host"], job["port"], job["password"], Path(job["file"]), noise_psk=job["key"]
        )
        took = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
        print(json.dumps({**took, "sent": code == 0}), flush=True)


if __name__ == "__main__":
    main()
