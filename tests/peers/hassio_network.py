"""
The Supervisor's network without Docker: two network namespaces and a cable between them.

In one lives the app's container at an address of the apps' range, in the other whoever tests,
with the addresses of the Supervisor (172.30.32.2), of the host (172.30.32.1) and of another app.
So the addresses are the real ones, nothing of it can be reached from outside, and runs beside
each other do not meet.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.peers.install import program, run

SUPERVISOR = "172.30.32.2"
HOST = "172.30.32.1"
OTHER_APP = "172.30.33.9"
APP = "172.30.33.5"
_CLONE_NEWNET = 0x40000000


@contextmanager
def hassio_network() -> Iterator[str]:
    """
    Put this thread beside the Supervisor, with everything it starts; yield the app's namespace.

    Raises:
        RuntimeError: the kernel or the rights of this user do not allow it; says what was tried.
    """
    ours, apps = (f"pv-edge-{os.getpid()}-{side}" for side in ("house", "app"))
    with ExitStack() as stack:
        for name in (ours, apps):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        cable = ["link", "add", "hassio", "netns", ours, "type", "veth"]
        _ip(*cable, "peer", "name", "eth0", "netns", apps)
        for address in (SUPERVISOR, HOST, OTHER_APP):
            _ip("-n", ours, "address", "add", f"{address}/23", "dev", "hassio")
        _ip("-n", apps, "address", "add", f"{APP}/23", "dev", "eth0")
        _ip("-n", ours, "link", "set", "hassio", "up")
        _ip("-n", apps, "link", "set", "eth0", "up")
        with _inside(Path("/run/netns") / ours):
            yield f"/run/netns/{apps}"


def _ip(*words: str) -> None:
    run([program("ip") or "ip", *words])


@contextmanager
def _inside(namespace: Path) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(wanted)
        finally:
            os.close(wanted)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _enter(namespace: int) -> None:
    # `os.setns` came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise RuntimeError(f"setns: {os.strerror(error)}; a network namespace needs root")
