"""The ESPHome devices of the tests are real, on loopback, and fail in the ways that bridges do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
from aioesphomeapi import (
    APIClient,
    ConnectionClosedEvent,
    InvalidEncryptionKeyAPIError,
    RequiresEncryptionAPIError,
)

from tests.peers.esphome import Device
from tests.peers.esphome_firmware import CONFIGURATIONS, PROJECT_VERSION, VERSION, firmware
from tests.peers.fixtures import MakeDevice
from tests.peers.process import accepts

OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="


@asynccontextmanager
async def client(device: Device, key: str | None = None) -> AsyncIterator[APIClient]:
    """Connect with the key of the device unless another is given."""
    connection = APIClient(
        device.host, device.api_port, None, keepalive=0.2, noise_psk=key or device.key
    )
    await connection.connect(login=True, log_errors=False)
    try:
        yield connection
    finally:
        await connection.disconnect(force=True)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_device_says_the_name_and_mac_it_was_given(
    make_device: MakeDevice, configuration: str
) -> None:
    device = make_device(configuration, name="bridge-10", mac="02005e1000ab")
    with device:
        async with client(device) as connection:
            info = await connection.device_info()
    assert (info.name, info.friendly_name) == ("bridge-10", "Bridge 10")
    assert info.mac_address == "02:00:5E:10:00:AB"
    assert (info.project_version, info.esphome_version) == (PROJECT_VERSION, VERSION)


def test_devices_of_one_firmware_listen_on_ports_of_their_own_and_on_loopback_only(
    make_device: MakeDevice,
) -> None:
    with make_device("plain", name="bridge-1") as one, make_device("plain", name="bridge-2") as two:
        ports = set()
        for device in (one, two):
            sockets = psutil.Process(device.pid).net_connections("inet")
            assert {socket.laddr.ip for socket in sockets} == {"127.0.0.1"}
            ports |= {it.laddr.port for it in sockets if it.status == psutil.CONN_LISTEN}
        assert ports == {one.api_port, one.ota_port, two.api_port, two.ota_port}


async def test_encrypted_device_lets_in_only_who_has_its_key(make_device: MakeDevice) -> None:
    with make_device("noise", name="bridge-1") as device:
        async with client(device) as connection:
            assert (await connection.device_info()).name == "bridge-1"
        with pytest.raises(InvalidEncryptionKeyAPIError):
            async with client(device, OTHER_KEY):
                pass
        device.key = None
        with pytest.raises(RequiresEncryptionAPIError):
            async with client(device):
                pass


@pytest.mark.parametrize(
    ("fault", "expected", "reason"),
    [
        (Device.crash, False, "SocketClosedAPIError"),
        (Device.hang, False, "PingFailedAPIError"),
        (Device.reboot, True, "NoneType"),
    ],
)
async def test_crash_hang_and_reboot_look_to_a_client_as_those_of_a_bridge(
    make_device: MakeDevice, fault: object, expected: bool, reason: str
) -> None:
    assert callable(fault)
    with make_device("plain", name="bridge-1") as device:
        closed: asyncio.Future[ConnectionClosedEvent] = asyncio.get_running_loop().create_future()
        async with client(device) as connection:
            connection.add_connection_closed_callback(closed.set_result)
            fault(device)
            event = await asyncio.wait_for(closed, 10)
        assert (event.expected_disconnect, type(event.error).__name__) == (expected, reason)


async def test_device_boots_again_after_a_crash_and_after_a_restart(
    make_device: MakeDevice,
) -> None:
    with make_device("plain", name="bridge-1") as device:
        device.crash()
        await asyncio.to_thread(device.wait_boot, 2)
        async with client(device) as connection:
            entities = (await connection.list_entities_services())[0]
            connection.button_command(next(it.key for it in entities if it.name == "Restart"))
            await asyncio.to_thread(device.wait_boot, 3)
        assert device.endings == [-9, 0]


async def test_safe_mode_closes_the_api_and_keeps_the_upload_port_open(
    make_device: MakeDevice,
) -> None:
    with make_device("plain", name="bridge-1") as device:
        async with client(device) as connection:
            entities = (await connection.list_entities_services())[0]
            button = next(it.key for it in entities if it.name == "Restart in Safe Mode")
            connection.button_command(button)
            await asyncio.to_thread(device.wait_upload, 2)
        assert not accepts(device.api_port)


async def test_upload_brings_other_firmware_to_the_same_device(make_device: MakeDevice) -> None:
    with make_device("plain", name="bridge-1") as device:
        before = firmware("plain").read_bytes()
        await asyncio.to_thread(device.upload, "strict")
        await asyncio.to_thread(device.wait_log, "pv-edge.alphaess-bridge version")
        async with client(device) as connection:
            info = await connection.device_info()
        assert (info.name, info.project_name) == ("bridge-1", "pv-edge.alphaess-bridge")
        assert info.mac_address.replace(":", "").lower() == device.mac
        assert firmware("plain").read_bytes() == before  # the cache is nobody's device


async def test_strict_device_takes_encrypted_uploads_only(make_device: MakeDevice) -> None:
    hello, features = b"\x6c\x26\xf7\x5c\x45", b"\x17"  # of a client without a key
    with make_device("strict", name="bridge-1") as device:
        reader, writer = await asyncio.open_connection(device.host, device.ota_port)
        writer.write(hello)
        assert await reader.readexactly(2) == b"\x00\x02"
        writer.write(features)
        assert await asyncio.wait_for(reader.readexactly(1), 5) == b"\x94"
        writer.close()
        await asyncio.to_thread(device.upload, "noise", key=device.key)
        await asyncio.to_thread(device.wait_log, "acme.garage version")


def test_device_ends_with_the_test_even_while_it_hangs(make_device: MakeDevice) -> None:
    device = make_device("plain", name="bridge-1")
    script = f"""
import pathlib, sys
from tests.peers.esphome import Device
device = Device("plain", pathlib.Path({str(device.directory)!r}), name="orphan", mac="02005e10ffff")
device.start()
device.hang()
print(device.pid, flush=True)
"""
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    pid = int(shown.stdout)
    if psutil.pid_exists(pid):
        psutil.Process(pid).wait(10)
