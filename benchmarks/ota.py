"""
What an upload over the air costs: beside ESPHome's own uploader, and many at once.

The same image goes to the same device, a real ESPHome firmware, by turns from our uploader and
from `esphome.espota2`; compression is part of it on both sides, imports and ESPHome's second of
sleep are not. Then one process of ours uploads one image to 50 simulated bridges at once: how
much memory that takes, in images, and how late its event loop comes meanwhile.

    python benchmarks/ota.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.running import ROOT, directory, environment, note
from tests.peers import esphome_firmware
from tests.peers.esphome_trial import TrialDevice
from tests.peers.install import MissingPeerError, install
from tests.peers.process import POLL_S, PeerError, accepts

TARGETS = {
    "wall_ratio": 1.0,
    "cpu_ratio": 1.1,
    "parallel_rss_images": 2.5,
    "loop_lag_p99_ms": 50.0,
}
PARALLEL = 50
Sorts = dict[str, str | None]
"""What the figures' names begin with, and the key: plain with a password, and Noise."""
IMAGE_BYTES = 1_800_000
"""Nearly a whole slot of an ESP32 with 4 MB of flash."""
_RESTARTS_WITHIN_S = 20.0


class Side:
    """One uploader in a process that has loaded everything before it is measured."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def upload(self, device: TrialDevice, file: Path, key: str | None) -> dict[str, float]:
        """Upload and return what it took, once the device runs again."""
        password = None if key else esphome_firmware.OTA_PASSWORD
        job = {"host": device.host, "port": device.ota_port, "password": password, "key": key}
        began = _starts(device)
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a side without pipes")
        self._process.stdin.write(json.dumps({**job, "file": str(file)}) + "\n")
        self._process.stdin.flush()
        took: dict[str, float] = json.loads(self._process.stdout.readline())
        if not took.pop("sent"):
            raise PeerError(f"an upload did not succeed:\n{device.log()}")
        until_s = time.monotonic() + _RESTARTS_WITHIN_S
        while _starts(device) == began or not accepts(device.ota_port):
            if time.monotonic() > until_s:
                raise PeerError(f"the device did not come back:\n{device.log()}")
            time.sleep(POLL_S)
        return took

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _starts(device: TrialDevice) -> int:
    return device.log(1_000_000).count("setup() finished successfully")


def duel(times: int, sorts: Sorts) -> dict[str, float]:
    """Return medians of both sides and their ratios, for each sort of connection."""
    found: dict[str, float] = {}
    with directory() as place, contextlib.ExitStack() as stack:
        program = esphome_firmware.firmware(esphome_firmware.TRIAL)
        if program is None:
            raise MissingPeerError("no firmware: run script/setup")
        device = TrialDevice(place / "device", name="measured", mac="02005e10fe01")
        stack.enter_context(device)
        ours = Side([sys.executable, "-m", "benchmarks.ota_ours", "one"])
        stack.callback(ours.close)
        peer = Side([str(esphome_firmware.PYTHON), str(ROOT / "benchmarks/ota_peer.py")])
        stack.callback(peer.close)
        for sort, key in sorts.items():
            for side in (ours, peer):
                side.upload(device, program, key)  # what is done once is not measured
            took = [
                (ours.upload(device, program, key), peer.upload(device, program, key))
                for _ in range(times)
            ]
            for kind in ("wall", "cpu"):
                mine, theirs = (
                    statistics.median(it[side][f"{kind}_s"] for it in took) for side in (0, 1)
                )
                found[f"{sort}{kind}_ratio"] = mine / theirs
                found[f"{sort}{kind}_ms"] = mine * 1000
                found[f"peer_{sort}{kind}_ms"] = theirs * 1000
    return found


@contextlib.contextmanager
def bridges(count: int, key: str | None) -> Iterator[tuple[str, list[int]]]:
    """Run simulated bridges in a process of their own; gives their host and ports."""
    command = [sys.executable, "-m", "benchmarks.ota_bridges", str(count), *([key] if key else [])]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("bridges without pipes")
        host, ports = json.loads(process.stdout.readline())
        yield host, ports
        process.stdin.close()


def made_up(size: int) -> bytes:
    """Return bytes that compress as firmware does, to some 60 percent."""
    dice = random.Random(size)  # noqa: S311 - nobody has to guess it
    return b"".join(dice.randbytes(614) + bytes(410) for _ in range(size // 1024))


def parallel(count: int, key: str | None) -> dict[str, float]:
    """
    Return what many uploads at once cost.

    Raises:
        PeerError: they did not all succeed.
    """
    with directory() as place, bridges(count + 1, key) as (host, ports):
        file = place / "image.bin"
        file.write_bytes(made_up(IMAGE_BYTES))
        asked = {"host": host, "ports": ports, "key": key, "file": str(file)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.ota_ours", "many"],
            cwd=ROOT,
            env=environment(),
            input=json.dumps(asked) + "\n",
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    if found.pop("sent") != count:
        raise PeerError(f"not all of {count} uploads succeeded")
    return found


def main() -> int:
    """Measure and print; 1 when a target is missed, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="some seconds; without Noise")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    args = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        install("esphome")
    sorts: Sorts = {"": None} if args.quick else {"": None, "noise_": esphome_firmware.API_KEY}
    try:
        figures = duel(3 if args.quick else 30, sorts)
        for sort, key in sorts.items():
            some = parallel(PARALLEL, key)
            figures |= {
                f"{sort}parallel_rss_images": some["rss_images"],
                f"{sort}parallel_s": some["seconds"],
                f"{sort}loop_lag_p99_ms": some["loop_lag_p99_ms"],
                f"{sort}loop_lag_max_ms": some["loop_lag_max_ms"],
                f"{sort}idle_lag_p99_ms": some["idle_lag_p99_ms"],
            }
    except (MissingPeerError, PeerError, subprocess.CalledProcessError) as error:
        print(f"ota: {error}", file=sys.stderr)
        return 2
    missed = False
    for name, most in TARGETS.items():
        verdict = "ok" if figures[name] <= most else "MISSED"
        missed |= verdict == "MISSED"
        note(f"{name:20} {figures[name]:8.3f}  target {most:g}: {verdict}")
    rounded = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps(rounded) if args.json else json.dumps(rounded, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
