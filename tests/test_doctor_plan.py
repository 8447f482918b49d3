"""The doctor tells of each source of plans what the planner makes of it, in words with a step."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import doctor_ahead
from agent.doctor_ahead import Ahead, looked_ahead
from agent.doctor_checks import examine
from agent.doctor_facts import AheadFacts, CoreFacts, DiskFacts, Facts, Finding, Verdict
from agent.export.plan_slots import slots
from agent.homeassistant.link import LinkState
from agent.homeassistant.states import EntityState
from agent.house import forecast_service
from agent.house.series import Series, Stretch, empty, series
from agent.plan_inputs import HomeSources, Known
from agent.plan_question import outlook
from agent.settings import Settings
from tests.house.forecast_server import CARBON_ANSWER, answers
from tests.test_plan_inputs import LONDON, NOW, TODAY, HandCore, solcast

HALF_HOUR = timedelta(minutes=30)
FIRST = NOW.replace(minute=0)
ON = Settings(enable_ci_planning=True)
OK, SKIPPED = Verdict.OK, Verdict.SKIPPED
WARNING, FAILURE = Verdict.WARNING, Verdict.FAILURE


def over(unit: str, hours: float = 40, *, without: tuple[int, ...] = ()) -> Series:
    """Half hours from the running one on; `without` leaves some out."""
    return series(
        unit,
        "sensor.x",
        [
            Stretch(FIRST + n * HALF_HOUR, FIRST + (n + 1) * HALF_HOUR, 100.0)
            for n in range(int(hours * 2))
            if n not in without
        ],
    )


KNOWN = Known(over("W"), over("gCO2/kWh"), over("GBP/kWh"), over("GBP/kWh"))
AHEAD = AheadFacts(NOW.astimezone(LONDON), LONDON, KNOWN, over("W"))


def told(
    settings: Settings = ON, load: Series | None = AHEAD.load, **known: Any
) -> dict[str, Finding]:
    ahead = dataclasses.replace(AHEAD, load=load, known=dataclasses.replace(KNOWN, **known))
    facts = Facts(settings, DiskFacts("/data", free_mb=9000), ahead=ahead)
    return {each.code: each for each in examine(facts) if each.code.startswith("plan_")}


def trouble(**what: Any) -> dict[str, Verdict]:
    return {
        code: each.verdict
        for code, each in told(**what).items()
        if each.verdict in {WARNING, FAILURE}
    }


def test_sources_that_answer_are_told_with_unit_reach_and_value() -> None:
    found = told()
    assert {each.verdict for each in found.values()} == {OK}
    assert found["plan_carbon"].text == (
        "sensor.x: 100 gCO2/kWh now, known until Fri 03 Jul 05:00, 40 h ahead."
    )
    assert found["plan_reach"].text == (
        "73 slots until Fri 03 Jul 01:30, 73 of them with what the aim carbon needs."
    )


def test_what_is_not_configured_is_said_and_is_no_failure() -> None:
    nothing = empty("", "", "no entity is chosen")
    unset = frozenset({"pv", "carbon", "buy", "sell"})
    off = told(Settings(), pv=nothing, carbon=nothing, buy=nothing, sell=nothing, unset=unset)
    for name in unset:
        assert off[f"plan_{name}"].verdict is SKIPPED
        assert off[f"plan_{name}"].text.startswith("Not configured; ")
    assert off["plan_reach"].verdict is SKIPPED
    on = told(carbon=nothing, buy=nothing, unset=frozenset({"carbon", "buy"}))
    assert on["plan_carbon"].verdict is WARNING
    assert "carbon_region" in on["plan_carbon"].next_step
    assert on["plan_reach"].verdict is WARNING
    assert on["plan_buy"].verdict is SKIPPED  # a plan for carbon needs no price


def test_a_source_that_tells_nothing_stops_only_plans_that_are_wanted_and_need_it() -> None:
    nothing = empty("", "sensor.gone", "sensor.gone does not exist in Home Assistant")
    assert trouble(carbon=nothing) == {"plan_carbon": FAILURE, "plan_reach": FAILURE}
    asked_for = Settings(carbon_region="GB")
    assert trouble(settings=asked_for, carbon=nothing) == {"plan_carbon": WARNING}
    assert trouble(settings=Settings(), carbon=nothing) == {}
    assert told(Settings(), carbon=nothing)["plan_carbon"].verdict is SKIPPED
    assert trouble(buy=nothing) == {"plan_buy": WARNING}
    assert "does not exist" in told(carbon=nothing)["plan_carbon"].text


def test_yesterdays_forecast_is_no_forecast() -> None:
    old = series("W", "sensor.x", [Stretch(NOW - 20 * HALF_HOUR, NOW - HALF_HOUR, 500.0)])
    found = told(pv=old)
    assert found["plan_pv"].verdict is FAILURE
    assert "it ended Wed 01 Jul 12:40" in found["plan_pv"].text
    assert found["plan_reach"].verdict is FAILURE


def test_half_hours_that_are_missing_are_counted_and_the_first_is_named() -> None:
    found = told(carbon=over("gCO2/kWh", without=(4, 5, 9)))
    assert found["plan_carbon"].verdict is WARNING
    missing = "3 of 72 half hours are missing, the first Wed 01 Jul 15:00."
    assert missing in found["plan_carbon"].text
    assert found["plan_reach"].verdict is WARNING  # three slots without carbon within the evening


def test_a_forecast_that_reaches_a_few_hours_is_short() -> None:
    found = told(pv=over("W", 5))
    assert found["plan_pv"].verdict is WARNING
    assert "less than 12 h" in found["plan_pv"].text
    assert trouble(pv=over("W", 14)) == {}


def test_prices_that_are_not_out_yet_are_todays_and_no_trouble() -> None:
    """As the planner takes them; what Octopus says before four in the afternoon."""
    begins = FIRST - 26 * HALF_HOUR
    prices = series(
        "GBP/kWh",
        "event.rates",
        [Stretch(begins + n * HALF_HOUR, begins + (n + 1) * HALF_HOUR, 0.2) for n in range(48)],
    )
    wanted = Settings(enable_ci_planning=True, plan_aim="money")
    assert trouble(settings=wanted, buy=prices, sell=prices) == {}
    found = told(wanted, buy=dataclasses.replace(prices, unit="EUR/kWh"))
    assert found["plan_buy"].verdict is WARNING
    assert "The unit is EUR/kWh" in found["plan_buy"].text


def test_a_load_that_is_not_learned_yet_is_waited_for_and_one_elsewhere_is_not_judged() -> None:
    none = empty("W", "load profile", "no load was seen yet; wait half an hour")
    assert trouble(load=none) == {"plan_load": WARNING, "plan_reach": WARNING}
    alone = told(load=None)
    assert alone["plan_load"].verdict is SKIPPED
    assert alone["plan_reach"].verdict is OK


def test_without_home_assistant_nothing_about_sources_is_called_well() -> None:
    facts = Facts(ON, DiskFacts("/data"), core=CoreFacts("http://ha", LinkState.DOWN), ahead=AHEAD)
    found = [each for each in examine(facts) if each.code.startswith("plan_")]
    assert [each.verdict for each in found] == [SKIPPED]


@given(gaps=st.sets(st.integers(0, 79), max_size=6), hours=st.integers(1, 40))
def test_doctor_and_planner_never_disagree_on_how_far_a_plan_reaches(
    gaps: set[int], hours: int
) -> None:
    pv = over("W", hours, without=tuple(gaps))
    known = dataclasses.replace(KNOWN, pv=pv)
    load = AHEAD.load
    assert load is not None
    planned = slots(outlook(ON, known, load, NOW), NOW, LONDON)
    finding = told(pv=pv)["plan_reach"]
    if planned:
        assert finding.text.startswith(f"{len(planned)} slots until ")
    else:
        assert finding.verdict is FAILURE


def ahead_of(settings: Settings, *states: EntityState) -> Ahead:
    core = HandCore()
    core.states = {each.entity_id: each for each in states}
    zone: ZoneInfo = LONDON
    return Ahead(HomeSources(core, lambda: settings, lambda: zone), lambda: NOW, lambda: zone)


def at_loopback(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    usual = forecast_service.carbon_url
    monkeypatch.setattr(
        forecast_service, "carbon_url", lambda region, now: usual(region, now, base)
    )


def judged(settings: Settings, ahead: AheadFacts) -> dict[str, Finding]:
    facts = Facts(settings, DiskFacts("/data"), ahead=ahead)
    return {each.code: each for each in examine(facts)}


async def test_a_service_is_asked_once_and_its_answer_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(enable_ci_planning=True, carbon_region="SW1A")
    async with answers() as server:
        at_loopback(monkeypatch, server.base)
        server.body = json.dumps(CARBON_ANSWER)
        ahead = ahead_of(settings, solcast(TODAY, 1, 2.0))
        found = judged(settings, await looked_ahead(ahead))
        assert len(server.asked) == 1
        carbon = found["plan_carbon"]
        assert carbon.verdict is WARNING  # the answer holds one hour
        assert carbon.text.startswith("carbonintensity.org.uk: 151 gCO2/kWh now, known until")
        assert found["plan_pv"].verdict is WARNING  # tomorrow's entity does not exist
        assert "forecast_tomorrow does not exist" in found["plan_pv"].text
        await looked_ahead(ahead)
        assert len(server.asked) == 1  # not due: a check-up costs no second call


async def test_a_service_that_refuses_is_named_with_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(enable_ci_planning=True, carbon_region="SW1A")
    async with answers() as server:
        at_loopback(monkeypatch, server.base)
        server.status = 503
        found = judged(settings, await looked_ahead(ahead_of(settings)))
    assert found["plan_carbon"].verdict is FAILURE
    assert "answered with 503" in found["plan_carbon"].text


async def test_a_service_that_never_answers_ends_at_the_deadline() -> None:
    class Silent:
        """Sources of which one hangs."""

        async def refresh(self, now: datetime) -> datetime | None:
            await asyncio.Event().wait()
            return None

        def known(self, now: datetime) -> Known:
            return KNOWN

        def subscribe(self, changed: Any) -> Any:
            return lambda: None

    ahead = Ahead(Silent(), lambda: datetime.now(UTC), lambda: LONDON)
    async with asyncio.timeout(5):
        facts = await looked_ahead(ahead, deadline_s=0.05)
    assert facts.known is KNOWN
    assert doctor_ahead.DEADLINE_S < 30
