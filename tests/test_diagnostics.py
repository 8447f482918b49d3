"""What a diagnostics file tells, and that no secret and no name is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.diagnostics import REDACTED, SHORTEST_SECRET, Subject, document, redacted
from agent.house.hass_entities import EntityMapping
from agent.journal import Event
from agent.options import Options
from tests.surface.desks import NOON, QUIET

TOKEN, PASSWORD = "token-0123456789", "pass-0123456789"


def subject(
    token: str = TOKEN,
    password: str = PASSWORD,
    events: tuple[Event, ...] = (),
    **changes: Any,
) -> Subject:
    options = Options(
        ha_url="http://ha.local:8123",
        ha_token=SecretStr(token),
        mqtt_password=SecretStr(password),
        mqtt_username="agent",
    )
    return Subject(
        options=options,
        settings={"mode": "observe", "entities.soc": "sensor.soc"},
        settings_warnings=(),
        snapshot=QUIET,
        events=events,
        entities=EntityMapping(soc="sensor.soc", pv_power=("sensor.a", "sensor.b")),
        **changes,
    )


def test_the_document_holds_what_helps() -> None:
    event = Event(1, NOON, "input_lost", {"text": "It is lost.", "w": float("nan")})
    told = document(subject(events=(event,), findings=("soc: two",), core_version="2026.11.0"))
    assert told["versions"]["home_assistant"] == "2026.11.0"
    assert told["options"]["ha_url"] == "http://ha.local:8123"
    assert told["options"]["ha_token"] == told["options"]["mqtt_password"] == REDACTED
    assert told["settings"]["entities.soc"] == "sensor.soc"
    assert told["entities"]["pv_power"] == ["sensor.a", "sensor.b"]
    assert told["snapshot"]["soc_percent"] == 78.4
    assert told["events"][0]["kind"] == "input_lost"
    json.dumps(told, allow_nan=False)


# Begins like no ordinary word: a secret that is one (`True`) cannot be told from the word.
secrets = st.text(min_size=SHORTEST_SECRET, max_size=60).map(lambda text: f"Zq{text}")
around = st.text(max_size=20)


@limits(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret=secrets, before=around, after=around, place=st.integers(0, 7))
def test_no_secret_ever_appears_wherever_it_got_to(
    secret: str, before: str, after: str, place: int
) -> None:
    found = f"{before}{secret.strip()}{after}"
    data: dict[str, Any] = {
        "text": found if place == 0 else "x",
        "deep": [{"list": [found if place == 1 else "x"]}],
        (found if place == 2 else "key"): 1,
    }
    events = (Event(1, NOON, found if place == 3 else "error", data),)
    told = document(
        subject(
            token=secret if place < 6 else TOKEN,
            password=secret if place == 6 else PASSWORD,
            events=events,
            findings=(found if place == 4 else "x",),
            link=found if place in {5, 6, 7} else "up",
        ),
        [secret] if place == 7 else [],
    )
    assert secret.strip() not in "\n".join(_texts(told))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [each for k, v in value.items() for each in (k, *_texts(v))]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [str(value)]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhYmMifQ.c2lnbmF0dXJl",
        "mqtt://agent:hunter2@broker:1883",
        "the token token-01234567890123 was cut",
    ],
)
def test_what_looks_like_a_secret_goes_too(text: str) -> None:
    shown = redacted({"text": text}, ["token-01234567890123-and-much-more-of-it"])
    assert shown == {"text": REDACTED}


def test_a_telling_name_hides_its_value() -> None:
    value = {"password": "unknown to us", "tokens": 3, "deep": {"api_key": "x"}}
    assert redacted(value, []) == {"password": REDACTED, "tokens": 3, "deep": {"api_key": REDACTED}}


def test_people_become_numbers_and_stay_the_same_person() -> None:
    events = [
        {"by": "page: Anna Smith, the elder"},
        {"by": "page: Bob"},
        {"text": "Asked for by page: Anna Smith, the elder.", "by": "page: local"},
    ]
    assert redacted(events, []) == [
        {"by": "page: person 1"},
        {"by": "page: person 2"},
        {"text": "Asked for by page: person 1.", "by": "page: local"},
    ]


def test_where_somebody_lives_is_not_told() -> None:
    home = "51.5033, -0.1276, 35, 0, 4.2"
    said = {
        "settings": {"roof": home, "plan_aim": "carbon"},
        "events": [{"action": f'settings {{"roof": "{home}"}}'}],
    }
    clean = redacted(said, [])
    assert "51.5033" not in str(clean)
    assert clean["settings"]["plan_aim"] == "carbon"
