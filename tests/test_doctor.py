"""Each check of the doctor finds its fault, says what to do, and is quiet where all is well."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.doctor import Patient, examined, examined_alone
from agent.doctor_checks import CHECKS, examine, exit_code
from agent.doctor_facts import (
    CoreFacts,
    DiskFacts,
    Facts,
    Finding,
    InputFacts,
    RivalFacts,
    Verdict,
    WatchFacts,
)
from agent.doctor_report import Report
from agent.homeassistant.link import LinkState
from agent.house.hass_alphaess import TRAITS
from agent.house.readings import (
    DispatchReadings,
    HouseSample,
    Quality,
    Reading,
    SourceTraits,
    missing,
)
from agent.options import Options
from agent.settings import Settings
from agent.surface.mqtt import MqttState, MqttStatus
from tests.journal_help import contents

DOCS = Path(__file__).parents[1] / "docs"
SETTINGS = Settings(export_limit_w=3680)


def good(value: float, source: str = "sensor.x") -> Reading:
    now_s = time.monotonic()
    return Reading(value, Quality.GOOD, source, changed_s=now_s, reported_s=now_s)


def watched(name: str, reading: Reading, age_s: float | None = 1.0, reports: int = 3) -> InputFacts:
    return InputFacts(name, reading, age_s, reports)


INPUTS = {
    "grid_w": watched("grid_w", good(-800)),
    "battery_w": watched("battery_w", good(-1200)),
    "pv_w": watched("pv_w", good(2700)),
    "soc_percent": watched("soc_percent", good(80)),
    "exported_wh": watched("exported_wh", good(5100)),
    "forecast_today_wh": watched("forecast_today_wh", missing("not configured")),
}
CORE = CoreFacts(
    "http://ha:8123",
    LinkState.UP,
    version="2026.11.0",
    time_zone="Europe/London",
    admin=True,
    user="Anna",
    clock_offset_s=0.1,
    actions=frozenset({"modbus.write_register"}),
    components=frozenset({"mqtt"}),
)
WATCH = WatchFacts(10, tuple(INPUTS.values()), ((-800.0, -1200.0, 2700.0),) * 5, traits=TRAITS)
HEALTHY = Facts(
    settings=SETTINGS,
    disk=DiskFacts("/data", free_mb=9000),
    core=CORE,
    watch=WATCH,
    broker=MqttState(MqttStatus.CONNECTED, "core-mosquitto:1883"),
)


def core(**changes: Any) -> Facts:
    return dataclasses.replace(HEALTHY, core=dataclasses.replace(CORE, **changes))


def watch(**changes: Any) -> Facts:
    return dataclasses.replace(HEALTHY, watch=dataclasses.replace(WATCH, **changes))


def but(**inputs: InputFacts) -> Facts:
    return watch(inputs=tuple((INPUTS | inputs).values()))


def settings(**changes: Any) -> Facts:
    return dataclasses.replace(HEALTHY, settings=SETTINGS.model_copy(update=changes))


def trouble(facts: Facts) -> dict[str, Verdict]:
    return {
        each.code: each.verdict
        for each in examine(facts)
        if each.verdict in {Verdict.WARNING, Verdict.FAILURE}
    }


def test_a_healthy_house_has_no_trouble_and_exit_code_0() -> None:
    assert trouble(HEALTHY) == {}
    assert exit_code(examine(HEALTHY)) == 0


WARNING, FAILURE = Verdict.WARNING, Verdict.FAILURE
FAULTS: dict[str, tuple[Facts, str, Verdict]] = {
    "read-only disk": (
        dataclasses.replace(HEALTHY, disk=DiskFacts("/data", "Read-only file system")),
        "data_dir",
        FAILURE,
    ),
    "full disk": (
        dataclasses.replace(HEALTHY, disk=DiskFacts("/data", free_mb=20)),
        "data_dir",
        WARNING,
    ),
    "settings set aside": (
        dataclasses.replace(HEALTHY, settings_warnings=("settings.json cannot be used.",)),
        "settings",
        FAILURE,
    ),
    "no limit": (settings(export_limit_w=None), "settings", WARNING),
    "control without target": (settings(mode="control"), "settings", WARNING),
    "nobody there": (core(state=LinkState.DOWN, detail="no link"), "host", FAILURE),
    "wrong token": (core(state=LinkState.REFUSED, detail="refused"), "token", FAILURE),
    "resident's token": (core(admin=False), "administrator", FAILURE),
    "old core": (core(version="2023.12.4"), "core_version", WARNING),
    "starting core": (core(running=False), "core_version", WARNING),
    "two zones": (settings(time_zone="Australia/Sydney"), "time_zone", WARNING),
    "unknown zone": (dataclasses.replace(HEALTHY, known_zone=False), "time_zone", FAILURE),
    "clock off": (core(clock_offset_s=-20.0), "clock", WARNING),
    "clock far off": (core(clock_offset_s=3600.0), "clock", FAILURE),
    "nothing detected": (
        watch(findings=("soc: found neither a or b; choose the entity in the settings",)),
        "entities",
        WARNING,
    ),
    "no such entity": (
        but(soc_percent=watched("soc_percent", missing("sensor.soc", "it does not exist"))),
        "input_soc_percent",
        FAILURE,
    ),
    "stale grid": (but(grid_w=watched("grid_w", good(0), 31)), "input_grid_w", FAILURE),
    "late grid": (but(grid_w=watched("grid_w", good(0), 16)), "input_grid_w", WARNING),
    "stale soc": (
        but(soc_percent=watched("soc_percent", good(80), 121)),
        "input_soc_percent",
        FAILURE,
    ),
    "silent battery": (
        but(battery_w=watched("battery_w", good(0), 12, reports=0)),
        "scan_intervals",
        WARNING,
    ),
    "inverted battery": (watch(powers=((0.0, -3000.0, 0.0),) * 5), "signs", FAILURE),
    "lifetime counter": (
        but(exported_wh=watched("exported_wh", good(4_000_000))),
        "plausibility",
        WARNING,
    ),
    "watts for kilowatts": (
        but(grid_w=watched("grid_w", good(45_000))),
        "plausibility",
        WARNING,
    ),
    "no modbus": (core(actions=frozenset({"light.turn_on"})), "write_path", FAILURE),
    "no broker": (
        dataclasses.replace(HEALTHY, broker=MqttState(MqttStatus.NOT_CONFIGURED)),
        "broker",
        WARNING,
    ),
    "wrong password": (
        dataclasses.replace(HEALTHY, broker=MqttState(MqttStatus.AUTH_FAILED, "no")),
        "broker",
        FAILURE,
    ),
    "core without mqtt": (
        core(components=frozenset({"modbus"})),
        "mqtt_integration",
        WARNING,
    ),
    "old integration": (
        dataclasses.replace(
            HEALTHY, rivals=RivalFacts(integrations=("Energy Export Monitor (export_monitor)",))
        ),
        "second_controller",
        FAILURE,
    ),
    "toggle on": (
        dataclasses.replace(HEALTHY, rivals=RivalFacts(toggles_on=("input_boolean.x",))),
        "second_controller",
        FAILURE,
    ),
    "our id is taken": (
        dataclasses.replace(
            HEALTHY, rivals=RivalFacts(taken_ids=("a is called a_2. Rename it.", "b. Rename."))
        ),
        "entity_ids",
        WARNING,
    ),
    "automation": (
        dataclasses.replace(HEALTHY, rivals=RivalFacts(automations=("automation.x",))),
        "second_controller",
        WARNING,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_where_it_is_and_nowhere_else(fault: str) -> None:
    facts, code, verdict = FAULTS[fault]
    assert trouble(facts) == {code: verdict}
    assert exit_code(examine(facts)) == (2 if verdict is FAILURE else 1)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_well_names_the_next_step(fault: str) -> None:
    for finding in examine(FAULTS[fault][0]):
        assert finding.text
        if finding.verdict in {WARNING, FAILURE}:
            assert finding.next_step.endswith((".", ")"))


def test_without_core_nothing_about_it_is_called_well() -> None:
    """Silence is not health."""
    facts = core(state=LinkState.DOWN, detail="no link")
    told = {each.code: each.verdict for each in examine(facts)}
    for code in ("token", "core_version", "time_zone", "entities", "write_path"):
        assert told[code] is Verdict.SKIPPED, code
    assert told["second_controller"] is Verdict.SKIPPED


@given(
    st.lists(
        st.tuples(st.floats(-20_000, 20_000), st.floats(-5000, 5000), st.floats(0, 10_000)).filter(
            lambda p: sum(p) >= 0
        ),
        min_size=3,
        max_size=40,
    )
)
def test_a_possible_house_is_never_told_that_its_signs_are_wrong(
    powers: list[tuple[float, float, float]],
) -> None:
    assert "signs" not in trouble(watch(powers=tuple(powers)))


@given(
    load_w=st.floats(200, 3000),
    battery_w=st.floats(2000, 5000),
    pv_w=st.floats(0, 500),
)
def test_an_inverted_battery_is_blamed(load_w: float, battery_w: float, pv_w: float) -> None:
    """It charges from the grid at night; told with the wrong sign the house would produce."""
    grid_w = load_w + battery_w - pv_w  # charging: the battery is really at -battery_w
    assert "signs" not in trouble(watch(powers=((grid_w, -battery_w, pv_w),) * 3))
    wrong = (-grid_w, -battery_w, pv_w)
    (finding,) = [e for e in examine(watch(powers=(wrong,) * 3)) if e.code == "signs"]
    assert finding.verdict is FAILURE
    assert "grid_power" in finding.text


def test_helpers_that_are_missing_are_named_with_their_setting() -> None:
    helpers = (("discharge_button", "input_boolean.gone", None), ("discharge_power", "n.x", "3"))
    facts = dataclasses.replace(settings(path="ha_helpers"), helpers=helpers)
    (finding,) = [each for each in examine(facts) if each.code == "write_path"]
    assert finding.verdict is FAILURE
    assert "input_boolean.gone" in finding.text
    assert "entities.discharge_button" in finding.next_step


def test_the_table_is_aligned_and_cannot_steer_a_terminal() -> None:
    findings = (
        Finding("a", "Short", Verdict.OK, "fine"),
        Finding("b", "A longer title", WARNING, "evil \x1b[2J\ntext " + "long " * 40, "Do it."),
    )
    table = Report(findings, datetime(2026, 6, 21, tzinfo=UTC), 3.0).table()
    first, second, *rest = table.splitlines()
    assert first.index("fine") == second.index("evil")
    assert "\x1b" not in table
    assert any(line.strip() == "-> Do it." for line in rest)
    assert max(map(len, table.splitlines())) <= 100
    assert rest[-1] == "1 ok, 1 warning; 3 s."


def test_every_check_that_can_speak_is_explained_in_the_docs() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    codes = {e.code for facts, *_ in FAULTS.values() for e in examine(facts)}
    assert len(CHECKS) > 10
    missing_codes = {
        code for code in codes if f"`{code}`" not in text and not code.startswith("input_")
    }
    assert missing_codes == set()
    assert "`input_…`" in text


class StillHouse:
    """A meter whose values never need a wait."""

    traits: SourceTraits = TRAITS

    def sample(self) -> HouseSample:
        one = good(1, "register")
        none = missing("")
        return HouseSample(
            True, good(-800), good(-1200), good(2700), good(80), one, one, none, none,
            DispatchReadings(good(0), one, one, one, one),
        )  # fmt: skip

    def subscribe(self, wake: Any) -> Any:
        return lambda: None

    async def run(self) -> None: ...


async def test_a_demo_is_examined_without_home_assistant(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []

    async def broker() -> MqttState:
        return MqttState(MqttStatus.NOT_CONFIGURED)

    patient = Patient(SETTINGS, tmp_path, "", None, StillHouse(), broker)
    report = await examined(patient, lambda *what: heard.append(what), watch_s=0.6)
    told = {each.code: each.verdict for each in report.findings}
    assert told["host"] is Verdict.SKIPPED
    assert told["input_grid_w"] is Verdict.OK
    assert told["signs"] is Verdict.OK
    percents = [percent for _, percent in heard]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert contents(tmp_path) == {}


async def test_a_broken_settings_file_is_reported_and_left_where_it_is(tmp_path: Path) -> None:
    """The running agent's store would set it aside; a doctor must not."""
    (tmp_path / "settings.json").write_text("{broken")
    report = await examined_alone(Options(), tmp_path, lambda *_: None, 0)
    told = {each.code: each for each in report.findings}
    assert told["settings"].verdict is FAILURE
    assert "broken-1" not in told["settings"].text
    assert told["host"].verdict is FAILURE
    assert "ha_url is not set" in told["host"].text
    assert contents(tmp_path) == {"settings.json": b"{broken"}
    json.dumps(report.as_json())
