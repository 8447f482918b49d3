"""A setting is taken or refused as a whole, in words, and never by accident."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent import settings as settings_module
from agent.options import Options
from agent.setting_fields import keys
from agent.settings import Entities, SettingError, Settings, SettingsStore, markdown
from tests.settings_help import refusal

REPOSITORY = Path(__file__).parents[1]
MISPLACED = (
    "mqtt_host: is an option of the app; set it in the app's configuration, in the file given "
    "with --config or as PV_EDGE_MQTT_HOST, then restart"
)
GUIDE_DEFAULTS = {
    "mode": "observe",
    "path": "ha_register",
    "export_limit_w": None,
    "target_export_w": 0,
    "min_soc_percent": 20,
    "safety_margin_kwh": 0.5,
    "tolerance_kwh": 0,
    "stale_warning_s": 15,
    "stale_after_s": 30,
    "service_timeout_s": 5,
    "breaker_failures": 5,
    "breaker_pause_s": 60,
    "charge_power_kw": 3.68,
    "battery_capacity_kwh": 10,
    "modbus_hub": "modbuspvsystem",
    "modbus_unit": 85,
    "plan_aim": "carbon",
    "carbon_region": "",
    "roof": "",
    "enable_auto_discharge": False,
    "enable_auto_charge": False,
    "enable_ci_planning": False,
    "enable_charge_planning": False,
    "charge_window_start": "00:00",
    "charge_window_end": "06:00",
}


@pytest.fixture
def store(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path)


# --- values ----------------------------------------------------------------------------------


def test_defaults_are_those_of_the_guide_and_never_command_a_battery() -> None:
    chosen = Settings().model_dump()
    assert {key: chosen[key] for key in GUIDE_DEFAULTS} == GUIDE_DEFAULTS
    assert set(chosen["entities"].values()) == {None}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("export_limit_w", 99999,
         "export_limit_w: 99999 is outside 0 to 50000 W; for example 3680"),
        ("export_limit_w", -1, "export_limit_w: -1 is outside 0 to 50000 W; for example 3680"),
        ("export_limit_w", "much",
         "export_limit_w: 'much' is not a number from 0 to 50000 W; for example 3680"),
        ("export_limit_w", True,
         "export_limit_w: True is not a number from 0 to 50000 W; for example 3680"),
        ("export_limit_w", float("nan"),
         "export_limit_w: nan is not a number from 0 to 50000 W; for example 3680"),
        ("breaker_failures", 2.5,
         "breaker_failures: 2.5 is not a whole number from 1 to 20; for example 5"),
        ("mode", "auto", "mode: 'auto' is not one of observe, control; for example observe"),
        ("dispatch_soc_scale", 0.5,
         "dispatch_soc_scale: 0.5 is not one of 0.392, 0.4; for example 0.392"),
        ("observe_reserve_soc", "maybe",
         "observe_reserve_soc: 'maybe' is not true or false; for example true"),
        ("export_window_start", "25:00",
         "export_window_start: '25:00' is not a time of day HH:MM; for example 16:00"),
        ("time_zone", "Europe/Londn",
         "time_zone: 'Europe/Londn' is not a known IANA time zone; for example Europe/London"),
        ("entities.soc", "battery",
         "entities.soc: 'battery' is not an entity id; for example sensor.alphaess_soc_battery"),
        ("buy_tariff", "0:7",
         ("buy_tariff: '0:7' is not a price per kWh, or times of day with prices and commas "
         "between them; for example 00:00 0.07, 05:30 0.27")),
        ("roof", "51.5, -0.1",
         ("roof: '51.5, -0.1' is not latitude, longitude, tilt, azimuth and peak power with commas "
         "between them; for example 51.5, -0.1, 35, 0, 4.2")),
        ("carbon_region", "London",
         ("carbon_region: 'London' is not GB, the first part of a postcode, or a region from 1 to "
         "17; for example SW1A")),
        ("currency", "pounds", "currency: 'pounds' is not three letters; for example EUR"),
        ("target_expor_w", 100,
         "target_expor_w: there is no such setting; did you mean target_export_w?"),
        ("mqtt_host", "x", MISPLACED),
    ],
)  # fmt: skip
async def test_a_refusal_names_option_value_range_and_an_example(
    store: SettingsStore, key: str, value: object, message: str
) -> None:
    error = await refusal(store, **{key: value})
    assert str(error) == message
    assert error.key == key


async def test_every_complaint_is_kept_and_the_first_is_the_message(store: SettingsStore) -> None:
    error = await refusal(store, export_limit_w=-1, mode="x", colour="blue")
    assert [each.key for each in error.all] == ["mode", "export_limit_w", "colour"]
    assert str(error) == str(error.all[0])


async def test_values_that_contradict_each_other_are_refused(store: SettingsStore) -> None:
    error = await refusal(store, stale_warning_s=30)
    assert str(error) == (
        "stale_warning_s: 30 s must be below stale_after_s, which is 30 s; for example 15"
    )
    error = await refusal(store, min_discharge_w=600, max_discharge_w=500)
    assert error.key == "min_discharge_w"
    assert "600 W must not exceed max_discharge_w, which is 500 W" in str(error)


async def test_a_target_above_the_limit_is_the_limiters_business(store: SettingsStore) -> None:
    await store.update({"export_limit_w": 1000, "target_export_w": 3600}, "test")
    assert store.current.target_export_w == 3600


async def test_values_arrive_as_mqtt_and_forms_write_them(store: SettingsStore) -> None:
    now = await store.update(
        {
            "export_limit_w": "3680",
            "observe_reserve_soc": "ON",
            "export_window_end": "23:59",
            "export_window_start": "16:30:00",
            "entities.pv_power": "sensor.a, sensor.b",
            "entities": {"soc": "sensor.soc"},
            "entities.grid_power": "",
            "dispatch_soc_scale": "0.4",
        },
        "mqtt",
    )
    assert (now.export_limit_w, now.observe_reserve_soc) == (3680.0, True)
    assert (now.export_window_start, now.export_window_end) == ("16:30", "23:59")
    assert now.entities == Entities(pv_power=("sensor.a", "sensor.b"), soc="sensor.soc")
    assert now.dispatch_soc_scale == 0.4
    now = await store.update({"entities.pv_power": []}, "page")
    assert now.entities.pv_power is None
    assert now.entities.soc == "sensor.soc"


async def test_a_generator_is_not_counted_twice(store: SettingsStore) -> None:
    error = await refusal(store, **{"entities.pv_power": ["sensor.a", "sensor.a"]})
    assert "list of different ones" in str(error)


@pytest.mark.parametrize("key", [key for key in keys(Settings) if key.startswith("entities.")])
async def test_every_entity_takes_an_entity_id_and_nothing_else(
    store: SettingsStore, key: str
) -> None:
    await store.update({key: "input_number.anything_1"}, "test")
    for wrong in ("Sensor.X", "sensor", "sensor.", "sensor.a__b", "a b.c", 5, "x." + "y" * 300):
        error = await refusal(store, **{key: wrong})
        assert error.key == key


numeric = [each for each in settings_module.describe(Settings, Settings()) if "W" in each["unit"]]


@given(each=st.sampled_from(numeric), value=st.floats() | st.integers())
def test_no_power_or_energy_outside_its_range_is_ever_taken(
    each: Mapping[str, Any], value: float
) -> None:
    """Neighbours are set so that only the range itself can refuse."""
    others = {"max_discharge_w": 15_000, "min_discharge_w": 100}
    inside = each["minimum"] <= value <= each["maximum"]
    key = each["key"]
    bounds = {"min_discharge_w": value <= 5000, "max_discharge_w": value >= 100}
    try:
        taken = Settings.model_validate({**others, key: value})
    except ValidationError:
        assert not (inside and bounds.get(key, True))
    else:
        assert inside
        assert getattr(taken, key) == value


@given(
    changes=st.dictionaries(
        st.sampled_from(keys(Settings)) | st.text(max_size=20),
        st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.text(), max_size=2),
        max_size=3,
    )
)
def test_any_change_is_either_taken_or_refused_in_one_line(changes: dict[str, Any]) -> None:
    try:
        settings_module.checked(
            Settings, settings_module._merged(Settings(), changes), lambda _: None
        )
    except SettingError as error:
        for each in error.all:
            assert str(each).isprintable()
            assert len(str(each)) < 400


def test_the_page_gets_everything_it_needs_of_every_setting(store: SettingsStore) -> None:
    described = {each["key"]: each for each in json.loads(json.dumps(store.describe()))}
    assert list(described) == list(keys(Settings)) == list(store.values())
    limit = dict(described["export_limit_w"])
    assert limit.pop("sentence").startswith("Hard cap")
    assert limit == {
        "key": "export_limit_w", "group": "Limits", "kind": "number", "unit": "W", "minimum": 0,
        "maximum": 50000, "step": 10, "choices": None, "example": 3680, "default": None,
        "value": None,
    }  # fmt: skip
    for each in described.values():
        assert each["sentence"].endswith(".")
        assert each["group"]
        assert each["example"] is not None


@pytest.mark.parametrize(
    "each", settings_module.describe(Settings, Settings()), ids=lambda e: e["key"]
)
async def test_every_default_and_example_is_itself_taken(
    store: SettingsStore, each: Mapping[str, Any]
) -> None:
    await store.update({each["key"]: each["example"]}, "test")
    await store.update({each["key"]: each["default"]}, "test")
    assert store.current == Settings()


async def test_what_would_do_nothing_is_refused(store: SettingsStore) -> None:
    bridge = {"path": "bridge", "path_bridge": "02:00:5e:10:00:01"}
    for changes, words in (
        ({"path": "bridge"}, "needs the MAC of its bridge"),
        ({**bridge, "bridges": "off"}, "needs the connection to its bridge"),
        ({**bridge, "fallback_path": "bridge"}, "is the path already"),
        ({**bridge, "feed_in_limit_percent": 70}, "cannot set it"),
        ({**bridge, "path_bridge": "02:00"}, "path_bridge: .* is not a MAC"),
        ({"fallback_path": "bridge"}, "needs the MAC of its bridge"),
    ):
        with pytest.raises(SettingError, match=words):
            await store.update(changes, "test")
    assert store.current == Settings()


# --- the document --------------------------------------------------------------------------


def test_no_key_has_two_homes() -> None:
    assert not {*keys(Settings), *Settings.model_fields} & set(keys(Options))


def test_the_document_is_current() -> None:
    """When this fails: `python -m agent.settings > docs/settings.md`."""
    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == markdown()


def test_the_document_tells_every_key() -> None:
    document = markdown()
    for key in (*keys(Options), *keys(Settings)):
        assert f"| `{key}` |" in document
