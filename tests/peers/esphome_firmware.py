"""
Real ESPHome, and firmware that it compiled for this machine.

ESPHome's host platform turns a configuration into a Linux program with ESPHome's own API and
upload servers: what runs in the tests is what runs on a bridge, but for the chip. ESPHome gets an
environment of its own in the user's cache, and each configuration of `esphome_devices/` is
compiled once: a finished program appears under its name in one step, in a directory that carries
a digest of everything it was made from.

Where no Python is new enough, ESPHome borrows the one of the small Debian that the newest Core
needs on such a machine anyway. It is not locked up there as Core is: started by the loader of that
Debian, its Python sees this machine's own files, compiler and processes.

A compile needs no network: only Debian's g++ and OpenSSL headers, and the `ninja` that comes with
ESPHome.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import hashlib
import os
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.peers.install import (
    CORES,
    HERE,
    NEWEST,
    PEERS,
    UV,
    MissingPeerError,
    find_python,
    install_core,
    install_debian,
    install_environment,
    installed_core,
    only_one,
    program,
    run,
    say,
)

VERSION = "2026.10.0"
PYTHONS = ((3, 13), (3, 12), (3, 14))
DEVICES = HERE / "esphome_devices"
CONFIGURATIONS = ("plain", "noise", "strict")
BRIDGE = "bridge"
"""The production bridge of this repository on the host platform; not one of the small devices."""
BRIDGE_PACKAGES = HERE.parent.parent / "bridge"
BRIDGE_BOARD = HERE / "esphome_bridge"
TRIAL = "trial"
"""A small device whose finished image can be told to fail: see `esphome_trial.py`."""
TRIAL_BOARD = HERE / "esphome_trial"
ENCRYPTED = frozenset({"noise", "strict", BRIDGE, TRIAL})
PROJECT_VERSION = "1.0.0"
API_KEY = "cGVlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzISE="
OTA_PASSWORD = "upload"
OLDER = "2026.6.5"
"""Knows neither Noise nor deflate; its uploader needs nothing but Python."""
OLDER_HOME = PEERS / f"esphome-{OLDER}"
OLDER_DEVICE = "older"
OLDER_BOARD = HERE / "esphome_older"
HOME = PEERS / f"esphome-{VERSION}"
PYTHON = HOME / "bin/python"
_SUBSTITUTIONS = {
    "api_key": API_KEY,
    "ota_password": OTA_PASSWORD,
    "version": PROJECT_VERSION,
}
_MADE_WITH = {
    BRIDGE: (BRIDGE_BOARD, BRIDGE_PACKAGES),
    TRIAL: (TRIAL_BOARD,),
    OLDER_DEVICE: (OLDER_BOARD,),
}
_SOURCES = frozenset({".yaml", ".h", ".c", ".cpp", ".py"})
_DEBIAN = {"g++": "/usr/bin/g++", "libssl-dev": "/usr/include/openssl/evp.h"}
_BORROWED = """#!/bin/sh
exec {loader} --argv0 "$0" --library-path {libraries} {python} "$@"
"""


@functools.cache
def firmware_home(configuration: str = "") -> Path:
    """
    Return the directory of the finished programs; another recipe has another directory.

    What is not one of the small devices has one of its own: its change compiles nothing else.
    """
    version = OLDER if configuration == OLDER_DEVICE else VERSION
    digest = hashlib.sha256(f"{version} {_SUBSTITUTIONS}".encode())
    for directory in (DEVICES, *_MADE_WITH.get(configuration, ())):
        for path in sorted(directory.rglob("*")):
            if path.is_file() and path.suffix in _SOURCES:
                digest.update(f"{path.relative_to(directory)}\0".encode() + path.read_bytes())
    return PEERS / f"esphome-firmware-{version}-{digest.hexdigest()[:8]}"


def firmware(configuration: str) -> Path | None:
    """Return the compiled program of a configuration, if this machine has it."""
    compiled = firmware_home(configuration) / configuration
    return compiled if compiled.exists() else None


def version() -> str | None:
    """Return the version of ESPHome that made the firmware, or None without any."""
    return VERSION if any(map(firmware, CONFIGURATIONS)) else None


def install() -> str:
    """
    Install ESPHome and compile every configuration, each unless it is there; return where.

    Raises:
        MissingPeerError: there is no Python that ESPHome runs on, or no compiler to be had.
        RuntimeError: a command failed; the message ends with what it said.
    """
    missing = [name for name, proof in _DEBIAN.items() if not Path(proof).exists()]
    if missing and not (missing == ["g++"] and program("g++")):
        install_debian(missing)
    with only_one(HOME.name):
        if not _runs():
            _install_esphome()
    with only_one(OLDER_HOME.name):
        if not OLDER_HOME.exists():
            _install_older()
    for configuration in (*CONFIGURATIONS, BRIDGE, TRIAL, OLDER_DEVICE):
        with only_one(f"{firmware_home(configuration).name}-{configuration}"):
            if firmware(configuration) is None:
                _compile(configuration)
    return str(firmware_home())


def _runs() -> bool:
    """Whether ESPHome is complete and its Python, which may be another's, is still there."""
    with contextlib.suppress(OSError, RuntimeError):
        run([PYTHON, "-I", "-c", ""])
        return (HOME / "ready").exists()
    return False


