"""script/build looks at what goes into the image before anything is built."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.firmware.signing.folder import Folder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with this interpreter for its `.venv`, and no docker to be found."""
    place = tmp_path / "clone"
    (place / ".venv" / "bin").mkdir(parents=True)
    python = place / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (place / "bin").mkdir()
    for tool in ("dirname", "readlink"):
        (place / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    (place / "script").mkdir()
    for name in ("script/build", "script/app_image.py", "build.yaml"):
        (place / name).write_bytes((ROOT / name).read_bytes())
    page = place / "script" / "page"  # the page's own tools are no matter of what goes in
    page.write_text("#!/bin/sh\n")
    page.chmod(0o755)
    for name in ("agent", "addon"):
        (place / name).symlink_to(ROOT / name)
    (place / "firmware_manifests").symlink_to(ROOT / "firmware_manifests")
    return place


def build(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "script/build", *words],
        cwd=clone,
        env={"PATH": str(clone / "bin"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_is_refused_with_a_development_root(clone: Path) -> None:
    answer = build(clone, "--release")
    assert answer.returncode == 1
    assert "Anybody could sign firmware for houses that trust it, so it is not released" in (
        answer.stderr
    )
    assert "what goes in is fine" not in answer.stderr


def test_who_means_it_gets_past_it_and_hears_what_is_missing(clone: Path) -> None:
    answer = build(clone, "--release", "--allow-development-root")
    assert "Purpose: DEVELOPMENT ONLY" in answer.stdout
    assert answer.returncode == 1
    assert (
        "what goes in is fine, but neither docker with buildx nor podman is here" in answer.stderr
    )


def test_a_record_that_does_not_verify_is_not_built_in(clone: Path, folder: Folder) -> None:
    (clone / "firmware_manifests").unlink()
    (clone / "firmware_manifests").symlink_to(folder.path)
    path = folder.path / "targets" / "stable" / "channel.json"
    path.write_bytes(path.read_bytes().replace(b"1.0.0", b"1.0.1"))
    answer = build(clone)
    assert answer.returncode == 1
    assert "refuses this repository" in answer.stderr
    assert "what goes in is fine" not in answer.stderr


def test_a_word_it_does_not_know_is_an_error(clone: Path) -> None:
    assert build(clone, "--relase").returncode == 2
