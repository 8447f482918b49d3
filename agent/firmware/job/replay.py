"""
Jobs out of their lines: the journal is the only memory of a flash, and this is how it is read.

The same fold makes a job's state while it runs and after a restart. From all jobs together follow
the locks: a bridge is locked while it has an open job, a place among those under way is taken
while a job has left `init` and has no verdict. Nothing is ever left behind, because nothing is
kept beside the jobs. A line that cannot be read is skipped and counted: one bad line must not take
the others' locks away, nor keep the agent from starting.

Pure functions.

Source: pvautonomy.md, defects D-09, D-19, D-20 and 8 items 3 and 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from agent.firmware.job.models import (
    BEGINS,
    ORDER,
    Blame,
    BuildId,
    How,
    JobState,
    Line,
    ReleaseRef,
    Request,
    Result,
    Stage,
    UploadEnd,
    Verdict,
    Way,
)
from agent.firmware.job.watch import Mark
from agent.fleet.identity import Mac, mac_of, written


class LineError(ValueError):
    """A line that does not fit its job; its text says what and where."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs that the journal knows."""

    by_id: Mapping[str, JobState] = field(default_factory=lambda: MappingProxyType({}))
    """In the order in which they were asked for."""
    unread: int = 0
    """Lines that could not be read."""

    @property
    def open(self) -> tuple[JobState, ...]:
        """Return the jobs without a verdict, the oldest first."""
        return tuple(it for it in self.by_id.values() if it.open)

    @property
    def flashing(self) -> frozenset[Mac]:
        """Return the bridges that the guard has to treat as gone."""
        return frozenset(it.mac for it in self.open if it.holds_slot)

    @property
    def on_trial(self) -> frozenset[Mac]:
        """Return the bridges that must not be restarted."""
        return frozenset(it.mac for it in self.open if it.on_trial)

    def lock(self, mac: Mac) -> JobState | None:
        """Return the job that holds this bridge, `None` if nobody does."""
        return next((it for it in self.open if it.mac == mac), None)

    def turn(self, job: str, places: int) -> bool:
        """Return whether a job that waits may begin: the oldest first, `places` at once."""
        taken = sum(it.holds_slot for it in self.open)
        waiting = [it.id for it in self.open if not it.holds_slot]
        return job in waiting[: max(0, places - taken)]

    def confirmed(self, mac: Mac) -> tuple[JobState, ...]:
        """Return the confirmed jobs of a bridge, the newest first."""
        found = (it for it in self.by_id.values() if it.mac == mac and it.verdict)
        well = [it for it in found if it.verdict and it.verdict.result is Result.CONFIRMED]
        return tuple(reversed(well))

    def floor(self, mac: Mac) -> int:
        """Return the device floor: the highest rollback index confirmed on the bridge."""
        return max((it.request.release.rollback_index for it in self.confirmed(mac)), default=0)

    def runs(self, mac: Mac) -> ReleaseRef | None:
        """Return the release that was confirmed last, `None` if we flashed none."""
        return next((it.request.release for it in self.confirmed(mac)), None)

    def before(self, mac: Mac) -> ReleaseRef | None:
        """
        Return the release to go back to over the air, `None` if none is known.

        It is the one confirmed last where a later one has left the bridge in a state that nobody
        knows, and else the confirmed one of another image before that.
        """
        now = next((it.request.release for it in self._over_air(mac)), None)
        tried = [it for it in self.by_id.values() if it.mac == mac and it.upload_began]
        last = tried[-1] if tried else None
        if last and last.verdict and last.verdict.result in {Result.LOST, Result.AMBIGUOUS}:
            return now
        if self.confirmed(mac)[:1] != tuple(self._over_air(mac)[:1]):
            return now  # what came by the cable since cannot go back by itself
        others = (it.request.release for it in self._over_air(mac))
        return next((it for it in others if now and it.digest != now.digest), None)

    def _over_air(self, mac: Mac) -> list[JobState]:
        """Return the confirmed ones that can be put back: a factory image needs the cable."""
        return [it for it in self.confirmed(mac) if it.request.way == Way.OTA]

    @property
    def needs_flashing(self) -> frozenset[Mac]:
        """Return the bridges that a write over the cable has left without a whole firmware."""
        found: set[Mac] = set()
        for it in self.by_id.values():
            result = it.verdict.result if it.verdict else None
            if result is Result.CONFIRMED:
                found.discard(it.mac)
            # Until its verdict nobody knows; one that wrote nothing leaves an older mark.
            began = it.request.way == Way.SERIAL and it.upload_began
            if began and result in {None, Result.LOST}:
                found.add(it.mac)
        return frozenset(found)

    def keep(self) -> frozenset[str]:
        """Return the digests that the store must not let go: what runs, what was before, open."""
        macs = {it.mac for it in self.by_id.values()}
        refs = [ref for mac in macs for ref in (self.runs(mac), self.before(mac)) if ref]
        return frozenset(
            [ref.digest for ref in refs] + [it.request.release.digest for it in self.open]
        )


