"""
What a campaign does next, from its lines, its jobs and the fleet as it is now.

Batches go in step: those that begin together are all seen through before the next begin. So what
a bad release can reach is the size of one batch, and the same bridges are reached however often
the agent is restarted. A bridge that is offline or was failed by the network does not hold a
batch; it waits for its time, and after the deadline it is given up.

Pure functions.

Source: signing.md 6.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from agent.firmware.campaign.calendar import may_begin, next_opening
from agent.firmware.campaign.models import (
    FINAL,
    Act,
    Attempt,
    Begin,
    CampaignState,
    Cancel,
    Entrant,
    Finish,
    Open,
    Place,
    Plan,
    Sleep,
    Standing,
    Status,
    Stop,
    World,
)
from agent.firmware.campaign.order import (
    next_wave,
    ordered,
    soaks,
    stage_end,
    stops,
)
from agent.firmware.job.models import Blame, Result
from agent.firmware.manifest.rollout import due_share, wave_position
from agent.fleet.identity import Mac, written

RETRY = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""After the first, second and third failure of the network."""
BOX = timedelta(hours=24)
"""After the third retry has failed too; then it begins again."""
HELD_BACK_AGAIN = timedelta(hours=1)
CANCELLED = "cancelled"


def next_acts(
    state: CampaignState, attempts: Iterable[Attempt], world: World, now: datetime
) -> tuple[Act, ...]:
    """
    Return what is to be done now; several acts can be done in any order.

    Args:
        state: the campaign, by its lines.
        attempts: its jobs, the oldest first.
        world: the fleet at this moment.
        now: aware.
    """
    if state.status is Status.FINISHED:
        return ()
    told = tuple(attempts)
    places = standings(state.plan, told, now)
    running = [it for it in told if it.result is None]
    if ending := _ending(state, places, running):
        return ending
    if why := _stopped(state, places, world):
        return (Stop(why),)
    if missing := _not_begun(state, told):
        # Of a batch that the agent's end has cut short, who is left waits as everybody does.
        held = _shut(state.plan, world, now)
        return (held,) if held else tuple(Begin(it) for it in missing)
    if running:
        return (Sleep(None, f"{len(running)} under way."),)
    return _open(state, places, world, now)


def _ending(
    state: CampaignState, places: Mapping[Mac, Place], running: list[Attempt]
) -> tuple[Act, ...]:
    """Return what a campaign does that is over or does not run, nothing if it goes on."""
    if state.status is Status.ABORTED and running:
        return (*(Cancel(it.job) for it in running), Sleep(None, "The last jobs end."))
    over = all(it.standing in FINAL for it in places.values()) and not running
    if over or state.status is Status.ABORTED:
        return (Finish(summary(places)),)
    return () if state.status is Status.RUNNING else (Sleep(None, state.text),)


def standings(plan: Plan, attempts: Iterable[Attempt], now: datetime) -> Mapping[Mac, Place]:
    """Return how each bridge stands, in the order in which they begin."""
    of: dict[Mac, list[Attempt]] = {}
    for each in attempts:
        of.setdefault(each.mac, []).append(each)
    members = ordered(plan.members, plan.manifest_sha256)
    return {it.mac: _place(plan, of.get(it.mac, []), now) for it in members}


def failures(state: CampaignState, places: Mapping[Mac, Place]) -> frozenset[Mac]:
    """Return the bridges that failed by the release and that nobody has accepted."""
    failed = {mac for mac, it in places.items() if it.standing is Standing.FAILED}
    return frozenset(failed - state.accepted)


def summary(places: Mapping[Mac, Place]) -> str:
    """Return how many came to which end, for people."""
    counts = {it: sum(at.standing is it for at in places.values()) for it in Standing}
    told = (f"{number} {each.replace('_', ' ')}" for each, number in counts.items() if number)
    return f"{', '.join(told)}."


def _place(plan: Plan, attempts: list[Attempt], now: datetime) -> Place:
    number = len(attempts)
    last = attempts[-1] if attempts else None
    if last is None:
        return _before_deadline(plan, now, Place(Standing.READY))
    if last.result is None or last.ended_at is None:
        return Place(Standing.RUNNING, attempts=number)
    if end := _final(last):
        return Place(end, attempts=number, ended_at=last.ended_at)
    standing, until = Standing.RESTING, last.ended_at + HELD_BACK_AGAIN
    if last.blame is Blame.NETWORK:
        failed = sum(it.blame is Blame.NETWORK for it in attempts) % (len(RETRY) + 1)
        standing = Standing.RESTING if failed else Standing.BOXED
        until = last.ended_at + (RETRY[failed - 1] if failed else BOX)
    if until <= now:
        return _before_deadline(plan, now, Place(Standing.READY, None, number, last.ended_at))
    return _before_deadline(plan, now, Place(standing, until, number, last.ended_at))


