"""
One agent per data directory.

Two agents on one journal would each take the other's leases for foreign ones, and each would
journal over the other's account of the day. So whoever runs holds a lock beside the journal; the
kernel lets go of it when the process ends, however it ends, and a killed agent leaves nothing to
tidy up. The doctor only reads, and asks for no lock.

Source: control.md case 35; ARCHITECTURE, rules (one owner).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "agent.lock"


class AlreadyRunningError(Exception):
    """Another agent uses this data directory; nothing was started and nothing was written."""


@contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """
    Hold a data directory for this process alone.

    Args:
        data_dir: has to exist.

    Raises:
        AlreadyRunningError: another process holds it; the text names it and what to do.
        OSError: the lock cannot be made here, as on a read-only disk.
    """
    handle = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(handle, 32, 0).decode(errors="replace").strip()
            who = f" (process {owner})" if owner.isdecimal() else ""
            raise AlreadyRunningError(
                f"another agent{who} already runs on {data_dir}; two would fight for the battery. "
                "Stop that one first, or give this one a directory and an inverter of its own "
                "with --data."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
