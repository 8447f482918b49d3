"""
Lives through the days of a home, minute by minute, under one way of commanding its battery.

The battery obeys the same physics for all: losses, limits, the inverter's shared AC path, its own
floor. What differs is who commands. Ours plans anew each half hour from what is known then, and
a discharge stops when the sun has not given enough yet, as the guard would see to. The old
integration ranks half hours by carbon intensity and counts on its forecast.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

from agent.export.commitments import Purpose
from agent.export.limiter import WINDOW_S
from agent.export.load_profile import expected
from agent.export.plan_highs import solve
from agent.export.plan_problem import Aim, Battery, Objective, Problem, Site, Slot
from agent.export.plan_rollout import Action
from agent.export.plan_slots import Outlook, slots
from agent.export.planner import make_plan
from agent.export.resting import Surplus, in_the_way
from benchmarks.planner_homes import SLOTS, Block

UTC_ZONE = ZoneInfo("UTC")
EXPORT_LIMIT_W = 3680.0
METER_WH = 10.0
_MINUTE_H = 1 / 60
_FLOOR, _RESERVE, _BEGIN = 0.04, 0.20, 0.50
_CHARGE_W = 3680.0
_OLD_MARGIN_WH = 500.0
WEAR = {Aim.MONEY: 0.01, Aim.CARBON: 5.0}


def battery_of(block: Block, stored_wh: float) -> Battery:
    """Return the battery of a home with this content."""
    capacity = block.home.capacity_wh
    return Battery(
        capacity,
        min(capacity, max(0.0, stored_wh)),
        floor_wh=_FLOOR * capacity,
        reserve_wh=_RESERVE * capacity,
        max_charge_w=_CHARGE_W,
        charge_efficiency=0.96,
        discharge_efficiency=0.96,
    )


@dataclass(slots=True)
class Command:
    """What the battery is told for a half hour."""

    action: Action = Action.SELF_CONSUMPTION
    export_w: float = 0.0
    """Discharge: wanted grid export."""
    battery_w: float = 0.0
    """Discharge by battery power, or charge power; used where `export_w` is 0."""
    most_wh: float = float("inf")
    """Export of this half hour after which it ends."""


@dataclass(slots=True)
class Life:
    """What happened."""

    bought_wh: list[float] = field(default_factory=list)
    """Each half hour."""
    sold_wh: list[float] = field(default_factory=list)
    discharged_wh: list[float] = field(default_factory=list)
    stored_wh: float = 0.0
    days_over: int = 0
    most_over_wh: float = 0.0
    cut_wh: float = 0.0
    """Export that was planned and not carried out, because the sun had not given it yet."""
    plan_ms: list[float] = field(default_factory=list)
    plan_cpu_ms: list[float] = field(default_factory=list)
    """The same as processor time: what other work on the machine does not change."""
    starts: int = 0
    """Commands of another kind than in the half hour before."""
    not_solved: int = 0
    """Plans that were not the solver's."""


@dataclass(slots=True)
class Now:
    """What a policy may look at, at the begin of a half hour."""

    slot: int
    stored_wh: float
    produced_wh: float
    exported_wh: float
    did: Action = Action.SELF_CONSUMPTION
    """What was commanded in the half hour before."""


Policy = Callable[[Block, Now, Life], Command]


