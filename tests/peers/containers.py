"""
A real container runtime (podman over runc), and the app's image really built with it.

No registry is asked: in place of Home Assistant's Debian base, which is Debian and its s6, stands
a Debian of the same release that debootstrap made. Images and their layers lie in the user's
cache, so only what changed is built again. ha_platform.md section 8.3 says which flags a machine
without systemd needs, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from script.app_image import Recipe
from tests.peers.install import (
    CACHE,
    CERTIFICATES,
    MissingPeerError,
    debian_mirror,
    install_debian,
    install_environment,
    only_one,
    program,
    run,
    say,
)

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "podman": ["podman", "catatonit"],
    "buildah": ["buildah"],
    "runc": ["runc"],
    "ip": ["iproute2"],
    "debootstrap": ["debootstrap"],
    "apparmor_parser": ["apparmor"],
}
"""Programs, and the Debian packages that bring them. One that is there may come from elsewhere."""
PROGRAMS = ("podman", "buildah", "runc", "ip")
SUITE = "trixie"
IN_THE_BASE = "bash,ca-certificates,curl,jq,tzdata,xz-utils"
"""What Home Assistant's base adds to Debian's slim image, without its s6 and bashio."""
STORE = CACHE / "containers"
BASE = f"localhost/pv-edge-agent-base:{SUITE}"
_MOUNTS = ("unshare", "--mount", "true")
ULIMITS = ("--ulimit", "nofile=1024:20000", "--ulimit", "nproc=4096:4096")
KEPT_H = 72
"""Layers that nothing uses for so long are removed."""


def podman(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman on our own store; a failure shows the end of what it said."""
    return _run("podman", words, check=check)


def command(name: str, words: Sequence[str | Path]) -> list[str]:
    """Return the whole command of podman or buildah on our own store."""
    options = ["--cgroup-manager=cgroupfs", "--runtime=runc"] if name == "podman" else []
    places = [f"--root={STORE / 'store'}", f"--runroot={STORE / 'run'}"]
    driver = f"--storage-driver={_driver()}"
    return [program(name) or name, *options, *places, driver, *map(str, words)]


def _run(
    name: str, words: Sequence[str | Path], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603
        command(name, words),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check and done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise RuntimeError(f"{name} {words[0]} ended with {done.returncode}:\n{tail}")
    return done


@cache
def _driver() -> str:
    STORE.mkdir(parents=True, exist_ok=True)
    on = run(["stat", "--file-system", "--format=%T", STORE]).strip()
    known = "overlay" in Path("/proc/filesystems").read_text()
    # One overlay cannot lie on another, as in a container; copies of whole layers always work.
    return "overlay" if known and on != "overlayfs" else "vfs"


def version() -> str | None:
    """Return the version of this machine's podman, or None without one."""
    found = program("podman")
    return run([found, "--version"]).split()[-1] if found else None


def why_not() -> str | None:
    """Say why no container can run here, or `None` when one can; asked of podman itself."""
    if os.geteuid() != 0:
        return "containers are run as root here; script/setup as root installs podman"
    if missing := [it for it in PROGRAMS if program(it) is None]:
        return f"not installed: {', '.join(missing)}; run script/setup as root on Debian"
    if podman("image", "exists", BASE, check=False).returncode:
        return "the base image is not there: run script/setup"
    tried = podman("run", "--rm", "--network=none", *ULIMITS, BASE, "true", check=False)
    if tried.returncode:
        return f"podman cannot run a container here: {tried.stderr.strip()[-300:]}"
    return None


def install() -> str:
    """
    Install the runtime, make the base and build what rarely changes; return the store.

    Raises:
        MissingPeerError: this machine cannot run containers; says why.
    """
    mounts = subprocess.run(_MOUNTS, check=False, capture_output=True)  # noqa: S603 - our own words
    if os.geteuid() != 0 or mounts.returncode:
        raise MissingPeerError("needs a root that may mount, to run containers")
    if missing := [it for name, them in PACKAGES.items() if not program(name) for it in them]:
        install_debian(missing)
    with only_one("containers"):
        if podman("image", "exists", BASE, check=False).returncode:
            _make_base()
        if reason := why_not():
            raise MissingPeerError(reason)
        build("wheels")
    return str(STORE)


def _make_base() -> None:
    say(f"containers: Debian {SUITE} for a base")
    with TemporaryDirectory(prefix="base-", dir=CACHE) as scratch:
        root = Path(scratch) / "root"
        script = "/usr/share/debootstrap/scripts/sid"
        words = [
            "--variant=minbase",
            f"--include={IN_THE_BASE}",
            SUITE,
            root,
            debian_mirror(),
            script,
        ]
        run([program("debootstrap") or "debootstrap", *words], install_environment())
        for waste in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / waste, ignore_errors=True)
        packed = Path(scratch) / "base.tar"
        run(["tar", "-C", root, "-cf", packed, "."])
        podman("import", packed, BASE)


