"""
ESPHome's Device Builder, the peer of the footprint: a Python process of Home Assistant's world.

It is a web server in aiohttp beside Home Assistant, as we are, always on, and made by people who
measure its start. It gets an environment of its own in the user's cache, once per machine, with
ESPHome itself, without which it does not start.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.running import Program, environment, note
from tests.peers.install import (
    PEERS,
    UV,
    MissingPeerError,
    find_python,
    install_environment,
    only_one,
    run,
)
from tests.peers.process import LOOPBACK, free_port

VERSION = "1.26.0"
ESPHOME = "2026.10.0"
PYTHONS = ((3, 13), (3, 12), (3, 14))
HOME = PEERS / f"device-builder-{VERSION}-{ESPHOME}"


def install() -> Path:
    """
    Install it unless it is there, and return its interpreter.

    Raises:
        MissingPeerError: there is no Python 3.12 or newer.
        RuntimeError: an installation failed; the message ends with what it said.
    """
    with only_one(HOME.name):
        python = HOME / "bin/python"
        if (HOME / "ready").exists():
            return python
        base = next((found for wanted in PYTHONS if (found := find_python(wanted, 0))), None)
        if base is None:
            raise MissingPeerError("the Device Builder needs Python 3.12 or newer")
        note(f"installing esphome-device-builder {VERSION}, once")
        shutil.rmtree(HOME, ignore_errors=True)  # an installation that was interrupted
        env = install_environment()
        run([base, "-m", "venv", "--without-pip", HOME], env)
        packages = [f"esphome-device-builder=={VERSION}", f"esphome=={ESPHOME}"]
        uv = UV if UV.exists() else Path(shutil.which("uv") or "uv")
        run([uv, "pip", "install", "-q", "--compile-bytecode", "--python", python, *packages], env)
        (HOME / "ready").touch()
        return python


def program(python: Path, place: Path, port: int) -> Program:
    """Return it with an empty list of devices, not yet started."""
    configuration = place / "devices"
    configuration.mkdir()
    command = [str(python), "-m", "esphome_device_builder", str(configuration)]
    command += ["--host", LOOPBACK, "--port", str(port), "--log-level", "warning"]
    command += ["--remote-build-host", LOOPBACK, "--remote-build-port", str(free_port())]
    paths = f"{python.parent}:{environment().get('PATH', '')}"
    return Program(command, environment(PATH=paths, HOME=str(place)), place / "device-builder.log")


def python_version(python: Path) -> str:
    """Return what it runs on, for the record."""
    shown = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
    return shown.stdout.strip()
