"""
A real ESPHome device with what an ESP32 adds to it: a bootloader that rolls back, and a watchdog.

An image that an upload brought is on trial until the firmware itself calls its boot successful,
restarts in order or takes the next upload. If it dies first, the image before it comes back, as
ESP-IDF's bootloader does it. A firmware that falls silent is killed. What the device does with an
image is told in the image's finished bytes, so that one compiled firmware gives all of them.
"""

from __future__ import annotations

import calendar
import math
import re
import subprocess
import time
from enum import StrEnum
from pathlib import Path

from tests.peers import esphome_firmware
from tests.peers.esphome import Device
from tests.peers.process import POLL_S

GOOD_AFTER_S = 5.0
"""`boot_is_good_after` of this firmware."""
_UPLOADING_S = 130.0
_BUILT = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}(?=\0)")
_BUILT_FORMAT = "%Y-%m-%d %H:%M:%S +0000"
_EPOCH_BYTES = 8


class Fate(StrEnum):
    """How an image does, by its mark."""

    HEALTHY = "0"
    NEVER_UP = "1"
    CRASHES = "2"
    HANGS = "3"
    LOOPS = "4"
    """It dies as soon as it is up: safe mode comes after three such boots, without a rollback."""


def image(version: str = esphome_firmware.PROJECT_VERSION, fate: Fate = Fate.HEALTHY) -> bytes:
    """
    Return an image of the device on trial with that version, its own build time and that fate.

    Raises:
        LookupError: it is not compiled on this machine.
        ValueError: the version is not as long as that of the compiled image.
    """
    program = esphome_firmware.firmware(esphome_firmware.TRIAL)
    if program is None:
        raise LookupError("no firmware for trials; run script/setup")
    old = esphome_firmware.PROJECT_VERSION
    if len(version) != len(old):
        raise ValueError(f"{version} is not as long as {old}")
    made = program.read_bytes()
    made = re.sub(rb"(?<![0-9.])%s\0" % re.escape(old.encode()), version.encode() + b"\0", made)
    made = made.replace(b"TRIAL-FATE=0", b"TRIAL-FATE=" + fate.encode())
    written = _BUILT.search(made)
    if written is None:
        raise ValueError("the image does not say when it was built")
    was_s = calendar.timegm(time.strptime(written[0].decode(), _BUILT_FORMAT))
    is_s = was_s + 60 * sum(version.encode() + fate.encode()) - 60 * sum((old + "0").encode())
    made = made.replace(written[0], time.strftime(_BUILT_FORMAT, time.gmtime(is_s)).encode())
    return made.replace(*(it.to_bytes(_EPOCH_BYTES, "little") for it in (was_s, is_s)))


class TrialDevice(Device):
    """
    A device on trial.

    Args:
        directory: for image, preferences and log; made here.
        rollback: whether its bootloader can.
        watchdog_s: how long its log may stand still.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        mac: str,
        rollback: bool = True,
        watchdog_s: float = 3.0,
    ) -> None:
        super().__init__(esphome_firmware.TRIAL, directory, name=name, mac=mac)
        self.events: list[str] = []
        """`staged`, `confirmed`, `watchdog` and `rolled back`, as they came."""
        self._rollback = rollback
        self._watchdog_s = watchdog_s
        self._good = directory / "good"
        self._running = directory / "running"
        self._heard = 0
        """How far its log was read; the lines of a quick boot are older than our look at it."""
        self._on_trial = False
        self._uploading = self._quiet = False

    def wait_event(self, event: str, timeout_s: float = 20) -> None:
        """Return when that came; its log tells of it a moment before."""
        self._wait(lambda: event in self.events, f"was never {event}", timeout_s)

    @property
    def _silence_s(self) -> float:
        """How long the log may stand still now: in safe mode nothing writes into it."""
        if self._quiet:
            return math.inf
        return _UPLOADING_S if self._uploading else self._watchdog_s

    def _watch(self, running: subprocess.Popen[bytes]) -> None:
        _link(self._flash, self._running)
        heard_s = time.monotonic()
        with (self.directory / "device.log").open(encoding="utf-8", errors="replace") as log:
            log.seek(self._heard)
            while running.poll() is None:
                new = log.read()
                now_s = time.monotonic()
                if new:
                    heard_s = now_s
                    self._hear(new)
                elif now_s - heard_s > self._silence_s:
                    self.events.append("watchdog")
                    running.kill()
                    running.wait()
                self._unplugged.wait(POLL_S)
            self._hear(log.read())
            self._heard = log.tell()

    def _hear(self, new: str) -> None:
        for line in new.splitlines():
            if "OTA begin" in line:
                self._uploading = True
                self._confirm(self._running)
            elif "OTA staged at" in line:
                self.events.append("staged")
                _link(self._flash, self._running)
                self._on_trial = True
            elif "Running through setup()" in line:
                self._uploading = self._quiet = False
            elif "SAFE MODE IS ACTIVE" in line:
                self._quiet = True
            elif "Boot seems successful" in line and self._on_trial:
                self._confirm(self._flash)

    def _confirm(self, running: Path) -> None:
        _link(running, self._good)
        if self._on_trial:
            self._on_trial = False
            self.events.append("confirmed")

    def _ended(self, code: int) -> None:
        if self._on_trial and code == 0:
            self._confirm(self._flash)
        elif self._on_trial and self._rollback and self._is_on:
            _link(self._good, self._flash)
            self._on_trial = False
            self.events.append("rolled back")


def _link(program: Path, to: Path) -> None:
    """Put a program at another place too: an upload makes a new file and changes no old one."""
    part = to.with_suffix(".link")
    part.unlink(missing_ok=True)  # a rename onto the same file leaves it
    part.hardlink_to(program)
    part.replace(to)
