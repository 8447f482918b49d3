"""What `script/build` tells docker, and what it says of the result."""

from __future__ import annotations

from pathlib import Path

import pytest

from script import app_image
from script.app_image import BuildError, Recipe

DOCKER = """#!/bin/sh
echo "$@" >>"{log}"
case "$1 $2" in
  "image inspect") case "$5" in base) echo 100000000 ;; *) echo {whole} ;; esac ;;
  "run --rm") printf '43\\t/opt/x/site-packages/numpy\\n' ;;
  "buildx build") exit {code} ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that writes down what it was told; its path."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "docker"


def told(docker: Path, *, whole: int = 290_000_000, code: int = 0) -> Path:
    log = docker.with_name("log")
    docker.write_text(DOCKER.format(log=log, whole=whole, code=code))
    docker.chmod(0o755)
    return log


def test_it_builds_for_the_architecture_asked_from_the_pins(docker: Path, tmp_path: Path) -> None:
    log, recipe = told(docker), Recipe.read()
    assert app_image.build(recipe, "aarch64", tmp_path) == ("docker", recipe.tag)
    words = log.read_text()
    assert "--platform linux/arm64" in words
    assert f"--build-arg=BUILD_FROM={recipe.pins['build_from']['aarch64']}" in words
    assert f"--build-arg=BUILD_VERSION={recipe.app['version']}" in words
    assert "--label=io.hass.type=app" in words
    assert f"--tag {recipe.tag}" in words


def test_a_build_that_fails_ends_with_a_sentence(docker: Path, tmp_path: Path) -> None:
    told(docker, code=1)
    with pytest.raises(BuildError, match=r"docker could not build .*; its last lines say why"):
        app_image.build(Recipe.read(), "amd64", tmp_path)


@pytest.mark.parametrize(("above_mb", "warns"), [(190, False), (210, True)])
def test_it_weighs_the_image_and_warns_of_one_that_grew(
    docker: Path, above_mb: int, warns: bool
) -> None:
    told(docker, whole=(100 + above_mb) * 1_000_000)
    lines = list(app_image.report([str(docker)], "image", "base"))
    assert lines[0] == f"image: {100 + above_mb} MB, of which {above_mb} MB above base"
    assert any(line.startswith("WARNING") for line in lines) is warns
    assert lines[-1].split() == ["43", "MB", "numpy"]
