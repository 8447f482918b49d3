"""
Brings the real programs that the tests talk to, once per machine.

Two Home Assistant Cores (the oldest we support and the newest there is), ESPHome with firmware
that it compiled (`esphome_firmware.py`), a broker and a browser land in the user's cache, so that
a fresh clone finds them warm. Each Core is built beside its place, moved there when complete and
never changed again: its directory name carries a digest of the recipe. What this machine cannot
have is said in one line, and the tests that need it skip.

Runs under any Python 3.11 or newer, standard library only:
    python -m tests.peers [--record FILE] [PEER...]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pv-edge-agent"
PEERS = CACHE / "peers"
UV = CACHE / "tools" / "bin" / "uv"
STARTED = time.monotonic()

INTEGRATIONS = [
    "automation",
    "camera",
    "config",
    "conversation",
    "derivative",
    "energy",
    "hassio",
    "history",
    "input_boolean",
    "input_button",
    "input_datetime",
    "input_number",
    "input_select",
    "integration",
    "logger",
    "lovelace",
    "modbus",
    "mqtt",
    "persistent_notification",
    "recorder",
    "scene",
    "script",
    "system_log",
    "template",
    "timer",
    "tts",
    "utility_meter",
    "zeroconf",
]
DEBIAN_PACKAGES = {
    "mosquitto": ["mosquitto"],
    "chromium": ["chromium", "fonts-dejavu-core"],
}
DEBIAN_SUITE = "forky"  # has Python 3.14 packaged
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class MissingPeerError(Exception):
    """This machine cannot have the peer; the message says what it would take."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one version of Core is put together."""

    version: str
    python: tuple[int, int]
    python_patch: int = 0
    with_core: tuple[str, ...] = ()
    with_integrations: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Requirements that have no wheel for this Python; `ha_launcher.py` stands in for them."""
    chroot_packages: tuple[str, ...] = ()
    only_here: tuple[str, ...] = field(default=(), repr=False)
    """Integrations that the tests need of this version and not of the others."""

    @property
    def integrations(self) -> list[str]:
        """Everything whose requirements are installed with it."""
        return [*INTEGRATIONS, *self.only_here]

    @property
    def home(self) -> Path:
        """The directory of the finished Core; another recipe has another directory."""
        recipe = f"{self} {self.integrations} {(HERE / 'ha_requirements.py').read_text()}"
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
        return PEERS / f"homeassistant-{self.version}-{digest}"


CORES = {
    recipe.version: recipe
    for recipe in (
        Recipe(
            "2024.1.0",
            python=(3, 11),
            with_core=("josepy<2",),  # acme of that time breaks every request with a newer one
            with_integrations=("numpy==1.26.0",),
        ),
        Recipe(
            "2026.11.0",
            python=(3, 14),
            python_patch=2,
            without=("pymicro", "pyspeex", "aiogithubapi", "aioesphomeapi"),
            with_integrations=("aioesphomeapi>=46.23,<47",),  # its pin is not on every index
            chroot_packages=("ca-certificates", "python3.14", "python3.14-venv", "tzdata"),
            only_here=("esphome",),  # 2024.1 hands no keys out
        ),
    )
}
OLDEST, NEWEST = CORES


@dataclass(frozen=True, slots=True)
class InstalledCore:
    """A Core that can be started; with `chroot`, the interpreter's path is inside of it."""

    version: str
    python: str
    chroot: str | None


def installed_core(version: str) -> InstalledCore | None:
    """Return the finished Core of that version, if this machine has it."""
    ready = CORES[version].home / "ready.json"
    return InstalledCore(**json.loads(ready.read_text())) if ready.exists() else None


