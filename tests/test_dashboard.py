"""docs/dashboard.yaml shows entities that exist, and those of both old dashboards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from agent.surface.entities import ENTITIES
from agent.surface.entities_release import FLEET_ROWS

TEXT = (Path(__file__).parents[1] / "docs/dashboard.yaml").read_text()
ENTITY = re.compile(
    r"\b(?:sensor|binary_sensor|button|number|switch|select)\.[a-z0-9_]*[a-z0-9]\b(?!_)"
)
OURS = {f"{it.platform.value}.export_monitor_{it.key}" for it in ENTITIES}
KNOWN = OURS | {it.entity_id for it in FLEET_ROWS}
OLD_DASHBOARDS = {
    # The quick reference card of the old production guide, and the entities of its card.
    *(
        f"sensor.export_monitor_{each}"
        for each in (
            "system_health",
            "error_state",
            "data_staleness",
            "circuit_breaker_status",
            "next_charge_session",
            "discharge_plan_today",
            "discharge_plan_tomorrow",
            "current_carbon_intensity",
            "current_soc",
            "current_pv",
            "export_headroom",
        )
    ),
    # What the operator's dashboard of PVAutonomy Ops showed and pressed.
    "sensor.pvautonomy_ops_status",
    "sensor.pvautonomy_ops_devices_count",
    *(
        f"button.pvautonomy_ops_{each}"
        for each in ("discover", "run_gates", "flash_production", "restart_device")
    ),
}


def shown() -> set[str]:
    text = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))
    return set(ENTITY.findall(text))


def test_every_entity_of_the_dashboard_is_one_that_the_agent_publishes() -> None:
    assert shown() - KNOWN == set()


def test_the_entities_of_both_old_dashboards_are_on_it() -> None:
    assert OLD_DASHBOARDS - shown() == set()


def test_its_cards_are_of_types_that_need_no_download() -> None:
    def types(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(types, node)) if node else set()
        if not isinstance(node, dict):
            return set()
        inner = types(list(node.values()))
        return inner | {node["type"]} if "type" in node else inner

    views = yaml.safe_load(TEXT)["views"]
    assert [view["path"] for view in views] == ["export", "plans", "operations"]
    known = {
        "entities",
        "conditional",
        "markdown",
        "grid",
        "button",
        "gauge",
        "history-graph",
        "attribute",
    }
    assert types(views) == known
