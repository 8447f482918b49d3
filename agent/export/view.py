"""Builds the one picture that every surface shows, from what the guard remembers."""

from __future__ import annotations

from dataclasses import fields

from agent.export import asks, commissioning, following, freshness, leasing
from agent.export.commitments import RESTS, Commitment, Purpose, Status
from agent.export.inputs import SAMPLES_BEFORE_COMMAND
from agent.export.periods import tightest
from agent.export.snapshot import (
    BreakerView,
    CheckView,
    CommissioningView,
    EnergyView,
    ErrorState,
    GuardSnapshot,
    HealthStatus,
    LeaseView,
    Phase,
    PowerView,
    ReadingView,
    Reason,
)
from agent.export.states import GuardConfig, GuardState, HoldKind, Look
from agent.export.turn import Turn
from agent.house.readings import DispatchReadings, HouseSample, Reading

_UNITS = {"w": "W", "wh": "Wh", "percent": "%", "s": "s"}
_NEEDED_WH = 60.0
"""Less than this left over is not worth telling anyone that a discharge is needed."""
_OPTIONAL = frozenset({"forecast_today_wh", "reserve_soc_percent"})


def snapshot(state: GuardState, look: Look, config: GuardConfig) -> GuardSnapshot:
    """Return the picture of this moment."""
    turn = Turn(look, config, state)
    sample = look.sample
    blockers = tuple(asks.blockers(turn, Purpose.DISCHARGE))
    phase, reason = _phase(turn, blockers)
    reserve = sample.reserve_soc_percent
    return GuardSnapshot(
        at=look.now.local,
        mode=config.mode,
        path=config.path.name,
        linked=sample.linked,
        phase=phase,
        reason=reason,
        latched=state.hold is not None and state.hold.kind is HoldKind.SAFETY,
        blockers=blockers,
        problems=_problems(turn),
        health=_health(turn),
        error_state=state.error,
        data_staleness_s=_age(sample.grid_w, turn.now_s),
        stale_after_s=config.thresholds.stale_after_s,
        breaker=_breaker(turn),
        energy=_energy(turn),
        power=_power(turn),
        soc_percent=sample.soc_percent.value,
        min_soc_percent=config.min_soc_percent,
        reserve_soc_percent=reserve.value if reserve.good else None,
        lease=_lease(turn),
        commissioning=_commissioning(turn),
        readings=_readings(turn),
        last_action=state.last_action,
        observe_reserve_soc=config.observe_reserve_soc,
        reserve_reached=asks.reserve_reached(turn),
        wish=state.wish.purpose.value if state.wish is not None else None,
        completed=state.completed is not None,
        statistics=state.statistics,
        plan_waits=following.waits(turn),
    )


def _phase(turn: Turn, blockers: tuple[Reason, ...]) -> tuple[Phase, Reason]:
    """Return the state with the reason that a person would give for it."""
    state = turn.state
    running = {c.purpose for c in state.commitments}
    active = Phase.CHARGE_ACTIVE if Purpose.CHARGE in running else Phase.DISCHARGE_ACTIVE
    if running and running <= RESTS:
        active = Phase.REST_ACTIVE
    if state.error is not ErrorState.NONE and state.error_reason is not None:
        return Phase.ERROR_STATE, state.error_reason
    if state.stopping is not None:
        text = f"{state.stopping.reason.text} Waiting for the inverter to confirm the stop."
        return (active if running else Phase.IDLE), Reason("stopping", text)
    if running:
        return active, _running_reason(turn)
    return _resting_phase(turn, blockers)


