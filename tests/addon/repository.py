"""What is committed, and how the store and GitHub look at it."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "addon"
DOCUMENTS = (".yaml", ".yml", ".json")


def committed(root: Path = ROOT) -> list[PurePath]:
    """Return every file that is, or with the next commit will be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(  # noqa: S603 - our own words
        command, cwd=root, capture_output=True, text=True, check=True
    )
    return [PurePath(line) for line in listed.stdout.splitlines() if (root / line).exists()]


def scanned(files: Sequence[PurePath], stem: str) -> set[str]:
    """Return the files of that name that the store parses; it skips hidden folders and `rootfs`."""
    return {
        str(path)
        for path in files
        if path.stem == stem
        and path.suffix in DOCUMENTS
        and not any(part.startswith(".") or part == "rootfs" for part in path.parts)
    }


def png_size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG; raises ValueError for anything else."""
    head = path.read_bytes()[:24]
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path} is not a PNG")
    width, height = struct.unpack(">II", head[16:])
    return width, height
