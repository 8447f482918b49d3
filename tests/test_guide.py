"""The guide explains every code that a person can meet, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.export.ledger import CounterFault
from agent.export.plausible import CONTRADICTED
from agent.export.snapshot import ErrorState
from agent.house.readings import Quality

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/guide.md").read_text()
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "agent/export").glob("*.py")))
PRODUCTION_GUIDE = (ROOT / "docs/production-guide.md").read_text()
RESTING = {"idle", "ready", "starting", "stopping", "calculated"}
"""Reasons that are no refusal, no problem and no stop."""
POWERS = ("grid_power", "battery_power")
COUNTERS = ("exported", "produced")
BUILT = {
    *(f"{power}_{what}" for power in POWERS for what in ("stale", "frozen")),
    *(f"{counter}_{fault.value}" for counter in COUNTERS for fault in CounterFault),
    *(f"…_{quality.value}" for quality in Quality if quality is not Quality.GOOD),
    *(f"soc_at_{kind}" for kind in ("minimum", "reserve")),
    *(f"{purpose}_active" for purpose in ("charge", "discharge")),
    CONTRADICTED,
}


def codes_in_the_source() -> set[str]:
    """Return the codes that are written out; those put together are in `BUILT`."""
    reasons = re.findall(r'\bReason\(\s*"([a-z_]+)"', SOURCES)
    answers = re.findall(r'\bAnswer\(\s*(?:True|False),\s*"([a-z_]+)"', SOURCES)
    return {*reasons, *answers} - RESTING


@pytest.mark.parametrize("code", sorted(codes_in_the_source() | BUILT))
def test_the_guide_explains_the_code(code: str) -> None:
    assert f"`{code}`" in GUIDE


def test_the_guide_explains_no_code_that_nobody_can_meet() -> None:
    tables = GUIDE.partition("## Codes")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| `")]
    explained = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    assert explained <= codes_in_the_source() | BUILT


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/guide.md", "docs/architecture.md", "docs/production-guide.md"],
)
def test_what_is_linked_and_named_exists(page: str) -> None:
    text, home = (ROOT / page).read_text(), (ROOT / page).parent
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    missing = [link for link in links if "://" not in link and not (home / link).exists()]
    paths = re.findall(r"`((?:agent|tests|script|docs|benchmarks)/[\w./-]*)`", text)
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert not missing


def test_every_error_state_and_scenario_of_the_production_guide_names_a_test_that_exists() -> None:
    rows = [line for line in PRODUCTION_GUIDE.splitlines() if line.startswith("| ")]
    wanted = [f"| `{state}` |" for state in ErrorState] + [f"| {n}: " for n in range(1, 6)]
    for begin in wanted:
        (row,) = [row for row in rows if row.startswith(begin)]
        assert "`test_" in row.rpartition(" | ")[2], row
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", PRODUCTION_GUIDE))
    assert named
    assert [name for name in named if f"def {name}(" not in sources] == []