def replay(lines: Iterable[tuple[datetime, Mapping[str, Any]]]) -> Jobs:
    """
    Return the jobs of the journal.

    Args:
        lines: time and data of every event of the kind `flash_job`, oldest first.
    """
    by_id: dict[str, JobState] = {}
    unread = 0
    for at, data in lines:
        try:
            now = _told(by_id, at, data)
        except (LineError, KeyError, TypeError, ValueError, AttributeError):
            unread += 1
        else:
            by_id[now.id] = now
    return Jobs(MappingProxyType(by_id), unread)


def after(jobs: Jobs, at: datetime, data: Mapping[str, Any]) -> Jobs:
    """
    Return the jobs after one more line.

    Raises:
        LineError: the line is of no job that is known, or would take a job back.
    """
    now = _told(jobs.by_id, at, data)
    return replace(jobs, by_id=MappingProxyType({**jobs.by_id, now.id: now}))


def _told(by_id: Mapping[str, JobState], at: datetime, data: Mapping[str, Any]) -> JobState:
    """Return the job of a line after it."""
    job = str(data["job"])
    old = by_id.get(job)
    if data["line"] == "asked":
        if old is not None:
            raise LineError(f"job {job} is asked for twice")
        return JobState(job, _request(data["request"]), Stage.INIT, at)
    if old is None:
        raise LineError(f"line {data['line']} of job {job}, which nobody asked for")
    return _moved(old, at, data)


def _moved(old: JobState, at: datetime, data: Mapping[str, Any]) -> JobState:
    if not old.open:
        raise LineError(f"job {old.id} has ended, and goes on with {data['line']}")
    match data["line"]:
        case "stage":
            return _entered(old, at, data)
        case "uploaded":
            return replace(old, upload=_upload_end(data["upload"]))
        case "seen":
            return replace(old, marks=old.marks | {Mark(data["mark"])})
        case "cancelled":
            return replace(old, cancelled_by=str(data["by"]))
        case other:
            raise LineError(f"job {old.id} has a line {other!r}, which this version does not know")


def _entered(old: JobState, at: datetime, data: Mapping[str, Any]) -> JobState:
    stage = Stage(data["stage"])
    order = ORDER[Way(old.request.way)]
    if order.index(stage) <= order.index(old.stage):
        raise LineError(f"job {old.id} would go back from {old.stage} to {stage}")
    now = replace(old, stage=stage)
    if stage in BEGINS:
        now = replace(now, upload_began=True, from_safe_mode=data.get("safe_mode") is True)
    if data.get("before"):
        now = replace(now, before=build_of(data["before"]))
    if data.get("upload"):
        now = replace(now, upload=_upload_end(data["upload"]))
    if data.get("verdict"):
        failed_in = old.stage if stage is Stage.FAILED else None
        return replace(now, verdict=_verdict(data["verdict"]), ended_at=at, failed_in=failed_in)
    return now


def asked(job: str, request: Request) -> Line:
    """Return the first line of a job."""
    told = asdict(request)
    return Line(job, "asked", {"request": {**told, "mac": written(request.mac)}})


def uploaded(job: str, end: UploadEnd) -> Line:
    """Return the line on how the upload ended."""
    return Line(job, "uploaded", {"upload": {**asdict(end), "how": str(end.how)}})


def seen(job: str, mark: Mark, text: str) -> Line:
    """Return the line on something that was seen of the bridge."""
    return Line(job, "seen", {"mark": str(mark), "text": text})


def cancelled(job: str, by: str) -> Line:
    """Return the line on somebody's wish to end it."""
    return Line(job, "cancelled", {"by": by})


def ended(job: str, verdict: Verdict) -> Line:
    """Return the last line of a job."""
    told = {
        **asdict(verdict),
        "result": str(verdict.result),
        "blame": str(verdict.blame),
        "evidence": list(verdict.evidence),
    }
    return Line(job, "stage", {"stage": str(verdict.stage), "verdict": told, "text": verdict.text})


def data_of(line: Line) -> dict[str, object]:
    """Return what of a line goes into the journal."""
    return {"job": line.job, "line": line.what, **line.data}


def build_of(data: Mapping[str, Any] | None) -> BuildId | None:
    """Return the build that a line holds."""
    return BuildId(data["project"], data["version"], data.get("built")) if data else None


def _request(data: Mapping[str, Any]) -> Request:
    mac = mac_of(data["mac"])
    if mac is None:
        raise LineError(f"{data['mac']!r} is no MAC")
    release = dict(data["release"])
    release["expect_entities"] = tuple(release.get("expect_entities", ()))
    told = {**data, "mac": mac, "release": ReleaseRef(**release), "acks": tuple(data["acks"])}
    return Request(**told)


def _upload_end(data: Mapping[str, Any]) -> UploadEnd:
    return UploadEnd(
        How(data["how"]), str(data["text"]), str(data["code"]), bool(data.get("network"))
    )


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        Result(data["result"]),
        str(data["text"]),
        tuple(map(str, data["evidence"])),
        Blame(data["blame"]),
        str(data["code"]),
    )
