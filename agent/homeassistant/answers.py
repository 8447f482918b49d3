"""What Core answers, as far as we read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from agent.homeassistant.errors import CallRefusedError, CoreError, NotConnectedError
from agent.homeassistant.session import ADVICE, REFUSED_STATUS


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """What Core says of itself."""

    version: str
    time_zone: str
    running: bool
    """False while it still starts: entities and services may be missing."""


@dataclass(frozen=True, slots=True)
class CoreUser:
    """One user of Home Assistant, as far as permissions go."""

    user_id: str
    name: str
    active: bool
    admin: bool


def find_user(users: Iterable[Mapping[str, Any]], user_id: str) -> CoreUser | None:
    """Pick one user from the answer to `config/auth/list`."""
    for user in users:
        if user.get("id") == user_id:
            groups = user.get("group_ids") or ()
            admin = bool(user.get("is_owner")) or "system-admin" in groups
            name = str(user.get("name") or "")
            return CoreUser(user_id, name, bool(user.get("is_active")), admin)
    return None


def core_config(answer: Mapping[str, Any]) -> CoreConfig:
    """Read the answer to `get_config`."""
    return CoreConfig(
        str(answer.get("version", "")),
        str(answer.get("time_zone", "")),
        answer.get("state") == "RUNNING",
    )


def template_error(status: int, body: str) -> CoreError:
    """Turn a failed `POST /api/template` into what the caller has to know."""
    if status in REFUSED_STATUS:
        return CallRefusedError(
            "unauthorized",
            f"Home Assistant renders templates for administrators only; {ADVICE}",
        )
    if status == HTTPStatus.BAD_REQUEST:
        try:
            words = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            words = "bad request"
        return CallRefusedError("template_error", words)
    return NotConnectedError(f"Home Assistant answered {status} to a template; try again")
