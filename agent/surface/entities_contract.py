"""
Writes docs/contract.md, what automations and dashboards may rely on, from the table itself.

`python -m agent.surface.entities_contract > docs/contract.md`; a test fails while the document
says something else than the table does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from agent.setting_fields import plain
from agent.surface.entities import ENTITIES
from agent.surface.entities_bridge import BRIDGE_ENTITIES
from agent.surface.entities_model import Entity, Platform
from agent.surface.entities_release import FLEET_ROWS

_ABOUT = """
# Entities in Home Assistant

Written by `python -m agent.surface.entities_contract` from the table that is published; do not
edit.

Every entity comes by MQTT discovery, the guard's as one device, from Home Assistant 2024.1 on. Its
id is `<platform>.<prefix>_<key>`; the prefix is `export_monitor`, as the guide of Energy Export
Monitor has it, or by the setting `entity_prefix` `energy_export_monitor`, as its installations have
it. A change of that setting takes every entity out of Home Assistant and brings it back under its
new id: what you changed about an entity by hand (name, area, icon) is lost then, its history stays
with the old id. An id that another integration holds gets a `_2` from Home Assistant; page and log
then name the holder.

## What to rely on

- **Availability.** An entity is unavailable when the agent is gone (last will of MQTT) and never
  because an input is. A value that is not known is `unknown`, never 0.
- **Commands.** Start and stop are heard at once; whether the battery followed is seen in
  `discharge_status`. Numbers and switches show what is in force, also when it was set on the page.
  A retained command is ignored.
- **Refusals.** Every button, number and switch has the attributes `last_answer`, `last_accepted`,
  `last_code` and `last_at`: what was answered to the last command over MQTT. A refused value
  changes nothing. Out of a number's range Home Assistant refuses by itself.
- **Plans.** While nothing is to be planned, rows of plans say `No plan` or `unknown`. The switches
  of automatic control plan and carry out; what is only planned is set on the page. Rows of today
  show what is left of it.
- **Texts** are cut at a whole line below 255 characters; the attributes hold everything.
"""

_BRIDGES = """
The ids of PVAutonomy Ops, and two of ours, for the trust in firmware releases
([firmware](firmware.md)) and for bridges on USB cables ([recovery](recovery.md)), whatever the
setting `entity_prefix` says; a device of their own. Each has all of its attributes from the first
moment on, and what a press came to stands in those of its button: `last_result` and, where it was
refused or failed, `error_message` with the sentence. One thing is done at a time. The select takes
a bridge's name as its options have it, with the MAC behind it where two share one; `none` is
nobody, which Home Assistant shows as `unknown`. Flashing is refused in this version.
"""

_EACH_BRIDGE = """
A device for each bridge, with ids of its MAC: `<platform>.pv_edge_bridge_<mac>_<key>`, the MAC in
twelve small letters and digits. It follows a new name and comes back under the same ids. A bridge
that is removed takes its device along. What a bridge does not show is `unknown`.
"""

_DIFFERENCES = """
## Where it differs from Energy Export Monitor

| entity | before | now |
|---|---|---|
| `current_pv` | energy of the day, labelled W | power of the sun in W |
| `export_allowed`, `current_carbon_intensity` | without unit | kWh, gCO2/kWh |
| `discharge_complete` | never `Complete` | `Complete` until the next start or the end of the day |
| `calculated_duration` | headroom with 10 % on top | what surely may still leave |
| `safety_margin` | added to the allowance | subtracted; what a contract grants is `tolerance` |
| `minimum_soc` (number) | 0 to 100 % | 4 to 100 % |
| plan texts | UTC, `unknown` beyond 255 characters | local time, cut at a whole line |
| `plan_*`, `current_slot_*` without a plan | 0 | `unknown` |
| `service_call_stats`, `last_auto_action` | automatic actions, lost at a restart | all, kept |
| `stop_discharge` (reason in `last_auto_action`) | protective stops missing | every stop |
| health entities | unavailable with the inputs | always there |
"""

_TITLES = {
    Platform.BUTTON: "Buttons",
    Platform.NUMBER: "Numbers",
    Platform.SWITCH: "Switches",
    Platform.SENSOR: "Sensors",
    Platform.BINARY_SENSOR: "Binary sensors",
}


def markdown() -> str:
    """Return docs/contract.md."""
    lines = [_ABOUT.strip()]
    for platform, title in _TITLES.items():
        rows = [entity for entity in ENTITIES if entity.platform is platform]
        lines += ["", f"## {title} ({len(rows)})", "", *_table(rows)]
    lines += ["", *_of_bridges()]
    return "\n".join([*lines, "", _DIFFERENCES.strip(), ""])


def _of_bridges() -> list[str]:
    """Return the sections about the bridges."""
    fleet = ["| entity | name | |", "|---|---|---|"]
    for it in FLEET_ROWS:
        words = f" One of {', '.join(f'`{word}`' for word in it.states)}." if it.states else ""
        fleet.append(f"| `{it.entity_id}` | {it.name} | {it.about}{words} |")
    each = ["| key | platform | name | unit | class | |", "|---|---|---|---|---|---|"]
    each += [
        f"| `{it.key}` | {it.platform.value} | {it.name} | {it.unit or ''} "
        f"| {it.device_class or ''} | {it.about} |"
        for it in BRIDGE_ENTITIES
    ]
    return [
        *(f"## Bridges ({len(FLEET_ROWS)})", "", _BRIDGES.strip(), "", *fleet, ""),
        *(f"## Each bridge ({len(BRIDGE_ENTITIES)})", "", _EACH_BRIDGE.strip(), "", *each),
    ]


def _table(rows: Iterable[Entity]) -> list[str]:
    head = ["| key | name | unit | class | category | |", "|---|---|---|---|---|---|"]
    return head + [
        f"| `{it.key}` | {it.name} | {it.unit or ''} | {_class(it)} | {it.category or ''} "
        f"| {_about(it)} |"
        for it in rows
    ]


def _class(entity: Entity) -> str:
    return ", ".join(it for it in (entity.device_class, entity.state_class) if it)


def _about(entity: Entity) -> str:
    parts = [entity.about]
    if entity.options:
        parts.append("One of " + ", ".join(f"`{word}`" for word in entity.options) + ".")
    if entity.span:
        span = entity.span
        parts.append(
            f"{plain(span.minimum)} to {plain(span.maximum)}, step {plain(span.step)}; "
            f"setting `{entity.setting}`."
        )
    elif entity.setting:
        parts.append(f"Setting `{entity.setting}`.")
    if entity.attributes:
        parts.append("Has attributes.")
    return " ".join(parts).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
