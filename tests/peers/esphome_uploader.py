"""
ESPHome's own uploader, the newest and an older one: the judge of whoever plays a bridge.

Many uploads run in one process, because it takes longer to start than to upload; the second that
it sleeps after each is left out. Nothing else of it is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

from tests.peers import esphome_firmware

_SCRIPT = """
import json, logging, sys
from pathlib import Path
from esphome import espota2
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger().addHandler(Keep())
logging.getLogger().setLevel(logging.INFO)
espota2.time.sleep = lambda _: None
for line in sys.stdin:
    job = json.loads(line)
    said.clear()
    more = {"noise_psk": job["noise_psk"]} if job["noise_psk"] else {}
    code, _ = espota2.run_ota(
        job["host"], job["port"], job["password"], Path(job["file"]), **more
    )
    print(json.dumps([code, said]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One upload."""

    host: str
    port: int
    file: str
    password: str | None = None
    noise_psk: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What the uploader said of it."""

    code: int
    """0 if it succeeded."""
    log: str


def uploaded(jobs: list[Job], *, older: bool = False, timeout_s: float = 60) -> list[Told]:
    """Run uploads one after the other and return how they ended."""
    env = dict(os.environ)
    if older:
        env["PYTHONPATH"] = str(esphome_firmware.OLDER_HOME)
    done = subprocess.run(  # noqa: S603 - ESPHome itself
        [sys.executable if older else esphome_firmware.PYTHON, "-c", _SCRIPT],
        env=env,
        input="".join(json.dumps(asdict(job)) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout_s,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [Told(code, "\n".join(said)) for code, said in answers]
