"""
What users of Energy Export Monitor find again, and which of its defects they do not.

`OLD` is the old integration's own inventory, dumped from its registry (export_monitor.md 1.4); the
corrections beside it are named by their defect. A row that is lost or dressed otherwise fails here.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.export.requests import RequestKind
from agent.export.snapshot import (
    ActionView,
    EnergyView,
    GuardSnapshot,
    HealthStatus,
    Phase,
    PlanSlot,
    PlanView,
    SlotView,
    StatisticsView,
)
from agent.surface.discovery import state_text
from agent.surface.entities import ENTITIES, Entity, Platform
from tests.export.bench import Bench
from tests.surface.desks import DISCHARGING, NOON, QUIET

# platform, id, unit, device class, state class, diagnostic
OLD = """
button start_discharge - - - -
button stop_discharge - - - -
button calculate_discharge - - - -
button reset_auto_stats - - - -
number target_export W - - -
number minimum_soc % - - -
number safety_margin kWh - - -
switch enable_auto_discharge - - - -
switch enable_auto_charge - - - -
sensor export_headroom kWh energy - -
sensor exported_today kWh energy total_increasing -
sensor discharge_needed W power measurement -
sensor discharge_status - - - -
sensor calculated_duration min - measurement -
sensor discharge_complete - - - -
sensor reserve_soc_target % - measurement -
sensor reserve_soc_status - - - -
sensor current_carbon_intensity - - - -
sensor current_carbon_intensity_index - - - -
sensor discharge_plan - - - -
sensor discharge_plan_today - - - -
sensor discharge_plan_tomorrow - - - -
sensor total_plan_energy kWh energy - -
sensor plan_energy_today kWh energy - -
sensor plan_energy_tomorrow kWh energy - -
sensor plan_windows_total - - measurement -
sensor plan_windows_today - - measurement -
sensor plan_windows_tomorrow - - measurement -
sensor current_slot_headroom kWh energy - -
sensor current_slot_exported kWh energy - -
sensor current_slot_target kWh energy - -
sensor current_slot_progress % - measurement -
sensor current_slot_time_remaining min - measurement -
sensor next_charge_session - - - -
sensor current_pv W power - D
sensor forecast_pv_today kWh energy - D
sensor export_allowed - - - D
sensor current_soc % battery - D
sensor minimum_soc % battery - D
sensor observe_reserve_soc - - - D
sensor reserve_limit_reached - - - D
sensor auto_control_summary - - - D
sensor last_auto_action - - - D
sensor service_call_stats - - - D
sensor window_parse_errors - - - D
sensor system_health - - - D
sensor error_state - - - D
sensor data_staleness s - - D
sensor circuit_breaker_status - - - D
"""
CORRECTED = {
    "number target_export": {"device_class": "power"},
    "number safety_margin": {"device_class": "energy"},
    "sensor calculated_duration": {"device_class": "duration"},
    "sensor current_slot_time_remaining": {"device_class": "duration"},
    "sensor data_staleness": {"device_class": "duration"},
    # D-48: units were missing
    "sensor current_carbon_intensity": {"unit": "gCO2/kWh", "state_class": "measurement"},
    "sensor export_allowed": {"unit": "kWh", "device_class": "energy"},
    "sensor current_soc": {"state_class": "measurement"},
    # D-41: energy was shown as power; now it is power
    "sensor current_pv": {"state_class": "measurement"},
    **{
        f"sensor {key}": {"device_class": "enum"}
        for key in (
            "discharge_status",
            "discharge_complete",
            "reserve_soc_status",
            "system_health",
            "error_state",
            "circuit_breaker_status",
        )
    },
}
ROWS = [line.split() for line in OLD.strip().splitlines()]
BY_ID = {f"{entity.platform} {entity.key}": entity for entity in ENTITIES}
BY_SLOT = {entity.slot: entity for entity in ENTITIES}


def shown(key: str, snapshot: GuardSnapshot) -> str:
    return state_text(BY_SLOT[key], snapshot) or ""


def attributes(key: str, snapshot: GuardSnapshot) -> dict[str, Any]:
    feed = BY_SLOT[key].attributes
    assert feed
    return dict(feed(snapshot))


def test_the_old_inventory_is_whole() -> None:
    assert len(ROWS) == 49
    counts = {it: sum(row[0] == it for row in ROWS) for it in ("button", "number", "switch")}
    assert counts == {"button": 4, "number": 3, "switch": 2}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}.{row[1]}")
def test_every_old_entity_is_there_as_it_was_but_for_named_corrections(row: list[str]) -> None:
    name = f"{row[0]} {row[1]}"
    unit, device_class, state_class = (None if it == "-" else it for it in row[2:5])
    wanted = {
        "unit": unit,
        "device_class": device_class,
        "state_class": state_class,
        "category": "diagnostic" if row[5] == "D" else None,
        **CORRECTED.get(name, {}),
    }
    entity = BY_ID[name]
    assert {key: getattr(entity, key) for key in wanted} == wanted


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("start_discharge", RequestKind.START_DISCHARGE),
        ("stop_discharge", RequestKind.STOP_DISCHARGE),
        ("start_charge", RequestKind.START_CHARGE),
        ("stop_charge", RequestKind.STOP_CHARGE),
        ("calculate_discharge", RequestKind.CALCULATE),
        ("emergency_stop", RequestKind.EMERGENCY_STOP),
        ("acknowledge", RequestKind.ACKNOWLEDGE),
        ("reset_auto_stats", RequestKind.RESET_STATISTICS),
    ],
)
def test_every_button_asks_for_what_it_says(key: str, kind: RequestKind) -> None:
    assert BY_ID[f"button {key}"].request is kind


@pytest.mark.parametrize(
    ("key", "setting", "span"),
    [
        ("target_export", "target_export_w", (0, 5000, 100, "box")),
        ("minimum_soc", "min_soc_percent", (4, 100, 1, "slider")),
        ("safety_margin", "safety_margin_kwh", (0, 20, 0.1, "box")),
        ("export_limit", "export_limit_w", (0, 50_000, 10, "box")),
        ("tolerance", "tolerance_kwh", (0, 20, 0.1, "box")),
    ],
)
def test_every_number_sets_what_it_says_within_the_setting_s_own_range(
    key: str, setting: str, span: tuple[Any, ...]
) -> None:
    entity = BY_ID[f"number {key}"]
    assert entity.setting == setting
    assert entity.span
    assert dataclasses.astuple(entity.span) == span


def test_d40_a_discharge_that_used_the_allowance_is_complete() -> None:
    """D-40: the sensor could never say Complete. Here the guard itself discharges to the end."""
    bench = Bench(produced_wh=300.0)
    assert shown("discharge_complete", bench.view()) == "Not Started"
    assert bench.start().accepted
    bench.run(3)
    assert shown("discharge_complete", bench.view()) == "In Progress"
    bench.run_until(lambda: shown("discharge_complete", bench.view()) == "Complete", 1200)
    assert not bench.dispatching
    bench.run(120)
    assert shown("discharge_complete", bench.view()) == "Complete"
    bench.ask(RequestKind.EMERGENCY_STOP)  # what is shown first now is its hold
    bench.run(60)
    assert bench.view().phase is not Phase.DISCHARGE_COMPLETE
    assert shown("discharge_complete", bench.view()) == "Complete"


def test_d40_what_is_not_known_is_unknown_and_an_error_hides_nothing() -> None:
    blind = dataclasses.replace(
        QUIET, energy=EnergyView("2026-06-21", *[None] * 7, breach=False), linked=False
    )
    assert shown("discharge_complete", blind) == "Unknown"
    assert shown("discharge_complete", DISCHARGING) == "In Progress"


def test_d41_current_pv_is_power() -> None:
    assert shown("current_pv", QUIET) == "2710"
    assert BY_SLOT["current_pv"].unit == "W"


def plan_of(count: int) -> GuardSnapshot:
    begins = NOON
    slots = tuple(
        PlanSlot(
            begins + timedelta(minutes=30 * n), begins + timedelta(minutes=30 * n + 30), 1840, 200
        )
        for n in range(count)
    )
    plan = PlanView(today=slots, charge=slots, slot=SlotView(1840, 460, 900), carbon_g_per_kwh=212)
    local = NOON.astimezone(ZoneInfo("Europe/London"))
    return dataclasses.replace(QUIET, at=local, plan=plan)


@pytest.mark.parametrize("count", [1, 8, 12, 14, 48])
def test_d44_a_long_plan_is_cut_at_a_whole_line_and_whole_in_its_attributes(count: int) -> None:
    for key in ("discharge_plan", "discharge_plan_today", "next_charge_session"):
        text = shown(key, plan_of(count))
        assert len(text) <= 255
        lines = text.splitlines()
        named = sum("kWh" in line and "Total" not in line for line in lines)
        if named < count:
            left_out = int(lines[-1].split()[1])
            total = 1 if key == "next_charge_session" else 0
            assert named + left_out == count + total
        data = attributes(key, plan_of(count))
        assert data["number_of_windows"] == len(data["plan_details"]) == count
        assert data["total_energy_kwh"] == pytest.approx(1.84 * count)
        assert data["average_ci"] == 200


def test_d48_plans_are_in_the_site_s_time() -> None:
    """D-48: they were in UTC. Noon in UTC is one o'clock in the London summer."""
    assert shown("discharge_plan_today", plan_of(1)) == "13:00 - 13:30 1.84kWh"
    (detail,) = attributes("discharge_plan_today", plan_of(1))["plan_details"]
    assert detail["period_start"] == "2026-06-21T13:00:00+01:00"


