"""The allowance pays for a lease before the lease exists."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.lease import (
    DIRECT,
    HA_REGISTER,
    Lease,
    longest_affordable,
    measured,
    worst_case_wh,
)

PLAIN = replace(DIRECT, gain=1.0, command_delay_s=0, exit_lag_s=8, shortest_lease_s=20)


def test_full_length_while_the_allowance_is_far() -> None:
    assert longest_affordable(3600, 2000, 0, 0, PLAIN) == Lease(3600, 60, pytest.approx(68))


def test_gets_shorter_before_it_gets_weaker() -> None:
    assert longest_affordable(3600, 40, 0, 0, PLAIN) == Lease(3600, 32, pytest.approx(40))


def test_gets_weaker_when_it_may_not_get_shorter() -> None:
    lease = longest_affordable(3600, 20, 0, 0, PLAIN)
    assert lease
    assert lease.power_w < 3600
    assert lease.duration_s >= PLAIN.shortest_lease_s


def test_none_when_the_rest_is_not_worth_the_risk() -> None:
    assert longest_affordable(3600, 0.5, 0, 0, PLAIN) is None


def test_sun_that_may_come_is_paid_for_too() -> None:
    cloudy = longest_affordable(2000, 30, 0, 0, PLAIN)
    bright = longest_affordable(2000, 30, 1000, 0, PLAIN)
    assert cloudy
    assert bright
    assert bright.duration_s < cloudy.duration_s


def test_an_older_command_counts_until_it_is_read_back() -> None:
    confirmed = longest_affordable(1000, 60, 0, 0, PLAIN)
    lost = longest_affordable(1000, 60, 0, 4000, PLAIN)
    assert confirmed
    assert lost
    assert lost.duration_s < confirmed.duration_s


def test_lost_sign_is_an_error_not_a_lease() -> None:
    with pytest.raises(ValueError, match="below zero"):
        longest_affordable(-1, 40, 0, 0, PLAIN)


def test_one_lucky_measurement_does_not_unmake_the_path() -> None:
    path = measured(HA_REGISTER, delay_s=0.1, exit_lag_s=0.0, gain=0.9)
    assert path.command_delay_s >= HA_REGISTER.command_delay_s / 4
    assert path.exit_lag_s > 0
    assert path.gain >= 1


@given(
    wanted=st.floats(0, 20_000),
    left=st.floats(-500, 20_000),
    pv=st.floats(0, 12_000),
    unconfirmed=st.floats(0, 12_000),
    path=st.sampled_from([DIRECT, HA_REGISTER]),
)
def test_never_dearer_longer_or_stronger_than_allowed(
    wanted: float, left: float, pv: float, unconfirmed: float, path: object
) -> None:
    assert path in (DIRECT, HA_REGISTER)
    chosen = DIRECT if path is DIRECT else HA_REGISTER
    lease = longest_affordable(wanted, left, pv, unconfirmed, chosen)
    if lease is not None:
        assert lease.worst_case_wh <= left
        assert lease.power_w <= min(wanted, chosen.max_discharge_w)
        assert chosen.shortest_lease_s <= lease.duration_s <= chosen.lease_s
        exported_w = max(lease.power_w * chosen.gain, unconfirmed) + pv
        assert lease.worst_case_wh >= worst_case_wh(exported_w, lease.duration_s, chosen) - 1e-6