def build(
    target: str = "runtime", context: Path = ROOT, dockerfile: Path = ROOT / "addon/Dockerfile"
) -> str:
    """
    Build the image of this clone, as far as the stage `target`; return its name.

    Only what changed is built; the packages come from the network when their lock has changed.
    """
    recipe = Recipe.read()
    arch = next(iter(recipe.pins["build_from"])) if os.uname().machine == "aarch64" else "amd64"
    name = f"localhost/pv-edge-agent-{target}:{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
    arguments = recipe.arguments(arch) | {"BUILD_FROM": BASE}
    words = ["--pull-never", "--isolation=chroot", "--network=host", "--format=docker", "--layers"]
    words += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    words += [f"--label={key}={value}" for key, value in recipe.labels(arch).items()]
    with TemporaryDirectory(prefix="pip-") as scratch:
        settings = Path(scratch) / "pip.conf"
        settings.write_text(_index())
        words += [f"--volume={settings}:/etc/pip.conf:ro"]
        if CERTIFICATES.exists():
            words += [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"]
        words += [f"--target={target}", f"--tag={name}", f"--file={dockerfile}"]
        with only_one("containers-build"):
            _run("buildah", ["bud", *words, context])
    podman("image", "prune", "--force", f"--filter=until={KEPT_H}h", check=False)
    return name


def _index() -> str:
    """Return pip's settings for where packages come from on this machine."""
    env = install_environment()
    index = env.get("PIP_INDEX_URL") or env.get("UV_DEFAULT_INDEX")
    lines = [
        "[global]",
        f"cert = {CERTIFICATES}",
        "disable-pip-version-check = true",
        "timeout = 60",
    ]
    return "\n".join([*lines, *([f"index-url = {index}"] if index else []), ""])


def identity(image: str) -> str:
    """Return the digest of an image: the same layers and settings have the same."""
    return podman("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()


def size_mb(image: str) -> float:
    """Return what an image weighs, uncompressed."""
    told = podman("image", "inspect", "--format", "{{.Size}}", image).stdout
    return int(told) / 1e6


class Container:
    """One container; as a context it is removed at the end of the block."""

    def __init__(self, name: str, image: str, *options: str, command: Sequence[str] = ()) -> None:
        self.name = name
        self._run = [
            "run",
            "--detach",
            f"--name={name}",
            "--init",
            *ULIMITS,
            *options,
            image,
            *command,
        ]

    @contextmanager
    def running(self) -> Iterator[Container]:
        """Start it, and remove it whatever happens; a failure shows its log."""
        podman(*self._run)
        try:
            yield self
        except BaseException:
            print(f"--- log of {self.name}\n{self.log()}")  # noqa: T201
            raise
        finally:
            podman("rm", "--force", "--time=0", self.name, check=False)

    def stop(self, grace_s: int) -> tuple[int, float]:
        """Stop it as the Supervisor does; return its exit code and the seconds it took."""
        began_s = time.monotonic()
        podman("stop", f"--time={grace_s}", self.name)
        return int(str(self.state()["ExitCode"])), time.monotonic() - began_s

    def log(self) -> str:
        """Return what it has said so far."""
        done = podman("logs", self.name, check=False)
        return done.stdout + done.stderr

    def execute(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return podman("exec", self.name, *command, check=check)

    def state(self) -> dict[str, object]:
        """Return what the runtime knows of it: `Status`, `ExitCode`, `Healthcheck`."""
        told: dict[str, object] = json.loads(
            podman("inspect", "--format", "{{json .State}}", self.name).stdout
        )
        return told
