"""The helper path in figures: minutes that never repeat, 0.1 kW, a cut-off above the floor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.export.commissioning import duration_s as length_of_test
from agent.export.commitments import Seen, observe
from agent.export.lease import (
    DIRECT,
    HA_HELPERS,
    HA_REGISTER,
    longest_affordable,
    next_duration_s,
    whole_steps_w,
    worst_case_wh,
)
from agent.export.requests import RequestKind
from agent.house.alphaess import DispatchBlock
from agent.house.port import WriteStatus
from agent.house.readings import Quality, Reading
from agent.simulator.plant import Plant
from tests.export.bench import CONFIG, Bench

METER_WH = 10.0
THROUGH_HELPERS = replace(CONFIG, path=HA_HELPERS, readback_poll_s=15)


class HelperBench(Bench):
    """
    A bench whose inverter sits behind the package's toggle and sliders.

    Only what changes is written, each in a frame of its own; a toggle that is on starts nothing.
    """

    lost: frozenset[str] = frozenset()
    """Sliders whose automation drops the next changes."""

    def __init__(self, **options: object) -> None:
        self.toggle = False
        self.sliders: dict[str, float] = {}
        self.later: list[tuple[float, int, list[int]]] = []
        super().__init__(THROUGH_HELPERS, **options)  # type: ignore[arg-type]
        self.fate = self.helpers

    def helpers(self, block: DispatchBlock) -> tuple[bool, WriteStatus]:
        """Do what the package does with this command; the block itself never runs."""
        words = block.registers()
        wanted = {"cutoff": words[6], "power": words[2], "duration": words[8]}
        changed = {name for name, value in wanted.items() if self.sliders.get(name) != value}
        if not block.start:
            self.toggle = False
            self.later.append((self.now_s + 1, 0, words))
            return False, WriteStatus.DELIVERED
        self.sliders |= wanted
        if not self.toggle:
            self.toggle = True
            self.later.append((self.now_s + 1, 0, words))
            return False, WriteStatus.DELIVERED
        for n, (name, offset, values) in enumerate(
            (("cutoff", 6, words[6:7]), ("power", 1, words[1:3]), ("duration", 7, words[7:9]))
        ):
            if name in changed - self.lost:
                self.later.append((self.now_s + 1 + 3 * n, offset, values))
        return False, WriteStatus.DELIVERED

    def _second(self) -> None:
        super()._second()
        for each in [it for it in self.later if it[0] <= self.now_s]:
            self.later.remove(each)
            self.plant.dispatch.write(each[1], each[2])
        if self.toggle and not self.dispatching and not self.later:
            self.toggle = False  # the package's timer ends with the inverter's


def discharging(**options: object) -> HelperBench:
    bench = HelperBench(**options)
    assert bench.start().accepted
    bench.run_until(lambda: shown(bench), 60)
    return bench


def shown(bench: Bench) -> bool:
    return any(c.confirmed_s is not None for c in bench.state.commitments)


def durations(bench: Bench) -> list[int]:
    return [block.duration_s for _, block in bench.writes if block.start]


def test_renewals_go_six_five_six_minutes_and_each_reaches_the_inverter() -> None:
    bench = discharging(produced_wh=9000)
    bench.run(310)
    assert durations(bench) == [360, 300, 360, 300, 360]
    confirmed = [c for c in bench.state.commitments if c.confirmed_s is not None]
    assert [c.block.duration_s for c in confirmed] == [360]
    assert bench.dispatching
    assert bench.plant.dispatch.remaining_s > 360 - 75 - 20


def test_every_power_is_a_whole_tenth_of_a_kilowatt_rounded_down() -> None:
    bench = discharging(load_w=444.0)
    bench.run(200)
    powers = {block.power_w for _, block in bench.writes if block.start}
    assert powers
    assert {power_w % 100 for power_w in powers} == {0}
    assert max(powers) <= CONFIG.target_export_w + 460


def test_charge_is_rounded_towards_zero() -> None:
    bench = HelperBench(soc_percent=40)
    bench.config = replace(bench.config, charge_power_w=3680)
    assert bench.ask(RequestKind.START_CHARGE).accepted
    bench.run(200)
    charged = {block.power_w for _, block in bench.writes if block.start}
    assert charged == {-3600}
    assert durations(bench) == [360, 300, 360]


def test_d27_the_cut_off_lies_above_the_floor_also_after_the_register_has_truncated_it() -> None:
    bench = HelperBench()
    bench.config = replace(bench.config, min_soc_percent=20.5)
    assert bench.start().accepted
    bench.run(60)
    (cutoff,) = {block.cutoff_soc_percent for _, block in bench.writes if block.start}
    assert cutoff == 22  # 21.5 as a whole percent
    assert bench.values["cutoff_soc_percent"].value is not None
    assert bench.values["cutoff_soc_percent"].value > 20.5


def test_d24_three_resets_of_the_package_are_renewed_and_the_fourth_is_not() -> None:
    bench = discharging(produced_wh=9000)
    for n in range(3):
        bench.toggle = False
        bench.plant.dispatch.write(0, [0, 0, 32_000, 0, 32_000, 0, 0, 0, 90])
        bench.run_until(lambda n=n: bench.kinds().count("reset_by_other") == n + 1, 60)
        bench.run_until(lambda: shown(bench), 60)
    bench.toggle = False
    bench.plant.dispatch.write(0, [0, 0, 32_000, 0, 32_000, 0, 0, 0, 90])
    bench.run(300)
    assert not bench.dispatching
    assert bench.view().reason.code == "reset_too_often"


def test_d24_a_package_that_lost_the_inverter_is_not_fought() -> None:
    """It switches its toggles off when the grid power is gone; the old integration put them on."""
    bench = discharging(produced_wh=9000)
    bench.twists["grid_w"] = lambda it: Reading(None, Quality.UNAVAILABLE, it.source, it.changed_s)
    bench.toggle = False
    bench.plant.dispatch.write(0, [0, 0, 32_000, 0, 32_000, 0, 0, 0, 90])
    written = len(bench.writes)
    bench.run(600)
    assert not [block for _, block in bench.writes[written:] if block.start]
    bench.twists.clear()
    bench.run_until(lambda: shown(bench), 120)


def test_a_reduction_that_an_automation_dropped_is_asked_for_again_and_weaker() -> None:
    """A repeated value writes nothing, so the same power would never reach the inverter."""
    bench = discharging(produced_wh=9000)
    bench.run(60)
    bench.lost = frozenset({"power"})
    weaker = replace(bench.config.path, max_discharge_w=2000)
    bench.config = replace(bench.config, path=weaker)
    written = len(bench.writes)
    bench.run_until(lambda: len(bench.writes) > written, 60)
    assert bench.writes[written][1].power_w == 2000
    bench.lost = frozenset()
    bench.run_until(lambda: bench.plant.dispatch.power_w == 1900, 60)
    bench.run_until(lambda: len(bench.state.commitments) == 1, 60)
    assert "foreign_dispatch" not in bench.kinds()
    assert bench.dispatching


def test_registers_between_two_of_our_commands_are_ours_and_prove_only_the_older() -> None:
    bench = discharging(produced_wh=9000)
    bench.run(60)
    bench.plant.load_override_w = 0.0
    bench.run_until(lambda: len(bench.state.commitments) == 2, 90)
    older, newer = (c.block for c in bench.state.commitments)
    assert (older.power_w, older.duration_s) != (newer.power_w, newer.duration_s)
    words = older.registers()
    words[1:3] = newer.registers()[1:3]
    bench.plant.dispatch.write(0, words)
    bench.poll_everything()
    seen = observe(bench.state.commitments, bench.sample().dispatch)
    assert seen.seen is Seen.OURS
    assert seen.commitment is not None
    assert seen.commitment.block == older


def test_a_dispatch_with_one_value_of_nobody_stays_foreign() -> None:
    bench = discharging(produced_wh=9000)
    bench.run(100)
    words = bench.state.commitments[-1].block.registers()
    words[2] += 700
    bench.plant.dispatch.write(0, words)
    bench.poll_everything()
    assert observe(bench.state.commitments, bench.sample().dispatch).seen is Seen.OTHER


def test_somebody_else_is_noticed_as_soon_as_all_registers_were_read_again() -> None:
    """The wait for the package's automations counts only while a command of ours is under way."""
    bench = discharging(produced_wh=9000)
    bench.run_until(lambda: len(bench.state.commitments) == 1, 90)
    bench.run_until(lambda: bench.state.commitments[-1].confirmed_s is not None, 30)
    bench.plant.dispatch.write(0, [1, 0, 36000, 0, 32000, 2, 51, 0, 7200])
    noticed_s = bench.run_until(lambda: "foreign_dispatch" in bench.kinds(), 60)
    assert noticed_s <= 15