def _final(last: Attempt) -> Standing | None:
    if last.result is Result.CONFIRMED:
        return Standing.CONFIRMED
    if last.code == CANCELLED:
        return Standing.LEFT_OUT
    return None if last.blame in {Blame.NETWORK, Blame.HELD_BACK} else Standing.FAILED


def _before_deadline(plan: Plan, now: datetime, place: Place) -> Place:
    if now >= plan.planned_at + plan.deadline:
        return Place(Standing.GIVEN_UP, None, place.attempts, place.ended_at)
    return place


def _stopped(state: CampaignState, places: Mapping[Mac, Place], world: World) -> str:
    """Return why nothing more may begin until a person has looked, "" if it may."""
    if state.plan.release.digest in world.brakes.revoked:
        return f"The publisher has revoked this image. {world.brakes.reason}".strip()
    failed = failures(state, places)
    if stops(_done(places), len(failed)):
        who = ", ".join(written(it) for it in sorted(failed)[:5])
        text = f"{len(failed)} of {_done(places)} failed: {who}."
        return f"{text} Look at them, then resume or abort."
    return ""


def _done(places: Mapping[Mac, Place]) -> int:
    return sum(it.standing in {Standing.CONFIRMED, Standing.FAILED} for it in places.values())


def _not_begun(state: CampaignState, attempts: tuple[Attempt, ...]) -> list[Entrant]:
    begun = {(it.mac, it.number) for it in attempts}
    return [it for it in state.batch if (it.mac, it.attempt) not in begun]


def _open(
    state: CampaignState, places: Mapping[Mac, Place], world: World, now: datetime
) -> tuple[Act, ...]:
    plan, done = state.plan, _done(places)
    if held := _held(plan, places, world, now):
        return (held,)
    if soaks(done):
        gone = _missing(state, places, world)
        if gone:
            who = ", ".join(written(it) for it in sorted(gone)[:5])
            text = f"Confirmed, and not there any more: {who}."
            return (Stop(f"{text} Look at them, then resume or abort."),)
    due = 1.0
    if plan.automatic and plan.released is not None:
        due = due_share(plan.waves, plan.released, now)
    ready = [
        mac
        for mac, it in places.items()
        if it.standing is Standing.READY
        and mac in world.online
        and mac not in world.locked
        and (due >= 1.0 or wave_position(mac, plan.manifest_sha256) < due)
    ]
    room = max(0, min(plan.parallel, stage_end(done) - done))
    if batch := tuple(Entrant(mac, places[mac].attempts + 1) for mac in ready[:room]):
        return (Open(batch),)
    return (Sleep(_next_change(plan, places, now), _why_idle(places, world)),)


def _held(plan: Plan, places: Mapping[Mac, Place], world: World, now: datetime) -> Sleep | None:
    """Return what keeps the next batch from beginning now, `None` if nothing does."""
    done = _done(places)
    if soaks(done):
        ends = [it.ended_at for it in places.values() if it.ended_at and it.standing in FINAL]
        until = max(ends) + timedelta(seconds=plan.soak_s)
        if now < until:
            return Sleep(until, f"{done} are updated and watched for a while before the next.")
    return _shut(plan, world, now)


def _shut(plan: Plan, world: World, now: datetime) -> Sleep | None:
    """Return why nobody at all may begin now, `None` if one may."""
    if world.brakes.paused:
        return Sleep(None, f"The publisher has paused this channel. {world.brakes.reason}".strip())
    if not may_begin(plan.calendar, now, world.zone):
        until_window = next_opening(plan.calendar, now, world.zone)
        return Sleep(until_window, "It waits for its window.")
    if plan.calendar.not_while_producing and world.producing is not False:
        return Sleep(None, "It waits until the inverter does not produce.")
    return None


def _missing(state: CampaignState, places: Mapping[Mac, Place], world: World) -> frozenset[Mac]:
    well = {mac for mac, it in places.items() if it.standing is Standing.CONFIRMED}
    return frozenset((well & world.gone) - state.accepted)


def _next_change(plan: Plan, places: Mapping[Mac, Place], now: datetime) -> datetime | None:
    moments = [it.until for it in places.values() if it.until is not None]
    moments.append(plan.planned_at + plan.deadline)
    if plan.automatic and (wave := next_wave(plan.waves, plan.released, now)):
        moments.append(wave)
    return min((it for it in moments if it > now), default=None)


def _why_idle(places: Mapping[Mac, Place], world: World) -> str:
    waiting = [mac for mac, it in places.items() if it.standing not in FINAL]
    offline = sum(mac not in world.online for mac in waiting)
    return f"{len(waiting)} wait; {offline} of them are not connected."
