"""
Jobs and campaigns in the words of page, entities and contract.

Pure functions; what devices and people said is passed on as text, and the page sets it as text.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.firmware.campaign.models import Place, Standing
from agent.firmware.campaign.runner import CampaignView
from agent.firmware.job.models import JobState, Result, Stage, Way
from agent.firmware.job.progress import Progress
from agent.firmware.job.runner import JobsView
from agent.fleet.identity import Mac, written
from agent.fleet.operations import Op, Operation, OpState
from agent.surface.flash_view import BridgeFlash
from agent.surface.fleet_view import iso
from agent.surface.shown import CampaignView as CampaignShown
from agent.surface.shown import JobView, MemberView

MOST_JOBS = 50
MOST_CAMPAIGNS = 5
NEXT_STEPS = {
    Result.CONFIRMED: "",
    Result.ROLLED_BACK: "It runs its old firmware. Tell the publisher what its log says, and do "
    "not install this release again.",
    Result.UNCHANGED: "It runs what it ran before. Clear what stood in the way, and install again.",
    Result.LOST: "Look whether it has power and Wi-Fi. If it stays away, it needs a cable.",
    Result.AMBIGUOUS: "Look at the bridge and its log; then install again, or go back.",
}
"""What a person does after each verdict."""
CABLE_STEPS = {
    Result.UNCHANGED: "Nothing was written. Clear what stood in the way, and write it again.",
    Result.LOST: "Leave it plugged in, and write the release again.",
    Result.AMBIGUOUS: "Look whether it appears among the bridges; else write the release again.",
}
"""Where it was written over the cable."""


def next_step_of(state: JobState) -> str:
    """Return what a person does after a verdict, "" while there is none or nothing to do."""
    if state.verdict is None:
        return ""
    result = state.verdict.result
    by_cable = state.request.way == Way.SERIAL
    return CABLE_STEPS.get(result, "") if by_cable else NEXT_STEPS[result]


def newest(view: JobsView) -> Mapping[Mac, JobState]:
    """Return the newest job of each bridge."""
    return {it.mac: it for it in view.jobs.by_id.values()}


def bridge_flash(state: JobState, progress: Progress | None) -> BridgeFlash:
    """Return a job as entities show it."""
    verdict, release = state.verdict, state.request.release
    done = 100 if state.stage is Stage.COMPLETE else 0
    return BridgeFlash(
        job=state.id,
        stage=state.stage.value,
        version=release.version,
        percent=int(progress.percent) if progress else done,
        running=state.open,
        result=verdict.result.value if verdict else None,
        text=verdict.text if verdict else progress.text if progress else "",
        next_step=next_step_of(state),
        sent=state.upload_began,
        by_cable=state.request.way == Way.SERIAL,
        cancelled=bool(state.cancelled_by),
    )


def operation_of(state: JobState, progress: Progress | None) -> Operation:
    """Return a job as an operation of the old contract."""
    verdict = state.verdict
    well = verdict is not None and verdict.result is Result.CONFIRMED
    ended = OpState.SUCCESS if well else OpState.FAILED
    shown = bridge_flash(state, progress)
    held_back = verdict is not None and not well and not state.upload_began
    words = "success" if well else "blocked" if held_back else "failed"
    return Operation(
        op=Op.FLASH,
        state=ended if verdict else OpState.RUNNING,
        started=state.asked_at,
        finished=state.ended_at,
        target=state.mac,
        progress_percent=float(shown.percent),
        result=words if verdict else None,
        error=verdict.text if verdict and not well else None,
        details={"stage": shown.stage, "version": shown.version},
    )


def jobs_json(view: JobsView, titles: Mapping[Mac, str]) -> list[JobView]:
    """Return the open jobs and the newest ended ones, the newest first."""
    jobs = list(view.jobs.by_id.values())
    ended = [it for it in jobs if not it.open][-MOST_JOBS:]
    shown = {it.id for it in ended} | {it.id for it in view.jobs.open}
    return [
        _job(it, view.progress.get(it.id), titles.get(it.mac, written(it.mac)))
        for it in reversed(jobs)
        if it.id in shown
    ]


def _job(state: JobState, progress: Progress | None, title: str) -> JobView:
    request, verdict, end = state.request, state.verdict, state.upload
    shown = bridge_flash(state, progress)
    rate, left_s = (progress.rate_bytes_s, progress.left_s) if progress else (None, None)
    return {
        "job": state.id,
        "way": str(request.way),
        "port": request.port,
        "mac": written(state.mac),
        "title": title,
        "project": request.release.project,
        "version": request.release.version,
        "before": str(state.before) if state.before else "",
        "stage": shown.stage,
        "failed_in": state.failed_in.value if state.failed_in else None,
        "open": state.open,
        "percent": shown.percent,
        "text": shown.text,
        "rate_bytes_s": None if rate is None else round(rate),
        "left_s": None if left_s is None else round(left_s),
        "by": request.by,
        "acks": list(request.acks),
        "goes_back": request.goes_back,
        "campaign": request.campaign,
        "asked": iso(state.asked_at),
        "ended": iso(state.ended_at),
        "sent": state.upload_began,
        "writes": state.writes,
        "may_cancel": state.open and not state.upload_began and not state.cancelled_by,
        "upload": end.text if end else "",
        "result": shown.result,
        "code": verdict.code if verdict else "",
        "evidence": list(verdict.evidence) if verdict else [],
        "next_step": shown.next_step,
    }


def campaigns_json(
    views: Mapping[str, CampaignView], titles: Mapping[Mac, str]
) -> list[CampaignShown]:
    """Return the newest campaigns, the newest first."""
    return [_campaign(it, titles) for it in list(views.values())[-MOST_CAMPAIGNS:][::-1]]


def _campaign(view: CampaignView, titles: Mapping[Mac, str]) -> CampaignShown:
    state, plan = view.state, view.state.plan
    counts = {it.value: 0 for it in Standing}
    for place in view.places.values():
        counts[place.standing.value] += 1
    canaries = {it.mac for it in plan.members if it.canary}
    return {
        "campaign": plan.id,
        "project": plan.release.project,
        "version": plan.release.version,
        "status": state.status.value,
        "why": view.why,
        "by": plan.by,
        "planned": iso(plan.planned_at),
        "parallel": plan.parallel,
        "counts": counts,
        "members": [
            _member(mac, place, titles, canary=mac in canaries)
            for mac, place in view.places.items()
        ],
    }


def _member(mac: Mac, place: Place, titles: Mapping[Mac, str], *, canary: bool) -> MemberView:
    return {
        "mac": written(mac),
        "title": titles.get(mac, written(mac)),
        "canary": canary,
        "standing": place.standing.value,
        "until": iso(place.until),
        "attempts": place.attempts,
    }