def _resting_phase(turn: Turn, blockers: tuple[Reason, ...]) -> tuple[Phase, Reason]:
    """Nothing runs: say what has been, what comes, or what could be."""
    state = turn.state
    if state.hold is not None:
        return Phase.IDLE, state.hold.reason
    if state.wish is not None:
        starting = Reason("starting", "The start is being prepared.")
        return Phase.IDLE, leasing.waits_for_writes(turn) or starting
    if state.completed is not None:
        return Phase.DISCHARGE_COMPLETE, state.completed
    needed = state.ledger.known and turn.left_wh() > _NEEDED_WH and not state.lost
    phase, reason = Phase.IDLE, Reason("idle", "Nothing runs; the battery is on its own.")
    if needed and asks.soc_obstacle(turn) is None:
        text = f"{turn.left_wh() / 1000:.2f} kWh may still be exported today."
        phase, reason = Phase.DISCHARGE_NEEDED, Reason("ready", text)
    return phase, blockers[0] if blockers else reason


def _running_reason(turn: Turn) -> Reason:
    newest = turn.state.commitments[-1]
    doing = "charging" if newest.purpose is Purpose.CHARGE else "discharging"
    wish = turn.state.wish
    if newest.purpose is Purpose.COMMISSIONING:
        return Reason("commissioning", turn.state.commissioning.text)
    by = f", asked for by {wish.by}" if wish else ""
    state = "confirmed by the inverter" if _shown(turn) else "not yet confirmed by the inverter"
    if newest.purpose in RESTS:
        return _rest_reason(turn, newest, state)
    return Reason(doing, f"{doing.capitalize()} at {abs(newest.block.power_w)} W{by}; {state}.")


def _rest_reason(turn: Turn, newest: Commitment, state: str) -> Reason:
    """Return what a rest is for, in the plan's words."""
    advice, stores_w = turn.look.advice, abs(newest.block.power_w)
    why = advice.text if advice is not None else ""
    why = f" {why[:1].lower()}{why[1:].rstrip('.')};" if why else ""
    if newest.purpose is Purpose.REST:
        return Reason("resting", f"Resting:{why} {state}.")
    return Reason("sharing_sun", f"Storing at most {stores_w} W of the sun:{why} {state}.")


def _shown(turn: Turn) -> Commitment | None:
    shown = [c for c in turn.state.commitments if c.status is Status.CONFIRMED]
    return shown[-1] if shown else None


def _problems(turn: Turn) -> tuple[Reason, ...]:
    state = turn.state
    found = [] if state.error_reason is None else [state.error_reason]
    found += state.lost
    if state.foreign is not None and state.foreign.announced:
        found.append(
            Reason(
                "foreign_dispatch",
                f"Somebody else runs the battery at {state.foreign.power_w:.0f} W.",
            )
        )
    test, config = state.commissioning, turn.config
    if test.passed_for(config.path_identity) and test.outdated_by(config.firmware):
        found.append(asks.firmware_changed(test.firmware, config.firmware))
    found += freshness.warnings(turn.look.sample, turn.config.thresholds, turn.now_s)
    return tuple(found)


def _health(turn: Turn) -> HealthStatus:
    state = turn.state
    if state.error is not ErrorState.NONE:
        return HealthStatus.ERROR
    if state.lost or state.good_samples < SAMPLES_BEFORE_COMMAND:
        return HealthStatus.STALE_DATA
    if _breaker(turn).is_open:
        return HealthStatus.CIRCUIT_BREAKER_OPEN
    return HealthStatus.HEALTHY


def _breaker(turn: Turn) -> BreakerView:
    breaker, config = turn.state.breaker, turn.config
    retry_in_s = breaker.retry_in_s(turn.now_s, config.breaker_failures, config.breaker_pause_s)
    return BreakerView(retry_in_s > 0, breaker.failures, breaker.last_failure_at, retry_in_s)