def live(block: Block, policy: Policy, allowed: Callable[[Block, Now], float]) -> Life:
    """
    Return what happens when a policy commands the battery of a home.

    Args:
        block: the days.
        policy: asked at the begin of each half hour.
        allowed: energy in Wh that the day may have exported by now while a discharge goes on.
    """
    battery = battery_of(block, 0.0)
    life = Life(stored_wh=_BEGIN * battery.capacity_wh)
    now = Now(0, life.stored_wh, 0.0, 0.0)
    lately_w: deque[float] = deque(maxlen=int(WINDOW_S / 60))
    for slot in range((block.days - 1) * SLOTS):
        if slot % SLOTS == 0:
            now.produced_wh = now.exported_wh = 0.0
            over_wh = 0.0
        now.slot = slot
        command = policy(block, now, life)
        life.starts += command.action not in {now.did, Action.SELF_CONSUMPTION}
        now.did = command.action
        begun_wh, bought, sold, discharged = now.exported_wh, 0.0, 0.0, 0.0
        for minute in range(slot * 30, slot * 30 + 30):
            pv_w, load_w = block.pv_w[minute], block.load_w[minute]
            left_wh = allowed(block, now) + pv_w * _MINUTE_H - now.exported_wh
            left_wh = min(left_wh, command.most_wh - (now.exported_wh - begun_wh))
            lately_w.append(pv_w - load_w)
            here = Minute(Surplus(pv_w - load_w, max(lately_w)), now.stored_wh, left_wh)
            battery_w, cut_w = _power(battery, command, here)
            battery_w = min(battery_w, battery.ac_limit_w - pv_w)
            life.cut_wh += cut_w * _MINUTE_H
            grid_w = load_w - pv_w - battery_w
            loss = 1 / 0.96 if battery_w > 0 else 0.96
            now.stored_wh -= battery_w * _MINUTE_H * loss
            now.produced_wh += pv_w * _MINUTE_H
            now.exported_wh += max(0.0, -grid_w) * _MINUTE_H
            bought += max(0.0, grid_w) * _MINUTE_H
            sold += max(0.0, -grid_w) * _MINUTE_H
            discharged += max(0.0, battery_w) * _MINUTE_H
            over_wh = max(over_wh, now.exported_wh - now.produced_wh)
        life.bought_wh.append(bought)
        life.sold_wh.append(sold)
        life.discharged_wh.append(discharged)
        if slot % SLOTS == SLOTS - 1:
            life.days_over += over_wh > METER_WH
            life.most_over_wh = max(life.most_over_wh, over_wh)
    life.stored_wh = now.stored_wh
    return life


@dataclass(frozen=True, slots=True)
class Minute:
    """What the battery's power of one minute follows from, beside the command."""

    surplus: Surplus
    stored_wh: float
    left_wh: float
    """Export that the guard still allows."""


def _power(battery: Battery, command: Command, here: Minute) -> tuple[float, float]:
    """Return battery power, and the export that was wanted and not allowed."""
    surplus_w, stored_wh, left_wh = here.surplus.now_w, here.stored_wh, here.left_wh
    down_to = battery.reserve_wh if command.action is Action.DISCHARGE else battery.floor_wh
    usable_w = max(0.0, stored_wh - down_to) * 0.96 / _MINUTE_H
    above_floor_w = max(0.0, stored_wh - battery.floor_wh) * 0.96 / _MINUTE_H
    room_w = max(0.0, battery.capacity_wh - stored_wh) / 0.96 / _MINUTE_H
    most_w, least_w = min(5000.0, usable_w), -min(_CHARGE_W, room_w)
    alone_w = max(least_w, min(5000.0, above_floor_w, -surplus_w))
    if command.action in {Action.HOLD, Action.SHARE_SUN}:
        rests = _rests(battery, command, here)
        return max(least_w, -command.battery_w) if rests else alone_w, 0.0
    if command.action is Action.CHARGE:
        return max(least_w, -command.battery_w), 0.0
    if command.action is Action.DISCHARGE:
        wanted_w = command.export_w - surplus_w if command.export_w else command.battery_w
        wanted_w = min(wanted_w, EXPORT_LIMIT_W - surplus_w, most_w)
        given_w = min(wanted_w, max(0.0, left_wh) / _MINUTE_H - surplus_w)
        if given_w > alone_w:
            return given_w, wanted_w - given_w
        return alone_w, max(0.0, wanted_w - alone_w)
    return alone_w, 0.0


