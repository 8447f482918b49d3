"""
Takes a bundle of signed documents that a person carried here, for a house without the internet.

It is a ZIP archive of a publisher's `metadata/` and `targets/`, without images. Nothing of it is
believed: names and sizes are checked here, so that it cannot write elsewhere or fill the disk,
and the signatures are checked by the next look, as those of a mirror are.

Source: signing.md 4.5 (carriers), A64 and A65.
"""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from pathlib import Path

FOLDER = "release_bundle"
MOST_FILES = 2000
MOST_BYTES = 32 * 1024 * 1024
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}"
_NAME = re.compile(rf"(metadata|targets)(/{_PART}){{1,4}}\.json")


class BundleError(ValueError):
    """An archive that is no bundle; its text says why and what to do."""


def unpack(archive: bytes, folder: Path) -> int:
    """
    Put the documents of an archive in place of those that were brought before; return how many.

    Blocks on the disk.

    Args:
        archive: the file as it was uploaded.
        folder: where the bundle shall lie.

    Raises:
        BundleError: it is no archive, holds something else, or is too large.
        OSError: it could not be stored; what was there stays.
    """
    new, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            wanted = _documents(file)
            for name, inside in wanted.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                # zipfile hands out no more than it claims, and that was held against the limit.
                path.write_bytes(file.read(inside))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise BundleError(
            "This is no ZIP archive that can be read. Pack the publisher's folders metadata and "
            "targets into one."
        ) from error
    except (BundleError, OSError):
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return len(wanted)


def _documents(file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    inside = [it for it in file.infolist() if not it.is_dir()]
    heads = {it.filename.partition("/")[0] for it in inside}
    # Whoever packs the folder itself has its name in front of everything.
    front = f"{heads.pop()}/" if len(heads) == 1 and not heads & {"metadata", "targets"} else ""
    found = {it.filename.removeprefix(front): it for it in inside}
    wanted = {name: it for name, it in found.items() if _NAME.fullmatch(name)}
    if "metadata/timestamp.json" not in wanted:
        raise BundleError(
            "The archive holds no metadata/timestamp.json. Pack the publisher's folders metadata "
            "and targets into it."
        )
    if len(wanted) > MOST_FILES or sum(it.file_size for it in wanted.values()) > MOST_BYTES:
        raise BundleError(
            f"The archive holds more than {MOST_FILES} documents or "
            f"{MOST_BYTES // (1024 * 1024)} MiB of them. Pack the newest ones only."
        )
    return wanted
