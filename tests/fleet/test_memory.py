"""Who was met is known at the next start, as the weakest of words, and not for ever."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from agent.fleet.memory import KEPT_FOR, recalled, remembered
from agent.fleet.record import Fleet, listed, seen
from agent.fleet.sighting import Encryption, Source
from tests.fleet.devices import fleet_of, mac, word

TODAY = date(2026, 6, 21)
MET = fleet_of(
    word(
        1,
        name="bridge-1",
        friendly_name="Plant room",
        addresses=("10.0.0.1",),
        api_port=6054,
        project_name="acme.garage",
        encryption=Encryption.KEY,
    )
)


def kept(fleet: Fleet, before: dict[str, Any] | None = None, today: date = TODAY) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(remembered(fleet, before or {}, today)))
    return found


def test_who_was_met_is_the_same_device_at_the_next_start() -> None:
    (again,) = recalled(kept(MET), TODAY, 5.0)
    fleet = seen(Fleet(), again)
    before, after = MET.records[mac(1)].told, fleet.records[mac(1)].told
    for name in ("mac", "name", "friendly_name", "addresses", "api_port", "encryption"):
        assert getattr(after, name) == getattr(before, name)
    assert again.source is Source.MEMORY
    assert not fleet.records[mac(1)].live


def test_whatever_is_said_now_goes_before_memory_and_is_no_change() -> None:
    (again,) = recalled(kept(MET), TODAY, 5.0)
    fleet = fleet_of(again, word(1, name="bridge-one", addresses=("10.0.0.7",)))
    record = fleet.records[mac(1)]
    assert (record.told.name, record.told.addresses) == ("bridge-one", ("10.0.0.7",))
    assert record.renamed is None
    (late,) = recalled(kept(MET), TODAY, 50.0)
    fleet = fleet_of(word(1, Source.CORE_REGISTRY, friendly_name="Cellar"), late)
    assert fleet.records[mac(1)].told.friendly_name == "Cellar"
    assert record.moved is None


def test_an_absent_device_keeps_the_day_on_which_it_was_met_and_is_let_go_in_the_end() -> None:
    first = kept(MET)
    later = TODAY + timedelta(days=3)
    absent = Fleet()
    for each in recalled(first, later, 5.0):
        absent = seen(absent, each)
    again = kept(absent, first, later)
    assert again == first
    assert recalled(again, TODAY + KEPT_FOR, 5.0)
    assert not recalled(again, TODAY + KEPT_FOR + timedelta(days=1), 5.0)


def test_who_was_only_heard_of_from_a_memory_is_not_kept() -> None:
    fleet = fleet_of(word(1, Source.CORE_REGISTRY, addresses=("bridge-1.local",)))
    assert kept(fleet) == {}


def test_what_a_person_takes_off_the_list_is_not_held_by_memory() -> None:
    (again,) = recalled(kept(MET), TODAY, 5.0)
    manual = word(1, Source.MANUAL, addresses=("10.0.0.1",))
    assert listed(fleet_of(again, manual), []).records == {}


@pytest.mark.parametrize(
    "line",
    [
        None,
        {},
        {"met": "yesterday", "addresses": ["10.0.0.1"]},
        {"met": "2026-06-21", "addresses": ["nowhere"]},
        {"met": "2026-06-21", "addresses": ["10.0.0.1"], "encryption": "some"},
    ],
)
def test_what_cannot_be_read_is_left_out(line: Any) -> None:
    assert recalled({"02:00:5E:10:00:01": line}, TODAY, 5.0) == []
    assert recalled({"nobody": {"met": "2026-06-21", "addresses": ["10.0.0.1"]}}, TODAY, 5.0) == []
