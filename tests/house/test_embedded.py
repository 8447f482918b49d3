"""Values straight over Modbus TCP, from the real server, also when it misbehaves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from agent.house.embedded import EmbeddedHouse, PollPeriods
from agent.house.port import BatteryActuator, SiteMeter, WriteStatus
from agent.house.readings import CounterKind, Quality
from agent.simulator.inverter import Inverter
from tests.house.embedded_scene import (
    DISCHARGE,
    FAST,
    all_reported_after,
    complete,
    house,
    inverter,
    nothing,
    polling,
    read,
)
from tests.simulator.waiting import until

__all__ = ["house", "inverter"]  # fixtures


async def test_everything_is_missing_before_the_first_poll() -> None:
    house = EmbeddedHouse("127.0.0.1", 1)
    sample = house.sample()
    assert not sample.linked
    assert {reading.quality for reading in read(sample)} == {Quality.MISSING}


async def test_it_is_both_ports_of_a_house(house: EmbeddedHouse) -> None:
    meter: SiteMeter = house
    actuator: BatteryActuator = house
    assert meter is actuator
    traits = meter.traits
    assert (traits.path, traits.exported_step_wh, traits.produced_step_wh) == ("direct", 10, 100)
    assert traits.exported_kind is traits.produced_kind is CounterKind.LIFETIME


def test_the_usual_periods_are_those_of_the_fast_path() -> None:
    usual = PollPeriods()
    assert (usual.power_s, usual.pv_s, usual.counters_s, usual.dispatch_s) == (2, 4, 6, 6)


async def test_values_arrive_in_their_units_and_signs(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    assert (await house.write(DISCHARGE, 2)).status is WriteStatus.DELIVERED
    inverter.advance(30)
    await until(all_reported_after(house, time.monotonic()))
    sample, plant = house.sample(), inverter.plant
    assert sample.linked
    assert sample.grid_w.value == pytest.approx(500 - 2000 - 3000, abs=1)
    assert sample.battery_w.value == 3000
    assert sample.dispatch.duration_s.value == 60
    assert sample.pv_w.value == 2000
    assert sample.soc_percent.value == pytest.approx(plant.soc_percent, abs=0.1)
    assert sample.exported_wh.value == pytest.approx(plant.true_exported_wh, abs=10)
    assert sample.produced_wh.value == pytest.approx(plant.true_produced_wh, abs=100)
    assert sample.dispatch.start.value == 1
    assert sample.dispatch.power_w.value == 3000
    assert sample.dispatch.mode.value == 2
    assert sample.dispatch.cutoff_soc_percent.value == pytest.approx(20, abs=0.4)


async def test_mute_takes_the_link_down_and_its_end_brings_it_back(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.faults.set(mute=True)
    await until(lambda: nothing(house.sample()), 5)
    inverter.faults.clear()
    await until(lambda: complete(house.sample()), 5)
    assert house.sample().linked
    assert inverter.clients == 1


async def test_a_dropped_connection_is_down_at_once_and_comes_back(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    woken: list[bool] = []
    house.subscribe(lambda: woken.append(house.sample().linked))
    inverter.faults.set(drop=True)
    inverter.hang_up()
    await until(lambda: nothing(house.sample()), 2)
    await until(lambda: False in woken, 2)
    inverter.faults.clear()
    await until(lambda: complete(house.sample()), 5)


async def test_a_server_that_is_restarted_elsewhere_in_time_is_found_again(
    inverter: Inverter,
) -> None:
    late = Inverter(inverter.plant, speed=0)
    await late.start()
    port = late.port
    async with polling(EmbeddedHouse("127.0.0.1", port, periods=FAST)) as house:
        await until(lambda: complete(house.sample()))
        await late.stop()
        await until(lambda: nothing(house.sample()), 5)
        again = Inverter(inverter.plant, speed=0)
        await again.start(port=port)
        await until(lambda: complete(house.sample()), 5)
        await again.stop()


async def test_a_failed_poll_keeps_value_and_time_for_three_periods(inverter: Inverter) -> None:
    now_s = [1000.0]
    house = EmbeddedHouse(
        "127.0.0.1", inverter.port, periods=replace(FAST, power_s=0.05), clock=lambda: now_s[0]
    )
    async with polling(house):
        await until(lambda: complete(house.sample()))
        before = house.sample().soc_percent
        inverter.faults.set(exception=["soc_percent"])
        reads = inverter.reads
        await until(lambda: inverter.reads > reads + 20)
        now_s[0] += 0.15
        kept = house.sample().soc_percent
        assert (kept.value, kept.reported_s, kept.quality) == (
            before.value, before.reported_s, Quality.GOOD,
        )  # fmt: skip
        now_s[0] += 0.01
        gone = house.sample().soc_percent
        assert (gone.value, gone.quality) == (None, Quality.UNAVAILABLE)
        assert gone.reported_s == before.reported_s
        assert house.sample().linked
        inverter.faults.clear()
        await until(lambda: house.sample().soc_percent.good)
        assert house.sample().soc_percent.reported_s == now_s[0]


async def test_an_unchanged_value_is_reported_anew_but_not_changed(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    first = house.sample().pv_w
    await until(lambda: house.sample().pv_w.reported_s != first.reported_s)
    second = house.sample().pv_w
    assert second.changed_s == first.changed_s
    inverter.plant.pv_override_w = 2500.0
    inverter.advance(1)
    await until(lambda: house.sample().pv_w.value == 2500)
    assert house.sample().pv_w.changed_s > first.changed_s


async def test_a_frozen_value_stays_unchanged_across_a_reconnect(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    before = house.sample().grid_w
    inverter.faults.set(freeze=["grid_w"])
    inverter.hang_up()
    await until(lambda: not house.sample().linked)
    await until(lambda: house.sample().grid_w.good)
    after = house.sample().grid_w
    assert after.value == before.value
    assert after.changed_s == before.changed_s


async def test_an_impossible_state_of_charge_is_invalid(
    house: EmbeddedHouse, inverter: Inverter
) -> None:
    inverter.plant._stored_wh = 14_000.0  # 140 %, which no honest plant can say
    await until(lambda: house.sample().soc_percent.quality is Quality.INVALID)
    assert house.sample().soc_percent.value is None


async def test_daily_counters_start_again_at_the_sites_midnight(inverter: Inverter) -> None:
    plant, today = inverter.plant, [date(2026, 6, 1)]
    plant.load_override_w = 0.0
    plant.soc_percent = 100.0
    plant.pv_override_w = 4000.0
    base = (plant.true_exported_wh // 10 * 10, plant.true_produced_wh // 100 * 100)
    house = EmbeddedHouse(
        "127.0.0.1", inverter.port, periods=FAST, day_base=base, today=lambda: today[0]
    )
    assert house.traits.exported_kind is CounterKind.DAILY
    async with polling(house):
        await until(lambda: complete(house.sample()))
        inverter.advance(1800)
        await until(lambda: (house.sample().exported_wh.value or 0) > 1900)
        exported = house.sample().exported_wh.value
        assert exported == pytest.approx(plant.true_exported_wh - base[0], abs=10)
        today[0] = date(2026, 6, 2)
        await until(lambda: house.sample().exported_wh.value == 0)
        await until(lambda: house.sample().produced_wh.value == 0)
        inverter.advance(900)
        await until(lambda: (house.sample().produced_wh.value or 0) >= 900)
        assert house.sample().exported_wh.value == pytest.approx(1000, abs=20)


async def test_wakes_come_with_new_values_until_they_are_ended(house: EmbeddedHouse) -> None:
    woken: list[int] = []
    end = house.subscribe(lambda: woken.append(1))
    await until(lambda: len(woken) > 5)
    end()
    end()
    count = len(woken)
    reported_s = house.sample().grid_w.reported_s
    await until(lambda: house.sample().grid_w.reported_s != reported_s)
    assert len(woken) == count


@pytest.mark.parametrize(
    ("given", "value", "quality"),
    [
        (None, None, Quality.MISSING),
        (9000.0, 9000.0, Quality.GOOD),
        (lambda: 7000.0, 7000.0, Quality.GOOD),
        (lambda: None, None, Quality.MISSING),
    ],
    ids=["none", "constant", "function", "function that does not know"],
)
def test_the_forecast_is_what_was_given(
    given: float | Callable[[], float | None] | None, value: float | None, quality: Quality
) -> None:
    forecast = EmbeddedHouse("127.0.0.1", 1, forecast_today_wh=given).sample().forecast_today_wh
    assert (forecast.value, forecast.quality) == (value, quality)


async def test_an_ended_run_leaves_no_connection_behind(
    inverter: Inverter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"):
        async with polling(EmbeddedHouse("127.0.0.1", inverter.port, periods=FAST)) as house:
            await until(lambda: complete(house.sample()))
        await until(lambda: inverter.clients == 0)
    assert nothing(house.sample())
    assert not caplog.records
