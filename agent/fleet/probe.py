"""
Knocks at the ports of a device: open, closed, or no answer.

A connection that does not come about says little. Whether the host answers at all, and whether
it takes uploads while its API is not there, tells a device without power from one in safe mode.
A knock opens a TCP connection and closes it without a word; ESPHome's servers bear that.

Source: esphome.md, section 5 (a connection that hangs up is silent) and section 7 (safe mode).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable

from agent.fleet.contact import Port, Ports
from agent.fleet.sighting import usable

_BEST_FIRST = (Port.OPEN, Port.CLOSED, Port.SILENT)


async def knock(host: str, port: int, timeout_s: float) -> Port:
    """Return what a port does within the time; a host that is not found is silent."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Port.CLOSED
    except (OSError, TimeoutError, socket.gaierror):
        return Port.SILENT
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Port.OPEN


async def resolved(hosts: Iterable[str], timeout_s: float) -> tuple[str, ...]:
    """
    Return the addresses that the host names among the hosts lead to, as the system finds them.

    In Home Assistant's network that is its own DNS, which knows `.local` names; elsewhere it may
    be nobody, and then announcements are the way.
    """

    async def lead(host: str) -> list[str]:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                return [str(it[4][0]) for it in found]
        return []

    names = [host for host in hosts if not usable([host])]
    leads = await asyncio.gather(*(lead(name) for name in names))
    return usable(address for each in leads for address in each)


async def ports(hosts: Iterable[str], api_port: int, upload_port: int, timeout_s: float) -> Ports:
    """Return what the ports do at the best of a device's addresses, all asked at once."""

    async def at(host: str) -> Ports:
        api, upload = await asyncio.gather(
            knock(host, api_port, timeout_s), knock(host, upload_port, timeout_s)
        )
        return Ports(api, upload)

    found = await asyncio.gather(*(at(host) for host in hosts))
    nobody = Ports(Port.SILENT, Port.SILENT)
    return min(
        found,
        key=lambda it: (_BEST_FIRST.index(it.api), _BEST_FIRST.index(it.upload)),
        default=nobody,
    )
