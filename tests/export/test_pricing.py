"""What may still run is paid for once, in the order in which it can happen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.commitments import Commitment, Purpose, Status
from agent.export.lease import DIRECT, longest_affordable
from agent.export.pricing import still_open
from agent.house.alphaess import DispatchBlock
from tests.export.bench import NOON
from tests.export.worst import Span, span_of, worst_of_all_wh

PLAIN = replace(DIRECT, gain=1.0, command_delay_s=4, exit_lag_s=8)
NOW_S = 1000.0


def command(
    number: int,
    power_w: int,
    *,
    sent_ago_s: float = 15.0,
    duration_s: int = 60,
    status: Status = Status.CONFIRMED,
) -> Commitment:
    sent_s = NOW_S - sent_ago_s
    return Commitment(
        number,
        Purpose.DISCHARGE,
        DispatchBlock(True, power_w, 10, duration_s),
        0.0,
        sent_s,
        NOON,
        status,
        sent_s + 1,
        sent_s + 2 if status is Status.CONFIRMED else None,
    )


def test_a_lease_that_runs_costs_its_power_until_its_end() -> None:
    found = still_open((command(1, 3600),), PLAIN, NOW_S, 0.0)
    assert found.for_s == pytest.approx(60 + 8 - 13)
    assert found.worst_wh(0.0) == pytest.approx(55)
    assert found.worst_wh(3600.0) == pytest.approx(110)


def test_a_call_that_timed_out_is_paid_for_as_one_lease_more() -> None:
    doubtful = command(2, 1800, status=Status.UNCONFIRMED)
    found = still_open((command(1, 3600), doubtful), PLAIN, NOW_S, 0.0)
    assert found.doubtful_wh == pytest.approx(1800 * 68 / 3600)
    assert found.power_w == 3600


def test_a_charge_lets_nothing_out() -> None:
    assert still_open((command(1, -3000),), PLAIN, NOW_S, 500.0).worst_wh(500.0) == 0


def test_a_weaker_renewal_pays_for_the_strong_lease_only_until_it_has_taken_hold() -> None:
    """Near the end of the allowance a lease gets weaker, and uses what a stop would leave."""
    strong = {"unconfirmed_w": 2500.0, "unconfirmed_s": 27.0}
    lease = longest_affordable(2500, 20, 0, path=PLAIN, **strong)  # type: ignore[arg-type]
    assert lease
    assert 300 <= lease.power_w < 2500
    assert lease.worst_case_wh <= 20
    assert longest_affordable(2500, 20, 0, 2500, PLAIN) is None


def test_nothing_is_written_when_the_running_lease_alone_is_more_than_is_left() -> None:
    assert longest_affordable(300, 18, 0, 2500, PLAIN, unconfirmed_s=27) is None


@given(
    st.lists(
        st.tuples(st.integers(-3000, 5000), st.integers(30, 60), st.floats(0, 40), st.booleans()),
        max_size=3,
    ),
    st.floats(0, 400),
    st.floats(0, 2000),
    st.floats(300, 5000),
)
def test_no_order_of_events_costs_more_than_was_paid(
    older: list[tuple[int, int, float, bool]], left_wh: float, sun_w: float, wanted_w: float
) -> None:
    """Each command runs or not, begins at its earliest or its latest, and ends the one before."""
    commands = tuple(
        command(
            number,
            power_w,
            duration_s=duration_s,
            sent_ago_s=ago_s,
            status=Status.DELIVERED if certain else Status.UNCONFIRMED,
        )
        for number, (power_w, duration_s, ago_s, certain) in enumerate(older)
    )
    found = still_open(commands, PLAIN, NOW_S, sun_w)
    lease = longest_affordable(
        wanted_w,
        max(0.0, left_wh - found.doubtful_wh),
        sun_w,
        found.power_w,
        PLAIN,
        unconfirmed_s=found.for_s,
    )
    if lease is None:
        return
    lasts_s = lease.duration_s + PLAIN.exit_lag_s
    newest = Span(lease.power_w, lasts_s, (NOW_S, NOW_S + PLAIN.command_delay_s))
    spans = [*(span_of(each, PLAIN, NOW_S) for each in commands), newest]
    paid_wh = lease.worst_case_wh + found.doubtful_wh
    assert worst_of_all_wh(spans, PLAIN, sun_w, NOW_S) <= paid_wh + 1e-6
    assert lease.worst_case_wh <= max(0.0, left_wh - found.doubtful_wh) + 1e-6