def program(name: str) -> str | None:
    """Return the path of a system program, also where a user's PATH leaves out /usr/sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def chromium() -> str | None:
    """Return the path of a Chromium that Playwright can drive."""
    return program("chromium") or program("chromium-browser") or program("google-chrome")


def say(text: str) -> None:
    """One progress line with the seconds since the start."""
    sys.stdout.write(f"[{time.monotonic() - STARTED:6.1f} s] {text}\n")
    sys.stdout.flush()


def run(
    command: Sequence[str | Path], env: Mapping[str, str] | None = None, chroot: Path | None = None
) -> str:
    """Run to the end and return the output; a failure shows the end of what the command said."""
    if chroot is not None:
        command = [program("chroot") or "chroot", chroot, *command]
    done = subprocess.run(  # noqa: S603
        command, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{tail}")
    return done.stdout


def install_environment() -> dict[str, str]:
    """The machine's own index settings stay; local wheels and the ban on byte code do not."""
    env = dict(os.environ)
    for name in ("PYTHONDONTWRITEBYTECODE", "PIP_FIND_LINKS", "UV_FIND_LINKS", "VIRTUAL_ENV"):
        env.pop(name, None)
    if "PIP_INDEX_URL" in env and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & env.keys():
        env["UV_DEFAULT_INDEX"] = env["PIP_INDEX_URL"]
    return env


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold off other clones on this machine that build the same thing."""
    PEERS.mkdir(parents=True, exist_ok=True)
    with (PEERS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_python(wanted: tuple[int, int], patch: int) -> Path | None:
    """Return an interpreter of that minor version from PATH or pyenv, if it runs."""
    name = f"python{wanted[0]}.{wanted[1]}"
    found = [Path(path) for path in (shutil.which(name), shutil.which("python3")) if path]
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    found += sorted(pyenv.glob(f"{wanted[0]}.{wanted[1]}.*/bin/python"), reverse=True)
    lowest, too_high = (*wanted, patch), (wanted[0], wanted[1] + 1)
    question = f"import sys; sys.exit(not {lowest} <= sys.version_info < {too_high})"
    for python in found:
        with contextlib.suppress(RuntimeError):
            run([python, "-I", "-c", question])
            return python
    return None


def install_debian(packages: Sequence[str]) -> None:
    """Install Debian packages, as far as this user and this system can."""
    if not program("apt-get") or os.geteuid() != 0:
        raise MissingPeerError(f"needs the Debian packages: {' '.join(packages)}")
    with only_one("apt"):
        env = install_environment() | {"DEBIAN_FRONTEND": "noninteractive"}
        if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
            run(["apt-get", "update", "-q"], env)
        command = ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
        try:
            run(command, env)
        except RuntimeError:  # lists older than the archive
            run(["apt-get", "update", "-q"], env)
            run(command, env)


def install_core(recipe: Recipe) -> str:
    """Build one Core unless it is there; return what it runs on."""
    with only_one(recipe.home.name):
        found = installed_core(recipe.version)
        if found is None:
            python = find_python(recipe.python, recipe.python_patch)
            if python is None and not recipe.chroot_packages:
                raise MissingPeerError(f"needs Python {recipe.python[0]}.{recipe.python[1]}")
            part = recipe.home.with_name(f"{recipe.home.name}.part")
            shutil.rmtree(part, ignore_errors=True)  # a build that was interrupted
            found = build_venv(recipe, part, python) if python else build_chroot(recipe, part)
            ready = {"version": found.version, "python": found.python, "chroot": found.chroot}
            (part / "ready.json").write_text(json.dumps(ready))
            part.rename(recipe.home)
    return f"chroot {found.chroot}" if found.chroot else found.python


def build_venv(recipe: Recipe, part: Path, python: Path) -> InstalledCore:
    """Put Core into a virtual environment of an interpreter of this machine."""
    env = install_environment()
    run([python, "-m", "venv", "--without-pip", part / "venv"], env)
    fill(recipe, part / "venv/bin/python", UV, HERE / "ha_requirements.py", part, env)
    return InstalledCore(recipe.version, str(recipe.home / "venv/bin/python"), None)


def build_chroot(recipe: Recipe, part: Path) -> InstalledCore:
    """Put Core into a small Debian of its own, for a machine without a new enough Python."""
    if os.geteuid() != 0 or not program("unshare") or not program("chroot"):
        needed = f"{recipe.python[0]}.{recipe.python[1]}.{recipe.python_patch}"
        raise MissingPeerError(f"needs Python {needed} or newer, or root (to set up a chroot)")
    if not program("debootstrap"):
        install_debian(["debootstrap"])
    root = part / "root"
    root.mkdir(parents=True)
    # Older debootstraps do not know the suite by name; all of them know what it derives from.
    script = "/usr/share/debootstrap/scripts/sid"
    packages = f"--include={','.join(recipe.chroot_packages)}"
    command: list[str | Path] = [
        "debootstrap",
        "--variant=minbase",
        packages,
        DEBIAN_SUITE,
        root,
        debian_mirror(),
    ]
    run([*command, script], install_environment())
    say(f"Home Assistant {recipe.version}: Debian {DEBIAN_SUITE} is there, now Core")
    for file in (Path("/etc/resolv.conf"), Path("/etc/hosts"), CERTIFICATES):
        if file.exists():
            shutil.copy(file, root / file.relative_to("/"))
    for mount_point in ("config", "launcher"):
        (root / mount_point).mkdir()
    shutil.copy(UV.resolve(), root / "opt/uv")
    shutil.copy(HERE / "ha_requirements.py", root / "opt")
    env = {name: value for name, value in install_environment().items() if names_an_index(name)}
    env |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/opt", "LANG": "C.UTF-8"}
    env |= {"SSL_CERT_FILE": str(CERTIFICATES)}
    python = f"python{recipe.python[0]}.{recipe.python[1]}"
    run([python, "-m", "venv", "--without-pip", "/opt/ha"], env, root)
    tools = Path("/opt/uv"), Path("/opt/ha_requirements.py")
    fill(recipe, Path("/opt/ha/bin/python"), *tools, Path("/opt"), env, root)
    shutil.rmtree(root / "opt/.cache", ignore_errors=True)
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    return InstalledCore(recipe.version, "/opt/ha/bin/python", str(recipe.home / "root"))


def names_an_index(variable: str) -> bool:
    """Whether an environment variable says where packages come from."""
    return variable.lower().endswith("_proxy") or (
        variable.startswith(("UV_", "PIP_")) and "INDEX" in variable
    )


def debian_mirror() -> str:
    """The mirror that this machine's apt uses, or Debian's own."""
    with contextlib.suppress(RuntimeError, OSError):
        site = ["--format", "$(REPO_URI)", "Label: Debian", "Created-By: Packages"]
        for uri in run(["apt-get", "indextargets", *site]).split():
            if uri.startswith("http"):
                return uri
    return "http://deb.debian.org/debian"


def fill(
    recipe: Recipe,
    python: Path,
    uv: Path,
    walker: Path,
    scratch: Path,
    env: Mapping[str, str],
    chroot: Path | None = None,
) -> None:
    """Install Core, what the tests' integrations need, and the byte code of both."""
    install: list[str | Path] = [uv, "pip", "install", "-q", "--python", python]
    run([*install, f"homeassistant=={recipe.version}", *recipe.with_core], env, chroot)
    # -P, or `homeassistant.py` beside the walker would be taken for Core itself.
    answer = json.loads(run([python, "-P", walker, *recipe.integrations], env, chroot))
    needed = [
        requirement
        for requirement in answer["requirements"]
        if not requirement.lower().startswith(recipe.without or "\0")
    ]
    where = "import homeassistant; print(homeassistant.__path__[0])"
    package = Path(run([python, "-c", where], env, chroot).strip())
    listed = scratch / "requirements.txt"
    host = Path(f"{chroot or ''}{listed}")
    host.write_text("\n".join([*needed, *recipe.with_integrations]) + "\n")
    constraints = package / "package_constraints.txt"
    run([*install, "-c", constraints, "-r", listed], env, chroot)
    # A thousand integrations come with Core and few are loaded: compile those.
    compile_all: list[str | Path] = [python, "-m", "compileall", "-q", "-j", "2"]
    others = [*compile_all, "-x", "homeassistant/components/|/tests?/", package.parent]
    loaded = [package / "components" / name for name in answer["integrations"]]
    top = [*compile_all, "-l", package / "components"]
    for command in (others, [*compile_all, *loaded], top):
        with contextlib.suppress(RuntimeError):  # templates that are not Python, in some packages
            run(command, env, chroot)


