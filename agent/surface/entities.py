"""
Every entity that Home Assistant shows, in one table.

A row says what an entity is called and which function of the snapshot, or which setting, feeds
it; publishing knows nothing else. A new entity is a new row, and docs/contract.md is written from
the rows. Ids, names and words are those of Energy Export Monitor, so dashboards and automations
of its users go on working.

Numeric rows may be `None`: it is published as the text "None", which Core shows as `unknown`
from 2024.1 on. Text rows always have a text, because Core would show the word. Nothing here is
ever unavailable because an input is: the health entities exist to say so.

Source: export_monitor.md 1.4 (ids and words), ha_e2e.md section 3 (what Core makes of payloads).
"""

from __future__ import annotations

from agent.export.requests import RequestKind
from agent.surface.entities_guard import GUARD_ENTITIES
from agent.surface.entities_health import HEALTH_ENTITIES
from agent.surface.entities_model import Entity, Platform, button, number, switch
from agent.surface.entities_plan import PLAN_ENTITIES

__all__ = ["ENTITIES", "Entity", "Platform"]

COMMAND_ENTITIES: tuple[Entity, ...] = (
    button(
        "start_discharge",
        "mdi:battery-arrow-up",
        RequestKind.START_DISCHARGE,
        "Starts a discharge, unless `discharge_status` names what is in the way.",
    ),
    button(
        "stop_discharge",
        "mdi:battery-arrow-down",
        RequestKind.STOP_DISCHARGE,
        "Stops whatever the battery was told.",
    ),
    button(
        "start_charge",
        "mdi:battery-charging",
        RequestKind.START_CHARGE,
        "Starts a charge with the power and the target of the settings.",
    ),
    button(
        "stop_charge",
        "mdi:battery-off-outline",
        RequestKind.STOP_CHARGE,
        "Stops whatever the battery was told.",
    ),
    button(
        "calculate_discharge",
        "mdi:calculator",
        RequestKind.CALCULATE,
        "Decides and plans again now, with the newest values.",
    ),
    button(
        "emergency_stop",
        "mdi:alert-octagon",
        RequestKind.EMERGENCY_STOP,
        "Stops even what cannot be seen; nothing starts before it is acknowledged.",
    ),
    button(
        "acknowledge",
        "mdi:check-circle-outline",
        RequestKind.ACKNOWLEDGE,
        "Releases a safety stop and clears the error state.",
    ),
    button(
        "reset_auto_stats",
        "mdi:restart",
        RequestKind.RESET_STATISTICS,
        "Counts starts and stops from zero and forgets the last action.",
    ),
    number(
        "target_export", "mdi:transmission-tower-export", "target_export_w", device_class="power"
    ),
    number("minimum_soc", "mdi:battery-low", "min_soc_percent", mode="slider"),
    number("safety_margin", "mdi:shield-alert", "safety_margin_kwh", device_class="energy"),
    number(
        "export_limit",
        "mdi:speedometer",
        "export_limit_w",
        device_class="power",
        category="config",
    ),
    number(
        "tolerance", "mdi:plus-minus", "tolerance_kwh", device_class="energy", category="config"
    ),
    switch("enable_auto_discharge", "mdi:battery-sync", "enable_auto_discharge"),
    switch("enable_auto_charge", "mdi:battery-charging-wireless", "enable_auto_charge"),
    switch("enable_rest", "mdi:battery-lock", "enable_rest"),
)

ENTITIES: tuple[Entity, ...] = (
    *HEALTH_ENTITIES,
    *GUARD_ENTITIES,
    *PLAN_ENTITIES,
    *COMMAND_ENTITIES,
)