def _rests(battery: Battery, command: Command, here: Minute) -> bool:
    """Return True where the guard lets the battery rest."""
    shares = command.action is Action.SHARE_SUN
    if shares and here.stored_wh <= battery.reserve_wh:
        return False
    purpose = Purpose.SHARE_SUN if shares else Purpose.REST
    return in_the_way(purpose, command.battery_w, here.surplus, EXPORT_LIMIT_W) is None


def nobody(_block: Block, _now: Now, _life: Life) -> Command:
    """Self-consumption."""
    return Command()


def produced(_block: Block, now: Now) -> float:
    """Return what our guard allows: what the sun has given so far."""
    return now.produced_wh


def ours(aim: Aim, can_hold: bool = True) -> Policy:
    """Return our planner with this aim; with `can_hold` it may let the battery rest."""

    def policy(block: Block, now: Now, life: Life) -> Command:
        began = time.perf_counter(), time.process_time()
        step = _step(block, now, aim, life, can_hold)
        life.plan_ms.append((time.perf_counter() - began[0]) * 1000)
        life.plan_cpu_ms.append((time.process_time() - began[1]) * 1000)
        if step is None:
            return Command()
        action, battery_w, grid_w = step
        if action is Action.DISCHARGE:
            return Command(action, export_w=max(0.0, -grid_w))
        return Command(action, battery_w=abs(battery_w))

    return policy


def _step(
    block: Block, now: Now, aim: Aim, life: Life, can_hold: bool
) -> tuple[Action, float, float] | None:
    moment = block.begin_of(now.slot)
    buy, sell = block.known_prices(now.slot)
    until = moment + timedelta(hours=36)
    outlook = Outlook(
        block.pv_forecast(now.slot),
        expected(block.profile, moment, until, UTC_ZONE, None),
        block.carbon_forecast(now.slot),
        buy.repeated(until),
        sell.repeated(until),
    )
    site = Site(
        EXPORT_LIMIT_W,
        produced_wh=now.produced_wh,
        exported_wh=now.exported_wh,
        can_hold=can_hold,
    )
    problem = Problem(
        slots(outlook, moment, UTC_ZONE),
        battery_of(block, now.stored_wh),
        site,
        Objective(aim, WEAR[aim]),
        goes_on=now.did.value,
    )
    plan = make_plan(problem)
    life.not_solved += plan.reason.code not in {"solved", "nothing_better"}
    step = plan.step_at(moment)
    return None if step is None else (step.action, step.battery_w, step.grid_w)


def end_value(block: Block, aim: Aim) -> float:
    """Return what a kWh left in the battery is worth: what filling it costs on the day after."""
    after = slice((block.days - 1) * SLOTS, None)
    prices = block.carbon[after] if aim is Aim.CARBON else block.buy[after]
    return min(prices) / 0.96


def cost(block: Block, life: Life, aim: Aim, stored_value: float) -> float:
    """Return what a life cost, in g or GBP, wear included, less what is left in the battery."""
    total = 0.0
    for slot, bought in enumerate(life.bought_wh):
        buy = block.carbon[slot] if aim is Aim.CARBON else block.buy[slot]
        sell = block.carbon[slot] if aim is Aim.CARBON else block.sell[slot]
        total += (bought * buy - life.sold_wh[slot] * sell) / 1000
        total += life.discharged_wh[slot] / 1000 * WEAR[aim]
    return total - stored_value * life.stored_wh / 1000


def classic_allows(block: Block, now: Now) -> float:
    """Return what the old integration allows: the larger of production and forecast, and more."""
    return max(now.produced_wh, _forecast_wh(block, now.slot)) + _OLD_MARGIN_WH


def _forecast_wh(block: Block, slot: int) -> float:
    """Return the whole day's forecast as it stands: what was, and what is still expected."""
    day = slot // SLOTS * SLOTS
    issued = slot // 4 * 4
    past = sum(block.seen_pv_w[at] for at in range(day, max(day, issued)))
    begins, ends = block.begin_of(max(day, issued)), block.begin_of(day + SLOTS)
    return past / 2 + (block.pv_forecast(slot).energy_wh(begins, ends) or 0.0)


