"""
How the old settings are called here, and where the same word means another thing.

Source: export_monitor.md 1.2, 2.2, 2.6, 2.8 and D-01, D-12, D-19, D-29; pvautonomy.md 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Rule:
    """How one old setting becomes one of ours."""

    key: str
    kind: str
    """`number`, `switch`, `time`, `entity`, `entities` or `word`."""
    unit: str = ""
    """Of the old value and of ours."""
    text: str = ""
    chosen: bool = True
    suffix: str = ""
    """Unique-id suffix of the entity that knows the value in force; the form may be older."""


_AUTO = "The agent acts on plans by itself then, in control. Let it run by hand first."
_WINDOW = (
    "Your window ends exactly here now; the old one also took every half hour that touched it."
)
_CHARGE_WINDOW = "It is the site's own time now; the old one took it for UTC."

EXPORT_MONITOR: Mapping[str, Rule] = MappingProxyType(
    {
        "target_export": Rule(
            "target_export_w",
            "number",
            "W",
            "It was the power of the battery. It is the power at the connection point now: load "
            "and sun are made up for, so the battery may give more or less. export_limit_w "
            "caps it.",
            suffix="target_export",
        ),
        "min_soc": Rule("min_soc_percent", "number", "%", suffix="min_soc"),
        "safety_margin": Rule(
            "tolerance_kwh",
            "number",
            "kWh",
            "The old margin was added to the allowance, so it let more out. Here that is the "
            "tolerance. Take it over only if your contract grants it; safety_margin_kwh is a "
            "reserve now, and it is subtracted.",
            chosen=False,
            suffix="safety_margin",
        ),
        "reserve_soc_sensor": Rule("entities.reserve_soc", "entity"),
        "observe_reserve_soc": Rule("observe_reserve_soc", "switch"),
        "battery_capacity_kwh": Rule("battery_capacity_kwh", "number", "kWh"),
        "charge_power_kw": Rule("charge_power_kw", "number", "kW"),
        "current_soc": Rule("entities.soc", "entity"),
        "pv_energy_today": Rule("entities.produced_today", "entities"),
        "grid_feed_today": Rule("entities.exported_today", "entity"),
        "solcast_total_today": Rule("entities.forecast_today", "entity"),
        "solcast_tomorrow": Rule("entities.forecast_tomorrow", "entity"),
        "ci_forecast_sensor": Rule("entities.ci_forecast", "entities"),
        "discharge_button": Rule("entities.discharge_button", "entity"),
        "discharge_power": Rule("entities.discharge_power", "entity"),
        "discharge_cutoff_soc": Rule(
            "entities.discharge_cutoff_soc",
            "entity",
            text="The old integration asked for it and wrote another entity; here it counts.",
        ),
        "charge_button": Rule("entities.charge_button", "entity"),
        "charge_power_entity": Rule("entities.charge_power", "entity"),
        "charge_duration": Rule("entities.charge_duration", "entity"),
        "charge_cutoff_soc": Rule("entities.charge_cutoff_soc", "entity"),
        "export_window_start": Rule("export_window_start", "time", text=_WINDOW),
        "export_window_end": Rule("export_window_end", "time", text=_WINDOW),
        "charge_window_start": Rule("charge_window_start", "time", text=_CHARGE_WINDOW),
        "charge_window_end": Rule("charge_window_end", "time", text=_CHARGE_WINDOW),
        "enable_ci_planning": Rule("enable_ci_planning", "switch"),
        "enable_charge_planning": Rule("enable_charge_planning", "switch"),
        "enable_auto_discharge": Rule(
            "enable_auto_discharge",
            "switch",
            text=_AUTO,
            chosen=False,
            suffix="enable_auto_discharge",
        ),
        "enable_auto_charge": Rule(
            "enable_auto_charge", "switch", text=_AUTO, chosen=False, suffix="enable_auto_charge"
        ),
    }
)

PVAUTONOMY_OPS: Mapping[str, Rule] = MappingProxyType(
    {
        "artifact_channel": Rule(
            "releases.channel", "word", text="Of all bridges that have no channel of their own."
        ),
        "gates_freshness_minutes": Rule("gates_fresh_min", "number", "min"),
        "strict_gates_required": Rule(
            "strict_gates", "switch", text="It had no effect in Ops 0.2; here a warning blocks."
        ),
    }
)

_PUBLISHER = "Firmware comes from signed manifests; a publisher is added under Firmware."
NOT_OURS: Mapping[str, str] = MappingProxyType(
    {
        "solcast_forecast_so_far": "The old integration never used it; nothing to do.",
        "poll_interval_sec": "Nothing is polled at an interval here; nothing to do.",
        "artifact_owner": _PUBLISHER,
        "artifact_repo": _PUBLISHER,
        "artifact_hw_family_default": "The chip and the project are read from the bridge itself.",
        "flash_min_firmware_size_kb": "The signed manifest names the exact size of each image.",
    }
)
"""Old settings that have no counterpart, each with the reason."""

CHANGES: tuple[str, ...] = (
    "A discharge is stopped when an input is lost. The old one ran on until its timer ended it.",
    "safety_margin_kwh is subtracted from the day's allowance. The old margin was added to it.",
    "target_export_w is what leaves the house. The old target was the power of the battery.",
    "The forecast does not count as produced. allowance_basis = classic brings the old rule back.",
    "export_limit_w has no counterpart in the old integration. Set it before the first command.",
    "Control is locked until the commissioning test has passed.",
)
"""What a user of Energy Export Monitor should know before the first discharge."""
