"""
Real ESPHome devices on loopback, with the power supply that a Linux program lacks.

Each has a name, a MAC and ports of its own, whatever firmware it runs. A device whose program
ends boots again, as a chip does after a reset: after an orderly restart and after a crash alike.
It hangs on demand, stays without power on demand, and ends with the test process even then. It
runs a copy of the program: an upload replaces the program that runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.peers import esphome_firmware
from tests.peers.process import LOOPBACK, POLL_S, PeerError, PeerProcess, accepts, free_port, tail

BOOT_S = 0.3
"""How long a device stays dark between two runs of its firmware."""


def copy_program(program: Path, to: Path) -> None:
    """
    Put a copy of a program in place, in one step, so that it can be started at once.

    It is written by a process of its own. Were it written here, a child that another thread forks
    meanwhile would hold it open for writing until its exec, and Linux starts no such program
    ("Text file busy").
    """
    part = to.with_suffix(".part")
    subprocess.run(["cp", "--", program, part], check=True)  # noqa: S603, S607 - coreutils
    part.replace(to)


class Device(PeerProcess):
    """
    One device with its firmware, name, MAC and ports.

    Args:
        configuration: one of `esphome_firmware.CONFIGURATIONS`; it must be compiled.
        directory: for preferences and log; made here.
        name: the node name; the friendly name is made from it.
        mac: twelve hexadecimal digits.
        tty: what is behind the serial line of the bridge; without it there is none.
    """

    host = LOOPBACK

    def __init__(
        self, configuration: str, directory: Path, *, name: str, mac: str, tty: str = ""
    ) -> None:
        program = esphome_firmware.firmware(configuration)
        if program is None:
            raise LookupError(f"no firmware {configuration}; run script/setup")
        self.name = name
        self.friendly_name = name.replace("-", " ").title()
        self.mac = mac
        self.tty = tty
        self.api_port = free_port()
        self.ota_port = free_port()
        self.key = esphome_firmware.API_KEY if configuration in esphome_firmware.ENCRYPTED else None
        self.boots = 0
        self.endings: list[int] = []
        """How each finished run ended: 0 in order, negative by that signal."""
        self._program = program
        self._flash = directory / "program"
        self.directory = directory
        self._power = threading.Lock()
        self._is_on = False
        self._unplugged = threading.Event()
        self._supply: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process of the firmware that runs now."""
        if self._process is None:
            raise PeerError(f"{self.name} has no power")
        return self._process.pid

    def start(self, timeout_s: float = 20) -> None:
        """Switch it on and return when its API listens."""
        self.switch_on()
        self.wait_api(timeout_s)

    def switch_on(self) -> None:
        """Give it power and return at once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._flash.exists():
            copy_program(self._program, self._flash)
        self._unplugged.clear()
        self._is_on = True
        self._supply = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._supply.start()

    def kill(self) -> None:
        """Take the power away; a hanging device ends too."""
        with self._power:
            self._is_on = False
            self._unplugged.set()
            if self._process is not None:
                self._process.kill()
        if self._supply is not None:
            self._supply.join(10)
        self._process = self._supply = None

    def wait_api(self, timeout_s: float = 20) -> None:
        """Return when its API listens."""
        self._wait(lambda: accepts(self.api_port), "does not listen for its API", timeout_s)

    def wait_boot(self, boots: int, timeout_s: float = 20) -> None:
        """Return when it has booted that often and its API listens again."""
        self._wait(lambda: self.boots >= boots, "did not boot", timeout_s)
        self.wait_api(timeout_s)

    def wait_upload(self, boots: int, timeout_s: float = 20) -> None:
        """Return when it has booted that often and takes uploads; in safe mode nothing else."""
        self._wait(
            lambda: self.boots >= boots and accepts(self.ota_port), "takes no uploads", timeout_s
        )

    def wait_log(self, text: str, timeout_s: float = 20) -> None:
        """Return when its log has that text and its API listens."""
        self._wait(lambda: text in self.log(100_000), f"did not log {text!r}", timeout_s)
        self.wait_api(timeout_s)

    def crash(self) -> None:
        """End the firmware as a fault does; it boots again."""
        os.kill(self.pid, signal.SIGKILL)

    def hang(self) -> None:
        """Let the firmware stand still: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Undo `hang`."""
        os.kill(self.pid, signal.SIGCONT)

    def reboot(self) -> None:
        """Let the firmware shut down in order, with goodbyes; it boots again."""
        os.kill(self.pid, signal.SIGTERM)

    def upload(self, configuration: str, *, key: str | None = None) -> None:
        """
        Put other firmware on it over the air, with ESPHome's own uploader.

        Raises:
            PeerError: the device or the uploader refused; the message ends with what they said.
        """
        program = esphome_firmware.firmware(configuration)
        script = "import sys; from esphome.espota2 import run_ota; from pathlib import Path\n"
        script += "host, port, password, file, key = sys.argv[1:]\n"
        script += "done = run_ota(host, int(port), password, Path(file), noise_psk=key or None)\n"
        script += "sys.exit(done[0])"
        password = "" if self.key else esphome_firmware.OTA_PASSWORD
        arguments = [self.host, str(self.ota_port), password, str(program), key or ""]
        done = subprocess.run(  # noqa: S603 - ESPHome itself
            [esphome_firmware.PYTHON, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise PeerError(f"upload to {self.name} ended with {done.returncode}:\n{done.stderr}")
        encrypted = configuration in esphome_firmware.ENCRYPTED
        self.key = esphome_firmware.API_KEY if encrypted else None

    def log(self, lines: int = 40) -> str:
        """Return what the firmware wrote, over all its runs."""
        return tail(self.directory / "device.log", lines)

    def _run(self) -> None:
        # All runs are children of this thread: the firmware asks the kernel to end it with it.
        while True:
            with self._power:
                if not self._is_on:
                    return
                with (self.directory / "device.log").open("ab") as log:
                    running = self._process = subprocess.Popen(  # noqa: S603 - compiled here
                        [self._flash],
                        cwd=self.directory,
                        env=self._environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                self.boots += 1
            self._watch(running)
            self.endings.append(running.wait())
            self._ended(running.returncode)
            self._unplugged.wait(BOOT_S)

    def _watch(self, running: subprocess.Popen[bytes]) -> None:
        """Stand beside a run until it ends; a device of its own kind does more here."""

    def _ended(self, code: int) -> None:
        """Know how a run ended, before the next begins."""

    def _environment(self) -> dict[str, str]:
        return {
            "ESPHOME_PREFDIR": str(self.directory / "preferences"),
            "HOME": str(self.directory),  # where older firmware keeps them
            "PEER_API_PORT": str(self.api_port),
            "PEER_OTA_PORT": str(self.ota_port),
            "PEER_FRIENDLY_NAME": self.friendly_name,
            "PEER_MAC": self.mac,
            "PEER_NAME": self.name,
            **({"PEER_TTY": self.tty} if self.tty else {}),
        }

    def _wait(self, holds: Callable[[], bool], complaint: str, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline_s:
                ended = f"; ended so far: {self.endings}" if self.endings else ""
                raise PeerError(f"{self.name} {complaint}{ended}\n{self.log()}")
            time.sleep(POLL_S)
