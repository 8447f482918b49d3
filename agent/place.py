"""Where a process of the agent lives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Demo:
    """The embedded house of `script/run`."""

    seed: int = 7


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process lives."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8099
    demo: Demo | None = None
    bundle: Path | None = None
    """The folder of signed firmware documents; `None` takes the one that the app came with."""
