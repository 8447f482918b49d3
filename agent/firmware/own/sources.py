"""
The list of sources that a house trusts, as it lies on its disk.

It is written by the page after a person compared a fingerprint, and never fetched. The publisher's
own source comes with the app and is not in it; an installer's gate has to fit beside that one.
What cannot be read strictly is not read at all: a source too few flashes nothing wrong, one too
many could.

Source: signing.md 4.7.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agent.firmware.manifest import grammar
from agent.firmware.manifest.reading import Fault, document, each, fields_of, text, texts, whole
from agent.firmware.manifest.write import canonical
from agent.firmware.own.builds import CHANNEL
from agent.firmware.own.rules import TrustedSource
from agent.firmware.trust.hosts import UrlError, check_url, origin
from agent.private_file import replace_file

FILE = "sources.json"
SCHEMA = 1
MOST_SOURCES = 16
MOST_CARRIERS = 8
_LONGEST = 64 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{0,39}/")
_SOURCE = frozenset({"name", "root_sha256", "carriers", "prefix", "threshold"})
_RESERVED = frozenset({"halt/", f"{CHANNEL}/"})
"""The brake of a publisher, and what only this house signs."""


class SourcesError(Exception):
    """A list of sources that is not used; its text says why and what to do."""


def parse_sources(data: bytes, built_in: Sequence[TrustedSource] = ()) -> tuple[TrustedSource, ...]:
    """
    Return the sources that a list names, without the built-in ones that they have to fit.

    Raises:
        SourcesError: it is no such list, or its sources do not fit together.
    """
    try:
        it = fields_of(document(data, _LONGEST), frozenset({"schema", "sources"}))
        whole(it, "schema", SCHEMA, SCHEMA)
        sources = each(it, "sources", MOST_SOURCES, _source)
        _fit([*built_in, *sources])
    except Fault as fault:
        raise SourcesError(
            f"The list of sources is not used. {fault}. Correct it on the page, or restore it."
        ) from None
    return sources


def write_sources(sources: Sequence[TrustedSource], built_in: Sequence[TrustedSource] = ()) -> str:
    """
    Return the text of a list.

    Raises:
        SourcesError: it could not be read again.
    """
    listed = [
        {
            "name": it.name,
            "root_sha256": it.root_sha256,
            "carriers": list(it.carriers),
            "prefix": it.prefix,
            "threshold": it.threshold,
        }
        for it in sources
    ]
    written = canonical({"schema": SCHEMA, "sources": listed})
    parse_sources(written.encode(), built_in)
    return written


def load_sources(folder: Path, built_in: Sequence[TrustedSource] = ()) -> tuple[TrustedSource, ...]:
    """
    Return the sources of a data folder, none where there is no list.

    Raises:
        SourcesError: there is a list and it cannot be used.
    """
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SourcesError(
            f"The list of sources cannot be read ({error.strerror}). Check the disk."
        ) from error
    return parse_sources(data, built_in)


def save_sources(
    folder: Path, sources: Sequence[TrustedSource], built_in: Sequence[TrustedSource] = ()
) -> None:
    """
    Replace the list, whole or not at all.

    Raises:
        SourcesError: the sources do not fit together, or the disk refused.
    """
    written = write_sources(sources, built_in)
    try:
        replace_file(folder / FILE, written.removesuffix("\n"))
    except OSError as error:
        raise SourcesError(
            f"The list of sources was not saved ({error.strerror}); the earlier one holds. Check "
            "the disk."
        ) from error


def _source(value: object) -> TrustedSource:
    it = fields_of(value, _SOURCE)
    prefix = text(it, "prefix", _PREFIX, "the first part of a path with its slash")
    if prefix in _RESERVED:
        raise Fault(f"{prefix} is no publisher's", "prefix")
    carriers = texts(it, "carriers", grammar.HTTPS, "an https address", MOST_CARRIERS)
    for url in carriers:
        try:
            check_url(url, {origin(url)})
        except UrlError as error:
            raise Fault(str(error), "carriers") from None
    return TrustedSource(
        name=text(it, "name", _NAME, "a name of lower-case letters, digits and dashes"),
        root_sha256=text(it, "root_sha256", grammar.SHA256, "a SHA-256 in lower-case hexadecimal"),
        carriers=carriers,
        prefix=prefix,
        threshold=whole(it, "threshold", 1, MOST_SOURCES),
    )


def _fit(sources: Sequence[TrustedSource]) -> None:
    names = [it.name for it in sources]
    if len(set(names)) != len(names):
        raise Fault("two have the same name", "sources")
    gates = Counter(it.prefix for it in sources)
    roots = {(it.prefix, it.root_sha256) for it in sources}
    if len(roots) != len(sources):
        raise Fault("two of one prefix have the same root, so one could speak for both", "sources")
    for it in sources:
        if it.threshold > gates[it.prefix]:
            raise Fault(
                f"{it.name} asks for {it.threshold} sources of {it.prefix}, and there are "
                f"{gates[it.prefix]}: nothing could ever be flashed",
                "sources",
            )
