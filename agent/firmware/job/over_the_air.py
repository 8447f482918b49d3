"""
Sends a job's image over the air, to the place and with the secrets of exactly this bridge.

The address is the one at which the device itself answered with its MAC; names lead nowhere. Each
bridge has its own password and key. How the upload ended is told in the job's words, so that what
may be on trial is never taken for a failure that may be repeated.

Source: pvautonomy.md, defects D-07, D-08 and D-18.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.firmware.job.models import How, ReleaseRef, Request, UploadEnd
from agent.firmware.job.ports import Told
from agent.firmware.job.recovery import NEEDS_A_PERSON, by_person, proving
from agent.firmware.ota.driver import PATIENT, Limits, upload
from agent.firmware.ota.models import NETWORK, Outcome, Progress, Secrets, Upload
from agent.firmware.ota.payload import Payload
from agent.fleet.identity import Mac, written

DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bridge takes uploads."""

    addresses: tuple[str, ...]
    """At which it answered by itself, the newest first."""
    port: int
    in_safe_mode: bool = False
    """It cannot say who it is there: its own secret has to prove it; see `recovery.py`."""


class OverTheAir:
    """`Uploader`: ESPHome's upload protocol."""

    def __init__(
        self,
        place: Callable[[Mac], Place | None],
        secrets: Callable[[Mac], Secrets],
        payload: Callable[[ReleaseRef], Awaitable[Payload]],
        *,
        deadline_s: float = DEADLINE_S,
        limits: Limits = PATIENT,
        cancel: asyncio.Event | None = None,
    ) -> None:
        """
        Prepare.

        Args:
            place: where this bridge is; `None` while it neither answers by itself nor is in safe
                mode at an address that is its own.
            secrets: what opens this bridge, and no other.
            payload: the image out of the store, its hash checked.
            deadline_s: after which an upload is over, whatever it does.
            limits: how patient it is.
            cancel: set to end a running upload while that does no harm; too late after the last
                block, when the bridge may be committing.
        """
        self._cancel = cancel
        self._place = place
        self._secrets = secrets
        self._payload = payload
        self._deadline_s = deadline_s
        self._limits = limits

    async def upload(self, request: Request, told: Told) -> UploadEnd:
        """Send the image; see `Uploader`."""
        place = self._place(request.mac)
        if place is None or not place.addresses:
            text = f"{written(request.mac)} does not answer; nothing was sent to it."
            return UploadEnd(How.NOT_BEGUN, text, "unreachable", network=True)

        secrets = self._secrets(request.mac)
        if place.in_safe_mode:
            if not by_person(request):
                text = f"{written(request.mac)} is in safe mode; only a person may flash it there."
                return UploadEnd(How.NOT_BEGUN, text, NEEDS_A_PERSON)
            secrets = proving(secrets)

        def progress(now: Progress) -> None:
            told(now.acknowledged_bytes or now.sent_bytes, now.total_bytes)

        done = await upload(
            place.addresses,
            place.port,
            await self._payload(request.release),
            secrets,
            progress=progress,
            deadline_s=self._deadline_s,
            cancel=self._cancel,
            limits=self._limits,
        )
        return ended(done)


def ended(done: Upload) -> UploadEnd:
    """Return how an upload ended, in the job's words."""
    verdict = done.verdict
    hows = {
        Outcome.SENT: How.SENT,
        Outcome.REFUSED: How.REFUSED,
        Outcome.AMBIGUOUS: How.CUT_LATE,
        Outcome.FAILED: How.CUT,
        Outcome.CANCELLED: How.CUT,
    }
    how = hows[verdict.outcome]
    if how is How.CUT and done.total_bytes == 0:
        how = How.NOT_BEGUN
    code = "" if how is How.SENT else str(verdict.reason)
    byte = f" (0x{verdict.code:02X})" if verdict.code is not None else ""
    text = f"{verdict.text}{byte} {verdict.next_step}".strip()
    return UploadEnd(how, text, code, verdict.reason in NETWORK)
