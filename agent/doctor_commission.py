"""
The commissioning test from the command line, by the running agent's own API.

Only the running agent may write the inverter, so this asks it, shows what it says, and prints what
it found in the doctor's table. Without an agent nothing is written; the report says how to get one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp

from agent.doctor_facts import Finding, Verdict, failure, ok
from agent.doctor_report import Report
from agent.export.requests import RequestKind
from agent.surface.web.auth import WRITE_HEADER, WRITE_HEADER_VALUE
from agent.surface.web.once import ONCE_HEADER

LONGEST_S = 900.0
LOOK_EVERY_S = 1.0
_ANSWER_S = 10.0
_CODE, _TITLE = "commissioning", "Commissioning"
_TITLES = {
    "timer": "Timer",
    "battery_power": "Battery power",
    "grid_power": "Grid power",
    "pv_power": "PV power",
    "soc": "State of charge",
    "gain": "Delivered power",
    "shared_bus": "Other masters",
    "exported_counter": "Export counter",
    "rewrite": "Renewal",
    "strong_power": "Stronger power",
    "dispatch": "Dispatch",
}
_FIGURES = {
    "dead_s": "dead time {:.1f} s",
    "delay_s": "full power after {:.1f} s",
    "exit_lag_s": "end {:.1f} s late",
    "gain": "gain {:.2f}",
    "counter_lag_s": "export counter {:.0f} s late",
}
Progress = Callable[[str, float], None]


class _EndedError(Exception):
    """There is no test to show; what it says goes into the report."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


async def commissioned(url: str, progress: Progress, *, full: bool = False) -> Report:
    """
    Have the agent at this address run its commissioning test, and return what came of it.

    Args:
        url: of the agent's page, without a path.
        progress: takes what the test says, and how far it is in percent.
        full: also the second part.
    """
    began_s = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    headers = {WRITE_HEADER: WRITE_HEADER_VALUE}
    try:
        async with (
            asyncio.timeout(LONGEST_S),
            aiohttp.ClientSession(url.rstrip("/") + "/", timeout=timeout, headers=headers) as http,
        ):
            findings = await _run(http, progress, full=full)
    except _EndedError as error:
        findings = (error.finding,)
    except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
        findings = (_unreached(url, error),)
    return Report(findings, datetime.now(UTC), time.monotonic() - began_s)


async def _run(
    http: aiohttp.ClientSession, progress: Progress, *, full: bool
) -> tuple[Finding, ...]:
    kind = RequestKind.COMMISSION_FULL if full else RequestKind.COMMISSION
    once = {ONCE_HEADER: uuid4().hex}
    async with http.post("api/requests", json={"kind": kind.value}, headers=once) as response:
        answer = await _object(response)
    if not answer.get("accepted"):
        raise _EndedError(failure(_CODE, _TITLE, f"Refused: {answer.get('text')}", _REFUSED))
    progress(str(answer.get("text")), 0.0)
    while True:
        async with http.get("api/state") as response:
            test = (await _object(response)).get("commissioning") or {}
        if not test.get("running"):
            return findings_of(test)
        progress(str(test.get("text")), float(test.get("progress_percent") or 0.0))
        await asyncio.sleep(LOOK_EVERY_S)


async def _object(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        body = json.loads(await response.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = f"{response.url.origin()} answered, but not as an agent does."
        raise _EndedError(failure(_CODE, _TITLE, text, "Give the agent's address with --agent."))
    return body


def findings_of(test: dict[str, Any]) -> tuple[Finding, ...]:
    """Return a finished test, as `/api/state` shows it, in the words of the doctor."""
    figures = [
        words.format(test[name]) for name, words in _FIGURES.items() if test.get(name) is not None
    ]
    told = f"{test.get('text')}" + (f" Measured: {', '.join(figures)}." if figures else "")
    whole = (
        ok(_CODE, _TITLE, told)
        if test.get("passed")
        else failure(_CODE, _TITLE, told, "Control stays locked until the test has passed.")
    )
    return (whole, *(_finding(check) for check in test.get("checks") or ()))


def _finding(check: dict[str, Any]) -> Finding:
    code, text = str(check.get("code")), str(check.get("text"))
    title, step = _TITLES.get(code, code), str(check.get("next_step") or "")
    match check.get("verdict"):
        case "passed":
            return Finding(code, title, Verdict.OK, text, step)
        case "failed":
            return failure(code, title, text, step)
        case _:
            return Finding(code, title, Verdict.SKIPPED, text, step)


def _unreached(url: str, error: Exception) -> Finding:
    why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or "no answer"
    return failure(
        _CODE,
        _TITLE,
        f"No agent answers at {url} ({why}); nothing was written.",
        "Start it with `python -m agent run`, or give its address with --agent. As an app of "
        "Home Assistant, open its page in the sidebar and press Run the test there.",
    )


_REFUSED = "Do what it says, then run this again. As an app, use the page in the sidebar."
