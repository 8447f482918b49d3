"""Energy neither appears nor vanishes in the simulated house, and time makes it move."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.simulator.dispatch import DispatchSettings
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.sky import SECONDS_PER_DAY, Weather

DAY_S = SECONDS_PER_DAY


def quiet(**changes: object) -> Plant:
    """A house whose sun and loads stand still."""
    plant = Plant(PlantSettings(noise_w=0.0, **changes))  # type: ignore[arg-type]
    plant.pv_override_w = plant.load_override_w = 0.0
    return plant


def command(plant: Plant, power_w: int, duration_s: int = 60, cutoff: float = 10.0) -> None:
    plant.dispatch.write(0, DispatchBlock(True, power_w, cutoff, duration_s).registers())


stretches = st.lists(
    st.tuples(
        st.floats(0.1, 400.0),
        st.one_of(st.none(), st.floats(0, 12_000)),
        st.one_of(st.none(), st.floats(0, 12_000)),
        st.one_of(st.none(), st.integers(-31_999, 31_999)),
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 19]),
        st.integers(1, 900),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    soc=st.floats(0, 100),
    gain=st.floats(0.93, 1.10),
    hour=st.floats(0, 23.9),
    story=stretches,
)
def test_energy_is_never_made_or_lost_whatever_is_commanded(
    seed: int, soc: float, gain: float, hour: float, story: list[tuple[object, ...]]
) -> None:
    plant = Plant(PlantSettings(seed=seed, soc_percent=soc, gain=gain, start_s=hour * 3600))
    house = plant.settings
    for dt_s, pv_w, load_w, power_w, mode, duration_s in story:
        plant.pv_override_w, plant.load_override_w = pv_w, load_w  # type: ignore[assignment]
        if power_w is not None:
            block = DispatchBlock(True, power_w, 20, duration_s).registers()  # type: ignore[arg-type]
            block[5] = mode  # type: ignore[call-overload]
            plant.dispatch.write(0, block)
        before = (
            plant.true_exported_wh, plant.true_imported_wh, plant.true_produced_wh,
            plant.true_charged_wh, plant.true_discharged_wh,
        )  # fmt: skip
        plant.step(dt_s)  # type: ignore[arg-type]
        after = (
            plant.true_exported_wh, plant.true_imported_wh, plant.true_produced_wh,
            plant.true_charged_wh, plant.true_discharged_wh,
        )  # fmt: skip

        assert plant.pv_w + plant.true_battery_w + plant.true_grid_w == pytest.approx(
            plant.load_w, abs=1e-6
        )
        assert abs(plant.grid_w - plant.true_grid_w) <= house.noise_w
        assert abs(plant.battery_w - plant.true_battery_w) <= house.noise_w
        assert 0 <= plant.soc_percent <= 100
        assert plant.pv_w >= 0
        assert -house.max_charge_w - 1e-6 <= plant.true_battery_w <= house.max_discharge_w + 1e-6
        assert abs(plant.inverter_w) <= house.ac_limit_w + 1e-6
        assert all(new >= old for old, new in zip(before, after, strict=True))


@settings(max_examples=25, deadline=None)
@given(soc=st.floats(5, 95), power_w=st.integers(-4000, 4000), seconds=st.integers(10, 600))
def test_what_leaves_the_battery_is_what_its_charge_loses_with_losses(
    soc: float, power_w: int, seconds: int
) -> None:
    plant = quiet(soc_percent=soc)
    command(plant, power_w, 900, cutoff=0.0 if power_w > 0 else 100.0)
    before_wh = plant.soc_percent / 100 * plant.settings.capacity_wh
    plant.step(seconds)
    house = plant.settings
    charged = plant.true_charged_wh - house.charged_start_wh
    discharged = plant.true_discharged_wh - house.discharged_start_wh
    expected = before_wh + charged * house.charge_efficiency
    expected -= discharged / house.discharge_efficiency
    assert plant.soc_percent / 100 * house.capacity_wh == pytest.approx(expected, abs=1e-6)
    if abs(power_w) > 100 and seconds > 20:
        assert charged + discharged > 0


def test_the_same_seed_gives_the_same_house_to_the_last_bit() -> None:
    def story(seed: int) -> list[tuple[float, ...]]:
        plant = Plant(PlantSettings(seed=seed))
        seen = []
        for _ in range(2000):
            plant.step(1.0)
            seen.append((plant.grid_w, plant.battery_w, plant.pv_w, plant.soc_percent))
        return seen

    assert story(7) == story(7)
    assert story(7) != story(8)


def test_a_minute_is_the_same_however_it_is_asked_for() -> None:
    one, many = Plant(PlantSettings(seed=3)), Plant(PlantSettings(seed=3))
    one.step(3600)
    for _ in range(3600):
        many.step(1.0)
    assert (one.grid_w, one.soc_percent) == (many.grid_w, many.soc_percent)


def test_a_dispatch_answers_after_the_dead_time_and_follows_with_a_lag() -> None:
    plant = quiet()
    command(plant, 3000)
    plant.step(1.9)
    assert plant.true_battery_w == 0
    plant.step(1.0)
    assert 0 < plant.true_battery_w < 2900
    plant.step(10)
    assert plant.true_battery_w == pytest.approx(3000, abs=1)


def test_grid_export_is_battery_plus_pv_minus_load() -> None:
    plant = quiet()
    plant.pv_override_w, plant.load_override_w = 1500.0, 300.0
    command(plant, 3000)
    plant.step(30)
    assert plant.true_grid_w == pytest.approx(-(3000 + 1500 - 300), abs=1)


def test_battery_and_pv_share_one_ac_limit() -> None:
    plant = quiet()
    plant.pv_override_w = 3000.0
    command(plant, 4000)
    plant.step(30)
    assert plant.inverter_w == pytest.approx(5000, abs=1)
    assert plant.true_battery_w == pytest.approx(2000, abs=1)


def test_sun_above_the_ac_limit_charges_or_is_lost_but_is_not_exported() -> None:
    plant = quiet(soc_percent=100.0)
    plant.pv_override_w = 9000.0
    plant.step(60)
    assert plant.pv_w == pytest.approx(5000, abs=1)
    assert -plant.true_grid_w == pytest.approx(5000, abs=1)


def test_a_dispatch_ends_by_itself_and_0x0880_then_reads_zero() -> None:
    plant = quiet()
    plant.load_override_w = 400.0
    command(plant, 3000, duration_s=20)
    plant.step(19.5)
    assert plant.dispatch.readable()[0] == 1
    assert plant.true_battery_w > 2900
    plant.step(1.0)
    assert plant.dispatch.readable()[0] == 0
    plant.step(10)
    assert plant.true_battery_w == pytest.approx(400, abs=1)
    assert plant.true_grid_w == pytest.approx(0, abs=1)


@settings(max_examples=40, deadline=None)
@given(duration_s=st.integers(1, 900), power_w=st.integers(-5000, 5000), dt_s=st.floats(0.05, 5))
def test_no_dispatch_ever_outlives_its_time(duration_s: int, power_w: int, dt_s: float) -> None:
    plant = quiet()
    command(plant, power_w, duration_s)
    passed_s = 0.0
    while passed_s < duration_s:
        plant.step(dt_s)
        passed_s += dt_s
    assert not plant.dispatch.active
    assert plant.dispatch.acting is None


def test_a_renewal_starts_the_time_again_and_a_new_power_alone_does_not() -> None:
    plant = quiet()
    command(plant, 1000, duration_s=30)
    plant.step(20)
    command(plant, 1000, duration_s=30)
    plant.step(20)
    assert plant.dispatch.active
    plant.dispatch.write(1, [0, 32_000 + 1500])
    plant.step(5)
    assert plant.true_battery_w == pytest.approx(1500, abs=20)
    plant.step(6)
    assert not plant.dispatch.active


def test_the_reset_block_stops_after_the_dead_time() -> None:
    plant = quiet()
    command(plant, 3000, duration_s=600)
    plant.step(30)
    plant.dispatch.write(0, RESET_BLOCK.registers())
    assert not plant.dispatch.active
    plant.step(1.5)
    assert plant.true_battery_w > 2900
    plant.step(10)
    assert plant.true_battery_w == pytest.approx(0, abs=1)


def test_at_the_target_soc_the_battery_idles_while_the_dispatch_stays_active() -> None:
    plant = quiet(soc_percent=30.1)
    plant.load_override_w = 500.0
    command(plant, 5000, duration_s=600, cutoff=30.0)
    plant.step(120)
    assert plant.dispatch.active
    assert plant.true_battery_w == pytest.approx(0, abs=1)
    assert plant.true_grid_w == pytest.approx(500, abs=1), "the grid feeds the house"


def test_neutral_is_32000_and_raw_zero_charges_with_all_it_has() -> None:
    plant = quiet()
    plant.dispatch.write(0, [1, 0, 0, 0, 0, 2, 255, 0, 90])
    plant.step(30)
    assert plant.true_battery_w == pytest.approx(-5000, abs=1)


def test_the_battery_protects_itself_at_its_floor() -> None:
    plant = quiet(soc_percent=4.2)
    command(plant, 5000, duration_s=900, cutoff=0.0)
    plant.step(300)
    assert plant.soc_percent == pytest.approx(4.0, abs=0.01)
    assert plant.true_battery_w == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("quirk", "duration_s", "active_after", "ended_after"),
    [
        (DispatchSettings(timer_step_s=60), 70, 119, 121),
        (DispatchSettings(shortest_s=120), 30, 119, 121),
        (DispatchSettings(), 30, 29, 31),
    ],
    ids=["rounded up to minutes", "clamped upwards", "as written"],
)
def test_timers_that_inverters_disagree_about(
    quirk: DispatchSettings, duration_s: int, active_after: int, ended_after: int
) -> None:
    plant = quiet(dispatch=quirk)
    command(plant, 1000, duration_s)
    plant.step(active_after)
    assert plant.dispatch.active
    plant.step(ended_after - active_after)
    assert not plant.dispatch.active


def test_an_inverter_that_ignores_its_timer_discharges_on() -> None:
    plant = quiet(dispatch=DispatchSettings(timer_ignored=True))
    command(plant, 1000, 30)
    plant.step(3600)
    assert plant.dispatch.active
    assert plant.true_battery_w == pytest.approx(1000, abs=1)


def test_exit_lag_runs_on_after_0x0880_reads_zero_unless_renewed() -> None:
    plant = quiet(dispatch=DispatchSettings(exit_lag_s=40))
    command(plant, 1000, 30)
    plant.step(45)
    assert not plant.dispatch.active
    assert plant.true_battery_w == pytest.approx(1000, abs=1)
    command(plant, 2000, 60)
    plant.step(12)
    assert plant.true_battery_w == pytest.approx(2000, abs=1), "nor delay it"
    plant.step(40)
    assert plant.true_battery_w == pytest.approx(2000, abs=1), "the old exit must not end the new"


def test_soc_scale_decides_where_a_discharge_stops() -> None:
    ends = {}
    for scale in (0.392, 0.4):
        plant = quiet(soc_percent=55.0, dispatch=DispatchSettings(soc_scale=scale))
        command(plant, 5000, 900, cutoff=50.0)
        plant.step(880)
        ends[scale] = plant.soc_percent
    assert ends[0.392] == pytest.approx(127 * 0.392, abs=0.1)
    assert ends[0.4] == pytest.approx(127 * 0.4, abs=0.1)


def test_read_back_keeps_the_written_time_unless_told_to_count_down() -> None:
    steady, counting = quiet(), quiet(dispatch=DispatchSettings(counts_down=True))
    for plant in (steady, counting):
        command(plant, 1000, 60)
        plant.step(20)
    assert steady.dispatch.readable()[7:9] == [0, 60]
    assert counting.dispatch.readable()[7:9] == [0, 40]


def test_an_inverter_may_deliver_more_than_it_was_told() -> None:
    plant = quiet(gain=1.1)
    command(plant, 2000, 60)
    plant.step(30)
    assert plant.true_battery_w == pytest.approx(2200, abs=1)


def test_a_day_has_clouds_steps_and_an_evening() -> None:
    plant = Plant(PlantSettings(seed=5, start_s=0, weather=Weather.BROKEN))
    pv, load = [], []
    for _ in range(DAY_S):
        plant.step(1.0)
        pv.append(plant.pv_w)
        load.append(plant.load_w)
    assert max(pv[: 5 * 3600]) == 0
    assert max(pv) > 3000
    edges = max(abs(after - before) for before, after in zip(pv[:-10], pv[10:], strict=True))
    assert edges > 1500, "a cloud's edge takes a third of the sun within 10 s"
    assert max(b - a for a, b in itertools.pairwise(load)) > 1500
    assert min(load) >= plant.settings.base_load_w - 1e-6
    assert 3000 < sum(load) / 3600 < 30_000, "a household's day, in Wh"


def test_setting_the_time_of_day_draws_the_loads_anew() -> None:
    plant = Plant(PlantSettings(seed=5))
    plant.step(100)
    plant.seconds_of_day = 3 * 3600
    plant.step(60)
    assert plant.seconds_of_day == pytest.approx(3 * 3600 + 60)
    assert plant.pv_w == 0
    assert plant.load_w <= plant.settings.base_load_w + 100


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_an_impossible_state_of_charge_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="not a state of charge"):
        Plant().soc_percent = percent


def test_a_step_is_cheap_enough_for_years_of_tests() -> None:
    """The aim is 15 us; the limit leaves room for a busy machine."""
    plant = Plant()
    plant.step(100)
    began = time.process_time()
    plant.step(20_000)
    assert (time.process_time() - began) / 20_000 < 60e-6
