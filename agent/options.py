"""
What the agent must know before it can reach Home Assistant, a broker or a person.

Four sources, weakest first: defaults, the YAML file named on the command line, `options.json`
that the Supervisor writes, and environment variables `PV_EDGE_…`. Whatever is wrong in one of
them ends the start before anything was opened or commanded, in one sentence that names the
source and the key. Everything else is a setting and lives elsewhere; no key is in both homes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from agent.setting_fields import Group, SettingError, Whole, checked, keys, said
from agent.setting_models import Settings

SHORTEST_ACCESS_TOKEN = 16
ENVIRONMENT_PREFIX = "PV_EDGE_"
SUPERVISOR_CORE_URL = "http://supervisor/core"
_SUPERVISOR_TOKEN = "SUPERVISOR_TOKEN"  # noqa: S105 - name of a variable, not a secret

_agent = Group("Agent")
_core = Group("Home Assistant")
_mqtt = Group("MQTT")


class OptionsError(SettingError):
    """An options source cannot be used; the agent must not start."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _web_address(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(value)
    _ = parts.port  # raises for a port that is none
    surplus = "@" in parts.netloc or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not parts.hostname or surplus:
        raise ValueError("not an address of Home Assistant")
    return value.rstrip("/")


def _long_enough(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if token and (len(token) < SHORTEST_ACCESS_TOKEN or not token.isascii() or " " in token):
        raise said(
            "access_token",
            f"access_token: needs at least {SHORTEST_ACCESS_TOKEN} letters and digits; take the "
            "output of `openssl rand -hex 16`",
        )
    return value


class Options(BaseModel):
    """Options that are read once, at the start."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)
    ] = _agent.choice(
        "info", ("debug", "info", "warning", "error"), "How much the agent writes to its log."
    )  # fmt: skip
    access_token: Annotated[SecretStr, AfterValidator(_long_enough)] = _agent.other(
        "secret",
        SecretStr(""),
        "the output of openssl rand -hex 16",
        "What the page asks for where there is no Supervisor; needed to listen on more than this "
        "machine (`--host`). At least 16 letters and digits.",
    )
    ha_url: Annotated[str, AfterValidator(_web_address)] = _core.other(
        "url",
        "",
        "http://homeassistant.local:8123",
        f"Address of Home Assistant; empty means `{SUPERVISOR_CORE_URL}` where there is a "
        "Supervisor.",
    )
    ha_token: SecretStr = _core.other(
        "secret",
        SecretStr(""),
        "a long-lived access token",
        "Token for Home Assistant; not needed where there is a Supervisor.",
    )
    mqtt_host: str = _mqtt.other(
        "text",
        "",
        "core-mosquitto",
        "Broker; empty means the one that the Supervisor offers, or none.",
        max_length=253,
    )
    mqtt_port: Whole = _mqtt.number(1883, (1, 65_535, 1), "", "Port of the broker.")
    mqtt_username: Annotated[str, Field(max_length=256)] = _mqtt.other(
        "text", "", "agent", "User at the broker; empty means none."
    )
    mqtt_password: SecretStr = _mqtt.other(
        "secret", SecretStr(""), "the password of that user", "Password at the broker."
    )
    mqtt_tls: bool = _mqtt.switch("Encrypt the connection to the broker (usually port 8883).")

    def core_token(self, environment: Mapping[str, str] = os.environ) -> SecretStr:
        """
        Return the token to present now; asked again at each attempt, because it can change.

        The Supervisor's token goes to the Supervisor and nowhere else.
        """
        if self.ha_token.get_secret_value() or self.ha_url != SUPERVISOR_CORE_URL:
            return self.ha_token
        return SecretStr(environment.get(_SUPERVISOR_TOKEN, ""))


def has_supervisor(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True where the Supervisor has started us; it gives each start a token."""
    return bool(environment.get(_SUPERVISOR_TOKEN))


def load_options(
    config_file: Path | None = None,
    data_dir: Path = Path("/data"),
    environment: Mapping[str, str] = os.environ,
) -> Options:
    """
    Return the options of all sources, stronger ones over weaker ones.

    `options.json` counts only under the Supervisor, which alone writes it. An empty variable
    counts as not set, and so does a null in a file.

    Raises:
        OptionsError: a source cannot be read, or holds a value or key that cannot be taken.
    """
    merged: dict[str, Any] = {}
    if config_file is not None:
        merged |= _valid(str(config_file), _file(config_file, _parse_yaml))
    supervised = has_supervisor(environment)
    options_json = data_dir / "options.json"
    if supervised and options_json.exists():
        merged |= _valid(str(options_json), _file(options_json, json.loads))
    variables = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and value
    }
    merged |= _valid(f"environment ({ENVIRONMENT_PREFIX}…)", variables)
    if supervised and not merged.get("ha_url"):
        merged["ha_url"] = SUPERVISOR_CORE_URL
    return Options.model_validate(merged)


def lives_in_settings(key: str) -> str | None:
    """Say where a key belongs that was found among the options, or `None`."""
    if key not in keys(Settings) and key not in Settings.model_fields:
        return None
    return "is a setting of the agent; set it on the agent's page or by its entity instead"


def lives_in_options(key: str) -> str | None:
    """Say where a key belongs that was found among the settings, or `None`."""
    if key not in Options.model_fields:
        return None
    return (
        "is an option of the app; set it in the app's configuration, in the file given with "
        f"--config or as {ENVIRONMENT_PREFIX}{key.upper()}, then restart"
    )


def _valid(source: str, values: Mapping[str, Any]) -> dict[str, Any]:
    given = {str(key): value for key, value in values.items() if value is not None}
    try:
        checked(Options, given, lives_in_settings)
    except SettingError as error:
        every = tuple(OptionsError(one.key, _ended(source, str(one))) for one in error.all)
        raise OptionsError(error.key, str(every[0]), every) from None
    return given


def _ended(source: str, what: str) -> str:
    return f"{source}: {what}. Nothing was started."


def _file(path: Path, parse: Callable[[str], Any]) -> Mapping[str, Any]:
    """Read one file of options; parsers' own texts may quote a secret, so only places are named."""
    try:
        values = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read ({error.strerror}); check the name and its permissions"
    except UnicodeDecodeError:
        what = "is not text in UTF-8; save it again as such"
    except json.JSONDecodeError as error:
        what = f"is not JSON at line {error.lineno}, column {error.colno}; correct it there"
    except _NotYamlError as error:
        what = f"is not YAML{error}; correct it there"
    else:
        if values is None:
            return {}
        if isinstance(values, Mapping):
            return values
        what = "does not hold options; write lines like `log_level: info`"
    raise OptionsError("", _ended(str(path), what)) from None


class _NotYamlError(Exception):
    """Says only where, because the parser's own text quotes the file."""


def _parse_yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415 - only who names a YAML file waits for its parser

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _NotYamlError(place) from None
