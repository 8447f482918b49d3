"""
`roles.toml`: the public facts about roles, for people and for the commands.

It holds no key and no place of a private key, only names of files in `keys/`. What clients obey is
the signed metadata; `lint` complains when the two say different things.

Source: signing.md 4.2 and 4.3.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace

from agent.firmware.signing.models import HALT, TOP_LEVEL, Plan, RolePlan, SigningError

PLAN_NAME = "roles.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NUMBERS = ("threshold", "expires_days", "renew_days")
_HEAD = """\
# Who signs which role: names of files in keys/, how many of them, for how many days, and how many
# days before the end it is renewed. Written by people once, then kept by `manifests rotate`.
"""


def parse_plan(text: str) -> Plan:
    """
    Return what `roles.toml` says.

    Raises:
        SigningError: it is no TOML, or a role is missing or says something impossible.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SigningError(f"{PLAN_NAME} is no TOML: {error}. Correct that line.") from error
    purpose = document.pop("purpose", "")
    if not isinstance(purpose, str):
        raise SigningError(f"{PLAN_NAME}: purpose has to be a text, or not be there.")
    missing = [name for name in (*TOP_LEVEL, HALT) if name not in document]
    if missing:
        raise SigningError(f"{PLAN_NAME} has no [{missing[0]}]. Every role needs its own table.")
    plan = Plan({name: _role(name, table) for name, table in document.items()}, purpose)
    if not plan.channels:
        raise SigningError(f"{PLAN_NAME} has no channel. Add one, for example [stable].")
    return plan


def write_plan(plan: Plan) -> str:
    """Return the text of `roles.toml`."""
    lines = [_HEAD]
    if plan.purpose:
        lines.append(f"purpose = {json.dumps(plan.purpose)}\n")
    for role in plan.roles.values():
        keys = ", ".join(f'"{name}"' for name in role.keys)
        lines.append(f"[{role.name}]\nkeys = [{keys}]\nthreshold = {role.threshold}")
        lines.append(f"expires_days = {role.expires_days}\nrenew_days = {role.renew_days}\n")
    return "\n".join(lines).rstrip("\n") + "\n"


def with_role(plan: Plan, role: RolePlan) -> Plan:
    """Return the plan with this role in place of the one of its name."""
    return replace(plan, roles={**plan.roles, role.name: role})


def _role(name: str, table: object) -> RolePlan:
    where = f"{PLAN_NAME}, [{name}]"
    if not _NAME.fullmatch(name) or not isinstance(table, Mapping):
        raise SigningError(f"{where}: not a role. Use lower-case letters, digits and dashes.")
    unknown = sorted(set(table) - {"keys", *_NUMBERS})
    if unknown:
        raise SigningError(f"{where}: nobody reads {unknown[0]!r}. Remove it.")
    keys = table.get("keys")
    if not isinstance(keys, list) or not keys or not all(_is_name(key) for key in keys):
        raise SigningError(f'{where}: keys has to be a list of names in keys/, like ["alice"].')
    numbers = {field: table.get(field) for field in _NUMBERS}
    for field, number in numbers.items():
        if type(number) is not int or number < 1:
            raise SigningError(f"{where}: {field} has to be a whole number from 1.")
    role = RolePlan(name, tuple(keys), *(table[field] for field in _NUMBERS))
    if role.renew_days >= role.expires_days:
        raise SigningError(f"{where}: renew_days has to be below expires_days.")
    return role


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
