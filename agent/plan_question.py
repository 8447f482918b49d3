"""
Turns settings, the house as it is, and what is known of the hours to come into one question.

The plan is asked within what the guard will allow: the target and not only the limit, the minimum
and the observed reserve, the allowance with its margin. What is not known ends the question with
the reason that a person can act on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, time
from zoneinfo import ZoneInfo

from agent.export.asks import CUTOFF_ABOVE_FLOOR_PERCENT
from agent.export.plan_advice import Switches
from agent.export.plan_problem import Aim, Battery, Objective, Problem, Site, costs
from agent.export.plan_slots import LONGEST, DailyWindow, Outlook, slots
from agent.export.planner import Plan, no_plan, unpriced
from agent.export.snapshot import GuardSnapshot
from agent.house.series import Series
from agent.plan_inputs import Known
from agent.settings import Settings

_PERCENT = 100.0
_WH_PER_KWH = 1000.0
_WEAR_G_PER_KWH = 5.0
"""A battery's making, spread over what it gives; below it a plan would move energy for nothing."""
_USUAL_AC_W = 5000.0
"""A hybrid inverter's AC side; nothing tells the real one."""


def switches(settings: Settings) -> Switches:
    """Return what plans may carry out."""
    return _with_rest(settings, settings.enable_auto_discharge, settings.enable_auto_charge)


def planned(settings: Settings) -> Switches:
    """Return what is to be planned: what is switched on, and what is carried out."""
    return _with_rest(
        settings,
        settings.enable_ci_planning or settings.enable_auto_discharge,
        settings.enable_charge_planning or settings.enable_auto_charge,
    )


def _with_rest(settings: Settings, discharge: bool, charge: bool) -> Switches:
    """Return the switches; a battery that is never commanded has nothing to rest for."""
    return Switches(discharge, charge, rest=settings.enable_rest and (discharge or charge))


def question(
    settings: Settings, house: GuardSnapshot, known: Known, load: Series, zone: ZoneInfo
) -> Problem | Plan:
    """
    Return what to ask the planner; where that cannot be asked, a plan that says why.

    Args:
        settings: the site's choices.
        house: the guard's picture of now.
        known: forecasts and prices.
        load: expected load of the house.
        zone: the site's.
    """
    soc = house.soc_percent
    if soc is None:
        return no_plan("soc_unknown", "The state of charge is not known; see the inputs.")
    now = house.at
    found = slots(outlook(settings, known, load, now), now, zone)
    if not found:
        missing = next((each for each in (known.pv, load) if not each), known.pv)
        why = missing.reason or "it ends before now"
        return no_plan("no_forecast", f"No plan without a forecast: {missing.source}: {why}.")
    wanted = planned(settings)
    found = tuple(
        replace(
            slot,
            may_discharge=slot.may_discharge and wanted.discharge,
            may_charge=slot.may_charge and wanted.charge,
        )
        for slot in found
    )
    battery, site = _battery(settings, house, soc), _site(settings, house)
    problem = Problem(found, battery, site, objective(settings), zone)
    # Known without a worker, which would be started in vain every few seconds.
    return problem if any(cost.known for cost in costs(problem)) else unpriced()


def outlook(settings: Settings, known: Known, load: Series, now: datetime) -> Outlook:
    """Return what is known as the planner takes it: prices go on as on their last day."""
    until = now + LONGEST
    return Outlook(
        known.pv,
        load,
        known.carbon,
        known.buy.repeated(until),
        known.sell.repeated(until),
        _window(settings.export_window_start, settings.export_window_end),
        _window(settings.charge_window_start, settings.charge_window_end),
    )


def objective(settings: Settings) -> Objective:
    """Return what plans make small."""
    aim = Aim(settings.plan_aim)
    wear = _WEAR_G_PER_KWH if aim is Aim.CARBON else settings.wear_per_kwh
    return Objective(aim, wear, settings.carbon_price_per_kg, currency=settings.currency)


def remark(settings: Settings) -> str:
    """Return what a person should know of the settings behind a plan; empty when all is well."""
    if not planned(settings).discharge:
        return ""
    if settings.export_limit_w is None:
        return "No discharge is planned before export_limit_w is set."
    if min(settings.export_limit_w, settings.target_export_w) <= 0:
        return "No discharge is planned while target_export_w or export_limit_w is 0."
    return ""


def _window(begins: str, ends: str) -> DailyWindow:
    return DailyWindow(time.fromisoformat(begins), time.fromisoformat(ends))


def _battery(settings: Settings, house: GuardSnapshot, soc_percent: float) -> Battery:
    capacity_wh = settings.battery_capacity_kwh * _WH_PER_KWH

    def content_wh(percent: float) -> float:
        return min(_PERCENT, max(0.0, percent)) / _PERCENT * capacity_wh

    keep = settings.min_soc_percent
    if settings.observe_reserve_soc:
        # An unknown reserve forbids every discharge; so does a full one.
        reserve = house.reserve_soc_percent
        keep = _PERCENT if reserve is None else max(keep, reserve)
    one_way = math.sqrt(settings.round_trip_percent / _PERCENT)
    return Battery(
        capacity_wh,
        content_wh(soc_percent),
        floor_wh=content_wh(min(settings.battery_floor_percent, settings.min_soc_percent)),
        reserve_wh=content_wh(keep + CUTOFF_ABOVE_FLOOR_PERCENT),
        charge_to_wh=content_wh(settings.charge_target_soc_percent),
        max_charge_w=settings.charge_power_kw * _WH_PER_KWH,
        max_discharge_w=settings.max_discharge_w,
        charge_efficiency=one_way,
        discharge_efficiency=one_way,
        ac_limit_w=max(_USUAL_AC_W, settings.max_discharge_w),
    )


def _site(settings: Settings, house: GuardSnapshot) -> Site:
    energy = house.energy
    limit_w = settings.export_limit_w or 0.0
    produced_wh, exported_wh = energy.produced_wh or 0.0, energy.exported_upper_wh or 0.0
    granted_wh = (settings.tolerance_kwh - settings.safety_margin_kwh) * _WH_PER_KWH
    if energy.left_wh is not None:
        # Whatever else the guard holds back is gone for the plan too.
        exported_wh = max(exported_wh, produced_wh + granted_wh - energy.left_wh)
    return Site(
        export_limit_w=min(limit_w, settings.target_export_w),
        import_limit_w=settings.import_limit_w,
        produced_wh=produced_wh,
        exported_wh=exported_wh,
        tolerance_wh=settings.tolerance_kwh * _WH_PER_KWH,
        margin_wh=settings.safety_margin_kwh * _WH_PER_KWH,
        min_command_w=settings.min_discharge_w,
        can_hold=planned(settings).rest,
    )