def test_a_plan_fills_every_row_of_plans() -> None:
    planned = plan_of(2)
    figures = {
        "total_plan_energy": "3.68",
        "plan_energy_tomorrow": "0.0",
        "plan_windows_total": "2",
        "plan_windows_tomorrow": "0",
        "current_slot_headroom": "1.38",
        "current_slot_exported": "0.46",
        "current_slot_target": "1.84",
        "current_slot_progress": "25.0",
        "current_slot_time_remaining": "15.0",
        "current_carbon_intensity": "212",
        "discharge_plan_tomorrow": "No plan",
    }
    assert {key: shown(key, planned) for key in figures} == figures
    charge = shown("next_charge_session", planned).splitlines()
    assert charge[0] == "13:00 - 13:30 1.84kWh (CI:200)"
    assert charge[-1] == "Total: 3.68kWh"


def test_without_a_planner_plans_are_none_and_figures_unknown_never_zero() -> None:
    assert QUIET.plan is None
    for key in ("discharge_plan", "discharge_plan_today", "discharge_plan_tomorrow"):
        assert shown(key, QUIET) == "No plan"
    assert shown("next_charge_session", QUIET) == "No charge session planned"
    numbers = [
        entity
        for entity in ENTITIES
        if entity.key.startswith(("plan_", "total_plan", "current_slot", "current_carbon"))
    ]
    assert len(numbers) == 13
    assert {shown(entity.slot, QUIET) for entity in numbers} == {"None", "unknown"}
    assert shown("auto_control_summary", QUIET) == "auto_discharge=off, auto_charge=off"


