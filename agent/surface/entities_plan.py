"""
Rows of plans, slots, carbon intensity and automatic control.

While nothing is planned these rows say so: "No plan" as text, `unknown` as number, never a 0 that
looks like a plan with nothing in it. A plan shows one line per slot in the site's own time, whole
lines within the 255 characters that Core shows, and everything as data in the attributes.

Source: export_monitor.md 1.4, D-44 (length), D-48 (unit, time zone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

from agent.export.snapshot import GuardSnapshot, PlanSlot, PlanView, SlotView
from agent.surface.entities_model import (
    LONGEST_STATE,
    Attributes,
    Entity,
    Value,
    kwh,
    rounded,
    sensor,
    short,
)

NO_PLAN = "No plan"
NO_CHARGE = "No charge session planned"
_ROOM_FOR_MORE = len("\n… 999 more")
_PERCENT = 100
_SECONDS_PER_MINUTE = 60


def _slots(which: str) -> Callable[[GuardSnapshot], tuple[PlanSlot, ...]]:
    def slots(snapshot: GuardSnapshot) -> tuple[PlanSlot, ...]:
        return getattr(snapshot.plan, which) if snapshot.plan else ()

    return slots


def _line(slot: PlanSlot, zone: tzinfo | None) -> str:
    begins, ends = slot.begins.astimezone(zone), slot.ends.astimezone(zone)
    return f"{begins:%H:%M} - {ends:%H:%M} {slot.energy_wh / 1000:.2f}kWh"


def lines_that_fit(lines: Iterable[str]) -> str:
    """Return as many whole lines as Core shows, and how many more there are."""
    whole = list(lines)
    text = "\n".join(whole)
    if len(text) <= LONGEST_STATE:
        return text
    shown: list[str] = []
    for line in whole:
        if len("\n".join([*shown, line])) + _ROOM_FOR_MORE > LONGEST_STATE:
            break
        shown.append(line)
    return "\n".join([*shown, f"… {len(whole) - len(shown)} more"])


def _details(slots: tuple[PlanSlot, ...], snapshot: GuardSnapshot) -> Attributes:
    """Every slot as data, with the names of the old integration."""
    zone = snapshot.at.tzinfo
    return {
        "total_energy_kwh": kwh(sum(slot.energy_wh for slot in slots)),
        "number_of_windows": len(slots),
        "average_ci": _average_g(slots),
        "plan_details": [
            {
                "period_start": slot.begins.astimezone(zone).isoformat(),
                "period_end": slot.ends.astimezone(zone).isoformat(),
                "energy_kwh": kwh(slot.energy_wh),
                "ci_value": rounded(slot.carbon_g_per_kwh, 1),
            }
            for slot in slots
        ],
    }


def _average_g(slots: tuple[PlanSlot, ...]) -> float | None:
    known = [slot.carbon_g_per_kwh for slot in slots if slot.carbon_g_per_kwh is not None]
    return rounded(sum(known) / len(known), 1) if known else None


def _plan_text(key: str, which: str, about: str) -> Entity:
    slots = _slots(which)

    def text(snapshot: GuardSnapshot) -> Value:
        lines = [_line(slot, snapshot.at.tzinfo) for slot in slots(snapshot)]
        return lines_that_fit(lines) or NO_PLAN

    return sensor(
        key,
        "mdi:calendar-clock",
        about,
        value=text,
        attributes=lambda snapshot: _details(slots(snapshot), snapshot),
    )


def _charge_text(snapshot: GuardSnapshot) -> Value:
    slots = snapshot.plan.charge if snapshot.plan else ()
    zone = snapshot.at.tzinfo
    lines = [
        _line(slot, zone)
        + ("" if slot.carbon_g_per_kwh is None else f" (CI:{slot.carbon_g_per_kwh:.0f})")
        for slot in slots
    ]
    if len(slots) > 1:
        lines.append(f"Total: {sum(slot.energy_wh for slot in slots) / 1000:.2f}kWh")
    return lines_that_fit(lines) or NO_CHARGE


def _plan_energy(key: str, which: str, about: str) -> Entity:
    slots = _slots(which)

    def energy(snapshot: GuardSnapshot) -> Value:
        return kwh(sum(s.energy_wh for s in slots(snapshot))) if snapshot.plan else None

    return sensor(
        key,
        "mdi:sigma",
        about,
        value=energy,
        unit="kWh",
        device_class="energy",
    )


def _plan_windows(key: str, which: str, about: str) -> Entity:
    slots = _slots(which)
    return sensor(
        key,
        "mdi:counter",
        about,
        value=lambda snapshot: len(slots(snapshot)) if snapshot.plan else None,
        state_class="measurement",
    )


def _slot(
    key: str,
    icon: str,
    value: Callable[[SlotView], float | None],
    about: str,
    *,
    unit: str,
    device_class: str | None = None,
) -> Entity:
    def of_slot(snapshot: GuardSnapshot) -> Value:
        slot = snapshot.plan.slot if snapshot.plan else None
        return value(slot) if slot else None

    return sensor(
        key,
        icon,
        f"{about}; unknown outside a planned slot.",
        value=of_slot,
        unit=unit,
        device_class=device_class,
        state_class=None if device_class == "energy" else "measurement",
        every_s=10,
    )


def _progress(slot: SlotView) -> float | None:
    if slot.target_wh <= 0:
        return None
    return rounded(slot.exported_wh / slot.target_wh * _PERCENT, 1)


def _carbon(snapshot: GuardSnapshot) -> Value:
    return rounded(snapshot.plan.carbon_g_per_kwh, 1) if snapshot.plan else None


def _carbon_index(snapshot: GuardSnapshot) -> Value:
    word = snapshot.plan.carbon_index if snapshot.plan else None
    return short(word) if word else "unknown"


def _auto_summary(snapshot: GuardSnapshot) -> Value:
    plan = snapshot.plan or PlanView()
    words = {True: "on", False: "off"}
    return f"auto_discharge={words[plan.auto_discharge]}, auto_charge={words[plan.auto_charge]}"


def _auto_attributes(snapshot: GuardSnapshot) -> Attributes:
    plan = snapshot.plan or PlanView()
    lease = snapshot.lease.kind if snapshot.lease else None
    return {
        "auto_discharge": plan.auto_discharge,
        "auto_charge": plan.auto_charge,
        "auto_rest": plan.auto_rest,
        "discharge_active": lease == "discharge",
        "charge_active": lease == "charge",
        "rest_active": lease in {"rest", "share_sun"},
        "active_discharge_window": _running(plan.today, snapshot),
        "active_charge_window": _running(plan.charge, snapshot),
    }


def _running(slots: tuple[PlanSlot, ...], snapshot: GuardSnapshot) -> str | None:
    zone = snapshot.at.tzinfo
    running = (slot for slot in slots if slot.begins <= snapshot.at < slot.ends)
    found = next(running, None)
    return _line(found, zone) if found else None


PLAN_ENTITIES: tuple[Entity, ...] = (
    sensor(
        "current_carbon_intensity",
        "mdi:molecule-co2",
        "Carbon intensity of the grid in the running half hour.",
        value=_carbon,
        unit="gCO2/kWh",
        state_class="measurement",
    ),
    sensor(
        "current_carbon_intensity_index",
        "mdi:molecule-co2",
        "The source's word for it, as `low`.",
        value=_carbon_index,
    ),
    _plan_text("discharge_plan", "today", "The same as `discharge_plan_today`."),
    _plan_text("discharge_plan_today", "today", "One line per slot, best first, local time."),
    _plan_text("discharge_plan_tomorrow", "tomorrow", "The same for tomorrow."),
    _plan_energy("total_plan_energy", "today", "The same as `plan_energy_today`."),
    _plan_energy("plan_energy_today", "today", "Sum of today's plan."),
    _plan_energy("plan_energy_tomorrow", "tomorrow", "Sum of tomorrow's plan."),
    _plan_windows("plan_windows_total", "today", "The same as `plan_windows_today`."),
    _plan_windows("plan_windows_today", "today", "Number of slots of today's plan."),
    _plan_windows("plan_windows_tomorrow", "tomorrow", "Number of slots of tomorrow's plan."),
    _slot(
        "current_slot_headroom",
        "mdi:battery-clock",
        lambda slot: kwh(max(0.0, slot.target_wh - slot.exported_wh)),
        "What is left of the slot's energy",
        unit="kWh",
        device_class="energy",
    ),
    _slot(
        "current_slot_exported",
        "mdi:transmission-tower-export",
        lambda slot: kwh(slot.exported_wh),
        "Exported since the slot began",
        unit="kWh",
        device_class="energy",
    ),
    _slot(
        "current_slot_target",
        "mdi:target",
        lambda slot: kwh(slot.target_wh),
        "Energy planned for the slot",
        unit="kWh",
        device_class="energy",
    ),
    _slot("current_slot_progress", "mdi:percent", _progress, "Exported of the target", unit="%"),
    _slot(
        "current_slot_time_remaining",
        "mdi:timer-sand",
        lambda slot: rounded(slot.remaining_s / _SECONDS_PER_MINUTE, 1),
        "Time to the end of the slot",
        unit="min",
        device_class="duration",
    ),
    sensor(
        "next_charge_session",
        "mdi:battery-charging",
        "One line per slot of the next charge session, local time, and the total.",
        value=_charge_text,
        attributes=lambda snapshot: _details(_slots("charge")(snapshot), snapshot),
    ),
    sensor(
        "auto_control_summary",
        "mdi:robot",
        "Whether plans are carried out: `auto_discharge=on|off, auto_charge=on|off`.",
        value=_auto_summary,
        attributes=_auto_attributes,
        category="diagnostic",
    ),
    sensor(
        "window_parse_errors",
        "mdi:calendar-alert",
        "Windows that a planner could not read; a wrong time is refused when it is set.",
        value=lambda snapshot: snapshot.plan.parse_errors if snapshot.plan else 0,
        category="diagnostic",
    ),
)
