"""What of the old settings becomes ours, in which unit, and what is left with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from agent.migration.mapping import EXPORT_MONITOR, NOT_OURS, PVAUTONOMY_OPS
from agent.migration.models import Domain, Found, Left, Old, OldEntry, OldState, Plan, Proposal
from agent.migration.plan import plan
from agent.migration.rivals import found, lock
from agent.settings import Settings, proposed

ENTRY = OldEntry(Domain.EXPORT_MONITOR, "abc", "Energy Export Monitor", "loaded")
OPS = OldEntry(Domain.PVAUTONOMY_OPS, "def", "Ops", "loaded")
NUMBER = "number.energy_export_monitor_"
STATES = {
    "sensor.soc": OldState("80", "%"),
    "sensor.fed": OldState("3", "kWh"),
    "sensor.sun": OldState("9", "kWh"),
    f"{NUMBER}target_export": OldState("3000.0", "W"),
    f"{NUMBER}minimum_soc": OldState("15.0", "%"),
    f"{NUMBER}safety_margin": OldState("1.5", "kWh"),
}
FORM: dict[str, Any] = {
    "current_soc": "sensor.soc",
    "grid_feed_today": "sensor.fed",
    "pv_energy_today": "sensor.sun",
    "target_export": 1000,
    "export_window_start": "16:00:00",
    "export_window_end": "23:59",
    "battery_capacity_kwh": 13.3,
    "enable_auto_discharge": True,
    "solcast_forecast_so_far": "sensor.sun",
}


def made(
    form: dict[str, Any] | None = None,
    states: dict[str, OldState] | None = None,
    ids: dict[str, str] | None = None,
    settings: Settings | None = None,
    entry: OldEntry = ENTRY,
) -> Plan:
    old = Old(entry, FORM if form is None else form, ids or {})
    return plan([old], STATES if states is None else states, settings or Settings())


def one(plan_: Plan, key: str) -> Proposal:
    return next(each for each in plan_.proposals if each.key == key)


def left(plan_: Plan, old_key: str) -> Left:
    return next(each for each in plan_.left if each.old_key == old_key)


def test_what_is_proposed_passes_the_check_of_settings_together() -> None:
    shown = made()
    wanted = proposed(Settings(), {each.key: each.value for each in shown.proposals})
    assert wanted.target_export_w == 3000
    assert wanted.battery_capacity_kwh == 13.3
    assert wanted.entities.soc == "sensor.soc"
    assert wanted.entities.produced_today == ("sensor.sun",)
    assert (wanted.export_window_start, wanted.export_window_end) == ("16:00", "00:00")
    assert wanted.mode == "observe"


def test_the_number_entity_wins_over_the_form_which_may_be_older() -> None:
    assert one(made(), "target_export_w").value == 3000
    gone = STATES | {f"{NUMBER}target_export": OldState("unavailable", "W")}
    assert one(made(states=gone), "target_export_w").value == 1000


def test_the_registry_names_the_entity_where_a_person_has_renamed_it() -> None:
    states = STATES | {"number.my_target": OldState("2.5", "kW")}
    shown = made(states=states, ids={"target_export": "number.my_target"})
    assert one(shown, "target_export_w").value == 2500


def test_the_old_margin_is_offered_as_tolerance_unticked_and_never_as_our_margin() -> None:
    shown = made()
    assert "safety_margin_kwh" not in {each.key for each in shown.proposals}
    tolerance = one(shown, "tolerance_kwh")
    assert (tolerance.value, tolerance.chosen) == (1.5, False)
    assert "only if your contract grants it" in tolerance.text


def test_what_would_act_by_itself_is_not_ticked() -> None:
    assert not one(made(), "enable_auto_discharge").chosen


def test_the_changed_meaning_of_the_target_stands_beside_it() -> None:
    assert "power at the connection point" in one(made(), "target_export_w").text


def test_a_floor_below_the_inverters_own_is_raised_and_said() -> None:
    states = STATES | {f"{NUMBER}minimum_soc": OldState("0", "%")}
    raised = one(made(states=states), "min_soc_percent")
    assert raised.value == 4
    assert "Raised to 4 %" in raised.text


@pytest.mark.parametrize(
    ("form", "key", "words"),
    [
        ({"current_soc": "sensor.nowhere"}, "current_soc", "no such entity"),
        ({"battery_capacity_kwh": 4000}, "battery_capacity_kwh", "outside 0.5 to 100 kWh"),
        ({"battery_capacity_kwh": "<b>"}, "battery_capacity_kwh", "not a number"),
        ({"charge_window_start": "25:99"}, "charge_window_start", "not a time of day"),
        ({"observe_reserve_soc": "maybe"}, "observe_reserve_soc", "neither on nor off"),
        ({"solcast_forecast_so_far": "sensor.sun"}, "solcast_forecast_so_far", "never used it"),
    ],
)
def test_what_cannot_be_taken_over_says_why(form: dict[str, Any], key: str, words: str) -> None:
    assert words in left(made(form), key).text


def test_a_value_in_another_unit_is_left_and_not_guessed() -> None:
    states = STATES | {f"{NUMBER}target_export": OldState("3000", "VA")}
    assert "VA" in left(made({}, states), "target_export").text


def test_what_is_set_already_is_not_proposed() -> None:
    settings = Settings(target_export_w=3000, battery_capacity_kwh=13.3)
    keys = {each.key for each in made(settings=settings).proposals}
    assert not keys & {"target_export_w", "battery_capacity_kwh"}


def test_the_prefix_that_dashboards_know_is_proposed_with_its_condition() -> None:
    prefix = one(made(), "entity_prefix")
    assert prefix.value == "energy_export_monitor"
    assert "Remove the old integration first" in prefix.text
    assert not prefix.chosen
    ours = {"sensor.export_monitor_system_health": OldState("Healthy")}
    assert "entity_prefix" not in {each.key for each in made({}, ours).proposals}


def test_the_changes_are_told_for_export_monitor_only() -> None:
    assert any("input is lost" in each for each in made().changes)
    ops = made({"artifact_channel": "beta", "artifact_repo": "x"}, {}, entry=OPS)
    assert ops.changes == ()
    assert one(ops, "releases.channel").value == "beta"
    assert "signed manifests" in left(ops, "artifact_repo").text


def test_every_rule_leads_to_a_setting_that_exists() -> None:
    for rule in (*EXPORT_MONITOR.values(), *PVAUTONOMY_OPS.values()):
        group, _, name = rule.key.rpartition(".")
        assert hasattr(getattr(Settings(), group) if group else Settings(), name), rule.key
    assert not set(NOT_OURS) & {*EXPORT_MONITOR, *PVAUTONOMY_OPS}


hostile = st.one_of(
    st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.text())
)


@trials(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from([*EXPORT_MONITOR, *NOT_OURS]), hostile))
def test_no_form_breaks_the_plan_and_none_turns_control_on(form: dict[str, Any]) -> None:
    shown = made(form)
    assert "mode" not in {each.key for each in shown.proposals}
    for each in shown.proposals:
        proposed(Settings(), {each.key: each.value})
    for each in shown.left:
        assert each.old_value.isprintable()


ROW = {"domain": "export_monitor", "entry_id": "abc", "title": "x", "disabled_by": None}


@pytest.mark.parametrize(
    ("row", "locked"),
    [
        ({"state": "loaded"}, True),
        ({"state": "setup_retry"}, True),
        ({"state": "setup_in_progress"}, True),
        ({"state": "setup_error"}, False),
        ({"state": "not_loaded"}, False),
        ({"state": "loaded", "disabled_by": "user"}, False),
    ],
)
def test_what_acts_or_is_about_to_locks(row: dict[str, Any], locked: bool) -> None:
    now = found([ROW | row, {"domain": "sun", "state": "loaded"}], ())
    assert bool(lock(now, (), Domain.EXPORT_MONITOR)) is locked
    assert lock(now, (), Domain.PVAUTONOMY_OPS) == ""


def test_what_is_not_loaded_yet_locks_while_home_assistant_starts() -> None:
    row = ROW | {"state": "not_loaded"}
    assert lock(found([row], (), starting=True), (), Domain.EXPORT_MONITOR)
    off = row | {"disabled_by": "user"}
    assert lock(found([off], (), starting=True), (), Domain.EXPORT_MONITOR) == ""


def test_an_accepted_entry_does_not_lock_and_another_one_does() -> None:
    now = found([ROW | {"state": "loaded"}], ())
    assert lock(now, {"abc"}, Domain.EXPORT_MONITOR) == ""
    second = found([ROW | {"state": "loaded"}, ROW | {"state": "loaded", "entry_id": "new"}], ())
    assert "Energy Export Monitor is active" in lock(second, {"abc"}, Domain.EXPORT_MONITOR)


def test_actions_that_outlive_their_integration_are_told_and_do_not_lock() -> None:
    now = found([ROW | {"state": "not_loaded"}], {"export_monitor"})
    assert now.lingering == (Domain.EXPORT_MONITOR,)
    assert lock(now, (), Domain.EXPORT_MONITOR) == ""


def test_where_entries_are_not_told_the_actions_lock() -> None:
    assert lock(found(None, {"export_monitor"}), (), Domain.EXPORT_MONITOR)
    assert found(None, ()) == Found()
