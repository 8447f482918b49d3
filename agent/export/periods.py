"""
The accounts that an allowance is kept in: the local day, the last 24 hours, or both.

Where both count, the smaller headroom does. The last 24 hours count alone only when all of them
are known; until then the day counts as well, so that a lost past grants nothing.

Source: control.md, finding 1 (batpred #3973).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.export.allowance import (
    AllowancePeriod,
    AllowanceRule,
    allowance_wh,
    counts_forecast,
    is_breach,
)
from agent.export.ledger import Ledger
from agent.export.replacing import quick


@dataclass(frozen=True, slots=True)
class Account:
    """One period's energy, in Wh."""

    period: AllowancePeriod
    allowed_wh: float
    exported_wh: float
    """Best estimate."""
    upper_wh: float
    """The most that can have been exported."""
    breached: bool
    """Surely more was exported than the period allows and the meter's step."""

    @property
    def headroom_wh(self) -> float:
        """Allowance minus best estimate."""
        return self.allowed_wh - self.exported_wh

    @property
    def left_wh(self) -> float:
        """Allowance minus the most that can have been exported."""
        return self.allowed_wh - self.upper_wh


_account = quick(Account)


def accounts(
    rule: AllowanceRule, ledger: Ledger, step_wh: float, forecast_wh: float | None, now_s: float
) -> tuple[Account, ...]:
    """
    Return the accounts that count now, at least one.

    Args:
        rule: the site's rule.
        ledger: day and last 24 hours.
        step_wh: resolution of the export counter.
        forecast_wh: forecast of the whole local day; it counts for that only.
        now_s: the moment, monotonic.
    """
    if rule.period is AllowancePeriod.DAY:
        return (_day(rule, ledger, step_wh, forecast_wh),)
    rolling = _rolling(rule, ledger, step_wh, now_s)
    if rule.period is AllowancePeriod.ROLLING_24H and ledger.rolling.known(now_s):
        return (rolling,)
    return (_day(rule, ledger, step_wh, forecast_wh), rolling)


def tightest(found: tuple[Account, ...]) -> Account:
    """Return the account with the smallest headroom."""
    return min(found, key=lambda account: account.left_wh)


def _day(rule: AllowanceRule, ledger: Ledger, step_wh: float, forecast_wh: float | None) -> Account:
    # Without the forecast that counts nobody can tell, and nothing is leased on its account either.
    telling = forecast_wh is not None or not counts_forecast(rule)
    return _account(
        AllowancePeriod.DAY,
        allowance_wh(rule, ledger.produced_wh, forecast_wh),
        ledger.exported_wh,
        ledger.exported_upper_wh(step_wh),
        telling and is_breach(rule, ledger.produced_wh, ledger.exported.day_wh, forecast_wh),
    )


def _rolling(rule: AllowanceRule, ledger: Ledger, step_wh: float, now_s: float) -> Account:
    past = ledger.rolling
    told_wh = past.exported_wh(now_s)
    surely_wh = past.surely_exported_wh(now_s)
    most_produced_wh = past.perhaps_produced_wh(now_s) + ledger.produced.sure_wh
    return _account(
        AllowancePeriod.ROLLING_24H,
        allowance_wh(rule, past.produced_wh(now_s) + ledger.produced.sure_wh, None),
        told_wh + ledger.exported.flow_wh,
        told_wh + ledger.open_wh(step_wh),
        past.known(now_s) and is_breach(rule, most_produced_wh, surely_wh, None),
    )
