"""
Whether every release that is still in use has a way to the latest, over the air.

A fleet is stranded quietly: a release that wants a stepping stone that is gone, or is signed by a
key that the old one has never heard of, looks fine until the first bridge refuses it. So before a
channel is signed, each release of it is walked to the latest, step by step, as a bridge would.

Source: signing.md 4.4, "Lint over the whole channel".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from agent.firmware.manifest.models import ImageKind, Release, ReleaseImage
from agent.firmware.manifest.versions import older, version_key


@dataclass(frozen=True, slots=True)
class Stranded:
    """Bridges on one release that no sequence of updates brings to the latest."""

    version: str
    chip: str
    hw: str | None
    """Board revision; `None` where the release names none."""
    board: str | None
    text: str
    """A sentence: what is in the way of a direct update, and what to do."""


@dataclass(frozen=True, slots=True)
class _Bridges:
    chip: str
    hw: str | None
    board: str | None


def stranded(releases: Sequence[Release], latest: str | None = None) -> tuple[Stranded, ...]:
    """
    Return which bridges could not get to the latest release over the air, the oldest first.

    Args:
        releases: all releases of one project that are still offered or still in use.
        latest: the version to get to; the highest one if it is not given.

    Raises:
        ValueError: there is no such release, or the releases are of several projects.
    """
    if len({it.project for it in releases}) > 1:
        raise ValueError("The releases are of several projects. Look at one project at a time.")
    ordered = sorted(releases, key=lambda it: version_key(it.version) or ())
    goal = next((it for it in reversed(ordered) if latest in {None, it.version}), None)
    if goal is None:
        raise ValueError(f"Release {latest or 'any'} is not among the releases. Add its manifest.")
    found = []
    below = [it for it in ordered if older(it.version, goal.version)]
    users = {it.version: set(_users(it)) for it in below}
    for bridges in {it: None for release in below for it in _users(release)}:
        # From the latest backwards: whoever takes a release that leads on, leads on as well.
        leading = [goal]
        for release in reversed(below):
            if any(
                next(_obstacles(release, it, bridges), None) is None for it in reversed(leading)
            ):
                leading.append(release)
            elif bridges in users[release.version]:
                found.append(_words(release, goal, bridges))
    return tuple(sorted(found, key=lambda it: version_key(it.version) or ()))


def _users(release: Release) -> Iterator[_Bridges]:
    chips = sorted({it.chip for it in release.images})
    for chip, hw, board in product(chips, release.hw or (None,), release.boards or (None,)):
        yield _Bridges(chip, hw, board)


def _obstacles(before: Release, after: Release, bridges: _Bridges) -> Iterator[str]:
    """Yield what speaks against one step, the same that would stop a single bridge."""
    if older(before.version, after.min_version):
        yield f"{after.version} wants at least {after.min_version} to be installed"
    if after.rollback_index < before.rollback_index:
        yield f"its rollback index falls from {before.rollback_index} to {after.rollback_index}"
    if after.hw and bridges.hw not in after.hw:
        yield f"{after.version} is for board revisions {', '.join(after.hw)} only"
    if after.boards and bridges.board not in after.boards:
        yield f"{after.version} is for {', '.join(after.boards)} only"
    image = _ota(after, bridges.chip)
    if image is None:
        yield f"{after.version} has no image for {bridges.chip} over the air"
    elif before.trusts and not set(before.trusts) & set(image.signed_by):
        yield f"{after.version} is signed by no key that {before.version} trusts"


def _ota(release: Release, chip: str) -> ReleaseImage | None:
    ways = (it for it in release.images if it.kind is ImageKind.OTA and it.chip == chip)
    return next(ways, None)


def _words(release: Release, goal: Release, bridges: _Bridges) -> Stranded:
    why = "; ".join(_obstacles(release, goal, bridges))
    more = [f"revision {bridges.hw}"] if bridges.hw else []
    what = ", ".join([bridges.chip, *more, *([bridges.board] if bridges.board else [])])
    return Stranded(
        release.version,
        bridges.chip,
        bridges.hw,
        bridges.board,
        f"From {release.version} on {what} nothing leads to {goal.version}: {why}. "
        "Keep or add a release between them that it takes.",
    )
