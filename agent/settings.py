"""
One place that holds the settings, and changes them only as a whole.

A change is checked together with everything that stays, written to disk so that a power cut
leaves either the old file or the new one, and only then told to the rooms that listen. A bad
change changes nothing. A file that cannot be understood is kept aside, and the agent goes on in
`observe` with defaults and says so: it never guesses its way into commanding a battery.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.options import Options, OptionsError, lives_in_options, load_options
from agent.private_file import keep_aside, replace_file
from agent.setting_entities import Entities
from agent.setting_fields import (
    Described,
    SettingError,
    bare,
    checked,
    describe,
    plain,
    range_words,
    walk,
)
from agent.setting_models import Settings

__all__ = [
    "Entities",
    "Options",
    "OptionsError",
    "SettingError",
    "Settings",
    "SettingsStore",
    "SettingsWarning",
    "load_options",
    "markdown",
    "proposed",
]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SettingsWarning:
    """Something about the stored settings that a person must know."""

    code: str
    """Stable, for programs: `settings_set_aside`."""
    text: str
    """One sentence with the next step."""
    kept_as: Path | None
    """Where the unusable file is now; `None` if it could not be moved."""


class SettingsStore:
    """The current settings, in memory and in `settings.json`."""

    def __init__(self, data_dir: Path) -> None:
        """Read the stored settings; what cannot be used is set aside, never raised."""
        self._path = data_dir / "settings.json"
        self._lock = asyncio.Lock()
        self._listeners: list[Callable[[Settings], None]] = []
        self._running: set[asyncio.Task[Settings]] = set()
        self.warnings: tuple[SettingsWarning, ...] = ()
        self._current = self._read()

    @property
    def current(self) -> Settings:
        """Return the settings that are in force; the object never changes."""
        return self._current

    def describe(self) -> list[dict[str, Any]]:
        """Return every setting with its range, default, value and sentence, for the page."""
        return describe(Settings, self._current)

    def values(self) -> dict[str, Any]:
        """Return every key, nested ones as `entities.soc`, with its value; JSON throughout."""
        return {each.key: bare(each.value) for each in walk(Settings, self._current)}

    def subscribe(self, listener: Callable[[Settings], None]) -> Callable[[], None]:
        """Call `listener` with the new settings after each change; return what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    async def update(self, changes: Mapping[str, Any], by: str) -> Settings:
        """
        Take all of these changes, or none; return the settings that are now in force.

        Keys of entities may be given as `entities.soc` or nested. A cancelled caller does not
        cancel the change, so that file and memory never part.

        Raises:
            SettingError: a change cannot be taken or not be stored; nothing was changed.
        """
        change = asyncio.create_task(self._change(dict(changes), by))
        self._running.add(change)
        change.add_done_callback(self._running.discard)
        return await asyncio.shield(change)

    async def _change(self, changes: dict[str, Any], by: str) -> Settings:
        async with self._lock:
            wanted = proposed(self._current, changes)
            if wanted != self._current:
                await self._carry_through(wanted, by)
            return self._current

    async def _carry_through(self, wanted: Settings, by: str) -> None:
        changed = _changes(self._current, wanted)
        try:
            await asyncio.to_thread(replace_file, self._path, _stored(wanted))
        except OSError as error:
            key = next(iter(changed))
            raise SettingError(
                key,
                f"{key}: could not be stored in {self._path.name} ({error.strerror}); nothing was "
                "changed. Check that the data disk is writable and has free space, then try again",
            ) from error
        self._current = wanted
        for key, (before, after) in changed.items():
            _LOGGER.info("Setting %s changed by %r: %r -> %r", key, by, before, after)
        for listener in tuple(self._listeners):
            try:
                listener(wanted)
            except Exception:
                # One room's mistake must not keep the others from the new limit.
                _LOGGER.exception("A listener failed on changed settings; the others were told")

    def _read(self) -> Settings:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            if not isinstance(stored, dict):
                return self._set_aside("it holds no settings")
            return checked(Settings, stored, lives_in_options)
        except FileNotFoundError:
            return Settings()
        except OSError as error:
            return self._set_aside(f"it cannot be read ({error.strerror})")
        except (ValueError, RecursionError):
            return self._set_aside("it is not JSON")
        except SettingError as error:
            return self._set_aside(str(error))

    def _set_aside(self, why: str) -> Settings:
        kept_as: Path | None = None
        try:
            kept_as = keep_aside(self._path)
        except OSError as error:
            where = f"could not be moved aside ({error.strerror})"
        else:
            where = f"was kept as {kept_as.name}"
        text = (
            f"{self._path.name} cannot be used: {why}. It {where}; all settings are at their "
            "defaults and the mode is observe. Check every setting before you turn control on"
        )
        _LOGGER.warning("%s", text)
        self.warnings = (SettingsWarning("settings_set_aside", text, kept_as),)
        return Settings()


