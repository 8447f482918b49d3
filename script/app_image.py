"""
Builds the app: its image, or the folder from which a Supervisor builds one by itself.

Everything that is built says what it is from two files: `addon/config.yaml` (name, version,
image) and `build.yaml` (base image and labels). Nothing else knows a version or a base, so a
local build, the workflows and the store cannot disagree.

    script/build                  verify the firmware record, build with docker or podman, report
    script/build local            the folder dist/local/<slug>, for the host's share of local apps
    python script/app_image.py outputs --arch aarch64      what a workflow's build step needs
    python script/app_image.py report IMAGE [BASE]         how large it is, and what of it
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
MACHINES = {"x86_64": "amd64", "aarch64": "aarch64", "arm64": "aarch64"}
PLATFORMS = {"amd64": "linux/amd64", "aarch64": "linux/arm64"}
ABOVE_BASE_MB = 200
"""What the image may weigh above its base, uncompressed."""
STAGED = (
    "agent", "firmware_manifests", "addon/rootfs", "script/sbom.py", "pyproject.toml",
    "requirements.lock", "LICENSE", ".dockerignore",
)  # fmt: skip
"""What the Dockerfile copies, at the paths it copies from."""


class BuildError(Exception):
    """The image cannot be built here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is built, from the two files that know."""

    app: Mapping[str, Any]
    pins: Mapping[str, Any]

    @classmethod
    def read(cls, root: Path = ROOT) -> Recipe:
        """Read `addon/config.yaml` and `build.yaml`."""
        app = yaml.safe_load((root / "addon/config.yaml").read_text(encoding="utf-8"))
        return cls(app, yaml.safe_load((root / "build.yaml").read_text(encoding="utf-8")))

    @property
    def tag(self) -> str:
        """The image with the only tag that the Supervisor asks for."""
        return f"{self.app['image']}:{self.app['version']}"

    def arguments(self, arch: str) -> dict[str, str]:
        """Return the build arguments for one architecture."""
        base = {"BUILD_FROM": self.pins["build_from"][arch]}
        return base | {"BUILD_ARCH": arch, "BUILD_VERSION": self.app["version"]}

    def labels(self, arch: str) -> dict[str, str]:
        """Return the labels by which the Supervisor and people know the image."""
        told = {f"io.hass.{key}": str(self.app[key]) for key in ("name", "description", "url")}
        ours = {"io.hass.type": "app", "io.hass.arch": arch, "io.hass.version": self.app["version"]}
        source = {"org.opencontainers.image.source": self.app["url"]}
        version = {"org.opencontainers.image.version": self.app["version"]}
        return {**ours, **told, **self.pins["labels"], **source, **version}


def stage(target: Path, root: Path = ROOT) -> None:
    """
    Make the folder from which a Supervisor builds the app by itself.

    It holds what the store shows, and what the Dockerfile copies at the same paths; its
    `config.yaml` names no image, because with one the Supervisor pulls instead of building.

    Raises:
        BuildError: something else is in its place.
    """
    if target.exists() and not (target / "config.yaml").exists():
        raise BuildError(f"{target} is there and is no staged app; move it away.")
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "frontend")
    shutil.copytree(root / "addon", target, ignore=ignored)
    shutil.rmtree(target / "rootfs")
    for name in STAGED:
        source, copy = root / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=ignored)
        else:
            shutil.copy(source, copy)
    described = (target / "config.yaml").read_text(encoding="utf-8")
    local = re.sub(r"(?m)^(# Its tag is .*\n(?:#.*\n)*)?image:.*\n", "", described)
    (target / "config.yaml").write_text(local, encoding="utf-8")


def build(recipe: Recipe, arch: str, root: Path = ROOT) -> tuple[str, str]:
    """
    Build the image for one architecture; return the tool that did, and the image.

    Raises:
        BuildError: no tool, or the build failed; what it said is on the screen.
    """
    tool = _builder()
    command = [tool, *(["buildx", "build", "--load"] if tool == "docker" else ["build"])]
    if tool == "podman":
        command += ["--format", "docker"]  # the other format has no HEALTHCHECK
    command += ["--platform", PLATFORMS[arch], "--file", "addon/Dockerfile", "--tag", recipe.tag]
    command += [f"--build-arg={key}={value}" for key, value in recipe.arguments(arch).items()]
    command += [f"--label={key}={value}" for key, value in recipe.labels(arch).items()]
    if subprocess.run([*command, "."], cwd=root, check=False).returncode:
        raise BuildError(f"{tool} could not build {recipe.tag}; its last lines say why.")
    return tool, recipe.tag


def _builder() -> str:
    # Debian packages docker and its buildx apart.
    if docker := shutil.which("docker"):
        told = subprocess.run([docker, "buildx", "version"], capture_output=True, check=False)
        if not told.returncode:
            return "docker"
    if shutil.which("podman"):
        return "podman"
    raise BuildError(
        "what goes in is fine, but neither docker with buildx nor podman is here. Install one to "
        "build."
    )


def report(tool: Sequence[str], image: str, base: str) -> Iterator[str]:
    """Say how large an image is, above its base too, and which of its folders weigh most."""
    whole, below = (_size_mb(tool, it) for it in (image, base))
    yield f"{image}: {whole:.0f} MB, of which {whole - below:.0f} MB above {base}"
    if whole - below > ABOVE_BASE_MB:
        yield f"WARNING: it is meant to stay below {ABOVE_BASE_MB} MB above its base"
    places = "/opt/pv-edge-agent/lib/python3*/site-packages/*"
    weigh = ["--entrypoint", "", image, "bash", "-c", f"du -sm {places} | sort -rn | head -8"]
    for line in _output([*tool, "run", "--rm", *weigh]).splitlines():
        megabytes, _, path = line.partition("\t")
        yield f"{megabytes:>5} MB  {path.rpartition('/')[2]}"


def _size_mb(tool: Sequence[str], image: str) -> float:
    return int(_output([*tool, "image", "inspect", "--format", "{{.Size}}", image])) / 1e6


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command[:3])} …: {done.stderr.strip()[-500:]}")
    return done.stdout


def outputs(recipe: Recipe, arch: str) -> Iterator[str]:
    """Yield what GitHub's workflow takes for the outputs of a step."""
    yield f"version={recipe.app['version']}"
    registry, _, name = str(recipe.app["image"]).rpartition("/")
    yield f"registry={registry}"
    yield f"name={name}"
    for title, pairs in (("args", recipe.arguments(arch)), ("labels", recipe.labels(arch))):
        yield f"{title}<<END_OF_{title}"
        yield from (f"{key}={value}" for key, value in pairs.items() if key not in _GIVEN)
        yield f"END_OF_{title}"


