"""
Signed documents, read strictly: a release manifest, a channel, a halt.

A signature says who wrote a document, not that it makes sense. Whatever the bytes are, the outcome
is one of our own models or a `ManifestError` with a sentence; nothing else comes out. What a
manifest says has to fit together as well: parts lie within the file and the flash and do not
overlap, an image fits its slot, and there is one image for each chip and way.

Source: signing.md 4.4 and the lab's F02, F05 to F09.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

from agent.firmware.manifest import grammar
from agent.firmware.manifest.models import (
    SCHEMA,
    Channel,
    ChannelEntry,
    ChannelProject,
    Halt,
    Health,
    ImageKind,
    ManifestError,
    Origin,
    Part,
    Release,
    ReleaseImage,
    Security,
    UnknownSchemaError,
    Wave,
)
from agent.firmware.manifest.reading import (
    Fault,
    checked,
    document,
    each,
    fields_of,
    flag,
    number,
    shown,
    text,
    texts,
    whole,
)
from agent.firmware.manifest.versions import version_key

LONGEST_RELEASE = 64 * 1024
LONGEST_CHANNEL = 1024 * 1024
LONGEST_HALT = 64 * 1024
"""Bytes."""
LARGEST_IMAGE = 32 * 1024 * 1024
LARGEST_FLASH = 128 * 1024 * 1024
SECTOR = 4096
"""Flash is erased by sectors: a part that begins within one would cost its neighbour."""
HIGHEST_INDEX = 2**31 - 1
HIGHEST_REVISION = 65_535
LONGEST_CONFIRM_S = 86_400
LONGEST_ROLLOUT_H = 24 * 366
MOST_IMAGES = MOST_PARTS = MOST_WAVES = 32
MOST_NAMES = 64
MOST_RELEASES = MOST_REVOKED = 20_000

T = TypeVar("T")
_A_VERSION = "a version of numbers and dots"
_A_DIGEST = "a SHA-256 in lower-case hexadecimal"


def parse_release(data: bytes) -> Release:
    """
    Return what a release manifest says.

    Raises:
        UnknownSchemaError: it is of a later structure; the app has to be updated.
        ManifestError: it is anything else than a proper manifest.
    """
    return _read(data, "release manifest", LONGEST_RELEASE, _release)


def parse_channel(data: bytes, channel: str) -> Channel:
    """
    Return what the channel of that name says.

    Raises:
        UnknownSchemaError: it is of a later structure; the app has to be updated.
        ManifestError: it is anything else than a proper channel, or names a manifest outside it.
    """
    return _read(data, f"channel {channel}", LONGEST_CHANNEL, lambda it: _channel(it, channel))


def parse_halt(data: bytes) -> Halt:
    """
    Return what a halt says.

    Raises:
        UnknownSchemaError: it is of a later structure; the app has to be updated.
        ManifestError: it is anything else than a proper halt.
    """
    return _read(data, "halt", LONGEST_HALT, _halt)


def _read(data: bytes, what: str, most: int, build: Callable[[dict[str, object]], T]) -> T:
    try:
        fields = document(data, most)
        _structure(fields, what)
        return build(fields)
    except Fault as fault:
        raise ManifestError(
            f"The {what} is not used, it is not as it should be. {fault}. Tell the publisher."
        ) from None


def _structure(fields: dict[str, object], what: str) -> None:
    found = fields.get("schema")
    if type(found) is int and found > SCHEMA:
        raise UnknownSchemaError(
            f"The {what} is of structure {shown(found)}, this app reads {SCHEMA}: update the app."
        )
    if type(found) is not int or found != SCHEMA:
        raise Fault(f"it is {shown(found)}, it has to be {SCHEMA}", "schema")


_RELEASE = frozenset(
    {"schema", "project", "version", "rollback_index", "released", "notes", "images", "health"}
)
_RELEASE_MORE = frozenset(
    {"min_version", "hw", "boards", "min_chip_revision", "trusts", "source", "esphome"}
    | {"notes_url", "security"}
)


def _release(value: dict[str, object]) -> Release:
    it = fields_of(value, _RELEASE, _RELEASE_MORE)
    images = each(it, "images", MOST_IMAGES, _image)
    _distinct(images)
    release = Release(
        project=text(it, "project", grammar.PROJECT, "vendor.model"),
        version=text(it, "version", grammar.VERSION, _A_VERSION),
        rollback_index=whole(it, "rollback_index", 0, HIGHEST_INDEX),
        released=_moment(it, "released"),
        notes=text(it, "notes", grammar.NOTES, "a text that can be shown"),
        images=images,
        health=_within(it, "health", _health),
        min_version=_maybe(it, "min_version", grammar.VERSION, _A_VERSION),
        hw=texts(it, "hw", grammar.BOARD, "a board revision", MOST_NAMES),
        boards=texts(it, "boards", grammar.BOARD, "the name of a board", MOST_NAMES),
        min_chip_revision=(
            whole(it, "min_chip_revision", 0, HIGHEST_REVISION) if "min_chip_revision" in it else 0
        ),
        trusts=texts(it, "trusts", grammar.SHA256, _A_DIGEST, MOST_NAMES),
        origin=_within(it, "source", _origin) if "source" in it else None,
        esphome=_maybe(it, "esphome", grammar.ESPHOME, "a version of ESPHome"),
        notes_url=_maybe(it, "notes_url", grammar.HTTPS, "an https address"),
        security=_security(it),
    )
    least, own = version_key(release.min_version), version_key(release.version)
    if least is not None and own is not None and least > own:
        raise Fault(f"it is {release.min_version}, above its own version", "min_version")
    return release


def _image(value: object) -> ReleaseImage:
    common = frozenset({"kind", "chip", "file", "size", "sha256"})
    kind = value.get("kind") if type(value) is dict else None
    if kind == ImageKind.OTA:
        it = fields_of(value, common | {"slot_size", "md5"}, frozenset({"signed_by"}))
    elif kind == ImageKind.FACTORY:
        it = fields_of(value, common | {"flash_size", "parts"}, frozenset({"signed_by"}))
    else:
        fields_of(
            value, common, frozenset({"slot_size", "md5", "signed_by", "flash_size", "parts"})
        )
        raise Fault(f"it is {shown(kind)}, it has to be ota or factory", "kind")
    image = ReleaseImage(
        kind=ImageKind(kind),
        chip=text(it, "chip", grammar.CHIP, "a chip as esptool names it, without a dash"),
        file=text(it, "file", grammar.FILE, "the plain name of a file"),
        size=whole(it, "size", 1, LARGEST_IMAGE),
        sha256=text(it, "sha256", grammar.SHA256, _A_DIGEST),
        slot_size=whole(it, "slot_size", 1, LARGEST_IMAGE) if "slot_size" in it else None,
        signed_by=texts(it, "signed_by", grammar.SHA256, _A_DIGEST, MOST_NAMES),
        md5=_maybe(it, "md5", grammar.MD5, "an MD5 in lower-case hexadecimal"),
        flash_size=whole(it, "flash_size", 1, LARGEST_FLASH) if "flash_size" in it else None,
        parts=each(it, "parts", MOST_PARTS, _part) if "parts" in it else (),
    )
    if image.slot_size is not None and image.size > image.slot_size:
        raise Fault(f"it has {image.size} bytes, more than its slot", "size")
    _fit(image)
    return image


def _part(value: object) -> Part:
    it = fields_of(value, frozenset({"offset", "from", "size"}))
    part = Part(
        offset=whole(it, "offset", 0, LARGEST_FLASH),
        start=whole(it, "from", 0, LARGEST_IMAGE),
        size=whole(it, "size", 1, LARGEST_IMAGE),
    )
    if part.offset % SECTOR:
        raise Fault(f"it is {part.offset}, no multiple of {SECTOR}", "offset")
    return part


def _fit(image: ReleaseImage) -> None:
    if image.flash_size is None:
        return
    if not image.parts:
        raise Fault("there is none, so nobody knows where it goes", "parts")
    for what, spans, end in (
        ("flash", sorted((it.offset, it.size) for it in image.parts), image.flash_size),
        ("file", sorted((it.start, it.size) for it in image.parts), image.size),
    ):
        for (begin, size), (after, _) in zip(spans, [*spans[1:], (end, 0)], strict=True):
            if begin + size > after:
                raise Fault(f"at {begin} of the {what} one reaches beyond {after}", "parts")


def _distinct(images: tuple[ReleaseImage, ...]) -> None:
    if not images:
        raise Fault("there is none", "images")
    if len({(it.chip, it.kind) for it in images}) != len(images):
        raise Fault("two are for the same chip and kind", "images")
    if len({it.file for it in images}) != len(images):
        raise Fault("two have the same file name", "images")


def _health(value: object) -> Health:
    it = fields_of(value, frozenset({"confirm_after_s"}), frozenset({"expect_entities"}))
    return Health(
        whole(it, "confirm_after_s", 0, LONGEST_CONFIRM_S),
        texts(it, "expect_entities", grammar.ENTITY, "an entity as sensor.name", MOST_NAMES),
    )


def _origin(value: object) -> Origin:
    it = fields_of(value, frozenset({"repo", "commit", "config"}))
    return Origin(
        text(it, "repo", grammar.PLAIN, "a repository without spaces"),
        text(it, "commit", grammar.COMMIT, "a commit in lower-case hexadecimal"),
        text(it, "config", grammar.PATH, "a path inside the repository"),
    )


def _security(it: dict[str, object]) -> Security:
    if "security" not in it:
        return Security.NONE
    value = it["security"]
    if type(value) is not str or value not in set(Security):
        raise Fault(f"it is {shown(value)}, it has to be none, moderate or critical", "security")
    return Security(value)


def _moment(it: dict[str, object], key: str) -> datetime:
    value = text(it, key, grammar.MOMENT, "a moment as 2026-11-22T08:00:00Z")
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Fault(f"{value} is no day of the calendar", key) from None


def _channel(value: dict[str, object], channel: str) -> Channel:
    it = fields_of(value, frozenset({"schema", "projects", "policy"}))
    inside = f"{channel}/"
    projects = _mapping(it, "projects", lambda value, name: _project(value, inside, name))
    policy = _within(
        it,
        "policy",
        lambda value: fields_of(value, frozenset({"min_rollback_index", "revoked", "paused"})),
    )
    try:
        return Channel(
            projects=projects,
            min_rollback_index=_mapping(policy, "min_rollback_index", _index),
            revoked=frozenset(texts(policy, "revoked", grammar.SHA256, _A_DIGEST, MOST_REVOKED)),
            paused=flag(policy, "paused"),
        )
    except Fault as fault:
        raise fault.inside("policy") from None


def _project(value: object, inside: str, name: str) -> ChannelProject:
    it = fields_of(value, frozenset({"latest", "releases"}))
    usual = f"{inside}{name}/"
    releases = each(it, "releases", MOST_RELEASES, lambda value: _entry(value, inside, usual))
    latest = text(it, "latest", grammar.VERSION, _A_VERSION)
    if len({_shortest(it.version) for it in releases}) != len(releases):
        raise Fault("a version is in it twice", "releases")
    if latest not in {it.version for it in releases}:
        raise Fault(f"{latest} is not among the releases", "latest")
    return ChannelProject(latest, releases)


def _shortest(version: str) -> str:
    """Return the same text for 1.2 and 1.2.0; a channel has too many to compare them as numbers."""
    while version.endswith(".0"):
        version = version[:-2]
    return version


_ENTRY = frozenset({"version", "rollback_index", "manifest"})
_ROLLOUT = frozenset({"rollout"})


def _entry(value: object, inside: str, usual: str) -> ChannelEntry:
    it = fields_of(value, _ENTRY, _ROLLOUT)
    version = text(it, "version", grammar.VERSION, _A_VERSION)
    manifest = it["manifest"]
    # Nearly all lie where they belong, and there is nothing left to check of those.
    if manifest != f"{usual}{version}.json":
        manifest = text(it, "manifest", grammar.MANIFEST, "the path of a release manifest")
        if not manifest.startswith(inside):
            raise Fault(f"it is {shown(manifest)}, outside of its channel", "manifest")
    return ChannelEntry(
        version,
        whole(it, "rollback_index", 0, HIGHEST_INDEX),
        str(manifest),
        _rollout(it) if "rollout" in it else (),
    )


def _rollout(it: dict[str, object]) -> tuple[Wave, ...]:
    waves = each(it, "rollout", MOST_WAVES, _wave)
    for one, after in pairwise(waves):
        if not (one.after_h < after.after_h and one.share < after.share):
            raise Fault("hours and shares have to rise from wave to wave", "rollout")
    if waves and waves[-1].share != 1:
        raise Fault("the last share has to be 1, or some would never get it", "rollout")
    return waves


def _wave(value: object) -> Wave:
    it = fields_of(value, frozenset({"after_h", "share"}))
    return Wave(number(it, "after_h", 0, LONGEST_ROLLOUT_H), number(it, "share", 0, 1))


def _index(value: object, _: str) -> int:
    return whole({"": value}, "", 0, HIGHEST_INDEX)


def _halt(value: dict[str, object]) -> Halt:
    it = fields_of(value, frozenset({"schema", "paused", "revoked", "reason"}))
    return Halt(
        paused=flag(it, "paused"),
        reason=text(it, "reason", grammar.REASON, "one line that can be shown"),
        revoked=frozenset(texts(it, "revoked", grammar.SHA256, _A_DIGEST, MOST_REVOKED)),
    )


def _maybe(it: dict[str, object], key: str, pattern: re.Pattern[str], what: str) -> str | None:
    return text(it, key, pattern, what) if key in it else None


def _within(it: dict[str, object], key: str, read: Callable[[object], T]) -> T:
    try:
        return read(it[key])
    except Fault as fault:
        raise fault.inside(key) from None


def _mapping(it: dict[str, object], key: str, read: Callable[[object, str], T]) -> Mapping[str, T]:
    """Read an object whose keys are projects."""
    values = it[key]
    if type(values) is not dict:
        raise Fault(f"it is {shown(values)}, it has to be an object", key)
    found = {}
    for project, value in values.items():
        try:
            checked(project, grammar.PROJECT, "vendor.model")
            found[project] = read(value, project)
        except Fault as fault:
            raise fault.inside(f"{key}[{shown(project)}]") from None
    return MappingProxyType(found)
