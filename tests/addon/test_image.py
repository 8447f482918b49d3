"""
The image itself, built and run: what is in it, and its life under a Supervisor.

A real container in the Supervisor's addresses; the Supervisor is a stand-in, the broker is real.
A dispatch is that of the demo's house, in the same image.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from script.app_image import ABOVE_BASE_MB, stage
from tests.acceptance.parts import events_of, eventually
from tests.addon.repository import ROOT
from tests.addon.scene import SETTINGS, installed, of_image
from tests.flashing.scene import installing
from tests.peers import containers
from tests.peers.containers import BASE, Container
from tests.peers.esphome_firmware import TRIAL, firmware
from tests.peers.esphome_trial import TrialDevice
from tests.peers.esphome_trial import image as release
from tests.peers.hassio_network import HOST, OTHER_APP, hassio_network

pytestmark = pytest.mark.peers("podman")

GRACE_S = 120
IDLE_STOP_S = 5
GUARDED_WITHIN_S = 240
"""The commissioning test comes first."""


@pytest.fixture(scope="module")
def image() -> str:
    if reason := containers.why_not():
        pytest.skip(reason)
    return containers.build()


@pytest.fixture(scope="module")
def demo(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, Path]]:
    """The image with a simulated house, which tests itself while other cases run."""
    data = tmp_path_factory.mktemp("demo")
    options = ["--network=none", f"--volume={data}:/data", "--tmpfs=/tmp"]
    command = ("pv-edge-agent", "demo", "--data=/data")
    name = f"pv-edge-demo-{time.monotonic_ns()}"
    with Container(name, image, *options, command=command).running() as container:
        yield container, data


@pytest.fixture(scope="module")
def network(image: str, demo: object) -> Iterator[str]:
    del image, demo  # the packages of an image may come from the network, which ends here
    with hassio_network() as apps:
        yield apps


@pytest.mark.peers("mosquitto", "supervisor")
async def test_it_lives_under_a_supervisor_from_start_to_stop(
    image: str, network: str, tmp_path: Path
) -> None:
    async with installed(image, network, tmp_path) as app:
        await app.healthy()
        await app.on_the_broker("online")
        assert "GET /services/mqtt" in app.supervisor.requests

        status, page = await app.get("/")
        assert status == 200
        assert "<title>" in page
        status, text = await app.get("/api/settings")
        assert SETTINGS.items() <= json.loads(text)["values"].items()
        for stranger in (HOST, OTHER_APP):
            status, text = await app.get("/", stranger)
            assert status == 403
            assert "Only Home Assistant may call" in text

        log = app.container.log()
        assert " DEBUG " in log, "the option did not arrive"
        for secret in (app.supervisor.token, app.broker.password):
            assert secret not in log

        code, took_s = app.container.stop(GRACE_S)
        assert (code, took_s < IDLE_STOP_S) == (0, True), f"{took_s:.1f} s"
        await app.on_the_broker("offline")


@pytest.mark.peers("mosquitto", "supervisor")
async def test_after_a_kill_it_starts_again_with_what_it_knew(
    image: str, network: str, tmp_path: Path
) -> None:
    async with installed(image, network, tmp_path) as app:
        await app.healthy()
        assert await app.emergency_stop() == 200
        await app.wrote("audit", "emergency_stop")
        known = events_of(app.data)
        containers.podman("kill", "--signal=KILL", app.container.name)
        containers.podman("wait", app.container.name)
        assert app.container.state()["ExitCode"] == 137
        await app.on_the_broker("offline")
        app.launch()
        await app.healthy()
        await app.on_the_broker("online")
        assert events_of(app.data)[: len(known)] == known
        _, text = await app.get("/api/settings")
        assert SETTINGS.items() <= json.loads(text)["values"].items()
        modes = {path.name: path.stat().st_mode & 0o777 for path in app.data.iterdir()}
        assert modes["options.json"] == 0o600


def test_its_health_check_says_no_when_nobody_answers(image: str, network: str) -> None:
    idle = Container(f"pv-edge-idle-{time.monotonic_ns()}", image, f"--network=ns:{network}",
                     command=("sleep", "60"))  # fmt: skip
    with idle.running() as container:
        assert container.execute("pv-edge-health", check=False).returncode != 0
        # Somebody who answers, but not well.
        sick = 'printf \'HTTP/1.0 503 x\\r\\n\\r\\n{"text": "stuck"}\' >answer; '
        serve = (
            "import socket; s = socket.create_server(('127.0.0.1', 8099)); print(flush=True); "
            "c, _ = s.accept(); asked = c.makefile('rb'); list(iter(asked.readline, b'\\r\\n')); "
            "c.sendall(open('/answer', 'rb').read())"
        )
        asked = f'{sick} coproc python3 -c "{serve}"; read -u ${{COPROC[0]}}; pv-edge-health'
        told = container.execute("bash", "-c", asked, check=False)
        assert (told.returncode, told.stdout.strip()) == (1, '503 {"text": "stuck"}')


def test_it_is_small_and_brings_no_compiler_and_no_tools_of_developers(image: str) -> None:
    above_mb = containers.size_mb(image) - containers.size_mb(BASE)
    assert above_mb < ABOVE_BASE_MB, f"{above_mb:.0f} MB"
    tools = "cc gcc make pip pip3 node npm git ruff mypy pytest"
    found = inside(image, f"for it in {tools}; do command -v $it; done; true")
    assert found.split() == []
    packages = inside(image, "ls /opt/pv-edge-agent/lib/python3*/site-packages").lower()
    assert re.findall(r"(?m)^(?:pip|setuptools|hypothesis|pytest|playwright|mypy)$", packages) == []


def test_every_module_of_the_agent_finds_what_it_imports(image: str) -> None:
    walk = "import agent, importlib, pkgutil, highspy, esptool; "
    walk += "names = [it.name for it in pkgutil.walk_packages(agent.__path__, 'agent.')]; "
    walk += (
        "[importlib.import_module(it) for it in names if '__main__' not in it]; print(len(names))"
    )
    assert int(inside(image, f'python -c "{walk}"').splitlines()[-1]) > 200


def test_it_brings_the_signed_record_where_the_agent_looks_for_it(image: str) -> None:
    looked = "from agent.releases.rooms import release_setup; from agent.place import Place; "
    looked += "from pathlib import Path; print(release_setup(Path and Place(Path('/data'))).bundle)"
    found = inside(image, f'python -c "{looked}"').strip()
    assert found == "/usr/share/pv-edge-agent/firmware_manifests"
    verified = inside(image, f"pv-edge-agent manifests verify --repository {found}")
    assert "Verified on " in verified


def test_its_bill_of_materials_names_what_is_installed(image: str) -> None:
    bill = json.loads(inside(image, "cat /opt/pv-edge-agent/sbom.cdx.json"))
    listed = {part["purl"].partition("?")[0] for part in bill["components"]}
    locked = re.findall(
        r"(?m)^([a-z0-9-]+)==([^\s;]+)(.*)$", (ROOT / "requirements.lock").read_text()
    )
    wanted = {f"pkg:pypi/{name}@{version}" for name, version, only in locked if not only}
    assert wanted <= listed
    assert any(it.startswith("pkg:deb/debian/python3.13@") for it in listed)
    (esptool,) = [part for part in bill["components"] if part["name"] == "esptool"]
    assert "GPL" in json.dumps(esptool["licenses"])
    assert bill["metadata"]["component"]["name"] == "pv-edge-agent"


def test_the_folder_for_local_installs_gives_the_same_image(image: str, tmp_path: Path) -> None:
    target = tmp_path / "pv_edge_agent"
    stage(target)
    before = containers.identity(image)
    containers.build(context=target, dockerfile=target / "Dockerfile")
    assert containers.identity(image) == before, "a layer was built from other files"


@pytest.mark.peers("esphome")
async def test_told_to_stop_in_an_upload_it_ends_the_upload_first_and_judges_it_at_its_next_start(
    image: str, network: str, tmp_path: Path
) -> None:
    del network  # the device and the agent meet on its loopback
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    device = TrialDevice(tmp_path / "bridge-1", name="bridge-1", mac="02005e300001")
    with device, of_image(image) as kind:
        async with installing(tmp_path, device, kind=kind) as agent:
            await agent.publishes("1.1.0", release("1.1.0"))
            await agent.start()
            await agent.is_offered(device, "1.1.0")
            name = await agent.installs(device, "1.1.0")

            async def sending() -> bool:
                return "upload" in agent.story(name)

            await eventually(sending, 30, "it is sent", agent.jobs)
            code, took_s = await agent.terminated(signal.SIGTERM, GRACE_S)
            assert (code, took_s < GRACE_S) == (0, True), f"{took_s:.1f} s"
            assert "uploaded" in agent.story(name)
            await agent.start()
            job = await agent.verdict(name)
            assert job["result"] == "confirmed", job


@pytest.mark.peers("inverter")
async def test_told_to_stop_in_a_dispatch_it_gives_the_battery_back_first(
    demo: tuple[Container, Path],
) -> None:
    container, data = demo

    async def discharging() -> bool:
        told = container.execute("curl", "-sS", "http://127.0.0.1:8099/api/state", check=False)
        return not told.returncode and json.loads(told.stdout)["phase"] == "DISCHARGE_ACTIVE"

    async def said() -> str:
        return container.log()[-2000:]

    await eventually(discharging, GUARDED_WITHIN_S, "a guarded discharge", said)
    before = len(events_of(data))
    code, took_s = container.stop(GRACE_S)
    assert (code, took_s < GRACE_S / 2) == (0, True), f"{took_s:.1f} s"
    assert "stop_verified" in [it["kind"] for it in events_of(data)[before:]]


def inside(image: str, command: str) -> str:
    """Run a command in a container of its own, without a network, and return what it printed."""
    options = ["run", "--rm", "--network=none", *containers.ULIMITS]
    return containers.podman(*options, image, "bash", "-c", command).stdout
