"""
How old a value of Core is, on our monotonic clock, whatever any wall clock says.

A change that arrives while we listen is as old as its arrival, or older if Core's own stamp says
so. A value found at a connect is as old as Core itself says: a template compares its stamp with
Core's present time. Where Core keeps the time of the last report of an unchanged value (since
2024.8), a template is again the only way to see it; a report counts when its stamp has moved
since the last look, and lies between the two looks at most. So a clock that is wrong or set, ours
or Core's, can make a value look old, never fresh.

Source: ha_e2e.md section 4 (staleness facts).
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.homeassistant.states import EntityState

SAME_STAMP_S = 0.001
"""Core writes one and the same stamp with and without the digits below a microsecond."""
OFFSETS_KEPT = 6
"""Looks that the estimate of Core's clock rests on: one slow answer does not spoil it."""


@dataclass(frozen=True, slots=True)
class Ages:
    """What one look at Core said about one entity, in seconds of Core's clock."""

    changed: float
    """Stamp of the last change, as in the mirror."""
    changed_age_s: float
    reported: float | None
    """Stamp of the last report; `None` where Core keeps none."""
    reported_age_s: float | None


def template(entity_ids: Iterable[str]) -> str:
    """Return the template that renders Core's time and the stamps of all entities as JSON."""
    named = json.dumps(sorted(entity_ids))
    return (
        "{%- set t = now() -%}{%- set ns = namespace(rows={}) -%}"
        f"{{%- for id in {named} -%}}{{%- set s = states[id] -%}}{{%- if s -%}}"
        "{%- set r = s.last_reported if s.last_reported is defined else none -%}"
        "{%- set ns.rows = dict(ns.rows, **{id: ["
        "s.last_changed.timestamp(), (t - s.last_changed).total_seconds(),"
        "r.timestamp() if r else none, (t - r).total_seconds() if r else none]}) -%}"
        "{%- endif -%}{%- endfor -%}"
        "{{ {'now': t.timestamp(), 'rows': ns.rows} | to_json }}"
    )


def parse(text: str) -> tuple[float, dict[str, Ages]]:
    """
    Read what the template rendered.

    Raises:
        ValueError: it is something else.
    """
    try:
        content = json.loads(text)
        core_now = _finite(content["now"])
        rows = {
            str(entity_id): Ages(
                _finite(row[0]),
                _finite(row[1]),
                None if row[2] is None else _finite(row[2]),
                None if row[3] is None else _finite(row[3]),
            )
            for entity_id, row in content["rows"].items()
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not an answer about ages: {error}") from None
    return core_now, rows


@dataclass(slots=True)
class _Times:
    changed: float
    """Core's stamp that `changed_s` belongs to."""
    changed_s: float | None
    """`None` until Core has told how old the value was at our connect."""
    reported: float | None = None
    reported_s: float | None = None


class AgeKeeper:
    """Keeps, per entity, when its value changed and when its source last vouched for it."""

    def __init__(self) -> None:
        self._times: dict[str, _Times] = {}
        self._offsets: deque[float] = deque(maxlen=OFFSETS_KEPT)
        self._last_look_s = -math.inf
        self.reports = False
        """Core keeps the time of the last report, as the last look found."""

    def times(self, entity_id: str) -> tuple[float | None, float | None]:
        """Return when it changed (`None`: not known yet) and was reported (`None`: not told)."""
        times = self._times.get(entity_id)
        return (None, None) if times is None else (times.changed_s, times.reported_s)

    def unknown(self, entity_ids: Iterable[str]) -> bool:
        """Whether any of these is still without an age."""
        return any(
            (times := self._times.get(entity_id)) is not None and times.changed_s is None
            for entity_id in entity_ids
        )

    def told(self, states: Mapping[str, EntityState], entity_ids: Iterable[str]) -> None:
        """Take new states of these entities from the mirror."""
        for entity_id in entity_ids:
            state = states.get(entity_id)
            if state is None:
                self._times.pop(entity_id, None)
                continue
            known = self._times.get(entity_id)
            if known is not None and _same(known.changed, state.last_changed):
                continue  # the same value: an attribute changed, or we have reconnected
            changed_s = None
            if state.live:
                earliest_s = known.changed_s if known and known.changed_s is not None else -math.inf
                stamped_s = max(state.last_changed + self._offset_s(), earliest_s)
                changed_s = min(state.arrived_s, stamped_s)
            reported_s = changed_s if self.reports else None
            self._times[entity_id] = _Times(state.last_changed, changed_s, None, reported_s)

    def vouched(self, entity_ids: Iterable[str], asked_s: float) -> None:
        """Note that the source of these was made to answer after `asked_s`."""
        for entity_id in entity_ids:
            times = self._times.get(entity_id)
            if times is not None:
                times.reported_s = max(asked_s, times.reported_s or asked_s)

    def looked(self, sent_s: float, core_now: float, rows: Mapping[str, Ages]) -> None:
        """Take what the template said; `sent_s` is when it was asked, so ages are upper bounds."""
        self._offsets.append(sent_s - core_now)
        self.reports = any(ages.reported is not None for ages in rows.values())
        previous_s, self._last_look_s = self._last_look_s, sent_s
        for entity_id, ages in rows.items():
            times = self._times.get(entity_id)
            if times is None or not _same(times.changed, ages.changed):
                continue  # it changes right now; the event tells
            if times.changed_s is None:
                # A stamp in the future is as little proof of freshness as one in the past.
                times.changed_s = sent_s - abs(ages.changed_age_s)
            if ages.reported is None or ages.reported_age_s is None:
                continue
            if times.reported is None:
                first_s = sent_s - abs(ages.reported_age_s)
                times.reported_s = max(first_s, times.changed_s, times.reported_s or -math.inf)
            elif not _same(ages.reported, times.reported):
                between_s = max(sent_s - ages.reported_age_s, previous_s)
                times.reported_s = max(min(between_s, sent_s), times.reported_s or -math.inf)
            times.reported = ages.reported

    def _offset_s(self) -> float:
        """Return what turns Core's wall clock into our monotonic one; too high rather than low."""
        return max(self._offsets, default=math.inf)


def _same(one: float, other: float) -> bool:
    return abs(one - other) < SAME_STAMP_S


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # a TypeError is what the caller expects
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number
