"""
Signed documents as text that a person reads before signing it.

One text for one meaning: the order of the fields is fixed, names are sorted where order says
nothing, and what has its usual value is left out. What is written here is what `parse` reads.

Source: signing.md 4.1 and 4.4.
"""

from __future__ import annotations

import json
from datetime import UTC

from agent.firmware.manifest.models import (
    SCHEMA,
    Channel,
    ChannelEntry,
    Halt,
    ImageKind,
    Release,
    ReleaseImage,
    Security,
    Wave,
)

Fields = dict[str, object]


def write_release(release: Release) -> str:
    """Return the text of a release manifest."""
    origin, health = release.origin, release.health
    source = origin and {"repo": origin.repo, "commit": origin.commit, "config": origin.config}
    return canonical(
        {
            "schema": SCHEMA,
            "project": release.project,
            "version": release.version,
            "rollback_index": release.rollback_index,
            **_given("min_version", release.min_version),
            **_given("hw", release.hw),
            **_given("boards", release.boards),
            **_given("min_chip_revision", release.min_chip_revision),
            **_given("trusts", release.trusts),
            **_given("source", source),
            **_given("esphome", release.esphome),
            "released": release.released.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "notes": release.notes,
            **_given("notes_url", release.notes_url),
            **({} if release.security is Security.NONE else {"security": release.security}),
            "health": {
                "confirm_after_s": health.confirm_after_s,
                **_given("expect_entities", health.expect_entities),
            },
            "images": [_image(it) for it in release.images],
        }
    )


def write_channel(channel: Channel) -> str:
    """Return the text of a channel."""
    return canonical(
        {
            "schema": SCHEMA,
            "projects": {
                name: {
                    "latest": project.latest,
                    "releases": [_entry(it) for it in project.releases],
                }
                for name, project in sorted(channel.projects.items())
            },
            "policy": {
                "min_rollback_index": dict(sorted(channel.min_rollback_index.items())),
                "revoked": sorted(channel.revoked),
                "paused": channel.paused,
            },
        }
    )


def write_halt(halt: Halt) -> str:
    """Return the text of a halt."""
    return canonical(
        {
            "schema": SCHEMA,
            "paused": halt.paused,
            "reason": halt.reason,
            "revoked": sorted(halt.revoked),
        }
    )


def canonical(value: object) -> str:
    """Return JSON as this project keeps it: indented by two, in the given order, one line end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _image(image: ReleaseImage) -> Fields:
    common = {
        "kind": image.kind,
        "chip": image.chip,
        "file": image.file,
        "size": image.size,
        "sha256": image.sha256,
        **_given("signed_by", image.signed_by),
    }
    if image.kind is ImageKind.OTA:
        return {**common, "slot_size": image.slot_size, "md5": image.md5}
    parts = [{"offset": it.offset, "from": it.start, "size": it.size} for it in image.parts]
    return {**common, "flash_size": image.flash_size, "parts": parts}


def _entry(entry: ChannelEntry) -> Fields:
    return {
        "version": entry.version,
        "rollback_index": entry.rollback_index,
        "manifest": entry.manifest,
        **_given("rollout", [_wave(it) for it in entry.rollout]),
    }


def _wave(wave: Wave) -> Fields:
    return {"after_h": _short(wave.after_h), "share": _short(wave.share)}


def _given(key: str, value: object) -> Fields:
    return {key: value} if value else {}


def _short(value: float) -> float:
    return int(value) if value == int(value) else value
