"""What is committed, and how the store and GitHub look at it."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator, Sequence
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


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    titles = re.findall(r"(?m)^#{1,6} +(.+?) *$", _without_code(text))
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", it).lower() for it in titles]
    return {re.sub(r"[^\w\- ]", "", it).replace(" ", "-") for it in plain}


def broken_links(page: Path) -> Iterator[str]:
    """Yield each relative link of a document that leads nowhere, a missing heading included."""
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(<?([^)>\s]+)>?\)", _without_code(text)):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        if not _leads_somewhere(page.parent / path if path else page, anchor):
            yield link


def _leads_somewhere(there: Path, anchor: str) -> bool:
    if not there.exists() or not anchor or there.suffix != ".md":
        return there.exists()
    return anchor in anchors(there.read_text(encoding="utf-8"))


def _without_code(text: str) -> str:
    return re.sub(r"(?ms)^```.*?^```", "", text)