def install_program(name: str) -> str:
    """Install a program from Debian unless it is there; return its path."""
    find = chromium if name == "chromium" else lambda: program(name)
    if not find():
        install_debian(DEBIAN_PACKAGES[name])
    path = find()
    if path is None:
        raise MissingPeerError(f"the package {name} brought no program")
    return path


def install(name: str) -> str | None:
    """
    Install one peer and say so; return the path that proves it, or None if it cannot be.

    Raises:
        RuntimeError: a command of the installation failed; the message ends with what it said.
    """
    began = time.monotonic()
    try:
        if name in CORES:
            where = install_core(CORES[name])
            proof = str(CORES[name].home / "ready.json")
            name = f"Home Assistant {name}"
        elif name == "containers":
            from tests.peers import containers  # noqa: PLC0415 - as below

            where = proof = containers.install()
        elif name == "esphome":
            from tests.peers import esphome_firmware  # noqa: PLC0415 - it stands on this module

            where = proof = esphome_firmware.install()
        else:
            where = proof = install_program(name)
    except MissingPeerError as missing:
        say(f"{name}: NOT HERE, {missing}")
        return None
    say(f"{name}: {where} ({time.monotonic() - began:.1f} s)")
    return proof


def main() -> int:
    """Install the peers asked for; 1 when a build failed, 0 also when one cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--record", type=Path, help="file that lists what must exist, if all does")
    parser.add_argument(
        "peers", nargs="*", default=[*DEBIAN_PACKAGES, *CORES, "esphome", "containers"]
    )
    args = parser.parse_args()
    say(f"peers: {', '.join(args.peers)}")
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(install, name) for name in args.peers]
    failures = [failure for build in builds if (failure := build.exception())]
    for failure in failures:
        say(f"FAILED: {failure}")
    if failures:
        return 1
    proofs = [build.result() for build in builds]
    if args.record and all(proofs):
        args.record.write_text("".join(f"{proof}\n" for proof in proofs))
    return 0
