"""docs/contract.md says what the table says."""

from __future__ import annotations

from pathlib import Path

from agent.surface.entities import ENTITIES
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_contract import markdown
from agent.surface.entities_release import FLEET_ROWS

REPOSITORY = Path(__file__).parents[2]


def test_the_committed_contract_is_the_generated_one() -> None:
    """When this fails: `python -m agent.surface.entities_contract > docs/contract.md`."""
    assert (REPOSITORY / "docs" / "contract.md").read_text(encoding="utf-8") == markdown()


def test_d49_the_contract_has_one_row_per_entity_with_its_real_key() -> None:
    """D-49: the old README named ids that no installation had."""
    lines = markdown().splitlines()
    for entity in ENTITIES:
        rows = [line for line in lines if line.startswith(f"| `{entity.key}` | {entity.name} ")]
        same_key = sum(other.key == entity.key for other in ENTITIES)
        assert len(rows) == same_key, entity.slot


def test_every_entity_of_the_bridges_is_in_it() -> None:
    text = markdown()
    for row in FLEET_ROWS:
        assert f"| `{row.entity_id}` | {row.name} |" in text
    for each in BRIDGE_ENTITIES:
        assert f"| `{each.key}` | {each.platform.value} | {each.name} |" in text


def test_no_row_breaks_the_table() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("| `")]
    in_tables = rows[: len(ENTITIES)]
    assert {line.replace("\\|", "").count("|") for line in in_tables} == {7}
    assert all(len(entity.about) > 10 for entity in ENTITIES)
