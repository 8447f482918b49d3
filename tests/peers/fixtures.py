"""
Real peers as fixtures.

Everything is synchronous to set up and to end, so that any test may use it, whatever its event
loop. A machine that lacks a peer skips its cases here and says what would bring it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import table
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import firmware
from tests.peers.homeassistant import Core
from tests.peers.install import CORES, chromium, installed_core, program
from tests.peers.mosquitto import Broker

MakeBroker = Callable[..., Broker]
MakeCore = Callable[..., Core]
MakeDevice = Callable[..., Device]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return the broker that all tests share; who stops brokers makes one with `make_broker`."""
    _need_mosquitto()
    with Broker(tmp_path_factory.mktemp("mosquitto")) as shared:
        yield shared


@pytest.fixture
def make_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeBroker]:
    """Return a function that starts a broker of this test's own."""
    _need_mosquitto()
    table.record(request, "mosquitto")
    made: list[Broker] = []

    def make(*, persistent: bool = False) -> Broker:
        made.append(Broker(tmp_path_factory.mktemp("mosquitto"), persistent=persistent))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture(params=list(CORES), scope="session")
def core_version(request: pytest.FixtureRequest) -> str:
    """Run the test once with the oldest supported Core and once with the newest."""
    version: str = request.param
    if installed_core(version) is None:
        pytest.skip(f"Home Assistant {version} is not installed: run script/setup")
    return version


@pytest.fixture
def make_core(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeCore]:
    """
    Return a function that makes a Core, not yet started: `make_core(version, broker=…, …)`.

    The arguments are those of `Core` without the directory. A failed test shows the Core's log.
    """
    made: list[Core] = []

    def make(version: str, *, directory: Path | None = None, **options: Any) -> Core:
        if installed_core(version) is None:
            pytest.skip(f"Home Assistant {version} is not installed: run script/setup")
        table.record(request, f"homeassistant {version}")
        where = directory or tmp_path_factory.mktemp(f"core-{version}")
        made.append(Core(version, where, **options))
        return made[-1]

    yield make
    for each in made:
        each.kill()
        print(f"--- log of Home Assistant {each.version}\n{each.log(60)}")  # noqa: T201


@pytest.fixture
def chromium_path(request: pytest.FixtureRequest) -> str:
    """Return the browser that Playwright drives."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: run script/setup")
    table.record(request, "chromium")
    return path


def _need_mosquitto() -> None:
    if program("mosquitto") is None:
        pytest.skip("no mosquitto: run script/setup")


@pytest.fixture
def make_device(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeDevice]:
    """
    Return a function that makes an ESPHome device, switched off.

    `make_device("noise", name="bridge-1")`; each gets a MAC of its own unless one is given. A
    failed test shows the devices' logs.
    """
    made: list[Device] = []

    def make(configuration: str, *, name: str, mac: str | None = None, tty: str = "") -> Device:
        if firmware(configuration) is None:
            pytest.skip("no ESPHome firmware: run script/setup")
        table.record(request, "esphome")
        where = tmp_path_factory.mktemp(name)
        mac = mac or f"02005e10{len(made):04x}"
        made.append(Device(configuration, where, name=name, mac=mac, tty=tty))
        return made[-1]

    yield make
    for each in made:
        each.kill()
        print(f"--- log of {each.name}, runs ended with {each.endings}\n{each.log()}")  # noqa: T201
