"""Every watt-hour of forced export is explained by what its lease was written on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent.export.states import Event
from tests.export.bench import Bench


@pytest.fixture(scope="module")
def discharge() -> tuple[Bench, list[Event]]:
    """A discharge from its first lease until its allowance is used, and its leases."""
    house = Bench(produced_wh=600.0)
    house.start()
    house.run_until(lambda: "stop_verified" in house.kinds(), within_s=3600)
    return house, [event for event in house.events if event.kind in {"lease", "renewal"}]


def figure(event: Event, name: str) -> float:
    value = event.data[name]
    assert isinstance(value, int | float)
    return float(value)


def test_every_lease_says_what_could_be_exported_what_was_left_and_until_when(
    discharge: tuple[Bench, list[Event]],
) -> None:
    house, leases = discharge
    assert len(leases) > 5
    for lease in leases:
        path = house.config.path
        over_s = path.command_delay_s + figure(lease, "duration_s") + path.exit_lag_s
        assert figure(lease, "over_within_s") == pytest.approx(over_s, abs=0.1)
        worst_wh = figure(lease, "worst_w") * over_s / 3600
        assert worst_wh == pytest.approx(figure(lease, "worst_case_wh"), abs=0.2)
        assert figure(lease, "worst_w") >= figure(lease, "power_w")
        assert figure(lease, "worst_case_wh") <= figure(lease, "left_wh") + 0.1
        paid = figure(lease, "exported_upper_wh") + figure(lease, "left_wh")
        assert paid <= figure(lease, "produced_wh") + 0.1


def test_each_renewal_tells_how_the_registers_showed_the_command_before(
    discharge: tuple[Bench, list[Event]],
) -> None:
    _, leases = discharge
    assert leases[0].data["shown_number"] is None
    for before, lease in pairwise(leases):
        if lease.data["shown_number"] is not None:
            assert lease.data["shown_number"] in {
                before.data["number"],
                figure(before, "number") - 1,
            }
            assert 0 < figure(lease, "shown_after_s") < 15
    shown = [lease.data["shown_number"] for lease in leases[1:]]
    assert shown.count(None) == 0


def test_the_stop_tells_how_the_registers_showed_the_last_command(
    discharge: tuple[Bench, list[Event]],
) -> None:
    house, leases = discharge
    stop = next(event for event in house.events if event.kind == "stop")
    assert stop.data["shown_number"] == leases[-1].data["number"]
    assert figure(stop, "battery_w") > 0
    assert figure(stop, "grid_w") < 0


def test_the_energy_that_left_the_house_is_within_what_the_last_lease_accounts_for(
    discharge: tuple[Bench, list[Event]],
) -> None:
    house, leases = discharge
    most_wh = figure(leases[-1], "exported_upper_wh") + figure(leases[-1], "worst_case_wh")
    assert house.exported_today_wh <= most_wh
    assert house.exported_today_wh > 0.5 * most_wh
