"""
Watches for the old integrations, keeps what a person has chosen, and takes their settings over.

The choice is in the journal, so a restart does not ask again. It names the entry: one that is
added later locks anew. Nothing here switches the agent to control.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection, Stream
from agent.journal import Journal, JournalError
from agent.migration.models import NAMES, Domain, Found, OldEntry, Plan, Standing
from agent.migration.plan import plan
from agent.migration.reading import read_found, read_old, read_states
from agent.migration.rivals import lock
from agent.setting_fields import plain, walk
from agent.settings import Settings, SettingsStore
from agent.surface.migration_shown import LingeringView, OldEntryView, OldPlanView, OldSettings

STATE = "migration"
SETTLE_S = 1.0
"""At its start Core tells of every integration; they are asked for together."""
AGAIN_S = 10.0
DOUBT_S = 60.0
"""Between two looks where Core tells nobody of changes: the token is no administrator's."""
_LOG = logging.getLogger(__name__)
_OFF = (
    "A dispatch that it has begun runs on until the inverter's timer ends it, or until you press "
    "Emergency stop. Restart Home Assistant, so that its actions are gone too."
)
_LINGERS = (
    "It is not active, and its actions still are: an automation that calls them would start the "
    "battery. Restart Home Assistant, and take them out of your automations."
)


