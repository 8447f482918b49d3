"""
How much energy may leave the house today.

By default only what the sun has already given counts: produced + tolerance - margin. The
*tolerance* is granted by the contract and added; the *safety margin* is ours and subtracted.
The classic rule, max(produced, forecast), is kept for people who want the old behaviour; the
margin is still subtracted, because a forecast that is revised downwards is the largest source
of breaches. Between the two stands a forecast that counts in part, for people who take that risk.

Source: control.md findings 5 and 6; Energy Export Monitor section 2.2 and its defect D-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.export.leakage import Leakage

BREACH_TOLERANCE_WH = 10.0
"""Resolution of the meter: less than this over the allowance cannot be told from rounding."""


class AllowanceBasis(StrEnum):
    """What the allowance is counted from."""

    PRODUCED = "produced"
    CLASSIC = "classic"


class AllowancePeriod(StrEnum):
    """Over which time produced and exported energy are compared."""

    DAY = "day"
    """The site's local day."""
    ROLLING_24H = "rolling_24h"
    BOTH = "both"
    """The smaller headroom of the two counts."""


@dataclass(frozen=True, slots=True)
class AllowanceRule:
    """The rule of one site, in Wh."""

    basis: AllowanceBasis = AllowanceBasis.PRODUCED
    tolerance_wh: float = 0.0
    """Granted by the contract on top of what was produced."""
    safety_margin_wh: float = 500.0
    """Kept back on purpose."""
    forecast_credit: float = 0.0
    """Share of the forecast, 0 to 1, that counts as produced; a risk that somebody has chosen."""
    period: AllowancePeriod = AllowancePeriod.DAY


def allowance_wh(rule: AllowanceRule, produced_wh: float, forecast_wh: float | None) -> float:
    """
    Return the energy that may be exported on this local day, in Wh.

    Args:
        rule: the site's rule.
        produced_wh: lower bound of the PV energy of the day so far.
        forecast_wh: forecast of the whole local day; `None` when unknown or not today's.
    """
    return granted_wh(rule, produced_wh, forecast_wh) - rule.safety_margin_wh


def granted_wh(rule: AllowanceRule, produced_wh: float, forecast_wh: float | None) -> float:
    """Return the allowance before the margin: more than this is over-export, in Wh."""
    return _counted_wh(rule, produced_wh, forecast_wh) + rule.tolerance_wh


def counts_forecast(rule: AllowanceRule) -> bool:
    """Return True when the forecast is part of what may be exported."""
    return rule.basis is AllowanceBasis.CLASSIC or rule.forecast_credit > 0.0


def _counted_wh(rule: AllowanceRule, produced_wh: float, forecast_wh: float | None) -> float:
    """Return what counts as produced: what was, or as much of the forecast as was chosen."""
    if forecast_wh is None:
        return produced_wh
    credit = 1.0 if rule.basis is AllowanceBasis.CLASSIC else rule.forecast_credit
    return max(produced_wh, credit * forecast_wh)


def leak_reserve_wh(rule: AllowanceRule, leakage: Leakage, day_left_s: float) -> float:
    """
    Return what has to stay unused for the battery's own control to leak until the day ends.

    The safety margin covers it where there is one.

    Args:
        rule: the site's rule.
        leakage: what earlier evenings have shown.
        day_left_s: seconds until the local day ends.
    """
    return max(0.0, leakage.reserve_wh(day_left_s) - rule.safety_margin_wh)


def is_breach(
    rule: AllowanceRule, produced_wh: float, exported_wh: float, forecast_wh: float | None = None
) -> bool:
    """Return True when more left the house than was granted, beyond the meter's step.

    The margin does not count here: it is where stops come, not where the contract is broken. A
    forecast counts as far as the rule says, else nothing could be exported on its account.
    """
    return exported_wh > granted_wh(rule, produced_wh, forecast_wh) + BREACH_TOLERANCE_WH
