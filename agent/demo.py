"""What the demo does by itself, as a newcomer would: sets its house up, tests it, discharges."""

from __future__ import annotations

import asyncio

from agent.desks import Reception
from agent.export.requests import Request, RequestKind
from agent.settings import SettingsStore

_TESTS = 3
"""So often it runs the commissioning test."""


async def prepare(store: SettingsStore) -> None:
    """Give a newcomer's house limit and target of a usual UK connection, ready to control."""
    if store.current.export_limit_w is None:
        await store.update(
            {
                "mode": "control",
                "export_limit_w": 3680,
                "target_export_w": 3000,
                "enable_ci_planning": True,
                "enable_charge_planning": True,
                "charge_window_end": "00:00",
            },
            "demo",
        )


async def show(desk: Reception) -> None:
    """
    Run the commissioning test, then ask for a discharge; both as a person would.

    A cloud may spoil the test; then it is run again.
    """
    changed = asyncio.Event()
    tries = 0
    end = desk.subscribe(changed.set)
    try:
        while True:
            picture = desk.snapshot()
            codes = {reason.code for reason in picture.blockers}
            untested = codes == {"not_commissioned"} and not picture.commissioning.running
            if untested and tries < _TESTS:
                tries += 1
                desk.request(Request(RequestKind.COMMISSION, "demo"))
            if picture.commissioning.passed and not codes:
                desk.request(Request(RequestKind.START_DISCHARGE, "demo"))
                return
            await changed.wait()
            changed.clear()
    finally:
        end()
