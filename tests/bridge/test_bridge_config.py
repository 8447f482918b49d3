"""ESPHome finds nothing wrong with the bridge's configurations, and they say what they promise."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers import table
from tests.peers.esphome_firmware import API_KEY, BRIDGE_PACKAGES, HOME, PYTHON

TARGETS = sorted(path.name for path in BRIDGE_PACKAGES.glob("alphaess-bridge*.yaml"))
TRUSTED_KEY = "ab" * 32


def _config(directory: Path, target: str, **given: str) -> subprocess.CompletedProcess[str]:
    shutil.copytree(BRIDGE_PACKAGES, directory, dirs_exist_ok=True)
    words = [word for name, value in given.items() for word in ("-s", name, value)]
    return subprocess.run(  # noqa: S603 - ESPHome itself
        [PYTHON, "-m", "esphome", *words, "config", "--show-secrets", target],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return what ESPHome makes of a target, which is a test's parameter."""
    if not (HOME / "ready").exists():
        pytest.skip("no ESPHome: run script/setup")
    table.record(request, "esphome")
    done = _config(
        tmp_path, request.param, version="1.0.0", trusted_key=TRUSTED_KEY, api_key=API_KEY
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = (done.stdout + done.stderr).splitlines()
    complaints = [line for line in said if "WARNING" in line or "ERROR " in line]
    assert complaints == []
    return done.stdout


def test_there_are_factory_and_production_for_each_chip() -> None:
    assert TARGETS == [
        "alphaess-bridge-factory.esp32-s3.yaml",
        "alphaess-bridge-factory.esp32.yaml",
        "alphaess-bridge.esp32-s3.yaml",
        "alphaess-bridge.esp32.yaml",
    ]


@pytest.mark.parametrize("config", TARGETS, indirect=True, ids=str)
def test_every_target_is_valid_without_a_warning_and_takes_signed_firmware_only(
    config: str, request: pytest.FixtureRequest
) -> None:
    target = request.node.callspec.id
    factory = "-factory." in target
    project = "pv-edge.alphaess-bridge-factory" if factory else "pv-edge.alphaess-bridge"
    assert f"name: {project}\n" in config
    for promised in (
        "enable_ota_rollback: true",
        "enable_ota_downgrade_protection: true",
        "signing_scheme: rsa3072",
        TRUSTED_KEY,
        "turnaround_time: 300ms",
        "baud_rate: 9600",
        "num_attempts: 10",
    ):
        assert promised in config
    assert ("write_dispatch" in config) is not factory
    assert (f" key: {API_KEY}" in config) is not factory