def _install_esphome() -> None:
    python = next((found for wanted in PYTHONS if (found := find_python(wanted, 0))), None)
    if python is None:
        python = _borrowed_python(_debian_with_python())
    say(f"ESPHome {VERSION}: installing, once")
    shutil.rmtree(HOME, ignore_errors=True)  # an installation that was interrupted
    env = install_environment()
    run([python, "-m", "venv", "--without-pip", HOME], env)
    uv = UV if UV.exists() else Path(shutil.which("uv") or "uv")
    install = [uv, "pip", "install", "-q", "--compile-bytecode", "--python", PYTHON]
    run([*install, f"esphome=={VERSION}"], env)
    (HOME / "ready").touch()


def _install_older() -> None:
    say(f"ESPHome {OLDER}: installing, once")
    part = OLDER_HOME.with_name(f"{OLDER_HOME.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # an installation that was interrupted
    uv = UV if UV.exists() else Path(shutil.which("uv") or "uv")
    install = [uv, "pip", "install", "-q", "--no-deps", "--python", sys.executable]
    run([*install, "--target", part, f"esphome=={OLDER}"], install_environment())
    part.rename(OLDER_HOME)


def _debian_with_python() -> Path:
    """Return the small Debian that the newest Core lives in; it is built here if it is missing."""
    with contextlib.suppress(MissingPeerError):
        install_core(CORES[NEWEST])
    core = installed_core(NEWEST)
    if core is None or core.chroot is None:
        raise MissingPeerError(
            "ESPHome needs Python 3.12, 3.13 or 3.14, on PATH or from pyenv,"
            " or root on Debian (to set up a chroot that has it)"
        )
    return Path(core.chroot)


def _borrowed_python(root: Path) -> Path:
    """Return an interpreter here that is the one there, which only runs with its own loader."""
    python = max((root / "usr/bin").glob("python3.??"))
    loader = next((root / "usr/lib").glob("*-linux-gnu/ld-linux-*.so.*"))
    paths = {"loader": loader, "libraries": loader.parent, "python": python}
    quoted = {name: shlex.quote(str(path)) for name, path in paths.items()}
    prefix = HOME.with_name(f"{HOME.name}-python")
    shutil.rmtree(prefix, ignore_errors=True)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    (prefix / "lib" / python.name).symlink_to(root / "usr/lib" / python.name)
    borrowed = prefix / "bin" / python.name
    borrowed.write_text(_BORROWED.format(**quoted))
    borrowed.chmod(0o755)
    for name in ("python", "python3"):
        borrowed.with_name(name).symlink_to(borrowed.name)
    return borrowed


def _compile(configuration: str) -> None:
    """Compile one configuration beside its place and put the program there when it is complete."""
    home = firmware_home(configuration)
    version = OLDER if configuration == OLDER_DEVICE else VERSION
    say(f"ESPHome {version}: compiling the device {configuration}, once")
    part = home.with_name(f"{home.name}-{configuration}.part")
    shutil.rmtree(part, ignore_errors=True)  # a compile that was interrupted
    shutil.copytree(DEVICES, part)
    for also in _MADE_WITH.get(configuration, ()):
        # A package keeps its folder, because the board includes it by that.
        shutil.copytree(
            also, part / also.name if also == BRIDGE_PACKAGES else part, dirs_exist_ok=True
        )
    wanted = {**_SUBSTITUTIONS, "jobs": str(os.cpu_count() or 1)}
    given = [word for name, value in wanted.items() for word in ("-s", name, value)]
    nice = [tool, "-n", "10"] if (tool := program("nice")) else []
    esphome = [*nice, PYTHON, "-m", "esphome", *given, "compile", part / f"{configuration}.yaml"]
    build = part / ".esphome/build/peer"
    if configuration == OLDER_DEVICE:
        # The older one has no compiler of its own for this platform, and needs no more libraries.
        older = install_environment() | {"PYTHONPATH": str(OLDER_HOME)}
        run([*esphome, "--only-generate"], older)
        made = _build_generated(build, nice)
    else:
        run(esphome, install_environment())
        made = build / ".pioenvs/peer/program"
    home.mkdir(exist_ok=True)
    made.rename(home / configuration)
    shutil.rmtree(part)


def _build_generated(build: Path, nice: list[str]) -> Path:
    """Compile what an older ESPHome wrote for PlatformIO with this machine's own compiler."""
    told = configparser.RawConfigParser()
    told.read(build / "platformio.ini")
    flags = told["env:peer"]["build_flags"].split()
    linked = [flag for flag in flags if flag.startswith(("-l", "-Wl,"))]
    compiled = [flag for flag in flags if flag not in linked]
    sources = sorted((build / "src").rglob("*.cpp"))

    def compile_one(source: Path) -> Path:
        made = source.with_suffix(".o")
        including = f"-I{build / 'src'}"
        run([*nice, "g++", *compiled, "-O0", including, "-c", source, "-o", made])
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    run([*nice, "g++", "-o", build / "program", *objects, *linked])
    return build / "program"
