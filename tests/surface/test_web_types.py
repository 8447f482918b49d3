"""The page's types are those of the server."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from agent.surface.web.api import HISTORY_COLUMNS
from agent.surface.web.shapes import Beside, History, SettingsTold
from agent.surface.web.types import written
from tests.surface.conftest import FRONTEND, House


def test_the_types_of_the_page_are_those_of_the_models() -> None:
    told = "Run: python -m agent.surface.web.types > agent/surface/web/frontend/src/api.ts"
    assert (FRONTEND / "src/api.ts").read_text() == written(), told


def test_a_history_has_the_columns_that_the_page_is_told_of() -> None:
    assert tuple(History.__annotations__) == HISTORY_COLUMNS


async def test_state_and_settings_hold_what_the_page_is_told_of(house: House) -> None:
    async with house.client.get("/api/state") as answer:
        state = await answer.json()
    beside = {key: state[key] for key in Beside.__annotations__}
    TypeAdapter(Beside).validate_json(json.dumps(beside), strict=True)
    async with house.client.get("/api/settings") as answer:
        TypeAdapter(SettingsTold).validate_json(await answer.text(), strict=True)
