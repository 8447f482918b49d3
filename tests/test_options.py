"""The agent starts with options that are right, or says in words why it did not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.options import SUPERVISOR_CORE_URL, Options, OptionsError, load_options
from agent.setting_fields import describe

SHORT = (
    "access_token: needs at least 16 letters and digits; take the output of `openssl rand -hex 16`"
)
SECRET = "hunter2-never-shown"
MISPLACED = "is a setting of the agent; set it on the agent's page or by its entity instead"


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_stronger_sources_win(tmp_path: Path) -> None:
    config = write(tmp_path, "mine.yaml", "log_level: debug\nmqtt_host: yaml\nmqtt_port: 1\n")
    write(tmp_path, "options.json", '{"mqtt_host": "json", "mqtt_port": 2, "mqtt_tls": null}')
    environment = {"SUPERVISOR_TOKEN": "t", "PV_EDGE_MQTT_PORT": "3", "PV_EDGE_MQTT_HOST": ""}
    options = load_options(config, tmp_path, environment)
    assert (options.log_level, options.mqtt_host, options.mqtt_port) == ("debug", "json", 3)
    assert options.mqtt_tls is False
    without = load_options(config, tmp_path, {})
    assert (without.mqtt_host, without.mqtt_port) == ("yaml", 1)


def test_core_is_behind_the_supervisor_only_where_there_is_one(tmp_path: Path) -> None:
    assert load_options(None, tmp_path, {}).ha_url == ""
    supervised = {"SUPERVISOR_TOKEN": SECRET}
    options = load_options(None, tmp_path, supervised)
    assert options.ha_url == SUPERVISOR_CORE_URL
    assert options.core_token(supervised).get_secret_value() == SECRET
    assert options.core_token({}).get_secret_value() == ""


def test_the_supervisors_token_goes_nowhere_else(tmp_path: Path) -> None:
    environment = {"SUPERVISOR_TOKEN": SECRET, "PV_EDGE_HA_URL": "http://192.0.2.1:8123/"}
    options = load_options(None, tmp_path, environment)
    assert options.ha_url == "http://192.0.2.1:8123"
    assert options.core_token(environment).get_secret_value() == ""
    own = load_options(None, tmp_path, {**environment, "PV_EDGE_HA_TOKEN": "mine"})
    assert own.core_token(environment).get_secret_value() == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("mqtt_port: 99999", "mqtt_port: 99999 is outside 1 to 65535; for example 1883"),
        ("log_levle: info", "log_levle: there is no such setting; did you mean log_level?"),
        ("log_level: loud",
         "log_level: 'loud' is not one of debug, info, warning, error; for example info"),
        ("export_limit_w: 3680", f"export_limit_w: {MISPLACED}"),
        ("entities: {soc: sensor.x}", f"entities: {MISPLACED}"),
        ("- 1", "does not hold options; write lines like `log_level: info`"),
        ("access_token: abc", SHORT),
        ("a: b: c", "is not YAML at line 1, column 5; correct it there"),
    ],
)  # fmt: skip
def test_a_bad_options_file_ends_the_start_and_says_which_and_why(
    tmp_path: Path, content: str, message: str
) -> None:
    config = write(tmp_path, "mine.yaml", content)
    with pytest.raises(OptionsError) as caught:
        load_options(config, tmp_path, {})
    assert str(caught.value) == f"{config}: {message}. Nothing was started."


def test_other_sources_are_named_too(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"missing\.yaml: cannot be read \(No such file"):
        load_options(tmp_path / "missing.yaml", tmp_path, {})
    with pytest.raises(OptionsError, match=r"environment \(PV_EDGE_…\): mqtt_port: 'x' is not"):
        load_options(None, tmp_path, {"PV_EDGE_MQTT_PORT": "x"})
    with pytest.raises(OptionsError, match="page or by its entity"):
        load_options(None, tmp_path, {"PV_EDGE_EXPORT_LIMIT_W": "3680"})
    write(tmp_path, "options.json", '{"log_level": }')
    with pytest.raises(OptionsError, match=r"options\.json: is not JSON at line 1, column 15"):
        load_options(None, tmp_path, {"SUPERVISOR_TOKEN": "t"})
    assert load_options(None, tmp_path, {}) == Options()  # nobody's file without a Supervisor


@pytest.mark.parametrize(
    "content",
    [
        f"mqtt_password: [{SECRET}]",
        f"ha_token: {{a: {SECRET}}}",
        f"mqtt_pasword: {SECRET}",
        f"ha_url: http://user:{SECRET}@host",
        f"ha_url: {SECRET}",
        f"mqtt_password: *{SECRET}",
        f"mqtt_password: !{SECRET} x",
        f"mqtt_password: '{SECRET}",
    ],
)
def test_a_refusal_never_shows_a_secret(tmp_path: Path, content: str) -> None:
    config = write(tmp_path, "mine.yaml", content)
    with pytest.raises(OptionsError) as caught:
        load_options(config, tmp_path, {})
    shown: BaseException | None = caught.value
    while shown is not None:
        assert SECRET not in f"{shown!r}{shown!s}"
        shown = None if shown.__suppress_context__ else shown.__context__


def test_options_never_show_their_secrets(tmp_path: Path) -> None:
    secrets = {"PV_EDGE_MQTT_PASSWORD": SECRET, "PV_EDGE_HA_TOKEN": SECRET}
    options = load_options(None, tmp_path, secrets)
    assert options.mqtt_password.get_secret_value() == SECRET
    shown = f"{options!r}{options!s}{options.model_dump()}{options.model_dump_json()}"
    shown += str(describe(Options, options))
    assert SECRET not in shown
