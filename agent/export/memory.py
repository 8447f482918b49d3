"""
What the guard must still know after a restart, as plain JSON, and how to take it up again.

Monotonic times belong to one process: they are journaled as ages and moved by the wall-clock
gap. A gap is charged at worst case; a lease of yesterday is never armed again, because only a
dispatch that still runs in the inverter's own registers is adopted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from agent.clock import Instant
from agent.export import commitments as com
from agent.export import handover as hand
from agent.export.advice import Following
from agent.export.agreement import Agreement
from agent.export.breaker import Breaker
from agent.export.commissioning import Commissioning, Stage
from agent.export.commissioning_checks import Check, Verdict
from agent.export.commitments import Commitment, Purpose, Status
from agent.export.gain import Gain, of_energy
from agent.export.lateness import Lateness
from agent.export.leakage import Leakage
from agent.export.lease import SECONDS_PER_HOUR
from agent.export.ledger import DayCounter, Ledger, restored
from agent.export.pace import WritePace
from agent.export.rolling import Rolling
from agent.export.snapshot import ActionView, Reason, StatisticsView
from agent.export.states import GuardConfig, GuardState, Hold, HoldKind, Wish
from agent.house.alphaess import DispatchBlock

VERSION = 1


def fresh(now: Instant) -> GuardState:
    """Return the state of a guard that has never run."""
    return GuardState(Ledger(now.day, now.monotonic_s), begun_s=now.monotonic_s)


def lost(now: Instant, why: str) -> GuardState:
    """
    Return the state of a guard whose journal is gone: nothing starts until a person has looked.

    The commissioning record is gone with it, so automatic control stays locked besides.
    """
    reason = Reason(
        "journal_lost",
        f"What the agent knew of today was lost: {why}. Check today's export at the meter, then "
        "acknowledge.",
    )
    return replace(fresh(now), hold=Hold(HoldKind.SAFETY, reason, now.monotonic_s))


def journaled(state: GuardState, now: Instant) -> dict[str, Any]:
    """Return what must survive, ready for JSON."""
    return {
        "version": VERSION,
        "at": now.local.isoformat(),
        "ledger": {
            "day": state.ledger.day.isoformat(),
            "unverified_wh": state.ledger.unverified_wh,
            "exported": asdict(state.ledger.exported),
            "produced": asdict(state.ledger.produced),
            "lag_s": state.ledger.late.learned_s,
            "leakage": asdict(state.ledger.leakage),
            "rolling": _ages(state.ledger.rolling, now),
        },
        "agreement": asdict(state.agreement),
        "gain": {"mean": state.gain.mean, "samples": state.gain.samples},
        "wish": None
        if state.wish is None
        else {
            "purpose": state.wish.purpose.value,
            "by": state.wish.by,
            "at": state.wish.at.isoformat(),
            "started": state.wish.started,
            "power_w": state.wish.power_w,
            "until": _written(state.wish.until),
        },
        "following": {
            "ends": _written(state.following.ends),
            "declined_until": _written(state.following.declined_until),
        },
        "safety_hold": asdict(state.hold.reason)
        if state.hold is not None and state.hold.kind is HoldKind.SAFETY
        else None,
        "commitments": [_commitment(c, now) for c in state.commitments],
        "numbers": state.numbers,
        "writes_ahead": state.pace.ahead,
        "commissioning": _test(state.commissioning),
        "other_tests": [_test(test) for test in state.other_tests],
        "path": hand.left(state.path),
        "handover": hand.journaled(state.handover, now.monotonic_s),
        "resets_ago_s": [now.monotonic_s - at_s for at_s in state.resets_s],
        "failures": state.breaker.failures,
        "breach": state.breach,
        "last_action": _dated(state.last_action, "at"),
        "statistics": _dated(state.statistics, "since"),
    }


def _test(test: Commissioning) -> dict[str, Any]:
    return {
        "stage": test.stage.value,
        "text": test.text,
        "by": test.by,
        "delay_s": test.delay_s,
        "exit_lag_s": test.exit_lag_s,
        "gain": test.gain,
        "dead_s": test.dead_s,
        "rounds_up": test.rounds_up,
        "rewrite_extends": test.rewrite_extends,
        "counter_lag_s": test.counter_lag_s,
        "checks": [asdict(check) for check in test.checks],
        "full": test.full,
        "part": test.part,
        "firmware": test.firmware,
        "path": test.path,
        "at": test.at.isoformat() if test.at else None,
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _ages(rolling: Rolling, now: Instant) -> dict[str, Any]:
    now_s = now.monotonic_s
    return {
        "since_ago_s": None if rolling.since_s is None else now_s - rolling.since_s,
        "quarters": [
            [round(now_s - at_s, 1), round(exported_wh, 1), round(produced_wh, 1)]
            for at_s, exported_wh, produced_wh in rolling.quarters
        ],
    }


def _recall_rolling(data: Mapping[str, Any] | None, now_s: float, away_s: float) -> Rolling:
    """A journal of a version that kept no such past begins one."""
    if data is None:
        return Rolling()
    then_s, ago_s = now_s - away_s, data["since_ago_s"]
    quarters = tuple((then_s - ago_s, e, p) for ago_s, e, p in data["quarters"])
    return Rolling(quarters, None if ago_s is None else then_s - ago_s)


def _recall_leakage(data: Mapping[str, Any] | None) -> Leakage:
    if data is None:
        return Leakage()
    return Leakage(**{**data, "evenings": tuple(data["evenings"]), "quiet": False})


def _dated(view: ActionView | StatisticsView | None, date_name: str) -> dict[str, Any] | None:
    if view is None:
        return None
    data = asdict(view)
    return {**data, date_name: data[date_name].isoformat() if data[date_name] else None}


def _commitment(commitment: Commitment, now: Instant) -> dict[str, Any]:
    return {
        "number": commitment.number,
        "purpose": commitment.purpose.value,
        "block": asdict(commitment.block),
        "worst_case_wh": commitment.worst_case_wh,
        "sent_ago_s": now.monotonic_s - commitment.sent_s,
        "seen_ago_s": now.monotonic_s - _seen_s(commitment),
        "sent_at": commitment.sent_at.isoformat(),
        "status": commitment.status.value,
    }


def _seen_s(commitment: Commitment) -> float:
    """Return the last of when it was sent, answered and shown: one that has begun had by then."""
    return max(commitment.sent_s, commitment.answered_s or 0.0, commitment.confirmed_s or 0.0)


def recalled(data: Mapping[str, Any], now: Instant, config: GuardConfig) -> GuardState:
    """
    Return the state to go on with after a restart.

    Args:
        data: what `journaled` wrote.
        now: the moment of the restart.
        config: the site's choices, for what a gap may have cost.

    Raises:
        KeyError, ValueError, TypeError: the record is damaged; the caller starts afresh, and
            must then assume that the day's allowance is used.
    """
    away_s = max(0.0, (now.local - datetime.fromisoformat(data["at"])).total_seconds())
    commitments = tuple(_recall(c, now, away_s) for c in data["commitments"])
    before = hand.of_journal(data.get("path"))
    changed = before is not None and before.name != config.path.name
    handover = hand.recalled(data.get("handover"), now.monotonic_s, away_s)
    if changed and before is not None:
        commitments, left = hand.taken_over(commitments, before, config.path, now.monotonic_s)
        handover = hand.later(handover, left)
    test, other_tests = _recall_tests(data, config.path.name, changed=changed)
    rules = (config.exported_rules, config.produced_rules)
    account = data["ledger"]
    ledger = Ledger(
        day=date.fromisoformat(account["day"]),
        at_s=now.monotonic_s,
        exported=DayCounter(**{**account["exported"], "fault": None}),
        produced=DayCounter(**{**account["produced"], "fault": None}),
        unverified_wh=account["unverified_wh"],
        late=Lateness(account.get("lag_s", 0.0)),
        leakage=_recall_leakage(account.get("leakage")),
        rolling=_recall_rolling(account.get("rolling"), now.monotonic_s, away_s),
    )
    gain = Gain() if changed else _recall_gain(data.get("gain"), config)
    exposure_w = com.exposure_w(commitments, of_energy(gain, config.path.gain))
    longest_s = max((c.block.duration_s for c in commitments), default=0)
    running_s = min(away_s, longest_s + config.path.command_delay_s + config.path.exit_lag_s)
    if handover is not None:
        exposure_w, running_s = max(exposure_w, handover.worst_w), away_s
    exposure_wh = exposure_w * running_s / SECONDS_PER_HOUR
    wish, latch = data["wish"], data["safety_hold"]
    return GuardState(
        ledger=restored(ledger, now, away_s, exposure_wh, rules, other_meter=changed),
        begun_s=now.monotonic_s,
        agreement=Agreement(**data.get("agreement") or {}),
        gain=gain,
        wish=None
        if wish is None or changed
        else Wish(
            Purpose(wish["purpose"]),
            wish["by"],
            now.monotonic_s,
            datetime.fromisoformat(wish["at"]),
            wish["started"],
            power_w=wish.get("power_w"),
            until=_moment(wish.get("until")),
        ),
        hold=None if latch is None else Hold(HoldKind.SAFETY, Reason(**latch), now.monotonic_s),
        commitments=com.expired(commitments, config.path, now.monotonic_s),
        numbers=data["numbers"],
        pace=WritePace(data.get("writes_ahead", 0.0), now.monotonic_s),
        commissioning=test,
        other_tests=other_tests,
        path=config.path,
        handover=handover,
        resets_s=tuple(now.monotonic_s - away_s - ago_s for ago_s in data["resets_ago_s"]),
        breaker=Breaker(failures=data["failures"]),
        breach=data["breach"],
        following=_recall_following(data.get("following") or {}),
        last_action=_recall_action(data.get("last_action")),
        statistics=_recall_statistics(data.get("statistics")),
    )


def _recall_gain(data: Mapping[str, Any] | None, config: GuardConfig) -> Gain:
    """What was learned on a path with quick powers is of no use on another one."""
    if data is None or not config.path.learns_gain:
        return Gain()
    return Gain(data["mean"], data["samples"])


def _recall_following(data: Mapping[str, Any]) -> Following:
    """A journal of a version without plans has none."""
    return Following(_moment(data.get("ends")), _moment(data.get("declined_until")))


def _recall_action(data: Mapping[str, Any] | None) -> ActionView | None:
    if data is None:
        return None
    return ActionView(**{**data, "at": datetime.fromisoformat(data["at"])})


def _recall_statistics(data: Mapping[str, Any] | None) -> StatisticsView:
    """A journal of a version that did not count has none."""
    if data is None:
        return StatisticsView()
    since = datetime.fromisoformat(data["since"]) if data["since"] else None
    return StatisticsView(**{**data, "since": since})


def _recall(data: Mapping[str, Any], now: Instant, away_s: float) -> Commitment:
    then_s = now.monotonic_s - away_s
    sent_s = then_s - data["sent_ago_s"]
    status = Status(data["status"])
    commitment = Commitment(
        number=data["number"],
        purpose=Purpose(data["purpose"]),
        block=DispatchBlock(**data["block"]),
        worst_case_wh=data["worst_case_wh"],
        sent_s=sent_s,
        sent_at=datetime.fromisoformat(data["sent_at"]),
        status=status,
        # A journal of a version that did not keep it has the moment of sending.
        answered_s=then_s - data.get("seen_ago_s", data["sent_ago_s"]),
    )
    if status is Status.SENT:
        # The answer died with the process: the call may have run, or may still run.
        return replace(commitment, status=Status.UNCONFIRMED)
    return commitment


def _recall_tests(
    data: Mapping[str, Any], path: str, *, changed: bool
) -> tuple[Commissioning, tuple[Commissioning, ...]]:
    """Return the test of this path, and those that have passed on others."""
    newest = _recall_test(data["commissioning"])
    others = tuple(_recall_test(each) for each in data.get("other_tests") or ())
    if not changed:
        return newest, others
    every = (newest, *others) if newest.stage is Stage.PASSED else others
    mine = [test for test in every if test.path.partition(" ")[0] == path]
    rest = tuple(test for test in every if test not in mine)
    return (mine[0] if mine else Commissioning()), rest


def _recall_test(data: Mapping[str, Any]) -> Commissioning:
    stage = Stage(data["stage"])
    text = data["text"]
    if stage in (Stage.WAITING, Stage.RUNNING, Stage.ENDING):
        if data.get("part", 1) == 1:
            text = "The agent was restarted during the commissioning test; run it again."
            return Commissioning(Stage.FAILED, text)
        stage = Stage.PASSED
        text = "The first part passed; the agent was restarted during the full test."
    return Commissioning(
        stage=stage,
        text=text,
        by=data["by"],
        delay_s=data["delay_s"],
        exit_lag_s=data["exit_lag_s"],
        gain=data["gain"],
        # A journal of a version that did not measure these has none of them.
        dead_s=data.get("dead_s"),
        rounds_up=data.get("rounds_up", False),
        rewrite_extends=data.get("rewrite_extends"),
        counter_lag_s=data.get("counter_lag_s"),
        checks=tuple(
            Check(each["code"], Verdict(each["verdict"]), each["text"], each["next_step"])
            for each in data.get("checks", ())
        ),
        full=data.get("full", False),
        firmware=data.get("firmware", ""),
        path=data["path"],
        at=datetime.fromisoformat(data["at"]) if data["at"] else None,
    )
