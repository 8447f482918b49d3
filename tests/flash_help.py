"""
A bench for `flash ota`: a publisher, a data directory, and what stands in for an ESP32.

The device is real ESPHome firmware, compiled for this machine. So two tables are told of it: its
board has a chip, and its images, which are programs of this machine, are read as ESP images are.
All else is what the command runs. As a program it is the command itself with the same tables.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

from agent import flash_command
from agent.__main__ import _parser
from agent.firmware.image import read
from agent.firmware.image.models import ImageFacts, Layout
from agent.firmware.job.models import Patience
from agent.firmware.ota.driver import Limits
from agent.flash_terminal import Screen
from agent.fleet import chips
from tests.firmware.repo import Repo
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY

ROOT = Path(__file__).parents[1]
PROJECT = "pv-edge.alphaess-bridge"
BOARD = "host"
CHIP = "esp32"
QUICK = Patience(margin_s=1.5, settle_s=1.5, return_s=4.0, deadline_s=15.0)
UPLOADS = Limits(connect_s=2.0, answer_s=3.0, extra_attempts=0)
PATIENT_UPLOADS = Limits(connect_s=2.0, answer_s=40.0, extra_attempts=0)
"""Of the process: what stalls there is ended by a signal."""
_really = read.read_image


def read_image(data: bytes) -> ImageFacts:
    """Return what an image says of itself, also one that is a program of this machine."""
    digest, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()  # noqa: S324
    if not data.startswith(b"\x7fELF"):
        return _really(data)
    version = next(it for it in ("1.1.0", "1.2.0", "1.0.0") if it.encode() + b"\0" in data)
    return ImageFacts(
        Layout.APPLICATION,
        *(len(data), digest, md5, CHIP, 0, None, None),
        project=PROJECT,
        version=version,
        checksum_ok=True,
    )


@contextmanager
def as_an_esp32(board: str = BOARD) -> Iterator[None]:
    """Take devices of this machine for ESP32."""
    boards = MappingProxyType({**chips.OF_BOARD, board: CHIP})
    with mock.patch.object(chips, "OF_BOARD", boards):
        with mock.patch.object(read, "read_image", read_image):
            yield


def entry(data: bytes, version: str, **changes: Any) -> dict[str, Any]:
    """Return what a manifest says of a release with that image."""
    image = {
        "kind": "ota",
        "chip": CHIP,
        "file": f"bridge-{version}.bin",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data).hexdigest(),  # noqa: S324 - as the wire protocol asks
        "slot_size": 32 << 20,
    }
    return {
        "rollback_index": 3,
        "hw": [],
        "boards": [],
        "min_chip_revision": 0,
        "trusts": [],
        "health": {"confirm_after_s": 5, "expect_entities": ["sensor.beat"]},
        "images": [image | changes],
    }


@dataclass
class Bench:
    """One device, one publisher, one data directory."""

    folder: Path
    device: Device
    repo: Repo = field(init=False)
    images: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Publish nothing yet."""
        self.repo = Repo(project=PROJECT, at=datetime.now(UTC) - timedelta(hours=1))
        for part in ("images", "bundle"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        key = self.folder / "key"
        key.write_text(API_KEY)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def publish(self, version: str, data: bytes, **changes: Any) -> None:
        """Release an image."""
        self.repo.release("stable", version, **entry(data, version, **changes))
        self.repo.publish("stable")
        self.repo.save(self.folder / "bundle")
        (self.folder / "images" / f"bridge-{version}.bin").write_bytes(data)

    def words(self, release: str, *more: str, key: bool = True) -> list[str]:
        """Return the command's words."""
        device, folder = self.device, self.folder
        found = ["flash", "ota", device.host, "--release", release]
        found += ["--port", str(device.ota_port), "--api-port", str(device.api_port)]
        found += ["--data", str(self.data), "--bundle", str(folder / "bundle")]
        found += ["--images", str(folder / "images"), "--bench", "--stable-for", "0"]
        found += ["--key-file", str(folder / "key")] if key else []
        return [*found, "--json", *more]

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start the command as a process of its own."""
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "tests.flash_help", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass(frozen=True)
class Shown:
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def end(self) -> dict[str, Any]:
        """The JSON object, which is the last line and the only one."""
        (line,) = self.out.splitlines()
        told: dict[str, Any] = json.loads(line)
        return told


def flashed(words: list[str], limits: Limits = UPLOADS) -> Shown:
    """Run the command in this process and thread; `as_an_esp32` is the caller's."""
    args = _parser().parse_args(words)
    out, err = io.StringIO(), io.StringIO()
    code = flash_command.command(args, QUICK, limits, Screen(out, err, as_json=args.json))
    return Shown(code, out.getvalue(), err.getvalue())


def ended(process: subprocess.Popen[str], timeout_s: float = 60) -> Shown:
    """Return how a process of the command ended."""
    out, err = process.communicate(timeout=timeout_s)
    return Shown(process.returncode, out, err)


if __name__ == "__main__":
    with as_an_esp32():
        sys.exit(flash_command.command(_parser().parse_args(), QUICK, PATIENT_UPLOADS))