def _energy(turn: Turn) -> EnergyView:
    ledger = turn.state.ledger
    forecast = turn.look.sample.forecast_today_wh
    if not ledger.known:
        none = None
        return EnergyView(
            ledger.day.isoformat(), none, none, none, none, none, none, forecast.value, False
        )
    tight = tightest(turn.accounts())
    return EnergyView(
        day=ledger.day.isoformat(),
        produced_wh=ledger.produced_wh,
        exported_wh=ledger.exported_wh,
        exported_upper_wh=ledger.exported_upper_wh(turn.config.exported_rules.step_wh),
        # Told as of today, whatever period sets it: what was exported, and what may still be.
        allowance_wh=ledger.exported_wh + tight.headroom_wh,
        headroom_wh=tight.headroom_wh,
        left_wh=turn.left_wh(),
        forecast_wh=forecast.value,
        breach=turn.state.breach,
        period=tight.period.value,
    )


def _power(turn: Turn) -> PowerView:
    sample = turn.look.sample
    grid_w, battery_w, pv_w = sample.grid_w.value, sample.battery_w.value, sample.pv_w.value
    load_w = None
    if grid_w is not None and battery_w is not None and pv_w is not None:
        load_w = max(0.0, grid_w + battery_w + pv_w)
    newest = turn.state.commitments[-1] if turn.state.commitments else None
    return PowerView(
        grid_w=grid_w,
        battery_w=battery_w,
        pv_w=pv_w,
        load_w=load_w,
        limit_w=turn.config.export_limit_w,
        target_w=turn.config.target_export_w,
        commanded_w=float(newest.block.power_w) if newest else 0.0,
    )


def _lease(turn: Turn) -> LeaseView | None:
    if not turn.state.commitments:
        return None
    newest = turn.state.commitments[-1]
    ends_s = max(c.ends_by_s(turn.config.path, turn.now_s) for c in turn.state.commitments)
    return LeaseView(
        kind=newest.purpose.value,
        power_w=float(newest.block.power_w),
        duration_s=newest.block.duration_s,
        remaining_s=max(0.0, ends_s - turn.now_s),
        worst_case_wh=newest.worst_case_wh,
        confirmed=_shown(turn) is not None,
    )


def _commissioning(turn: Turn) -> CommissioningView:
    test = turn.state.commissioning
    return CommissioningView(
        passed=test.passed_for(turn.config.path_identity, turn.config.firmware),
        running=test.busy,
        stage=test.stage.value,
        text=test.text,
        progress_percent=commissioning.progress_percent(test, turn.now_s),
        delay_s=test.delay_s,
        exit_lag_s=test.exit_lag_s,
        gain=test.gain,
        at=test.at,
        dead_s=test.dead_s,
        counter_lag_s=test.counter_lag_s,
        rewrite_extends=test.rewrite_extends,
        rounds_up=test.rounds_up,
        full=test.full,
        firmware=test.firmware,
        checks=tuple(
            CheckView(check.code, check.verdict.value, check.text, check.next_step)
            for check in test.checks
        ),
    )


def _age(reading: Reading, now_s: float) -> float | None:
    last_s = reading.reported_s if reading.reported_s is not None else reading.changed_s
    return max(0.0, now_s - last_s) if last_s > 0 else None


def _readings(turn: Turn) -> tuple[ReadingView, ...]:
    sample = turn.look.sample
    views = [
        _reading(turn, entry.name, getattr(sample, entry.name))
        for entry in fields(HouseSample)
        if isinstance(getattr(sample, entry.name), Reading)
    ]
    views += [
        _reading(turn, f"dispatch_{entry.name}", getattr(sample.dispatch, entry.name))
        for entry in fields(DispatchReadings)
    ]
    return tuple(views)


def _reading(turn: Turn, name: str, reading: Reading) -> ReadingView:
    lost = any(reason.source == reading.source for reason in turn.state.lost)
    return ReadingView(
        name=name,
        value=reading.value,
        unit=_UNITS.get(name.rsplit("_", 1)[-1], ""),
        age_s=_age(reading, turn.now_s),
        quality=reading.quality.value,
        source=reading.source,
        detail=reading.detail,
        fresh=(reading.good and not lost) or (name in _OPTIONAL and not reading.source),
    )
