"""One owner: what was found, what others do, and what is yielded to."""

from __future__ import annotations

from dataclasses import replace

from agent.export.commitments import Commitment, Purpose, Seen, answered, confirmed, observe
from agent.export.lease import HA_REGISTER
from agent.export.requests import RequestKind
from agent.export.snapshot import ErrorState, Mode, Phase
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.port import WriteOutcome, WriteStatus
from agent.house.readings import DispatchReadings, Quality, Reading
from agent.simulator.dispatch import DispatchSettings
from tests.export.bench import CONFIG, Bench

FOREIGN_4KW = [1, 0, 36000, 0, 32000, 2, 51, 0, 7200]
FOREIGN_500W = [1, 0, 32500, 0, 32000, 2, 51, 0, 600]


def test_nothing_is_commanded_before_two_fresh_samples() -> None:
    bench = Bench()
    fresh = replace(bench.state, good_samples=0, sample_key=(9e9, 9e9))
    bench.state = fresh
    answer = bench.start()
    assert answer.code == "waiting_for_samples"
    assert bench.writes == []


def test_a_foreign_start_within_the_limits_is_reported_and_left_alone() -> None:
    bench = Bench()
    bench.plant.dispatch.write(0, FOREIGN_500W)
    bench.run_until(lambda: "foreign_dispatch" in bench.kinds(), 20)
    bench.run(60)
    assert bench.writes == []
    assert bench.state.error is ErrorState.NONE
    assert bench.start().code == "foreign_controller"


def test_a_foreign_start_beyond_the_limit_gets_one_stop_then_alarm_and_yield() -> None:
    bench = Bench(replace(CONFIG, export_limit_w=1000))
    for _ in range(4):
        bench.plant.dispatch.write(0, FOREIGN_4KW)
        bench.run(60)
    assert len(bench.writes) == 1
    assert not bench.writes[0][1].start
    assert bench.state.error is ErrorState.FOREIGN_CONTROLLER
    assert bench.view().latched


def test_in_observe_mode_a_foreign_start_is_reported_and_nothing_is_written() -> None:
    bench = Bench(replace(CONFIG, export_limit_w=1000, mode=Mode.OBSERVE))
    bench.plant.dispatch.write(0, FOREIGN_4KW)
    bench.run(120)
    assert "foreign_dispatch" in bench.kinds()
    assert bench.writes == []


def test_a_foreign_start_over_our_lease_ends_our_wish() -> None:
    bench = Bench()
    bench.start()
    bench.run(30)
    renewals = len(bench.writes)
    bench.run_until(lambda: len(bench.writes) > renewals, 30)
    bench.run(5)
    bench.plant.dispatch.write(0, FOREIGN_500W)
    bench.run_until(lambda: bench.state.wish is None, 60)
    written = len(bench.writes)
    bench.run(120)
    assert len(bench.writes) == written


def test_a_reset_by_the_package_is_renewed() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    bench.plant.dispatch.write(0, [0, 0, 32000, 0, 32000, 0, 0, 0, 90])
    bench.run_until(lambda: not bench.dispatching, 2)
    assert bench.run_until(lambda: bench.dispatching, 30) <= 15


def test_an_unknown_dispatch_found_at_the_start_is_not_adopted() -> None:
    bench = Bench()
    journaled = bench.kill()
    bench.plant.dispatch.write(0, FOREIGN_500W)
    bench.restart(journaled)
    bench.run(40)
    assert "foreign_dispatch" in bench.kinds()
    assert "adopted" not in bench.kinds()
    assert bench.writes == []


def test_an_inverter_found_idle_is_not_armed_again() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    journaled = bench.kill()
    bench.run(120)
    bench.restart(journaled)
    bench.run(60)
    assert "found_idle" in bench.kinds()
    assert not bench.dispatching
    assert bench.state.wish is None