def proposed(current: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return what the settings would be; raises `SettingError` and stores nothing."""
    return checked(Settings, _merged(current, changes), lives_in_options)


def _stored(settings: Settings) -> str:
    """Only what differs from the defaults: an older version knows those keys more likely."""
    return settings.model_dump_json(indent=1, exclude_defaults=True)


def _merged(current: Settings, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = current.model_dump()
    for given, value in changes.items():
        key = str(given)
        group, _, name = key.partition(".")
        if name and isinstance(merged.get(group), dict):
            merged[group][name] = value
        elif isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] |= value
        else:
            merged[key] = value
    return merged


def _changes(before: Settings, after: Settings) -> dict[str, tuple[Any, Any]]:
    pairs = zip(walk(Settings, before), walk(Settings, after), strict=True)
    return {old.key: (old.value, new.value) for old, new in pairs if old.value != new.value}


def markdown() -> str:
    """Return docs/settings.md; `python -m agent.settings` prints it."""
    return "\n".join(
        [
            _ABOUT_OPTIONS.strip(),
            *_tables(walk(Options, None)),
            "",
            _ABOUT_SETTINGS.strip(),
            *_tables(walk(Settings, None)),
            "",
        ]
    )


_ABOUT_OPTIONS = """
# Settings and options

Written by `python -m agent.settings` from the code that checks them; do not edit.

There are two homes, and no key is in both. A key in the wrong home is refused with a message that
says where it belongs; a misspelt one with the nearest name.

## Options

Read once, at the start. Later sources win: defaults, the YAML file given with `--config`, the
app's configuration tab (`options.json`, under the Supervisor), and environment variables: the key
in capitals behind `PV_EDGE_`, as `PV_EDGE_LOG_LEVEL`. Anything wrong there ends the start before
anything was opened or commanded.
"""

_ABOUT_SETTINGS = """
## Settings

Kept in `settings.json` in the data directory; set on the agent's page or by their entity, and in
force at once. Any value within the range is taken; the step is that of the page's buttons.
Entities that are not set are detected. A `settings.json` that cannot be used is kept as
`settings.json.broken-1`, and the agent goes on with defaults in `observe`.
"""


def _tables(fields: Iterable[Described]) -> list[str]:
    lines: list[str] = []
    group = None
    for each in fields:
        if each.extra["group"] != group:
            group = each.extra["group"]
            lines += ["", f"### {group}", "", "| key | values | default | example | |"]
            lines += ["|---|---|---|---|---|"]
        lines.append(
            f"| `{each.key}` | {_values(each)} | {_default(each)} | "
            f"`{plain(each.extra['example'])}` | {each.field.description} |"
        )
    return lines


def _values(each: Described) -> str:
    extra = each.extra
    if "minimum" in extra:
        step = plain(extra["step"])
        return range_words(extra) + ("" if step == "1" else f", step {step}")
    if "choices" in extra:
        return ", ".join(f"`{plain(choice)}`" for choice in extra["choices"])
    return _VALUES.get(extra["kind"], str(extra["kind"]))


_VALUES = {
    "boolean": "`true`, `false`",
    "time": "HH:MM",
    "zone": "IANA time zone",
    "entity": "entity id",
    "entities": "one or several entity ids",
    "url": "http or https address",
    "tariff": "price, or HH:MM price, HH:MM price …",
    "roof": "five numbers",
    "region": "`GB`, outward postcode, or 1 to 17",
    "currency": "three letters",
    "bridges": "addresses, host[:port[/port]][= MAC]",
    "mac": "MAC",
    "channels": "MAC = `stable`, `beta` or `x-…`, …",
    "mirrors": "https addresses",
    "hosts": "host names",
    "networks": "`all`, or IPv4 addresses of this machine",
}


def _default(each: Described) -> str:
    value = bare(each.field.default)
    if value is None:
        return "detected" if each.extra["kind"].startswith("entit") else "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value == "" else f"`{plain(value)}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
