"""ESP Web Tools and ESPHome views of a release."""

from __future__ import annotations

from agent.firmware.manifest.models import Release


def write_web(release: Release, base_url: str) -> str:
    """Return the ESP Web Tools manifest of a release, which ESPHome's `http_request` reads too."""
    raise NotImplementedError
