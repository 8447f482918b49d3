"""
What the image is made of, as CycloneDX 1.6: its Debian packages and its Python packages.

Runs while the image is built, under the interpreter whose packages it lists, with the standard
library alone. The list says what is installed, not what a lock file hoped for; the same packages
give the same bytes.

    python sbom.py debian-packages.tsv
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

OURS = "pv-edge-agent"
LONGEST_LICENCE = 80
"""Some packages put the whole text of their licence where its name belongs."""


def bill(debian: str, installed: list[Distribution]) -> dict[str, Any]:
    """
    Return the bill of materials.

    Args:
        debian: lines of package, version and architecture with tabs between them.
        installed: Python distributions; ours is the subject, the others are components.
    """
    (ours,) = [it for it in installed if it.name.lower() == OURS]
    others = [_python(it) for it in installed if it is not ours]
    parts = sorted([*_debian(debian), *others], key=lambda part: str(part["purl"]))
    subject = {"type": "application", "name": OURS, "version": ours.version}
    # Python's own UUID of the content: a new number only where the content is new.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([subject, parts], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": subject | {"licenses": [{"expression": "Apache-2.0"}]}},
        "components": parts,
    }


def _debian(lines: str) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        name, version, architecture = line.split("\t")
        name = name.partition(":")[0]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


def _python(package: Distribution) -> dict[str, Any]:
    name = package.name.lower().replace("_", "-")
    part: dict[str, Any] = {
        "type": "library",
        "name": name,
        "version": package.version,
        "purl": f"pkg:pypi/{quote(name)}@{quote(package.version)}",
    }
    if licences := _licences(package):
        part["licenses"] = licences
    return part


def _licences(package: Distribution) -> list[dict[str, Any]]:
    told = package.metadata
    if expression := told.get("License-Expression"):
        return [{"expression": expression}]
    written = (told.get("License") or "").strip()
    if written and len(written) <= LONGEST_LICENCE and "\n" not in written:
        return [{"license": {"name": written}}]
    classes = [it for it in told.get_all("Classifier") or () if it.startswith("License ::")]
    return [{"license": {"name": it.rpartition(" :: ")[2]}} for it in classes]


def main() -> int:
    """Print the bill of this interpreter and of the Debian packages in the file named."""
    made = bill(Path(sys.argv[1]).read_text(encoding="utf-8"), list(distributions()))
    sys.stdout.write(json.dumps(made, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
