"""The benchmark of the page tells the figures that it promises, and its arithmetic is right."""

from __future__ import annotations

import pytest

from benchmarks import page, page_browser
from benchmarks.page_browser import Held, delays_ms


async def test_it_tells_what_is_promised_of_the_real_page(chromium_path: str) -> None:
    assert chromium_path
    async with page_browser.browser() as among, page.server() as it:
        told = await page.loads(among, it, 1, ("plan",))
        async with page_browser.tab(among) as tab:
            await page_browser.follow(tab, it.url, "now")
            delays = await page.timed(tab, it, page.ANY_MOMENT, 2.0)
        told |= await page.crowd(it, 3, 2.0)
    assert told.keys() >= {"first_state_ms", "transfer_kb"}
    assert 0 < told["first_state_ms"] <= told["first_chart_ms"]
    assert all(0 < each < 60_000 for each in delays)
    assert told["bundle_kb"] < 150
    # What is on the line are the packed files and the day's history.
    assert told["history_kb"] < told["transfer_kb"] < told["ingress_transfer_kb"]
    assert told["plan_first_ms"] == told["views_first_ms"] > 0
    assert told["clients"] == 3  # each heard its events, else there is no figure


def test_an_event_is_on_the_screen_with_its_number_or_a_later_one() -> None:
    events = [(7, 10.0), (8, 10.1), (9, 11.0)]
    painted = [("Event 6: x", 10.05), ("Event 8: x", 10.2), ("Event 9: x", 11.04)]
    assert delays_ms(events, painted) == pytest.approx([200, 100, 40])
    with pytest.raises(RuntimeError, match="event 9 of 3 was never painted"):
        delays_ms(events, painted[:2])


def test_where_no_number_is_shown_the_next_change_counts() -> None:
    painted = [("Live, observing", 9.9), ("Live, in control", 10.03), ("Live, observing", 11.02)]
    assert delays_ms([(1, 10.0), (2, 11.0)], painted) == pytest.approx([30, 20])


def test_growth_is_the_last_third_over_the_first() -> None:
    looks = [(Held(100 + n, 40, 2 + n / 10), 60.0) for n in range(9)]
    found = page.grown(looks)
    assert found["node_growth_percent"] == pytest.approx(100 * (107 / 101 - 1), abs=0.01)
    assert found["tab_growth_percent"] == pytest.approx(100 * (2.7 / 2.1 - 1), abs=0.01)
    assert (found["listener_growth_percent"], found["server_growth_percent"]) == (0, 0)


def test_what_is_not_below_its_target_is_a_miss() -> None:
    assert page.missed({"first_state_ms": 999.9, "clients_cpu_percent": 14.9}) == []
    assert page.missed({"first_state_ms": 1000, "tab_growth_percent": 10}) == [
        "first_state_ms",
        "tab_growth_percent",
    ]