def test_a_lease_that_somebody_ended_while_the_agent_was_away_is_over() -> None:
    """Else it showed as active, and cost allowance, until its time had passed."""
    bench = Bench(replace(CONFIG, path=replace(HA_REGISTER, lease_s=360)))
    bench.start()
    bench.run(35)
    journaled = bench.kill()
    bench.plant.dispatch.write(0, RESET_BLOCK.registers())
    bench.run(10)
    bench.restart(journaled)
    assert bench.state.commitments
    bench.run(10)
    assert "found_idle" in bench.kinds()
    assert bench.state.commitments == ()
    assert bench.view().phase is not Phase.DISCHARGE_ACTIVE


def test_a_command_that_may_still_come_outlives_an_inverter_found_idle() -> None:
    bench = Bench()
    bench.write_delay_s = 20
    bench.start()
    bench.run(2)
    bench.restart(bench.kill())
    bench.run(10)
    assert "found_idle" in bench.kinds()
    assert len(bench.state.commitments) == 1
    bench.run_until(lambda: "late_command" in [e.data.get("reason") for e in bench.events], 40)
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 60)
    assert not bench.dispatching


def test_yesterdays_journal_never_arms_todays_battery() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    journaled = bench.kill()
    bench.run(26 * 3600)
    bench.poll_everything()
    bench.restart(journaled)
    bench.run(120)
    assert not bench.dispatching
    assert bench.view().energy.day == "2026-07-02"


def test_an_inverter_that_ignores_its_timer_is_stopped_and_latched() -> None:
    bench = Bench(dispatch=DispatchSettings(timer_ignored=True))
    bench.start()
    bench.run(40)
    journaled = bench.kill()
    bench.run(300)
    assert bench.dispatching
    bench.restart(journaled)
    bench.run_until(lambda: not bench.dispatching, 60)


def test_a_killed_agent_costs_at_most_one_lease() -> None:
    for wait_s in (15, 25, 33, 47, 58):
        bench = Bench(produced_wh=400)
        bench.start()
        bench.run(wait_s)
        bench.kill()
        died_s = bench.now_s
        bench.run_until(lambda b=bench: not b.dispatching, 120)  # type: ignore[misc]
        assert bench.now_s - died_s <= CONFIG.path.lease_s + bench.write_delay_s
        bench.run(300)
        assert bench.exported_today_wh <= 400 + 10


def test_an_emergency_stop_is_written_even_if_nothing_is_seen_to_run() -> None:
    bench = Bench()
    assert bench.ask(RequestKind.EMERGENCY_STOP).accepted
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 40)
    assert not bench.writes[0][1].start
    assert bench.start().code == "latched"
    bench.ask(RequestKind.ACKNOWLEDGE)
    assert bench.start().accepted


def test_an_emergency_stop_ends_a_discharge_and_stays() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    bench.ask(RequestKind.EMERGENCY_STOP)
    bench.run_until(lambda: not bench.dispatching, 15)
    bench.run(300)
    assert not bench.dispatching
    assert bench.view().latched
    assert bench.view().phase is Phase.IDLE


def test_a_stop_that_is_lost_is_written_again() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    lost: list[int] = []

    def fate(block: object) -> tuple[bool, WriteStatus]:
        lost.append(1)
        return len(lost) > 2, WriteStatus.DELIVERED

    bench.fate = fate
    bench.ask(RequestKind.STOP_DISCHARGE)
    assert bench.run_until(lambda: not bench.dispatching, 40) <= 30


def test_a_stop_that_only_the_timer_ended_is_no_error_once_the_inverter_is_seen_idle() -> None:
    bench = Bench()
    bench.start()
    bench.run(40)
    bench.linked = False
    bench.run_until(lambda: "stop_by_timer" in bench.kinds(), 200)
    assert bench.view().phase is Phase.ERROR_STATE
    bench.linked = True
    bench.run_until(lambda: "resumed" in bench.kinds(), 120)
    assert bench.view().phase is not Phase.ERROR_STATE


def test_a_renewal_that_never_arrives_is_not_taken_for_confirmed() -> None:
    """Renewals differ in their duration: the old block in the registers proves nothing for them."""
    bench = Bench()
    bench.start()
    bench.run(15)
    bench.fate = lambda _: (False, WriteStatus.DELIVERED)
    bench.run(30)
    newest = bench.state.commitments[-1]
    assert newest.confirmed_s is None
    assert bench.state.commitments[0].confirmed_s is not None
    bench.run_until(lambda: "lease_ran_out" in bench.kinds(), 90)


