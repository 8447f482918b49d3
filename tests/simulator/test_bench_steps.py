"""A load that goes off at the limit: back below it in the time that each path promises (T3)."""

from __future__ import annotations

import pytest

from agent.simulator.bench_steps import step_times_s


@pytest.mark.parametrize(("path", "most_s"), [("bridge", 15), ("ha_register", 59)])
def test_the_connection_point_is_back_below_its_limit_in_time(path: str, most_s: float) -> None:
    """On ha_register a reduction was taken back by a net load from before it: 117 s."""
    times_s = step_times_s(path, seed=1, days=4, steps=5)
    assert len(times_s) == 20
    assert sum(time_s > 0 for time_s in times_s) > 10
    assert max(times_s) <= most_s