def test_d23_a_refused_start_leaves_nothing_to_be_written_but_the_stop() -> None:
    bench = HelperBench()
    bench.fate = lambda _: (False, WriteStatus.REFUSED)
    assert bench.start().accepted
    bench.run(120)
    assert [block.start for _, block in bench.writes].count(True) == 1
    assert "start_failed" in bench.kinds()
    assert bench.state.wish is None


def test_d25_a_manual_discharge_without_any_plan_goes_on() -> None:
    """The old integration's enforcement ended it within ten seconds."""
    bench = discharging(produced_wh=9000)
    bench.run(600)
    assert bench.dispatching
    assert not [block for _, block in bench.writes if not block.start]


def test_d26_a_start_before_any_value_was_read_is_refused_in_words() -> None:
    bench = HelperBench()
    bench.linked = False
    bench.run(5)
    answer = bench.start()
    assert not answer.accepted
    assert answer.text
    assert "None" not in answer.text


def test_a_killed_agent_leaves_at_most_one_lease_and_the_allowance_stands() -> None:
    bench = discharging(produced_wh=900)
    bench.run_until(lambda: bench.exported_today_wh > 300, 1800)
    bench.kill()
    ran_s = bench.run_until(lambda: not bench.dispatching, 400)
    assert ran_s <= HA_HELPERS.lease_s + HA_HELPERS.command_delay_s
    bench.run(30)
    assert bench.exported_today_wh <= 900 + METER_WH


