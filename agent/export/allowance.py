"""
How much energy may leave the house today.

By default only what the sun has already given counts: produced + tolerance - margin. The
*tolerance* is granted by the contract and added; the *safety margin* is ours and subtracted.
The classic rule, max(produced, forecast), is kept for people who want the old behaviour; the
margin is still subtracted, because a forecast that is revised downwards is the largest source
of breaches.

Source: control.md findings 5 and 6; Energy Export Monitor section 2.2 and its defect D-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BREACH_TOLERANCE_WH = 10.0
"""Resolution of the meter: less than this over the allowance cannot be told from rounding."""


_LEAK_WH_PER_H = 5.0
_LEAK_MOST_WH = 30.0
_HOUR_S = 3600.0


class AllowanceBasis(StrEnum):
    """What the allowance is counted from."""

    PRODUCED = "produced"
    CLASSIC = "classic"


@dataclass(frozen=True, slots=True)
class AllowanceRule:
    """The rule of one site, in Wh."""

    basis: AllowanceBasis = AllowanceBasis.PRODUCED
    tolerance_wh: float = 0.0
    """Granted by the contract on top of what was produced."""
    safety_margin_wh: float = 500.0
    """Kept back on purpose."""


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
    counted = produced_wh
    if rule.basis is AllowanceBasis.CLASSIC and forecast_wh is not None:
        counted = max(produced_wh, forecast_wh)
    return counted + rule.tolerance_wh


def leak_reserve_wh(rule: AllowanceRule, day_left_s: float) -> float:
    """
    Return what has to stay unused for the battery's own control to leak until the day ends.

    Each time a load goes off, an ordinary battery lets out some watt-hours before it follows;
    nothing can stop that. The safety margin covers it where there is one.

    Source: control.md, finding 5; the bench's houses leak 16 Wh from 17 h on (median of 40), 37 Wh
    at most, nearly all of it while dinner is cooked.
    """
    leak_wh = min(_LEAK_MOST_WH, _LEAK_WH_PER_H * day_left_s / _HOUR_S)
    return max(0.0, leak_wh - rule.safety_margin_wh)


def is_breach(
    rule: AllowanceRule, produced_wh: float, exported_wh: float, forecast_wh: float | None
) -> bool:
    """Return True when more left the house than was granted, beyond the meter's step.

    The margin does not count here: it is where stops come, not where the contract is broken. With
    the classic rule and no forecast at the moment nobody can tell, and nothing is leased either.
    """
    if rule.basis is AllowanceBasis.CLASSIC and forecast_wh is None:
        return False
    return exported_wh > granted_wh(rule, produced_wh, forecast_wh) + BREACH_TOLERANCE_WH