_GIVEN = ("BUILD_ARCH", "BUILD_VERSION")
"""Home Assistant's build action passes these itself."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 when it cannot."""
    args = _parser().parse_args(arguments)
    recipe = Recipe.read()
    try:
        for line in _work(args, recipe):
            print(line, flush=True)
    except BuildError as error:
        print(f"script/build: {error}", file=sys.stderr)
        return 1
    return 0


def _work(args: argparse.Namespace, recipe: Recipe) -> Iterator[str]:
    if args.command == "outputs":
        yield from outputs(recipe, args.arch)
    elif args.command == "report":
        yield from report([args.tool], args.image, args.base)
    elif args.command == "local":
        target = args.target or ROOT / "dist/local" / recipe.app["slug"]
        stage(target)
        size_mb = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
        yield f"{target}: {size_mb:.1f} MB. Copy it to the host's share of local apps."
    else:
        tool, image = build(recipe, args.arch)
        yield from report([tool], image, recipe.arguments(args.arch)["BUILD_FROM"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    here = MACHINES.get(platform.machine(), "amd64")
    for name in ("image", "outputs"):
        command = commands.add_parser(name)
        command.add_argument("--arch", choices=tuple(PLATFORMS), default=here)
    commands.add_parser("local").add_argument("target", nargs="?", type=Path)
    weigh = commands.add_parser("report")
    weigh.add_argument("--tool", default="docker")
    weigh.add_argument("image")
    weigh.add_argument("base")
    return parser


if __name__ == "__main__":
    sys.exit(main())
