"""
Files that only the agent may read, replaced so that a power cut leaves the old or the new one.

A half-written file of settings or keys is worse than an old one. So the new text is written
beside the old, brought to the disk, and takes its name in one step; at no moment may anybody else
read it. A file that cannot be understood is kept aside for a person, never overwritten.
"""

from __future__ import annotations

import logging
import os
from itertools import count
from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_PRIVATE = 0o600


def replace_file(path: Path, text: str) -> None:
    """
    Replace the file, whole or not at all.

    Raises:
        OSError: it was not replaced.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    try:
        sync(path.parent)
    except OSError as error:
        # The new file is in place already, so the change stands; a power cut may undo it.
        _LOGGER.warning("The folder of %s was not synced: %s", path.name, error.strerror)


def sync(path: Path) -> None:
    """
    Bring a file's content, or a folder's names, to the disk.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_aside(path: Path) -> Path:
    """
    Rename the file to the next free `….broken-1`, `-2`, and return its new name.

    Raises:
        OSError: it still has its old name.
    """
    kept = next(
        name for n in count(1) if not (name := path.with_name(f"{path.name}.broken-{n}")).exists()
    )
    path.rename(kept)
    return kept


def close_to_others(path: Path) -> bool:
    """Take everybody else's rights to the file away; return whether somebody had any."""
    if not path.stat().st_mode & 0o077:
        return False
    path.chmod(_PRIVATE)
    return True
