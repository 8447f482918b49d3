"""
The shapes of what is told of gates, releases and updates, in JSON's words.

Whoever makes them is held to them by the type checker, and the page's own types are made of them.
Texts of publishers, devices and people are passed on as they are; the page sets them as text.
Moments are ISO 8601 with an offset, sizes are bytes.
"""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on


class GateView(TypedDict):
    """One gate of a bridge, as it was found last."""

    gate: str
    name: str
    result: str
    """`agent.fleet.gate_models.Result`."""
    evidence: str
    at: str | None


class VerdictView(TypedDict):
    """What all gates of a bridge say together."""

    overall: str
    at: str | None
    holds_s: float
    """So long it is believed."""
    strict: bool
    """A warning blocks too."""
    gates: list[GateView]


class RoleView(TypedDict):
    """One role of a TUF repository, and until when its signatures hold."""

    role: str
    version: int
    expires: str | None


class SourceChannelView(TypedDict):
    """One channel of a source."""

    name: str
    freshness: str
    why: str
    paused: bool
    reason: str
    latest: dict[str, str]
    """The newest version by project."""


class SourceEventView(TypedDict):
    """Something that was met while a source was looked at."""

    kind: str
    carrier: str | None
    text: str
    at: str | None


class SourceView(TypedDict):
    """Who signs releases, and how good our knowledge of him is."""

    name: str
    kind: str
    """`official`, `own` or `added`."""
    freshness: str
    """`agent.firmware.trust.models.Freshness`."""
    why: str
    words: str
    confirmed: str | None
    stale_since: str | None
    carrier: str | None
    development: bool
    """Its keys are public: nothing for a real bridge."""
    root_sha256: str | None
    roles: list[RoleView]
    channels: list[SourceChannelView]
    events: list[SourceEventView]


class AgainstView(TypedDict):
    """What speaks against an image on a bridge, and what helps."""

    code: str
    text: str
    next_step: str
    ack: str | None
    """By this name a person can accept it; `None` where nobody can."""


class OfferView(TypedDict):
    """What one bridge is offered."""

    mac: str
    title: str | None
    channel: str
    own_channel: str | None
    project: str | None
    installed: str | None
    standing: str
    """`agent.surface.release_view.Standing`."""
    why: str
    source: str
    latest: str | None
    released: str | None
    notes: str
    notes_url: str | None
    security: str | None
    sha256: str | None
    size: int | None
    refusals: list[AgainstView]
    missing: list[str]
    floor: int


class BuildView(TypedDict):
    """An own build that was accepted."""

    sha256: str
    size: int
    layout: str
    chip: str
    project: str
    version: str
    accepted: str | None
    notes: str


class BuildShown(TypedDict):
    """What a file says of itself before somebody accepts it."""

    sha256: str
    size: int
    layout: str
    chip: str | None
    project: str | None
    version: str | None
    built: str | None
    idf: str | None
    whole: bool
    """Its checksum and hash fit."""
    signatures: int
    sentence: str


class Known(TypedDict):
    """What is known of all sources, and what each bridge is offered."""

    state: str
    hint: str
    channel: str
    channels: list[str]
    sources: list[SourceView]
    bridges: list[OfferView]


class ReleasesView(Known):
    """Everything that is shown of releases."""

    looking: bool
    warning: str
    builds: list[BuildView]


class JobView(TypedDict):
    """One update of one bridge."""

    job: str
    way: str
    """`agent.firmware.job.models.Way`."""
    port: str
    """Of the cable; empty over the air."""
    mac: str
    title: str
    project: str
    version: str
    before: str
    stage: str
    """`agent.firmware.job.models.Stage`."""
    failed_in: str | None
    open: bool
    percent: int
    text: str
    rate_bytes_s: int | None
    left_s: int | None
    by: str
    acks: list[str]
    goes_back: bool
    campaign: str
    asked: str | None
    ended: str | None
    sent: bool
    writes: bool
    """Bytes go into the flash: to stop now leaves it without firmware."""
    may_cancel: bool
    upload: str
    result: str | None
    """`agent.firmware.job.models.Result`."""
    code: str
    evidence: list[str]
    next_step: str


class MemberView(TypedDict):
    """One bridge of an update of many."""

    mac: str
    title: str
    canary: bool
    standing: str
    """`agent.firmware.campaign.models.Standing`."""
    until: str | None
    attempts: int


class CampaignView(TypedDict):
    """The update of many bridges in stages."""

    campaign: str
    project: str
    version: str
    status: str
    why: str
    by: str
    planned: str | None
    parallel: int
    counts: dict[str, int]
    members: list[MemberView]


class FlashingView(TypedDict):
    """All updates."""

    fault: str
    jobs: list[JobView]
    campaigns: list[CampaignView]
    may_go_back: list[str]
    """MACs whose firmware of before is at hand."""
