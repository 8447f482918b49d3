"""
Which factory firmware grows into which production firmware.

A bridge leaves its maker with a factory image that only waits to be set up. Giving it the
production firmware of its own family is what it waits for and no change of project; the way back
and every other change is one, and wants to be accepted.

Source: pvautonomy.md, section 2; `agent.fleet.identity.OUR_PROJECTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OUR_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "PVAutonomy.Edge101Factory": "PVAutonomy.Edge101",
        "pv-edge.alphaess-bridge-factory": "pv-edge.alphaess-bridge",
    }
)
"""Factory project to production project."""
