"""
What the rows of the fleet are fed with: everything about the bridges at one moment.

A bridge is shown under a label that is its own even where two share a name, and a choice means the
bridge with exactly that label. Whether one is well is its own word: a health sensor that shows
nothing is not well, and a device without a connection is neither.

Source: pvautonomy.md 1.3; its defects D-05 and D-08.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from agent.fleet.evidence import OF_PROJECT, ShownValue
from agent.fleet.findings import Finding
from agent.fleet.gate_models import Verdict
from agent.fleet.identity import OUR_PROJECTS, Kind, Mac, Projects, written
from agent.fleet.operations import Op, Operation, OpState
from agent.fleet.record import BridgeRecord, Fleet
from agent.surface.entities_model import short
from agent.surface.flash_view import FlashView
from agent.surface.release_view import BridgeOffer, TrustView

NO_TARGET = "none"
"""Can be chosen; as a state Core shows it as `unknown`, whatever the options are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """Everything that the rows show, at one moment."""

    version: str
    now_s: float
    """On our monotonic clock."""
    fleet: Fleet = field(default_factory=Fleet)
    projects: Projects = OUR_PROJECTS
    values: Mapping[Mac, Mapping[str, ShownValue]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """What each connected bridge shows, by entity."""
    complete: bool = False
    """Whoever is not in `fleet` is gone: every source has said whom it knows."""
    sources_up: bool = True
    """False while nobody can tell us of new bridges."""
    discovered: datetime | None = None
    """When discovery was last complete; `None` before."""
    target: Mac | None = None
    choice_refused: str | None = None
    """Why the last choice of a target was not taken; `None` when it was."""
    verdicts: Mapping[Mac, Verdict] = field(default_factory=lambda: MappingProxyType({}))
    remarkable: Mapping[Mac, tuple[Finding, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    operations: Mapping[Op, Operation] = field(default_factory=lambda: MappingProxyType({}))
    """The newest of each kind."""
    fault: str | None = None
    """What is wrong with the fleet keeper itself, such as a file of keys that is damaged."""
    fault_at: datetime | None = None
    trust: TrustView = field(default_factory=TrustView)
    """What is known of the sources of releases."""
    offers: Mapping[Mac, BridgeOffer] = field(default_factory=lambda: MappingProxyType({}))
    """What each bridge is offered."""
    flashes: FlashView = field(default_factory=FlashView)
    """Updates: the newest of each bridge."""

    @property
    def latest(self) -> Operation | None:
        """Return the operation that runs or, else, that was begun last."""
        asked = sorted(self.operations.values(), key=lambda it: it.started)
        running = [it for it in asked if it.state is OpState.RUNNING]
        return next(reversed(running or asked), None)

    def of_kind(self, kind: Kind) -> list[BridgeRecord]:
        """Return the bridges whose firmware is of that kind."""
        return [
            it
            for it in self.fleet.records.values()
            if self.projects.kind(it.told.project_name) is kind
        ]

    @property
    def ours(self) -> list[BridgeRecord]:
        """Return the bridges of our kinds; strangers' devices are shown, and not counted."""
        return [*self.of_kind(Kind.FACTORY), *self.of_kind(Kind.PRODUCTION)]


def labels(fleet: Fleet) -> dict[str, Mac]:
    """Return a label for each bridge that no other has, in the order of the labels."""
    titles = {mac: record.title for mac, record in fleet.records.items()}
    bearers = Counter(it.casefold() for it in titles.values())
    found = {}
    for mac, title in titles.items():
        # Core takes the text "None" for "not known".
        alone = bearers[title.casefold()] == 1 and title.casefold() != NO_TARGET
        found[title if alone else f"{title} ({written(mac)})"] = mac
    return dict(sorted(found.items()))


def chosen(fleet: Fleet, option: str) -> Mac | None:
    """
    Return the bridge that a label means, `None` for `none`.

    Raises:
        ValueError: no bridge has exactly this label.
    """
    if option == NO_TARGET:
        return None
    known = labels(fleet)
    if option not in known:
        raise ValueError(f"no bridge is called {short(option)!r} now; choose again")
    return known[option]


def label_of(view: FleetView, mac: Mac | None) -> str | None:
    """Return the label of a bridge, `None` for nobody and for one that is not known."""
    return next((text for text, it in labels(view.fleet).items() if it == mac), None)


def online(record: BridgeRecord) -> bool:
    """Whether we are connected to it."""
    return record.contact is not None and record.contact.online


def well(view: FleetView, record: BridgeRecord) -> bool:
    """Whether it is connected and its own health, where it has one, says that all is well."""
    shows = OF_PROJECT.get(record.told.project_name or "")
    values = view.values.get(record.mac, {})
    healthy = shows.healthy.items() if shows else ()
    told = ((values.get(entity), good) for entity, good in healthy)
    return online(record) and all(it is not None and it.value is good for it, good in told)


def iso(at: datetime | None) -> str | None:
    """Return a moment as attributes tell it."""
    return at.astimezone(UTC).isoformat() if at else None
