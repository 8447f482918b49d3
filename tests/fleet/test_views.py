"""A person reads of each bridge how it is and what to do next, never a code alone."""

from __future__ import annotations

import pytest

from agent.fleet.contact import REFUSED, Contact, ContactState
from agent.fleet.identity import OUR_PROJECTS
from agent.fleet.record import Fleet, contacted, listed, seen
from agent.fleet.sighting import Source
from agent.fleet.views import WORDS, BridgeView, views
from tests.fleet.devices import fleet_of, mac, word

PLACE = ("10.0.0.9", 6053)


def shown(fleet: Fleet, contacts: dict[tuple[str, int], Contact] | None = None) -> list[BridgeView]:
    return list(views(fleet, contacts or {}, OUR_PROJECTS, 100.0, lambda at_s: f"at {at_s:g}"))


def with_state(state: ContactState, detail: str = "") -> BridgeView:
    fleet = fleet_of(word(1, name="bridge-1", addresses=("10.0.0.1",)))
    return shown(contacted(fleet, mac(1), Contact(state, 5.0, detail)))[0]


@pytest.mark.parametrize("state", ContactState)
def test_every_state_has_words_and_those_that_need_a_person_say_what_to_do(
    state: ContactState,
) -> None:
    view = with_state(state)
    assert view.words == WORDS[state]
    assert view.since == "at 5"
    needs = {*REFUSED, ContactState.HUNG, ContactState.UNREACHABLE, ContactState.SAFE_MODE}
    assert bool(view.next_step) is (state in needs)


def test_a_passing_state_says_what_happened() -> None:
    assert with_state(ContactState.CRASHED, "It was reset.").next_step == "It was reset."


def test_a_device_that_nobody_knows_the_address_of_has_a_line_with_advice() -> None:
    (view,) = shown(fleet_of(word(1, Source.CORE_REGISTRY, friendly_name="Garage")))
    assert (view.title, view.state) == ("Garage", "")
    assert "write its address down" in view.next_step


def test_ten_comes_with_its_own_mac_and_strangers_come_last() -> None:
    fleet = fleet_of(
        word(10, name="bridge-10", addresses=("10.0.0.10",), project_name="PVAutonomy.Edge101"),
        word(1, name="bridge-1", addresses=("10.0.0.1",), project_name="acme.garage"),
        word(None, Source.MANUAL, addresses=(PLACE[0],)),
    )
    contact = Contact(ContactState.UNREACHABLE, 7.0)
    one, ten, stranger = shown(fleet, {PLACE: contact})
    assert (one.mac, one.kind, one.address) == ("02:00:5E:10:00:01", "foreign", "10.0.0.1")
    assert (ten.mac, ten.kind, ten.address) == ("02:00:5E:10:00:0A", "production", "10.0.0.10")
    assert (stranger.mac, stranger.title) == ("", "10.0.0.9:6053")
    assert "power" in stranger.next_step


def test_what_is_off_the_list_is_gone_unless_somebody_else_knows_it() -> None:
    manual = [
        word(1, Source.MANUAL, addresses=("10.0.0.1",)),
        word(2, Source.MANUAL, addresses=("10.0.0.2",)),
        word(None, Source.MANUAL, addresses=(PLACE[0],)),
    ]
    fleet = listed(Fleet(), manual)
    assert set(fleet.strangers) == {PLACE}
    fleet = seen(fleet, word(2, name="bridge-2", addresses=("10.0.0.2",)))
    fleet = seen(fleet, word(1, Source.CONNECTION, name="bridge-1", addresses=("10.0.0.1",)))
    now = listed(fleet, manual[2:])
    assert set(now.records) == {mac(2)}
    assert set(now.records[mac(2)].sightings) == {Source.ZEROCONF}
    assert set(now.strangers) == {PLACE}
    assert listed(now, []).strangers == {}
    assert listed(fleet, manual) == fleet
