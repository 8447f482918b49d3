"""
What Home Assistant would install at its first start, as a list for our installer.

Runs under the interpreter of a Core under construction. Core installs the requirements of an
integration when it first loads it; tests want that done before, once, and without a network at
start. This walks the manifests of the integrations the tests configure, of those they depend on
and of those that every Core loads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import homeassistant
from homeassistant import bootstrap

ALWAYS_LOADED = (
    "CORE_INTEGRATIONS",
    "CRITICAL_INTEGRATIONS",
    "DEFAULT_INTEGRATIONS",
    "FRONTEND_INTEGRATIONS",
    "LOGGING_AND_HTTP_DEPS_INTEGRATIONS",
    "LOGGING_INTEGRATIONS",
    "RECORDER_INTEGRATIONS",
)


def walk(wanted: set[str]) -> tuple[list[str], list[str]]:
    """Return the requirements and the integrations behind the wanted ones."""
    package = Path(homeassistant.__file__).parent
    requirements: set[str] = set()
    seen: set[str] = set()
    while wanted - seen:
        name = (wanted - seen).pop()
        seen.add(name)
        manifest = package / "components" / name / "manifest.json"
        if manifest.exists():
            content = json.loads(manifest.read_text())
            requirements |= set(content.get("requirements", ()))
            wanted |= set(content.get("dependencies", ()))
    return sorted(requirements), sorted(seen)


if __name__ == "__main__":
    integrations = set(sys.argv[1:])
    for set_name in ALWAYS_LOADED:
        integrations |= set(getattr(bootstrap, set_name, ()))
    needed, loaded = walk(integrations)
    json.dump({"requirements": needed, "integrations": loaded}, sys.stdout)
