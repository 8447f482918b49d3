"""
Announces devices as an ESP32 announces itself; firmware for this machine has no mDNS.

The records are those of ESPHome 2026.10 `components/mdns`, and they go out on loopback only. All
test runs of a machine share that loopback, and devices of one name would be taken for each other:
who announces has it to himself.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from tests.peers.esphome_firmware import PROJECT_VERSION, VERSION
from tests.peers.install import PEERS
from tests.peers.process import LOOPBACK

SERVICE = "_esphomelib._tcp.local."


class Announced(Protocol):
    """What an announcement is made from; a real device has it."""

    name: str
    friendly_name: str
    mac: str
    api_port: int
    key: str | None


@dataclass
class PaperDevice:
    """A device that is announced and does not exist."""

    name: str
    friendly_name: str
    mac: str
    api_port: int
    key: str | None = None


def service(device: Announced, project: str = "", **txt: str) -> AsyncServiceInfo:
    """Return the announcement of a device."""
    said = {
        "friendly_name": device.friendly_name,
        "version": VERSION,
        "config_hash": "1a2b3c4d",
        "mac": device.mac,
        "platform": "ESP32",
        "board": "esp32dev",
        "network": "wifi",
        **({"api_encryption": "Noise_NNpsk0_25519_ChaChaPoly_SHA256"} if device.key else {}),
        **({"project_name": project, "project_version": PROJECT_VERSION} if project else {}),
        **txt,
    }
    return AsyncServiceInfo(
        SERVICE,
        f"{device.name}.{SERVICE}",
        addresses=[socket.inet_aton(LOOPBACK)],
        port=device.api_port,
        properties=said,
        server=f"{device.name}.local.",
    )


class Announcer:
    """Announces and withdraws; as a context it withdraws everything at its end."""

    async def announce(self, info: AsyncServiceInfo) -> None:
        """Announce, and return when the announcement is out."""
        sent = await self._zeroconf.async_register_service(info)
        await sent

    async def withdraw(self, info: AsyncServiceInfo) -> None:
        """Say goodbye, as a device does before it restarts."""
        sent = await self._zeroconf.async_unregister_service(info)
        await sent

    async def __aenter__(self) -> Self:
        PEERS.mkdir(parents=True, exist_ok=True)
        self._alone = (PEERS / "announcements.lock").open("w")
        await asyncio.to_thread(fcntl.flock, self._alone, fcntl.LOCK_EX)
        self._zeroconf = AsyncZeroconf(interfaces=[LOOPBACK], ip_version=IPVersion.V4Only)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._zeroconf.async_unregister_all_services()
        await self._zeroconf.async_close()
        self._alone.close()
