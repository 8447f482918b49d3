"""What an absent device is taken for, by how it left and what its ports do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.contact import (
    GRACE_S,
    HANG_S,
    HUNG_SHOWN_S,
    REFUSED,
    ContactState,
    Ending,
    Port,
    Ports,
    after,
    looked,
)
from agent.fleet.events import OF_STATE, TEXTS

S = ContactState
OPEN, CLOSED, SILENT = Port.OPEN, Port.CLOSED, Port.SILENT


@pytest.mark.parametrize(
    ("ending", "api", "expected"),
    [
        (Ending.GOODBYE, None, S.RESTARTING),
        (Ending.BROKE_OFF, None, S.CRASHED),
        (Ending.SILENCE, OPEN, S.HUNG),
        (Ending.SILENCE, CLOSED, S.UNREACHABLE),
        (Ending.SILENCE, SILENT, S.UNREACHABLE),
    ],
)
def test_each_end_of_a_connection_means_one_thing(
    ending: Ending, api: Port | None, expected: ContactState
) -> None:
    assert after(ending, Ports(api, SILENT) if api else None) is expected


@pytest.mark.parametrize(
    ("state", "waited_s", "api", "upload", "expected"),
    [
        (S.CONNECTING, 0, SILENT, SILENT, S.UNREACHABLE),
        (S.CONNECTING, 0, CLOSED, CLOSED, S.UNREACHABLE),
        (S.CONNECTING, 0, CLOSED, OPEN, S.SAFE_MODE),
        (S.CONNECTING, HANG_S - 0.1, OPEN, OPEN, S.CONNECTING),
        (S.CONNECTING, HANG_S, OPEN, OPEN, S.HUNG),
        (S.RESTARTING, GRACE_S - 0.1, SILENT, SILENT, S.RESTARTING),
        (S.RESTARTING, GRACE_S, SILENT, SILENT, S.UNREACHABLE),
        (S.CRASHED, GRACE_S - 0.1, CLOSED, CLOSED, S.CRASHED),
        (S.CRASHED, 1, CLOSED, OPEN, S.SAFE_MODE),
        (S.HUNG, 1, CLOSED, CLOSED, S.CRASHED),
        (S.HUNG, HUNG_SHOWN_S - 1, SILENT, SILENT, S.HUNG),
        (S.HUNG, HUNG_SHOWN_S, SILENT, SILENT, S.UNREACHABLE),
        (S.HUNG, HUNG_SHOWN_S, OPEN, OPEN, S.HUNG),
        (S.SAFE_MODE, 99, CLOSED, CLOSED, S.RESTARTING),
        (S.SAFE_MODE, 99, OPEN, OPEN, S.CONNECTING),
        (S.UNREACHABLE, 99, OPEN, OPEN, S.CONNECTING),
        (S.UNREACHABLE, 99, SILENT, SILENT, S.UNREACHABLE),
    ],
)
def test_a_knock_tells_what_an_absent_device_is(
    state: ContactState, waited_s: float, api: Port, upload: Port, expected: ContactState
) -> None:
    assert looked(state, waited_s, Ports(api, upload)) is expected


@given(
    st.sampled_from(sorted(REFUSED | {S.ONLINE})),
    st.floats(0, 1e6),
    st.sampled_from(Port),
    st.sampled_from(Port),
)
def test_no_knock_ever_overrules_what_the_device_itself_has_said(
    state: ContactState, waited_s: float, api: Port, upload: Port
) -> None:
    assert looked(state, waited_s, Ports(api, upload)) is state


@given(st.sampled_from(ContactState), st.floats(0, 1e6), st.sampled_from(Port))
def test_a_device_whose_api_listens_is_neither_gone_nor_in_safe_mode(
    state: ContactState, waited_s: float, upload: Port
) -> None:
    found = looked(state, waited_s, Ports(OPEN, upload))
    assert found not in {S.UNREACHABLE, S.SAFE_MODE}


def test_every_state_but_a_mere_attempt_is_an_event() -> None:
    assert set(OF_STATE) == set(ContactState) - {S.CONNECTING}
    assert len(set(OF_STATE.values())) == len(OF_STATE)


def test_every_event_that_a_knock_can_bring_has_words_of_its_own() -> None:
    brought = {
        looked(state, waited_s, Ports(api, upload))
        for state in set(ContactState) - REFUSED - {S.ONLINE}
        for waited_s in (0.0, 15.0, 1e4)
        for api in Port
        for upload in Port
    }
    assert {OF_STATE[state] for state in brought if state in OF_STATE} <= set(TEXTS)
