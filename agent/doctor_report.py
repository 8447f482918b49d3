"""The doctor's report: as a table for a terminal, as JSON for programs and the page."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from agent import __version__
from agent.doctor_checks import exit_code
from agent.doctor_facts import Finding, Verdict

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found."""

    findings: tuple[Finding, ...]
    at: datetime
    took_s: float

    @property
    def exit_code(self) -> int:
        """0 when all is well, 1 with warnings, 2 with failures."""
        return exit_code(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs and the page."""
        return {
            "version": __version__,
            "at": self.at.isoformat(),
            "took_s": round(self.took_s, 1),
            "exit_code": self.exit_code,
            "findings": [
                {name: _line(text) for name, text in asdict(each).items()} for each in self.findings
            ],
        }

    def text(self) -> str:
        """Return the report as one JSON document."""
        return json.dumps(self.as_json(), indent=1)

    def table(self) -> str:
        """Return the report for a terminal: aligned, worst counted at the end."""
        words = max(len(verdict.value) for verdict in Verdict)
        titles = max((len(each.title) for each in self.findings), default=0)
        lines: list[str] = []
        for each in self.findings:
            head = f"{each.verdict.value.upper():<{words}}  {each.title:<{titles}}  "
            body = [_line(each.text)]
            if each.next_step:
                body.append(f"-> {_line(each.next_step)}")
            room = max(40, _WIDTH - len(head))
            wrapped = [row for text in body for row in textwrap.wrap(text, room) or [""]]
            lines.append(head + wrapped[0])
            lines += [" " * len(head) + row for row in wrapped[1:]]
        counts = {v: sum(each.verdict is v for each in self.findings) for v in Verdict}
        said = ", ".join(f"{n} {verdict.value}" for verdict, n in counts.items() if n)
        return "\n".join([*lines, "", f"{said}; {self.took_s:.0f} s."])


def _line(text: str) -> str:
    """Return outside text without what could steer a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
