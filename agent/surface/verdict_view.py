"""Verdicts of gates in JSON's words, for the page."""

from __future__ import annotations

from collections.abc import Mapping

from agent.fleet.gate_models import Rules, Verdict
from agent.fleet.identity import Mac, written
from agent.surface.fleet_view import iso
from agent.surface.shown import VerdictView


def verdicts_json(verdicts: Mapping[Mac, Verdict], rules: Rules) -> dict[str, VerdictView]:
    """Return each verdict by the MAC as people write it."""
    return {
        written(mac): {
            "overall": str(told.overall),
            "at": iso(told.at),
            "holds_s": rules.fresh_s,
            "strict": rules.strict,
            "gates": [
                {
                    "gate": str(it.gate),
                    "name": it.gate.name.replace("_", " ").capitalize(),
                    "result": str(it.result),
                    "evidence": it.evidence,
                    "at": iso(it.at),
                }
                for it in told.gates
            ],
        }
        for mac, told in verdicts.items()
    }
