"""
Which old integration stands in the way, and of what.

Export Monitor commands the battery, so it locks the guard. PVAutonomy Ops flashes bridges, so it
locks updates. Either lock ends when the integration is off, or when a person has said that it may
stay: then that entry, and no later one, is accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from agent.migration.models import NAMES, Domain, Found, OldEntry

WHERE = "Choose under 'Moving from an old integration' on the agent's page."
_DOES: Mapping[Domain, str] = {
    Domain.EXPORT_MONITOR: "commands the battery, and nothing else may",
    Domain.PVAUTONOMY_OPS: "flashes bridges, and nothing else may",
}
_LONGEST_TITLE = 80


def found(
    rows: Iterable[Mapping[str, Any]] | None,
    actions: Collection[str],
    doubt: str = "",
    *,
    starting: bool = False,
) -> Found:
    """
    Return what Core has of the old integrations.

    Args:
        rows: the answer to `config_entries/get`; `None` where Core gave none.
        actions: domains that have actions registered, and loaded components.
        doubt: why there are no rows.
        starting: Core has not finished its start.
    """
    registered = tuple(each for each in Domain if each.value in actions)
    if rows is None:
        seen = (OldEntry(it, it.value, NAMES[it], "loaded", known=False) for it in registered)
        return Found(tuple(seen), doubt=doubt)
    entries = tuple(
        OldEntry(
            Domain(row["domain"]),
            str(row.get("entry_id", "")),
            str(row.get("title", ""))[:_LONGEST_TITLE],
            str(row.get("state", "")),
            disabled=row.get("disabled_by") is not None,
            starting=starting,
        )
        for row in rows
        if row.get("domain") in set(Domain)
    )
    active = {each.domain for each in entries if each.active}
    return Found(entries, tuple(each for each in registered if each not in active))


def in_the_way(now: Found, accepted: Collection[str], domain: Domain) -> tuple[OldEntry, ...]:
    """Return the active entries of a domain that nobody has accepted."""
    return tuple(
        each
        for each in now.entries
        if each.domain is domain and each.active and each.entry_id not in accepted
    )


def lock(now: Found, accepted: Collection[str], domain: Domain) -> str:
    """Return why nothing of that kind is commanded, empty if nothing speaks against it."""
    if not in_the_way(now, accepted, domain):
        return ""
    return f"{NAMES[domain]} is active in Home Assistant: it {_DOES[domain]}. {WHERE}"
