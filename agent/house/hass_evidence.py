"""
What Core can prove about the values it shows: how old each is, and whether its source has answered.

After a connect or a restart of Core its Modbus sensors show the values of before, with a fresh
time. Nothing is taken from an entity until its value has changed before our eyes or Core has
been made to ask the source again. A state of charge that stands still for a night is asked about
again before it counts as stale: a template over it is only written when it changes.

Source: ha_e2e.md section 4; `modbus/sensor.py` of Core 2024.1.0 and 2026.11.0.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from agent.homeassistant import ages
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.house.hass_entities import EntityMapping, ids, tells

LOG = logging.getLogger(__name__)

LOOK_S = 5.0
LOOK_GAP_S = 0.2
"""Between two looks that events ask for."""
LOOK_WITHOUT_REPORTS_S = 30.0
"""Where Core keeps no report times, a look only checks its clock."""
PROOF_S = 75.0
"""After its start Core 2024.1 polls 141 sensors at 50 ms each, and ours wait in that queue."""
PROOF_RETRY_S = 5.0
ASK_AGAIN_S = 60.0
"""A state of charge that nobody reported for this long is asked about; stale it is after 120 s."""


class Evidence:
    """
    Ages and proofs of the entities in use; run by the adapter that reads them.

    Args:
        connection: whose entities these are.
        wake: called after each new finding.
        look_s: seconds between two looks at Core's own stamps.
        ask_again_s: age of a report from which the source of a state of charge is asked again.
        monotonic: the clock that ages are told by.
    """

    def __init__(
        self,
        connection: CoreConnection,
        wake: Callable[[], None],
        *,
        look_s: float = LOOK_S,
        ask_again_s: float = ASK_AGAIN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._core = connection
        self._wake = wake
        self._look_s = look_s
        self._ask_again_s = ask_again_s
        self._monotonic = monotonic
        self._ages = ages.AgeKeeper()
        self._wanted: frozenset[str] = frozenset()
        self._measured: frozenset[str] = frozenset()
        self._steady: frozenset[str] = frozenset()
        self._present: frozenset[str] = frozenset()
        self._placeholders: frozenset[str] = frozenset()
        self._unproven: dict[str, int] = {}
        self._births = 0
        self._look = asyncio.Event()
        self._prove = asyncio.Event()
        self._asked_s = -math.inf
        self.trouble = ""
        """Why Core does not tell ages; empty when it does."""

    def use(self, mapping: EntityMapping) -> None:
        """Look at these entities from now on."""
        self._wanted = mapping.entity_ids()
        self._measured = mapping.measured_ids()
        self._steady = frozenset(ids(mapping.soc))

    def times(self, entity_ids: tuple[str, ...]) -> tuple[float | None, float | None]:
        """Return the oldest change and the oldest report of several entities."""
        changed_s, reported_s = math.inf, math.inf
        told = True
        for entity_id in entity_ids:
            changed, reported = self._ages.times(entity_id)
            if changed is None:
                return None, None
            changed_s = min(changed_s, changed)
            told = told and reported is not None
            reported_s = min(reported_s, math.inf if reported is None else reported)
        return changed_s, reported_s if told else None

    def unproven(self, entity_ids: tuple[str, ...]) -> bool:
        """Whether one of these still shows what it showed before its source had answered."""
        return not self._unproven.keys().isdisjoint(self._measured.intersection(entity_ids))

    def vouched(self, entity_ids: list[str], asked_s: float) -> None:
        """Note that the source of these was made to answer after `asked_s`."""
        self._ages.vouched(entity_ids, asked_s)

    def connected(self) -> None:
        """Believe nothing that was there before the link was up."""
        self._births += 1
        self._unproven = dict.fromkeys(self._core.states, self._births)
        self._look.set()
        self._prove.set()

    def told(self, entity_ids: frozenset[str]) -> bool:
        """Take new states of these from the mirror; true when entities have appeared."""
        states = self._core.states
        before = {entity_id: self._ages.times(entity_id)[0] for entity_id in entity_ids}
        self._ages.told(states, entity_ids)
        present = frozenset(states)
        placeholders = frozenset(e for e in present if states[e].restored)
        born = (present - self._present) | (self._placeholders - placeholders)
        self._present, self._placeholders = present, placeholders
        for entity_id in entity_ids:
            if entity_id in born:
                self._births += 1
                self._unproven[entity_id] = self._births
                self._prove.set()
            elif before[entity_id] != self._ages.times(entity_id)[0]:
                state = states.get(entity_id)
                if state is not None and state.live and tells(state):
                    self._unproven.pop(entity_id, None)
        return bool(born)

    def look_if_unknown(self) -> None:
        """Ask Core at once when an age is not known."""
        if self._ages.unknown(self._wanted):
            self._look.set()

    async def run(self) -> None:
        """Keep ages and proofs current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_looking())
            tasks.create_task(self._keep_proving())

    async def update(self, entity_ids: list[str], timeout_s: float) -> None:
        """
        Make Core ask the sources of these now.

        Raises:
            CoreError: Core did not say that it has.
        """
        data = {"entity_id": entity_ids}
        await self._core.call_service("homeassistant", "update_entity", data, timeout_s=timeout_s)

    async def _keep_looking(self) -> None:
        """Ask Core for the ages of all values, every few seconds and after each connect."""
        while True:
            told = await self._look_once()
            await asyncio.sleep(LOOK_GAP_S if told else self._look_s)
            pause_s = self._look_s if self._ages.reports else LOOK_WITHOUT_REPORTS_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def _look_once(self) -> bool:
        """Ask once; false when Core was asked and did not tell."""
        self._look.clear()
        if not self._wanted or not self._core.link.up:
            return True
        sent_s = self._monotonic()
        text = ages.template(self._wanted)
        try:
            core_now, rows = ages.parse(await self._core.render_template(text))
        except (CoreError, ValueError) as error:
            self.trouble = f"Home Assistant does not tell: {error}"
            LOG.debug("%s", self.trouble)
            return False
        self.trouble = ""
        self._ages.looked(sent_s, core_now, rows)
        if self._quiet():
            self._prove.set()
        self._wake()
        return True

    def _quiet(self) -> list[str]:
        """Return what nobody has reported for so long that its source should be asked again."""
        now_s = self._monotonic()
        if now_s - self._asked_s < self._ask_again_s / 2:
            return []
        reported = {entity_id: self._ages.times(entity_id)[1] for entity_id in self._steady}
        return sorted(
            e for e, at_s in reported.items() if at_s and now_s - at_s > self._ask_again_s
        )

    async def _keep_proving(self) -> None:
        """
        Make Core ask the inverter for every value that has not moved since it appeared.

        Forecasts are left alone: to ask their source again may cost a quota.
        """
        while True:
            await self._prove.wait()
            self._prove.clear()
            states = self._core.states
            asked = {
                e: n
                for e, n in self._unproven.items()
                if e in self._measured and tells(states.get(e))
            }
            quiet = self._quiet()
            if not (asked or quiet) or not self._core.link.up:
                continue
            if quiet:
                self._asked_s = self._monotonic()
            births = [*sorted(asked.items()), *((entity_id, 0) for entity_id in quiet)]
            proofs = await asyncio.gather(*(self._prove_one(e, n) for e, n in births))
            if not all(proofs):
                await asyncio.sleep(PROOF_RETRY_S)
                self._prove.set()

    async def _prove_one(self, entity_id: str, birth: int) -> bool:
        """One call each: Core 2024.1 asks them one after the other, each behind its whole queue."""
        try:
            await self.update([entity_id], PROOF_S)
        except CoreError as error:
            LOG.debug("the source of %s did not answer: %s", entity_id, error)
            return False
        if self._unproven.get(entity_id) == birth:
            del self._unproven[entity_id]
        self._wake()
        return True