def test_d46_health_goes_on_speaking_when_every_input_is_gone_and_recovers() -> None:
    """D-46: they went unavailable with the inputs, and the error stuck after recovery."""
    bench = Bench()
    assert shown("system_health", bench.view()) == "Healthy"
    bench.linked = False
    bench.run(90)
    assert shown("system_health", bench.view()) in {"Stale Data", "Error"}
    assert shown("binary_sensor_data_stale", bench.view()) == "ON"
    assert float(shown("data_staleness", bench.view())) > 60
    assert attributes("system_health", bench.view())["problems"]
    bench.linked = True
    bench.run_until(lambda: shown("system_health", bench.view()) == "Healthy", 180)
    assert shown("error_state", bench.view()) == "none"


@pytest.mark.parametrize("health", HealthStatus)
def test_d46_no_state_of_health_is_the_word_for_unavailable(health: HealthStatus) -> None:
    sick = dataclasses.replace(QUIET, health=health)
    assert shown("system_health", sick) == health.value
    assert health.value not in {"unavailable", "unknown"}


def test_d48_what_was_true_or_false_as_text_has_a_binary_sensor_beside_it() -> None:
    for key in ("observe_reserve_soc", "reserve_limit_reached"):
        text, binary = BY_ID[f"sensor {key}"], BY_ID[f"binary_sensor {key}"]
        for observed, reached in ((True, True), (True, False), (False, False)):
            now = dataclasses.replace(QUIET, observe_reserve_soc=observed, reserve_reached=reached)
            as_text, as_binary = shown(text.slot, now), shown(binary.slot, now)
            assert (as_text, as_binary) in {("True", "ON"), ("False", "OFF")}


def test_an_observed_reserve_has_its_words() -> None:
    def status(observed: bool, reached: bool | None) -> str:
        now = dataclasses.replace(QUIET, observe_reserve_soc=observed, reserve_reached=reached)
        return shown("reserve_soc_status", now)

    assert status(False, False) == "Monitoring Disabled"
    assert status(True, None) == "Unknown"
    assert status(True, True) == "Limit Reached"
    assert status(True, False) == "Normal"


def test_the_duration_is_what_is_left_at_the_wanted_power() -> None:
    assert shown("calculated_duration", QUIET) == "80.2"  # 4010 Wh at 3000 W
    idle = dataclasses.replace(QUIET, power=dataclasses.replace(QUIET.power, target_w=0.0))
    assert shown("calculated_duration", idle) == "0"


def test_the_last_action_has_the_old_words() -> None:
    assert shown("last_auto_action", QUIET) == "none"
    last = ActionView("stop", "allowance_used", NOON, "guard", "discharge")
    acted = dataclasses.replace(QUIET, last_action=last)
    assert shown("last_auto_action", acted) == "stop_discharge (allowance_used)"
    told = attributes("last_auto_action", acted)
    assert told["action"] == "stop_discharge"
    assert told["time"] == "2026-06-21T12:00:00+00:00"


def test_statistics_show_the_sum_of_failures_and_the_eight_old_counters() -> None:
    counted = StatisticsView(start_discharge_success=7, stop_charge_fail=2, start_charge_fail=1)
    now = dataclasses.replace(QUIET, statistics=counted)
    assert shown("service_call_stats", now) == "3"
    assert set(attributes("service_call_stats", now)) == {
        f"{act}_{what}_{outcome}"
        for act in ("start", "stop")
        for what in ("discharge", "charge")
        for outcome in ("success", "fail")
    } | {"since"}


def test_every_entity_is_told_apart_by_platform_and_key() -> None:
    seen: set[tuple[Platform, str]] = set()
    entity: Entity
    for entity in ENTITIES:
        assert (entity.platform, entity.key) not in seen
        seen.add((entity.platform, entity.key))