def test_a_stop_is_not_verified_by_a_reading_from_before_it() -> None:
    bench = Bench()
    bench.frozen.add("dispatch")
    bench.ask(RequestKind.EMERGENCY_STOP)
    bench.run(15)
    assert "stop_verified" not in bench.kinds()
    bench.frozen.clear()
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 10)


def test_what_left_while_the_agent_was_away_is_charged_at_worst() -> None:
    bench = Bench()
    bench.start()
    bench.run(70)
    journaled = bench.kill()
    bench.run(50)
    bench.frozen.add("exported_wh")
    bench.restart(journaled)
    bench.look()
    upper_wh = bench.state.ledger.exported_upper_wh(10)
    assert upper_wh >= bench.exported_today_wh


def test_a_journaled_wish_writes_nothing_before_the_inverter_was_judged() -> None:
    """Registers that cannot be read at the start keep everything waiting."""
    bench = Bench()
    bench.start()
    bench.run(40)
    journaled = bench.kill()
    written = len(bench.writes)
    bench.twists["start"] = lambda reading: replace(
        reading, value=None, quality=Quality.UNAVAILABLE
    )
    bench.restart(journaled)
    bench.run(60)
    assert all(not block.start for _, block in bench.writes[written:])


def test_a_call_that_ran_late_began_when_it_was_seen() -> None:
    """It waited in Core's queue for two minutes: its timer is not to blame for the delay."""
    bench = Bench()
    block = DispatchBlock(True, 3000, 21.0, 90)
    waiting = Commitment(1, Purpose.DISCHARGE, block, 100.0, 1000.0, bench.now().local)
    late = answered((waiting,), 1, WriteOutcome(WriteStatus.UNCONFIRMED), 1030.0)
    (seen,) = confirmed(late, 1, 1120.0)
    assert seen.ends_by_s(CONFIG.path, 1120.0) == 1120 + 90 + CONFIG.path.exit_lag_s


def test_commands_from_before_a_pause_do_not_fail_the_start_after_it() -> None:
    bench = Bench()
    bench.start()
    bench.run(30)
    bench.fate = lambda _: (False, WriteStatus.UNCONFIRMED)
    bench.run(45)
    bench.twists["soc_percent"] = lambda reading: replace(
        reading, value=None, quality=Quality.UNAVAILABLE
    )
    bench.run(60)
    bench.twists.clear()
    bench.fate = lambda _: (True, WriteStatus.DELIVERED)
    bench.run(120)
    assert "start_failed" not in bench.kinds()
    assert bench.dispatching


def test_while_an_older_start_may_still_come_an_idle_register_is_no_verified_stop() -> None:
    bench = Bench()
    bench.start()
    bench.run(30)
    bench.fate = lambda _: (False, WriteStatus.UNCONFIRMED)
    bench.run(50)
    bench.ask(RequestKind.STOP_DISCHARGE)
    bench.run_until(lambda: not bench.dispatching, 100)
    bench.run(30)
    assert "stop_verified" not in bench.kinds()
    bench.fate = lambda _: (True, WriteStatus.DELIVERED)
    bench.run_until(lambda: "stop_verified" in bench.kinds(), 60)
    assert bench.state.commitments == ()


def test_a_new_start_with_the_power_of_long_ago_is_no_foreign_dispatch() -> None:
    """Core works off its polls one by one after an inverter was mute."""

    def read(value: float, changed_s: float) -> Reading:
        return Reading(value, Quality.GOOD, "sensor.x", changed_s)

    old, new = 1000.0, 1100.0
    mixed = DispatchReadings(
        read(1, new), read(3198, old), read(2, old), read(21, old), read(87, old)
    )
    assert observe((), mixed).seen is Seen.UNKNOWN
    assert observe((), replace(mixed, power_w=read(3198, new))).seen is Seen.OTHER