def test_the_allowance_is_used_up_and_never_exceeded() -> None:
    bench = discharging(produced_wh=900)
    bench.run_until(lambda: not bench.dispatching and bench.state.wish is None, 3600)
    bench.run(400)
    assert bench.exported_today_wh <= 900 + METER_WH
    assert bench.exported_today_wh > 0.5 * 900


def test_commissioning_lasts_a_whole_minute_and_switches_its_toggle_off() -> None:
    bench = HelperBench(commissioned=False)
    assert bench.ask(RequestKind.COMMISSION).accepted
    bench.run_until(lambda: "commissioning_passed" in bench.kinds(), 200)
    bench.run(30)
    assert [(b.start, b.duration_s) for _, b in bench.writes] == [(True, 60), (False, 90)]
    assert [length_of_test(path) for path in (HA_HELPERS, HA_REGISTER, DIRECT)] == [60, 30, 30]


@given(
    longest=st.sampled_from([180, 240, 300, 360]),
    taken=st.lists(st.sampled_from([120, 180, 240, 300, 360]), max_size=4),
)
def test_never_repeats_the_last_minutes_nor_falls_behind_its_renewal(
    longest: int, taken: list[int]
) -> None:
    duration_s = next_duration_s(longest, taken, HA_HELPERS)
    assert duration_s not in taken[-1:]
    assert duration_s % 60 == 0
    assert HA_HELPERS.renew_after_s + HA_HELPERS.command_delay_s <= duration_s <= longest


@given(
    wanted=st.floats(0, 15_000),
    left=st.floats(0, 20_000),
    pv=st.floats(0, 8000),
    unconfirmed=st.floats(0, 8000),
)
def test_never_dearer_stronger_or_finer_than_the_helpers_can_write(
    wanted: float, left: float, pv: float, unconfirmed: float
) -> None:
    lease = longest_affordable(wanted, left, pv, unconfirmed, HA_HELPERS)
    assume(lease is not None)
    assert lease is not None
    assert lease.power_w <= wanted
    assert lease.power_w % 100 == 0
    assert lease.duration_s % 60 == 0
    exported_w = max(lease.power_w * HA_HELPERS.gain, unconfirmed) + pv
    assert worst_case_wh(exported_w, lease.duration_s, HA_HELPERS) <= left


@given(power=st.floats(-15_000, 15_000))
def test_rounding_never_makes_a_command_stronger(power: float) -> None:
    assert abs(whole_steps_w(power, HA_HELPERS)) <= abs(power)
    assert whole_steps_w(power, DIRECT) == power


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_whatever_the_package_drops_the_day_is_never_exceeded_by_more_than_a_tick(
    data: st.DataObject,
) -> None:
    bench = HelperBench(produced_wh=700)
    sliders = st.frozensets(st.sampled_from(["power", "duration", "cutoff"]))
    bench.start()
    for _ in range(6):
        bench.lost = data.draw(sliders)
        bench.plant.load_override_w = data.draw(st.sampled_from([0.0, 400.0, 2500.0]))
        if data.draw(st.booleans()):
            bench.toggle = False
            bench.plant.dispatch.write(0, [0, 0, 32_000, 0, 32_000, 0, 0, 0, 90])
        bench.run(90)
    bench.lost = frozenset()
    bench.run_until(lambda: not bench.dispatching, 3600)
    bench.run(400)
    assert bench.exported_today_wh <= 700 + METER_WH


def test_the_plant_ends_a_dispatch_of_minutes_by_itself() -> None:
    """What the path relies on: a new power does not extend the countdown, a new time does."""
    plant = Plant()
    plant.dispatch.write(0, DispatchBlock(True, 1000, 21, 360).registers())
    plant.step(60)
    plant.dispatch.write(1, [0, 32_900])
    assert plant.dispatch.remaining_s == pytest.approx(300)
    plant.dispatch.write(7, [0, 300])
    assert plant.dispatch.remaining_s == 300
