"""
Turns what a person has set into what the guard decides with.

Settings speak the user's units and names; decisions want W, Wh and one frozen object. Here, and
nowhere else, the two meet, together with what commissioning has measured on this path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.export.allowance import AllowanceBasis, AllowancePeriod, AllowanceRule
from agent.export.commissioning import Commissioning
from agent.export.freshness import Thresholds
from agent.export.lateness import MOST_LAG_S
from agent.export.lease import BRIDGE, DIRECT, HA_HELPERS, HA_REGISTER, CommandPath, measured
from agent.export.ledger import CounterRules
from agent.export.snapshot import Mode
from agent.export.states import GuardConfig
from agent.house.readings import SourceTraits
from agent.settings import Settings

WH_PER_KWH = 1000.0
_A_MINUTE_MORE_S = 60.0
_CONNECTION_W = 15_000.0
"""More cannot flow through a household's connection; tells a counter's catch-up from a jump."""
PATHS = {path.name: path for path in (HA_REGISTER, HA_HELPERS, DIRECT, BRIDGE)}


def command_path(
    name: str, settings: Settings, test: Commissioning, identity: str, firmware: str = ""
) -> CommandPath:
    """Return the traits of a path with the site's limits and what was measured on it."""
    path = replace(
        PATHS[name],
        max_discharge_w=settings.max_discharge_w,
        min_discharge_w=settings.min_discharge_w,
    )
    if not test.passed_for(identity, firmware) or test.delay_s is None:
        return path
    path = measured(path, test.delay_s, test.exit_lag_s or 0.0, test.gain or 1.0)
    if test.rounds_up:
        # The test saw half a minute of it; a lease of 61 s would run for 120 s.
        return replace(path, exit_lag_s=max(path.exit_lag_s, _A_MINUTE_MORE_S))
    return path


def guard_config(
    settings: Settings,
    traits: SourceTraits,
    test: Commissioning,
    identity: str,
    firmware: str = "",
    foreign_requests: int = 0,
    rival: str = "",
) -> GuardConfig:
    """Return everything that a decision needs to know of the site's choices."""
    path = command_path(traits.path, settings, test, identity, firmware)
    stale_after_s = min(settings.stale_after_s, path.longest_stale_s)
    return GuardConfig(
        mode=Mode(settings.mode),
        path=path,
        path_identity=identity,
        export_limit_w=settings.export_limit_w,
        target_export_w=settings.target_export_w,
        min_soc_percent=settings.min_soc_percent,
        observe_reserve_soc=settings.observe_reserve_soc,
        charge_power_w=settings.charge_power_kw * 1000.0,
        charge_target_soc_percent=settings.charge_target_soc_percent,
        allowance=AllowanceRule(
            AllowanceBasis(settings.allowance_basis),
            settings.tolerance_kwh * WH_PER_KWH,
            settings.safety_margin_kwh * WH_PER_KWH,
            settings.forecast_credit_percent / 100.0,
            AllowancePeriod(settings.allowance_period),
        ),
        thresholds=Thresholds(
            stale_after_s=stale_after_s,
            warn_after_s=min(settings.stale_warning_s, stale_after_s / 2),
            soc_stale_after_s=settings.soc_stale_after_s,
            battery_capacity_wh=settings.battery_capacity_kwh * WH_PER_KWH,
        ),
        exported_rules=CounterRules(
            traits.exported_kind,
            traits.exported_step_wh,
            traits.counter_poll_s,
            _CONNECTION_W,
            conservative_up=True,
            lag_s=_counter_lag_s(test, identity, firmware),
        ),
        produced_rules=CounterRules(
            traits.produced_kind,
            traits.produced_step_wh,
            traits.counter_poll_s,
            _CONNECTION_W,
            conservative_up=False,
        ),
        readback_poll_s=traits.readback_poll_s,
        breaker_failures=settings.breaker_failures,
        breaker_pause_s=settings.breaker_pause_s,
        minimum_off_s=settings.minimum_off_s,
        write_deadline_s=min(settings.write_deadline_s, path.longest_answer_s),
        firmware=firmware,
        foreign_requests=foreign_requests,
        rival=rival,
    )


def wanted_feed_in(settings: Settings) -> float | None:
    """Return the feed-in limit to set, in percent; `None` leaves the inverter's own."""
    return settings.feed_in_limit_percent if settings.mode == "control" else None


def _counter_lag_s(test: Commissioning, identity: str, firmware: str) -> float:
    """Return how late the export counter tells, as the commissioning test found it."""
    measured_s = test.counter_lag_s
    if measured_s is None or not test.passed_for(identity, firmware):
        return 0.0
    return min(MOST_LAG_S, max(0.0, measured_s))


@dataclass(slots=True)
class SiteChoices:
    """Makes the guard's configuration, and makes it again only when something has changed."""

    settings: Callable[[], Settings]
    traits: SourceTraits
    identity: Callable[[], str]
    """Path and inputs in use; empty while they are not known yet."""
    firmware: Callable[[], str] = lambda: ""
    """Of the inverter; empty while it is not known."""
    foreign_requests: Callable[[], int] = lambda: 0
    """Of a second master on the inverter's line, of late."""
    rival: Callable[[], str] = lambda: ""
    """Why another controller in Home Assistant forbids commands; empty while none does."""
    _made: tuple[object, GuardConfig] | None = None

    def __call__(self, test: Commissioning) -> GuardConfig:
        """Return the configuration of this moment."""
        settings = self.settings()
        identity = self.identity() or test.path
        firmware, heard, rival = self.firmware(), self.foreign_requests(), self.rival()
        tested = (test.stage, test.at, test.path, test.firmware)
        key = (settings, *tested, identity, firmware, heard, rival)
        if self._made is None or self._made[0] != key:
            config = guard_config(settings, self.traits, test, identity, firmware, heard, rival)
            self._made = (key, config)
        return self._made[1]
