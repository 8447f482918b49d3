"""A device that crashes all night is written down, and does not fill the journal."""

from __future__ import annotations

from agent.fleet.events import BURST, REFILL_S, Pace


def test_a_bad_night_is_whole_and_a_restless_device_is_counted() -> None:
    pace = Pace()
    assert [pace.admitted("one", 0.0) for _ in range(BURST + 2)] == [0] * BURST + [None, None]
    assert pace.admitted("ten", 0.0) == 0
    assert pace.admitted("one", REFILL_S) == 2
    assert pace.admitted("one", REFILL_S + 1) is None
    written = [pace.admitted("one", float(at_s)) for at_s in range(1000, 1000 + 24 * 3600, 5)]
    assert sum(it is not None for it in written) < BURST + 24 * 3600 / REFILL_S + 1


def test_a_day_of_peace_makes_room_again() -> None:
    pace = Pace()
    for _ in range(BURST):
        pace.admitted("one", 0.0)
    later_s = BURST * REFILL_S
    assert [pace.admitted("one", later_s) for _ in range(BURST)] == [0] * BURST
