"""Whatever is sent to the running agent, it answers as its document says, and never with 500."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, Phase, given, settings

from agent.surface.web import openapi
from tests.acceptance.parts import Agent
from tests.peers.process import free_port
from tests.surface.conftest import WRITES

EXAMPLES = 6
"""Of each operation, valid and not valid; in all some 350 answers are compared."""
ENDLESS = {"/api/stream", "/api/doctor"}
ASKS_OTHERS = {("post", "/api/releases/look"), ("post", "/api/releases/sources")}
"""They call what a test must not: mirrors on the network."""
DOCUMENT = openapi._whole()
OPERATIONS = [
    (method, path)
    for path, it in DOCUMENT["paths"].items()
    for method in it
    if path not in ENDLESS and (method, path) not in ASKS_OTHERS
]
TOKEN = "an-access-token-of-the-test"
HEADERS = {**WRITES, "Authorization": f"Bearer {TOKEN}"}
TRIED = [
    (method, path, valid)
    for method, path in OPERATIONS
    for valid in (True, False)
    # Who takes nothing cannot be sent anything that is not valid.
    if valid or DOCUMENT["paths"][path][method].keys() & {"parameters", "requestBody"}
]


@pytest.fixture(scope="module")
async def agent_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Start an agent as it is installed, whose Home Assistant does not answer."""
    folder: Path = tmp_path_factory.mktemp("agent")
    async with ClientSession() as http:
        agent = Agent(folder, http)
        agent.environment |= {
            "PV_EDGE_HA_URL": f"http://127.0.0.1:{free_port()}",
            "PV_EDGE_HA_TOKEN": "nobody-takes-it",
            "PV_EDGE_ACCESS_TOKEN": TOKEN,
        }
        try:
            await agent.start()
            yield agent._url
        finally:
            agent.kill()
    log = agent.log.read_text()
    assert "Traceback" not in log, log


async def test_where_a_token_is_set_nothing_is_told_without_it(agent_url: str) -> None:
    async with ClientSession(agent_url, headers=WRITES) as http:
        async with http.get("/api/state") as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "token")
        async with http.post("/api/requests", json={"kind": "emergency_stop"}) as answer:
            assert answer.status == 401
        async with http.get("/api/state", headers=HEADERS) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(("method", "path", "valid"), TRIED)
async def test_the_agent_answers_as_documented(
    agent_url: str, method: str, path: str, valid: bool
) -> None:
    await asyncio.to_thread(_tried, agent_url, method, path, valid)


@cache
def _schema() -> Any:
    import schemathesis  # noqa: PLC0415 - it takes two seconds that no other case needs

    return schemathesis.openapi.from_dict(DOCUMENT)


def _tried(url: str, method: str, path: str, valid: bool) -> None:
    from schemathesis import GenerationMode  # noqa: PLC0415 - as above
    from schemathesis.specs.openapi import checks  # noqa: PLC0415 - as above

    held = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(
        max_examples=EXAMPLES,
        phases=(Phase.explicit, Phase.generate),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=_schema()[path][method.upper()].as_strategy(
            generation_mode=GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
        )
    )
    def answers(case: Any) -> None:
        response = case.call(base_url=url, headers=HEADERS, timeout=20)
        assert response.status_code != 500, response.text
        if response.status_code == 400 and "Got more than" in response.text:
            return  # an address that is too long gets no further than HTTP itself
        case.validate_response(response, checks=held)

    answers()