def classic(block: Block, now: Now, _life: Life) -> Command:
    """
    Return what the old integration does: export when the grid is dirtiest, charge when cleanest.

    Its windows are the defaults, the whole day for export and 00:00 to 06:00 for charge. Where
    both want the same half hour it ends with neither (D-10).
    """
    carbon = block.carbon_forecast(now.slot)
    day = now.slot // SLOTS
    today = range(now.slot, (day + 1) * SLOTS)

    def intensity(slot: int) -> float:
        found = carbon.at(block.begin_of(slot))
        return found.value if found else 0.0

    headroom_wh = classic_allows(block, now) - now.exported_wh
    dirtiest = sorted(today, key=intensity, reverse=True)
    discharge_wh = _share(now.slot, dirtiest, EXPORT_LIMIT_W / 2, headroom_wh)
    night = range(now.slot, day * SLOTS + 12)
    needed_wh = block.home.capacity_wh - now.stored_wh
    charge_wh = _share(now.slot, sorted(night, key=intensity), _CHARGE_W / 2, needed_wh)
    at_minimum = now.stored_wh <= _RESERVE * block.home.capacity_wh
    if discharge_wh > 0 and charge_wh > 0:
        return Command()
    if discharge_wh > 0 and not at_minimum:
        return Command(Action.DISCHARGE, battery_w=EXPORT_LIMIT_W, most_wh=discharge_wh)
    if charge_wh > 0:
        return Command(Action.CHARGE, battery_w=charge_wh * 2)
    return Command()


def _share(slot: int, ranked: list[int], most_wh: float, budget_wh: float) -> float:
    """Return what a greedy plan gives to one half hour when it fills them in this order."""
    for each in ranked:
        energy_wh = min(most_wh, budget_wh)
        if energy_wh <= 0:
            break
        if each == slot:
            return energy_wh
        budget_wh -= energy_wh
    return 0.0


def optimum(block: Block, aim: Aim, end_value: float, *, cumulative: bool) -> Life:
    """
    Return the best life of all, with everything known before.

    It may export as much as the day will give in all, also before the sun has given it, unless
    `cumulative`. Half hours are averages, so it is a little better than anything that lives
    through minutes.
    """
    made = []
    count = (block.days - 1) * SLOTS
    for slot in range(count):
        day = slot // SLOTS * SLOTS
        begins = block.begin_of(slot)
        whole_w = sum(block.mean_w(block.pv_w, at) for at in range(day, day + SLOTS))
        advance_w = whole_w if slot == day else 0.0
        pv_w = block.mean_w(block.pv_w, slot)
        made.append(
            Slot(
                begins,
                begins + timedelta(minutes=30),
                begins.date(),
                pv_w,
                block.mean_w(block.load_w, slot),
                block.buy[slot],
                block.sell[slot],
                block.carbon[slot],
                pv_low_w=None if cumulative else advance_w,
            )
        )
    battery = battery_of(block, _BEGIN * block.home.capacity_wh)
    site = Site(EXPORT_LIMIT_W, min_command_w=0.0, least_window_wh=0.0, can_hold=True)
    problem = Problem(
        tuple(made), battery, site, Objective(aim, WEAR[aim], end_value_per_kwh=end_value)
    )
    # The search stops a thousandth short of its end, so now and then the quick way is better.
    made_by = (solve, partial(solve, exact=True))
    plans = [make_plan(problem, solver=each, time_limit_s=60.0) for each in made_by]
    plan = max(plans, key=lambda each: each.gain)
    if plan.reason.code != "solved":
        raise RuntimeError(f"there is no optimum to compare with: {plan.reason.text}")
    life = Life(stored_wh=plan.steps[-1].stored_wh)
    for step in plan.steps:
        life.bought_wh.append(max(0.0, step.grid_w) / 2)
        life.sold_wh.append(max(0.0, -step.grid_w) / 2)
        life.discharged_wh.append(max(0.0, step.battery_w) / 2)
    return life
