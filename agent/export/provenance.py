"""
Which code took a decision.

The same code gives the same decisions from the same looks, bit for bit; other code need not. So a
record names its code by a digest of the decisions' sources, and says whether another one can read
it at all.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from hashlib import blake2b
from inspect import ismodule
from pathlib import Path

from agent import __version__
from agent.export import decide
from agent.export.record_codec import RecordError, shapes

_OURS = "agent."


@dataclass(frozen=True, slots=True)
class Provenance:
    """The code that recorded something."""

    version: str
    code: str
    """Digest of the sources that decide; empty where they are not there."""
    shapes: str
    """Digest of the records' fields; only the same ones can be read."""
    python: str

    @property
    def readable(self) -> bool:
        """True when this code has the same records."""
        return self.shapes == shapes()

    def parts(self) -> tuple[str, ...]:
        """Return it as plain texts, which any version can read."""
        return astuple(self)

    @classmethod
    def of(cls, parts: object) -> Provenance:
        """
        Return it from what `parts` gave.

        Raises:
            RecordError: these are no such texts.
        """
        if not isinstance(parts, Sequence) or len(parts) != len(cls.__slots__):
            raise RecordError(f"no provenance: {parts!r:.80}")
        return cls(*map(str, parts))

    def __str__(self) -> str:
        return f"version {self.version}, code {self.code or 'unknown'}, Python {self.python}"


@cache
def present() -> Provenance:
    """Return the code that runs here; reads its own sources once."""
    found = blake2b(digest_size=4)
    try:
        for name in deciding():
            found.update(Path(str(sys.modules[name].__file__)).read_bytes())
        code = found.hexdigest()
    except OSError:
        code = ""
    return Provenance(__version__, code, shapes(), platform.python_version())


def deciding() -> list[str]:
    """Return the modules whose code a decision can pass through."""
    found: set[str] = set()
    waiting = [decide.__name__]
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith(_OURS):
            continue
        found.add(name)
        for value in vars(sys.modules[name]).values():
            home = value.__name__ if ismodule(value) else getattr(value, "__module__", None)
            if isinstance(home, str):
                waiting.append(home)
    return sorted(found)
