"""
Reads from Core what the old integrations are, and what they were set to. Decides nothing.

Core gives no integration's settings to anybody. What it gives to an administrator is the form in
which a person would change them, with the present values filled in: it is opened, read and closed
again, and nothing is ever sent in.

Source: Home Assistant's API of config entries, read and run on Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.migration.models import Found, Old, OldEntry, OldState
from agent.migration.rivals import found

_FLOWS = "config/config_entries/flow"
_OPTIONS = "config/config_entries/options/flow"
_ANSWER_S = 15.0


async def read_found(core: CoreConnection) -> Found:
    """
    Return which of the old integrations Core has.

    Raises:
        CoreError: Core could not be asked at all.
    """
    doubt, rows = "", None
    try:
        rows = await core.command("config_entries/get", _ANSWER_S)
    except CoreError as error:
        doubt = f"Home Assistant's integrations could not be read: {error}"
    actions = set(await core.command("get_services", _ANSWER_S) or ())
    config = await core.command("get_config", _ANSWER_S)
    if rows is None:
        actions |= set(config.get("components", ()))
    return found(rows, actions, doubt, starting=config.get("state") != "RUNNING")


async def read_states(core: CoreConnection) -> dict[str, OldState]:
    """Return every entity's state and unit; raises `CoreError`."""
    return {
        str(row["entity_id"]): OldState(
            str(row.get("state", "")),
            str((row.get("attributes") or {}).get("unit_of_measurement") or ""),
        )
        for row in await core.get_states()
    }


async def read_old(core: CoreConnection, entry: OldEntry) -> Old:
    """Return what could be read of one entry; what could not is said in it."""
    if not entry.known:
        return Old(entry, unread="Its settings are told to administrators only.")
    ids = await _ids(core, entry)
    form: dict[str, Any] = {}
    # The form to set it up anew first: what was changed later stands in the options, and wins.
    reconfigure = {"handler": entry.domain.value, "entry_id": entry.entry_id}
    form |= await _form(core, _FLOWS, reconfigure, "reconfigure")
    form |= await _form(core, _OPTIONS, {"handler": entry.entry_id}, "")
    if form:
        return Old(entry, form, ids)
    unread = (
        "Home Assistant shows no form of it, so only what its entities tell was read. Enter the "
        "rest in the settings by hand."
    )
    return Old(entry, form, ids, unread)


async def _ids(core: CoreConnection, entry: OldEntry) -> dict[str, str]:
    """Return the entity ids of an entry by the suffix of their unique ids."""
    try:
        rows = await core.command("config/entity_registry/list", _ANSWER_S)
    except CoreError:
        return {}
    begin = f"{entry.entry_id}_"
    return {
        str(row["unique_id"]).removeprefix(begin): str(row["entity_id"])
        for row in rows
        if row.get("config_entry_id") == entry.entry_id
    }


async def _form(
    core: CoreConnection, path: str, opening: Mapping[str, Any], step: str
) -> dict[str, Any]:
    """
    Return the values that a form shows, empty where there is none.

    An older Core knows no reconfiguring and opens the form of a new entry instead, whose values
    are nobody's: `step` tells them apart.
    """
    try:
        status, text = await core.rest("POST", path, opening, _ANSWER_S)
        answer = json.loads(text) if status == HTTPStatus.OK else None
    except (CoreError, ValueError):
        return {}
    if not isinstance(answer, dict):
        return {}
    try:
        if flow := answer.get("flow_id"):
            await core.rest("DELETE", f"{path}/{flow}", None, _ANSWER_S)
    except CoreError:
        pass  # Core forgets an open form at its next start
    if answer.get("type") != "form" or not str(answer.get("step_id", "")).startswith(step):
        return {}
    return dict(_shown(each) for each in answer.get("data_schema") or () if isinstance(each, dict))


def _shown(each: Mapping[str, Any]) -> tuple[str, Any]:
    described = each.get("description")
    suggested = described.get("suggested_value") if isinstance(described, dict) else None
    return str(each.get("name", "")), each.get("default") if suggested is None else suggested
