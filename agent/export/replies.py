"""
Takes in what the house's path answered to finished writes.

An answer tells what became of a write, never that it worked: a delivered command still has to show
in the registers, one without an answer may still come. Only a refusal ends a start at once.

Source: ARCHITECTURE, rules (one owner); control.md T10; D-22, D-24.
"""

from __future__ import annotations

from dataclasses import replace

from agent.export import commitments as com
from agent.export.commitments import Purpose
from agent.export.snapshot import ErrorState, Reason
from agent.export.states import HoldKind
from agent.export.turn import Turn
from agent.house.port import WritePart, WriteStatus


def take(turn: Turn) -> None:
    """Bring the outcome of finished writes into the commitments, and into a running stop."""
    for reply in turn.look.replies:
        stopping = turn.state.stopping
        status = reply.outcome.status
        if stopping is not None and stopping.number == reply.number:
            _stop_answered(turn, status, reply.outcome.detail)
            continue
        mine = next((c for c in turn.state.commitments if c.number == reply.number), None)
        turn.set(
            commitments=com.answered(
                turn.state.commitments, reply.number, reply.outcome, turn.now_s
            )
        )
        if status is WriteStatus.DELIVERED or mine is None:
            continue
        turn.say(f"write_{status.value}", reply.outcome.detail, number=reply.number)
        if status is WriteStatus.REFUSED and turn.look.sample.linked:
            text = f"The command was refused: {reply.outcome.detail}"
            if reply.outcome.part is WritePart.POWER:
                why = Reason("power_set_failed", text)
                start_failed(turn, why, ErrorState.DISCHARGE_POWER_SET_FAILED)
            else:
                start_failed(turn, Reason("start_failed", text))


def _stop_answered(turn: Turn, status: WriteStatus, detail: str) -> None:
    stopping = turn.state.stopping
    if stopping is None:
        return
    delivered_s = stopping.delivered_s
    if delivered_s is None and status is WriteStatus.DELIVERED:
        # The first delivery counts: a stop that is written again would else never have waited
        # long enough where the source keeps no report times (Core before 2024.8).
        delivered_s = turn.now_s
    turn.set(stopping=replace(stopping, writing=False, delivered_s=delivered_s, last_detail=detail))
    if status is not WriteStatus.DELIVERED:
        turn.say(f"stop_{status.value}", detail, attempt=stopping.attempts)


def start_failed(
    turn: Turn, why: Reason, error: ErrorState = ErrorState.DISCHARGE_START_FAILED
) -> None:
    """End a wish whose start did not work, and stop what may run of it."""
    wish = turn.state.wish
    reason = replace(why, text=f"{why.text} Nothing will be retried; check, then start again.")
    turn.breaker_failed()
    if turn.state.commissioning.busy:
        return
    purpose = wish.purpose if wish else Purpose.DISCHARGE
    turn.say("start_failed", reason.text, purpose=purpose.value)
    if wish is not None:
        turn.count("start", purpose, success=False)
    turn.begin_stop(reason, hold=HoldKind.PAUSE, error=error)
