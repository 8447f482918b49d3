"""One look in the making: collects what the parts of a decision change, say and command."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from agent.export import audit
from agent.export import commitments as com
from agent.export import gain as gains
from agent.export.allowance import AllowancePeriod, allowance_wh, counts_forecast, leak_reserve_wh
from agent.export.commitments import Purpose
from agent.export.lease import SECONDS_PER_HOUR, Lease, longest_affordable
from agent.export.periods import Account, accounts, tightest
from agent.export.pricing import still_open
from agent.export.replacing import replace
from agent.export.snapshot import ActionView, ErrorState, Reason
from agent.export.states import (
    Command,
    Event,
    GuardConfig,
    GuardState,
    Hold,
    HoldKind,
    Look,
    Stopping,
)
from agent.house.alphaess import DispatchBlock
from agent.house.readings import Reading


@dataclass(slots=True)
class Turn:
    """The state so far, and what has come of this look; lives only inside `decide.step`."""

    look: Look
    config: GuardConfig
    state: GuardState
    seen: com.Observation = field(default=com.UNSEEN)
    commands: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    now_s: float = field(init=False)
    """Monotonic seconds of this look."""

    def __post_init__(self) -> None:
        self.now_s = self.look.now.monotonic_s

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        state = self.state
        for name, value in changes.items():
            if getattr(state, name) is not value:
                self.state = replace(state, **changes)
                return

    def say(self, kind: str, text: str, **data: object) -> None:
        """Add one line to the journal."""
        self.events.append(Event(kind, text, data))

    def did(
        self,
        action: str,
        reason: Reason,
        by: str,
        purpose: Purpose | None = None,
        **data: object,
    ) -> None:
        """Remember the last action, as the page and the old integration's sensor show it."""
        what = purpose.value if purpose is not None else ""
        self.set(last_action=ActionView(action, reason.code, self.look.now.local, by, what))
        self.say(action, reason.text, reason=reason.code, by=by, **data)

    def count(self, act: str, purpose: Purpose | None, *, success: bool) -> None:
        """Count a `start` or a `stop` of a discharge or a charge; a test of ours is neither."""
        if purpose in (Purpose.DISCHARGE, Purpose.CHARGE):
            outcome = "success" if success else "fail"
            what = f"{act}_{purpose.value}_{outcome}"
            self.set(statistics=self.state.statistics.counted(what))

    def next_number(self) -> int:
        """Return a number for one more command; they rise for ever, also across restarts."""
        self.set(numbers=self.state.numbers + 1)
        return self.state.numbers

    def write(self, number: int, block: DispatchBlock, why: str) -> None:
        """Have a block written once this step is in the journal."""
        ran = any(c.confirmed_s is not None for c in self.state.commitments)
        self.set(pace=self.state.pace.written(self.now_s, ran=ran))
        self.commands.append(Command(number, block, why))

    def usable(self, reading: Reading) -> float | None:
        """Return a power or energy that is good and fresh, else `None`."""
        fresh = self.now_s - reading.vouched_s <= self.config.thresholds.stale_after_s
        return reading.value if fresh and reading.good else None

    @property
    def battery_s(self) -> float:
        """When the battery's power was last known to be so; at rest that is now."""
        return self.state.still.battery_known_s(self.look.sample.battery_w)

    def battery_w(self) -> float | None:
        """Return the battery's power that is good and fresh, else `None`."""
        reading = self.look.sample.battery_w
        fresh = self.now_s - self.battery_s <= self.config.thresholds.stale_after_s
        return reading.value if reading.good and fresh else None

    def settled_w(self) -> float:
        """Return what the battery was told long enough ago to deliver it; infinite where unsure."""
        sample, state = self.look.sample, self.state
        read_s = min(sample.grid_w.vouched_s, sample.battery_w.vouched_s)
        battery_w = sample.battery_w.value or 0.0
        return com.settled_w(state.commitments, battery_w, read_s, state.settled_s)

    @property
    def power_gain(self) -> float:
        """Delivered over commanded power, as powers are divided by it."""
        return gains.of_power(self.state.gain, self.config.path.gain)

    @property
    def gain(self) -> float:
        """Delivered over commanded power, as leases are paid for."""
        return gains.of_energy(self.state.gain, self.config.path.gain)

    def accounts(self) -> tuple[Account, ...]:
        """Return the accounts that count now: the day, the last 24 hours, or both."""
        return accounts(
            self.config.allowance,
            self.state.ledger,
            self.config.exported_rules.step_wh,
            self.forecast_wh(),
            self.now_s,
        )

    def left_wh(self) -> float:
        """Return what a lease may still cost today."""
        leakage = self.state.ledger.leakage
        kept_wh = leak_reserve_wh(self.config.allowance, leakage, self.day_left_s())
        return tightest(self.accounts()).left_wh - kept_wh

    def granted_left_wh(self) -> float:
        """Return what may still be exported today until the contract is broken, margin included."""
        return tightest(self.accounts()).left_wh + self.config.allowance.safety_margin_wh

    def day_left_s(self) -> float:
        """Return the seconds until the local day ends."""
        return self.look.now.day_left_s

    def affordable(self, power_w: float) -> Lease | None:
        """
        Return the longest lease at this power that the day pays for.

        It is over before midnight where the day counts: the new day has produced nothing yet, and
        pays only where the contract grants something.
        """
        config = self.config
        path = config.path
        if self.gain > path.gain:
            path = replace(path, gain=self.gain)
        sun_w = self.pv_bound_w()
        older = still_open(self.state.commitments, path, self.now_s, sun_w)
        granted_wh = max(0.0, allowance_wh(config.allowance, 0.0, None))
        most_w = max(path.max_discharge_w * path.gain, older.power_w) + sun_w
        over_within_s = math.inf
        if any(account.period is AllowancePeriod.DAY for account in self.accounts()):
            over_within_s = self.day_left_s() + granted_wh * SECONDS_PER_HOUR / most_w
        left_wh = max(0.0, self.left_wh() - older.doubtful_wh)
        return longest_affordable(
            power_w, left_wh, sun_w, older.power_w, path, over_within_s, older.for_s
        )

    def forecast_wh(self) -> float | None:
        """
        Return the forecast of today, where the rule asks for one.

        One that has not spoken since midnight is yesterday's, and unknown.
        """
        if not counts_forecast(self.config.allowance):
            return None
        reading = self.look.sample.forecast_today_wh
        of_today = reading.age_s(self.now_s) <= self.look.now.day_begun_s
        return reading.value if reading.good and of_today else None

    def pv_bound_w(self) -> float:
        """Return the most that the sun may add while a lease runs."""
        surplus_w = max(0.0, -(self.state.net.newest_w or 0.0))
        pv_w = self.sun_w()
        if pv_w is None:
            return surplus_w * 1.2 + _UNKNOWN_SUN_W
        pv_w = max(pv_w, surplus_w)
        return pv_w * 1.2 + _CLOUD_EDGE_W if pv_w > DARK_W else 0.0

    def sun_w(self) -> float | None:
        """Return the PV power; a source that keeps no report times may rest at its value."""
        reading = self.look.sample.pv_w
        if reading.good and reading.reported_s is None:
            return reading.value
        return self.usable(reading)

    def floor_percent(self) -> float | None:
        """Return the state of charge to keep; `None` when an observed reserve is not known."""
        floor = self.config.min_soc_percent
        if not self.config.observe_reserve_soc:
            return floor
        reserve = self.look.sample.reserve_soc_percent
        return max(floor, reserve.value) if reserve.good and reserve.value is not None else None

    def begin_stop(
        self,
        reason: Reason,
        *,
        by: str = "guard",
        ends_wish: bool = True,
        hold: HoldKind | None = None,
        error: ErrorState | None = None,
    ) -> None:
        """
        Stop whatever runs, and say why.

        Args:
            reason: shown until something else happens.
            by: who wanted it.
            ends_wish: the wish is over; else it resumes when the hold is released.
            hold: what nothing may be started against afterwards.
            error: the error state to show.
        """
        if self.state.stopping is None:
            purpose = self._running_purpose()
            self.set(stopping=Stopping(reason, self.now_s, purpose=purpose))
            shown = audit.of_readback(self.state.commitments, self.look.sample)
            self.did("stop", reason, by, purpose, **shown)
        if ends_wish:
            self.set(wish=None)
        elif self.state.wish is not None:
            self.set(wish=replace(self.state.wish, tried_s=None))
        safety_stands = self.state.hold is not None and self.state.hold.kind is HoldKind.SAFETY
        if hold is not None and not safety_stands:
            self.set(hold=Hold(hold, reason, self.now_s))
        if error is not None:
            self.fail(error, reason)

    def _running_purpose(self) -> Purpose | None:
        """Return what a stop would end: a discharge or a charge of ours, or neither."""
        wish, commitments = self.state.wish, self.state.commitments
        purpose = commitments[-1].purpose if commitments else wish.purpose if wish else None
        return purpose if purpose is not Purpose.COMMISSIONING else None

    def complete(self, reason: Reason) -> None:
        """End the wish properly: what it wanted is done, or can go no further."""
        if self.state.wish is not None and self.state.wish.purpose is Purpose.DISCHARGE:
            self.set(completed=reason)
        self.begin_stop(reason)

    def fail(self, error: ErrorState, reason: Reason) -> None:
        """Show an error state until its cause has gone."""
        if self.state.error is not error:
            self.say("error", reason.text, error=error.value, reason=reason.code)
        self.set(error=error, error_reason=reason)

    def breaker_failed(self) -> None:
        """Count one failed operation or one stretch of lost inputs."""
        breaker = self.state.breaker.failed(self.now_s, self.look.now.local)
        if breaker.failures == self.config.breaker_failures:
            self.say(
                "breaker_opened",
                f"{breaker.failures} failures in a row: new operations wait "
                f"{self.config.breaker_pause_s:.0f} s. Supervision and stopping go on.",
                failures=breaker.failures,
            )
        self.set(breaker=breaker)


_UNKNOWN_SUN_W = 1000.0
_CLOUD_EDGE_W = 200.0
DARK_W = 30.0
"""Less is no sun: an inverter at night shows some watts."""
