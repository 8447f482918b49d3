"""
Campaigns out of their lines in the journal.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

from agent.firmware.campaign.models import (
    Calendar,
    CampaignState,
    Entrant,
    Member,
    Plan,
    Status,
    Window,
)
from agent.firmware.job.models import ReleaseRef
from agent.firmware.manifest.models import Wave
from agent.fleet.identity import Mac, mac_of

Campaigns = Mapping[str, CampaignState]
OVER = frozenset({Status.FINISHED})


class LineError(ValueError):
    """A line that does not fit its campaign; its text says what and where."""


def replay(lines: Iterable[tuple[datetime, Mapping[str, Any]]]) -> Campaigns:
    """
    Return the campaigns of the journal; a line that cannot be read is left out.

    Args:
        lines: time and data of every event of the kind `flash_campaign`, oldest first.
    """
    found: Campaigns = MappingProxyType({})
    for at, data in lines:
        try:
            found = after(found, at, data)
        except (LineError, KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def after(campaigns: Campaigns, at: datetime, data: Mapping[str, Any]) -> Campaigns:
    """
    Return the campaigns after one more line.

    Raises:
        LineError: the line is of no campaign that is known, or of one that is over.
    """
    name = str(data["campaign"])
    old = campaigns.get(name)
    if data["line"] == "planned":
        if old is not None:
            raise LineError(f"campaign {name} is planned twice")
        now = CampaignState(_plan(data["plan"]))
    elif old is None or old.status in OVER:
        raise LineError(f"line {data['line']} of campaign {name}, which is not under way")
    else:
        now = _moved(old, at, data)
    return MappingProxyType({**campaigns, name: now})


def _moved(old: CampaignState, at: datetime, data: Mapping[str, Any]) -> CampaignState:
    text = str(data.get("text", ""))
    match data["line"]:
        case "batch":
            batch = tuple(Entrant(_mac(it["mac"]), int(it["attempt"])) for it in data["batch"])
            return replace(old, batch=batch)
        case "paused" | "stopped" | "aborted" as what:
            if old.status is Status.ABORTED:
                raise LineError(f"campaign {old.plan.id} is aborted and cannot be {what}")
            return replace(old, status=Status(what), text=text)
        case "resumed":
            if old.status is Status.ABORTED:
                raise LineError(f"campaign {old.plan.id} is aborted and cannot be resumed")
            accepted = old.accepted | {_mac(it) for it in data["accepted"]}
            return replace(old, status=Status.RUNNING, text=text, accepted=accepted)
        case "finished":
            return replace(old, status=Status.FINISHED, text=text, ended_at=at)
        case other:
            raise LineError(f"campaign {old.plan.id} has a line {other!r}, which nobody knows")


def planned(plan: Plan) -> dict[str, object]:
    """Return the first line of a campaign."""
    calendar = plan.calendar
    told = {
        **asdict(plan),
        "planned_at": plan.planned_at.isoformat(),
        "released": plan.released.isoformat() if plan.released else None,
        "deadline": plan.deadline.total_seconds(),
        "calendar": {
            "windows": [
                {
                    "begins": it.begins.isoformat(),
                    "ends": it.ends.isoformat(),
                    "days": sorted(it.days),
                }
                for it in calendar.windows
            ],
            "blackout": sorted(it.isoformat() for it in calendar.blackout),
            "not_while_producing": calendar.not_while_producing,
        },
    }
    return {"campaign": plan.id, "line": "planned", "plan": told}


def batch(campaign: str, entrants: tuple[Entrant, ...]) -> dict[str, object]:
    """Return the line on who begins."""
    told = [{"mac": it.mac, "attempt": it.attempt} for it in entrants]
    return {"campaign": campaign, "line": "batch", "batch": told}


def word(campaign: str, what: str, text: str, by: str = "") -> dict[str, object]:
    """Return the line on a pause, a stop, an abort or the end."""
    return {"campaign": campaign, "line": what, "text": text, "by": by}


def resumed(campaign: str, by: str, accepted: frozenset[Mac]) -> dict[str, object]:
    """Return the line on somebody's wish to go on in spite of these failures."""
    return {"campaign": campaign, "line": "resumed", "by": by, "accepted": sorted(accepted)}


def _plan(data: Mapping[str, Any]) -> Plan:
    release = {**data["release"], "expect_entities": tuple(data["release"]["expect_entities"])}
    released = data["released"]
    told = {
        **data,
        "release": ReleaseRef(**release),
        "members": tuple(Member(_mac(it["mac"]), bool(it["canary"])) for it in data["members"]),
        "planned_at": datetime.fromisoformat(data["planned_at"]),
        "released": datetime.fromisoformat(released) if released else None,
        "deadline": timedelta(seconds=float(data["deadline"])),
        "waves": tuple(Wave(float(it["after_h"]), float(it["share"])) for it in data["waves"]),
        "acks": tuple(data["acks"]),
        "calendar": _calendar(data["calendar"]),
    }
    return Plan(**told)


def _calendar(data: Mapping[str, Any]) -> Calendar:
    windows = tuple(
        Window(
            time.fromisoformat(it["begins"]),
            time.fromisoformat(it["ends"]),
            frozenset(map(int, it["days"])),
        )
        for it in data["windows"]
    )
    blackout = frozenset(map(date.fromisoformat, data["blackout"]))
    return Calendar(windows, blackout, bool(data["not_while_producing"]))


def _mac(text: str) -> Mac:
    mac = mac_of(text)
    if mac is None:
        raise LineError(f"{text!r} is no MAC")
    return mac