class Migration:
    """Which old integration is there, what was chosen, and what can be taken over."""

    def __init__(
        self,
        core: CoreConnection,
        store: SettingsStore,
        journal: Journal,
        now: Callable[[], datetime],
    ) -> None:
        """
        Prepare; `recall` first, then `run`.

        Args:
            core: the link to Home Assistant.
            store: takes the settings that are imported.
            journal: keeps what was chosen.
            now: the site's time.
        """
        self._core = core
        self._store = store
        self._journal = journal
        self._now = now
        self._found = Found()
        self._accepted: frozenset[str] = frozenset()
        self._plan: Plan | None = None
        self._look_again = asyncio.Event()
        self.moved: Callable[[], None] = lambda: None
        """Called when a lock may have come or gone; set when there is a guard."""

    def rival(self) -> str:
        """Return why nothing may be commanded, empty if nothing speaks against it."""
        return lock(self._found, self._accepted, Domain.EXPORT_MONITOR)

    def flash_rival(self) -> str:
        """Return why no bridge may be updated, empty if nothing speaks against it."""
        return lock(self._found, self._accepted, Domain.PVAUTONOMY_OPS)

    async def recall(self) -> None:
        """Read what was chosen; without the journal nothing was, and that is the safe side."""
        try:
            kept = await self._journal.load_state(STATE) or {}
        except JournalError as error:
            _LOG.error("What was chosen about old integrations cannot be read: %s", error)
            return
        self._accepted = frozenset(str(each) for each in kept.get("accepted", ()))

    async def run(self) -> None:
        """Keep knowing what is there, until cancelled."""
        again = self._look_again

        def wake(_: object) -> None:
            again.set()

        # Both are an administrator's; without one it is asked for at times.
        started = (("event_type", "homeassistant_started"),)
        ends = (
            self._core.subscribe(Stream("config_entries/subscribe", wake, refused=wake)),
            self._core.subscribe(Stream("subscribe_events", wake, started, refused=wake)),
            self._core.subscribe_link(wake),
        )
        again.set()
        try:
            while True:
                await again.wait()
                again.clear()
                if self._core.link.up:
                    try:
                        await self.ask()
                    except CoreError as error:
                        _LOG.debug("Old integrations could not be asked for: %s", error)
                        asyncio.get_running_loop().call_later(AGAIN_S, again.set)
                    if self._found.doubt:
                        asyncio.get_running_loop().call_later(DOUBT_S, again.set)
                await asyncio.sleep(SETTLE_S)
        finally:
            for end in ends:
                end()

    async def ask(self) -> None:
        """Ask Core now; raises `CoreError`, and what was known stays."""
        now = await read_found(self._core)
        if now == self._found:
            return
        before, self._found = self._found, now
        self._plan = None
        self.moved()
        for kind, entries in (
            ("old_integration_gone", _active(before) - _active(now)),
            ("old_integration_found", _active(now) - _active(before)),
        ):
            for entry in sorted(entries, key=lambda it: it.entry_id):
                await self._note(kind, {"domain": entry.domain.value, "entry": entry.entry_id})

    # Wishes; each is refused with `ValueError` or `OSError` in words.

    async def look(self) -> OldSettings:
        """Read the settings of the old integrations and return what can be taken over."""
        try:
            await self.ask()
            states = await read_states(self._core)
            olds = [await read_old(self._core, entry) for entry in self._found.entries]
        except CoreError as error:
            raise OSError(f"Home Assistant could not be asked: {error}") from error
        self._plan = plan(olds, states, self._store.current)
        return self.shown()

    async def take(self, keys: Iterable[str], by: str) -> str:
        """Take these proposals over, all or none; raises `SettingError` too."""
        wanted = set(keys)
        offered = {it.key: it for it in self._plan.proposals} if self._plan else {}
        if not wanted or not wanted <= set(offered):
            raise ValueError("Read the old settings again, then choose from what is shown")
        changes = {key: offered[key].value for key in sorted(wanted)}
        await self._store.update(changes, by)
        self._plan = None
        await self._note("old_settings_taken", {"by": by, "settings": changes})
        return f"{len(changes)} settings were taken over. The mode was not changed."

    async def choose(self, entry_id: str, choice: str, by: str) -> str:
        """Turn an entry off, accept that it stays, or take that back."""
        entry = next((it for it in self._found.entries if it.entry_id == entry_id), None)
        if entry is None:
            raise ValueError("There is no such integration any more. Look again")
        name = NAMES[entry.domain]
        if choice == "turn_off":
            return await self._turn_off(entry, name, by)
        if choice not in {"accept", "undo"}:
            raise ValueError("choice must be one of: turn_off, accept, undo")
        accepted = (
            self._accepted | {entry_id} if choice == "accept" else self._accepted - {entry_id}
        )
        event = ("old_integration_chosen", {"by": by, "entry": entry_id, "choice": choice})
        try:
            await self._journal.record(
                {STATE: {"accepted": sorted(accepted)}}, [event], self._now()
            )
        except JournalError as error:
            raise OSError(f"It could not be stored, and nothing was changed: {error}") from error
        self._accepted = accepted
        self.moved()
        if choice == "undo":
            return f"{name} is not accepted any more."
        return f"{name} stays beside the agent. Whatever it commands, it commands as a stranger."

    async def _turn_off(self, entry: OldEntry, name: str, by: str) -> str:
        if not entry.known:
            raise ValueError(
                f"{name} can only be turned off in Home Assistant, by an administrator"
            )
        event = {"by": by, "entry": entry.entry_id, "choice": "turn_off"}
        await self._note("old_integration_chosen", event)
        try:
            await self._core.command(
                "config_entries/disable", _PATIENCE_S, entry_id=entry.entry_id, disabled_by="user"
            )
            await self.ask()
        except CoreError as error:
            raise OSError(f"Home Assistant did not turn {name} off: {error}") from error
        return f"{name} was turned off. {_OFF if entry.domain is Domain.EXPORT_MONITOR else ''}"

    # What is shown.

    def shown(self) -> OldSettings:
        """Return everything that the page shows, in JSON's words."""
        lingering: list[LingeringView] = [
            {"name": NAMES[each], "text": _LINGERS}
            for each in self._found.lingering
            if each is Domain.EXPORT_MONITOR
        ]
        return {
            "locked": [text for text in (self.rival(), self.flash_rival()) if text],
            "doubt": self._found.doubt,
            "entries": [self._entry(each) for each in self._found.entries],
            "lingering": lingering,
            "plan": None if self._plan is None else _plan(self._plan, self._store.values()),
        }

    def _entry(self, entry: OldEntry) -> OldEntryView:
        return {
            "entry_id": entry.entry_id,
            "name": NAMES[entry.domain],
            "title": entry.title,
            "standing": entry.standing.value,
            "state": entry.state,
            "accepted": entry.entry_id in self._accepted,
            "can_be_turned_off": entry.known and entry.standing is not Standing.OFF,
        }

    async def _note(self, kind: str, data: Mapping[str, object]) -> None:
        try:
            await self._journal.append(kind, data, self._now())
        except JournalError as error:
            _LOG.error("not in the journal: %s %s (%s)", kind, data, error)


_PATIENCE_S = 30.0
"""Core unloads an integration before it answers."""


def _active(now: Found) -> frozenset[OldEntry]:
    return frozenset(each for each in now.entries if each.active)


def _plan(made: Plan, values: Mapping[str, Any]) -> OldPlanView:
    return {
        "proposals": [
            {
                "key": each.key,
                "value": _told(each.value, _UNITS[each.key]),
                "now": _told(values.get(each.key), _UNITS[each.key]),
                "old_key": each.old_key,
                "old_value": each.old_value,
                "text": each.text,
                "chosen": each.chosen,
            }
            for each in made.proposals
        ],
        "left": [
            {"old_key": each.old_key, "old_value": each.old_value, "text": each.text}
            for each in made.left
        ],
        "changes": list(made.changes),
    }


_UNITS = {each.key: str(each.extra.get("unit", "")) for each in walk(Settings, None)}


def _told(value: Any, unit: str) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{plain(value)} {unit}".strip()
