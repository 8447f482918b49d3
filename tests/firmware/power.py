"""
A machine whose power fails at a chosen change of the disk.

    with pytest.MonkeyPatch.context() as patch:
        power = Power(patch, folder, changes=3)
        ...  # raises PowerCutError at the fourth
    power.lose_what_was_not_synced()
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHANGES = (
    "write", "replace", "rename", "link", "symlink", "unlink", "remove", "rmdir", "mkdir",
    "fsync", "ftruncate", "chmod", "pwrite",
)  # fmt: skip


class PowerCutError(BaseException):
    """The machine is off."""


class Power:
    """
    Lets the machine run for so many changes of the disk.

    Once it is off nothing changes the disk any more, whatever handlers try, and what was never
    brought to the disk is gone: each such file is left empty.
    """

    def __init__(self, patch: pytest.MonkeyPatch, place: Path, changes: int) -> None:
        self.left = changes
        self.used = 0
        self._place = place
        self._synced: set[int] = set()
        self._before = {it.stat().st_ino for it in place.rglob("*") if it.is_file()}
        for name in CHANGES:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))
        real_open = os.open

        def opened(path: Any, flags: int, *args: Any, **named: Any) -> int:
            if flags & os.O_CREAT and not Path(os.fspath(path)).exists():
                self._step()
            return real_open(path, flags, *args, **named)

        patch.setattr(os, "open", opened)

    def _step(self) -> None:
        if self.left == 0:
            raise PowerCutError
        self.left -= 1
        self.used += 1

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            self._step()
            if name == "fsync":
                self._synced.add(os.fstat(args[0]).st_ino)
            return real(*args, **named)

        return counted

    def lose_what_was_not_synced(self) -> None:
        """Empty the files that were only in memory."""
        for path in self._place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                number = path.stat().st_ino
                if number not in self._synced | self._before:
                    path.write_bytes(b"")
