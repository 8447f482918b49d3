"""
A release for browsers and for bridges that fetch their update themselves.

ESP Web Tools writes whole files at offsets, and ESPHome's `update: http_request` reads the same
document. Neither checks a signature, so this is a convenience beside the signed manifest: nothing
here ever decides by it.

Source: signing.md 2 and 4.3; esphome.md, section 7; https://esphome.github.io/esp-web-tools/.
"""

from __future__ import annotations

from agent.firmware.manifest.grammar import HTTPS
from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.manifest.write import canonical

LONGEST_SUMMARY = 255
_WITHOUT_FAMILY = len("esp32")


def write_web(release: Release, base_url: str) -> str:
    """
    Return the ESP Web Tools manifest of a release, which ESPHome's `http_request` reads too.

    Args:
        release: the signed release.
        base_url: where its files lie, over https.

    Raises:
        ValueError: the address is none that a browser may load firmware from.
    """
    if not HTTPS.fullmatch(base_url) or "?" in base_url or "#" in base_url:
        raise ValueError(f"{base_url[:80]!r} is no https address of a folder. Give one.")
    base = base_url.rstrip("/")
    builds: dict[str, dict[str, object]] = {}
    for image in release.images:
        build = builds.setdefault(image.chip, {"chipFamily": chip_family(image.chip)})
        path = f"{base}/{image.file}"
        if image.kind is ImageKind.OTA:
            build["ota"] = {
                "md5": image.md5,
                "path": path,
                "summary": release.notes.split("\n", 1)[0][:LONGEST_SUMMARY],
                **({"release_url": release.notes_url} if release.notes_url else {}),
            }
        elif (offset := _whole_file_at(image)) is not None:
            build["parts"] = [{"path": path, "offset": offset}]
    return canonical(
        {
            "name": release.project,
            "version": release.version,
            "home_assistant_domain": "esphome",
            "new_install_prompt_erase": True,
            # A build that says a chip and no file would fail in the browser after the erase.
            "builds": [it for it in builds.values() if len(it) > 1],
        }
    )


def chip_family(chip: str) -> str:
    """Return a chip as ESP Web Tools and ESPHome write it: `esp32c3` is `ESP32-C3`."""
    if chip.startswith("esp32") and chip != "esp32":
        return f"ESP32-{chip[_WITHOUT_FAMILY:].upper()}"
    return chip.upper()


def _whole_file_at(image: ReleaseImage) -> int | None:
    """Return where the file as a whole goes; `None` if its parts do not lie as in the file."""
    shifts = {it.offset - it.start for it in image.parts}
    if len(shifts) != 1 or min(shifts) < 0:
        return None
    return shifts.pop()
