"""
The worst that a set of commands can let out, found by trying every order of events.

Slow and plain on purpose: it shares no arithmetic with `agent.export.pricing`, which it checks.
Each command runs or is lost, begins at its earliest or its latest, and takes the place of the one
before, which fades for the exit lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from agent.export.commitments import Commitment
from agent.export.lease import CommandPath


@dataclass(frozen=True)
class Span:
    """One command: its power at worst, how long it lasts, and when it can begin."""

    power_w: float
    """0 for a rest, which lets out sun alone; negative for a charge, which lets out nothing."""
    lasts_s: float
    begins_s: tuple[float, float]


def span_of(commitment: Commitment, path: CommandPath, now_s: float) -> Span:
    """Return what is known of a command that was sent."""
    lasts_s = commitment.block.duration_s + path.exit_lag_s
    latest_s = commitment.ends_by_s(path, now_s) - lasts_s
    power_w = max(0.0, commitment.block.power_w * path.gain) if commitment.lets_out else -1.0
    return Span(power_w, lasts_s, (min(commitment.sent_s, latest_s), latest_s))


def worst_of_all_wh(spans: Sequence[Span], path: CommandPath, sun_w: float, now_s: float) -> float:
    """Return the most that leaves from now on; commands arrive in the order of the spans."""
    worst_wh = 0.0
    for fate in product((None, 0, 1), repeat=len(spans)):
        begun = [
            (span.begins_s[which], span.power_w, span.lasts_s)
            for span, which in zip(spans, fate, strict=True)
            if which is not None
        ]
        begins = [at_s for at_s, _, _ in begun]
        if begins == sorted(begins):
            worst_wh = max(worst_wh, _let_out_wh(begun, path, sun_w, now_s))
    return worst_wh


def _let_out_wh(
    begun: list[tuple[float, float, float]], path: CommandPath, sun_w: float, now_s: float
) -> float:
    edges = {now_s}
    for at_s, _, lasts_s in begun:
        edges |= {at_s, at_s + path.exit_lag_s, at_s + lasts_s}
    times = sorted(edge for edge in edges if edge >= now_s)
    energy_wh = 0.0
    for from_s, to_s in pairwise(times):
        so_far = [(at_s, w, at_s + lasts_s) for at_s, w, lasts_s in begun if at_s <= from_s]
        if not so_far:
            continue
        since_s, power_w, ends_s = so_far[-1]
        power_w = power_w if from_s < ends_s else -1.0
        for _, older_w, older_ends_s in so_far[:-1]:
            if from_s < min(since_s + path.exit_lag_s, older_ends_s):
                power_w = max(power_w, older_w)
        if power_w >= 0:
            energy_wh += (power_w + sun_w) * (to_s - from_s) / 3600
    return energy_wh
