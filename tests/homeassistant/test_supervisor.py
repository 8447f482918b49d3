"""The Supervisor's answers become data, and its failures become what to do next."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agent.homeassistant.supervisor import (
    Supervisor,
    SupervisorDeniedError,
    SupervisorError,
    SupervisorNotReadyError,
    SupervisorRefusedError,
    SupervisorUnreachableError,
)
from tests.peers.process import free_port
from tests.peers.supervisor import BROKER, SupervisorStandIn


@pytest_asyncio.fixture(loop_scope="session")
async def supervisor() -> AsyncIterator[SupervisorStandIn]:
    async with SupervisorStandIn() as standing_in:
        yield standing_in


def client(supervisor: SupervisorStandIn) -> Supervisor:
    return Supervisor(lambda: supervisor.token, supervisor.url)


async def test_the_app_learns_about_itself(supervisor: SupervisorStandIn) -> None:
    info = await client(supervisor).self_info()
    assert (info.slug, info.ingress_port) == ("local_pv_edge_agent", 8099)
    assert info.options == {"log_level": "info"}


async def test_a_broker_is_found_and_its_password_stays_out_of_sight(
    supervisor: SupervisorStandIn,
) -> None:
    broker = await client(supervisor).mqtt_service()
    assert broker is not None
    assert (broker.host, broker.port, broker.password) == (
        "core-mosquitto",
        1883,
        BROKER["password"],
    )
    assert str(BROKER["password"]) not in repr(broker)


async def test_no_broker_is_an_answer_and_not_an_error(supervisor: SupervisorStandIn) -> None:
    supervisor.broker = None
    assert await client(supervisor).mqtt_service() is None


async def test_a_service_that_was_not_declared_says_what_to_do(
    supervisor: SupervisorStandIn,
) -> None:
    supervisor.mqtt_declared = False
    with pytest.raises(SupervisorDeniedError, match=r"GET /services/mqtt.*403.*declared"):
        await client(supervisor).mqtt_service()


async def test_options_are_replaced_as_a_whole(supervisor: SupervisorStandIn) -> None:
    await client(supervisor).set_options({"log_level": "debug"})
    assert supervisor.options == {"log_level": "debug"}


async def test_options_against_the_schema_are_refused_in_the_supervisors_words(
    supervisor: SupervisorStandIn,
) -> None:
    with pytest.raises(SupervisorRefusedError, match="Missing option 'log_level'"):
        await client(supervisor).set_options({"nonsense": 1})


async def test_core_and_versions_are_told(supervisor: SupervisorStandIn) -> None:
    assert (await client(supervisor).core_info()).version == "2026.11.0"
    assert (await client(supervisor).info())["arch"] == "amd64"


async def test_a_system_that_still_starts_is_asked_again(supervisor: SupervisorStandIn) -> None:
    supervisor.ready = False
    with pytest.raises(SupervisorNotReadyError, match="still starting"):
        await client(supervisor).mqtt_service()


async def test_a_wrong_token_is_denied_and_never_shown(supervisor: SupervisorStandIn) -> None:
    asking = Supervisor(lambda: "wrong-token", supervisor.url)
    with pytest.raises(SupervisorDeniedError, match="401") as caught:
        await asking.self_info()
    assert "wrong-token" not in str(caught.value)


async def test_a_new_token_is_used_at_the_next_call(supervisor: SupervisorStandIn) -> None:
    tokens = ["old", supervisor.token]
    asking = Supervisor(lambda: tokens.pop(0), supervisor.url)
    with pytest.raises(SupervisorDeniedError):
        await asking.self_info()
    assert (await asking.self_info()).state == "started"


async def test_a_supervisor_that_is_gone_is_unreachable() -> None:
    with pytest.raises(SupervisorUnreachableError, match="cannot be reached"):
        await Supervisor(lambda: "t", f"http://127.0.0.1:{free_port()}").self_info()


@pytest.mark.parametrize(
    ("status", "text", "kind", "says"),
    [
        (
            400,
            '{"result": "error", "message": "no"}',
            SupervisorRefusedError,
            r"refused \(400\): no",
        ),
        (400, "", SupervisorRefusedError, "no reason given"),
        (403, "{}", SupervisorDeniedError, "reinstall it"),
        (500, "<html>", SupervisorUnreachableError, r"inside the Supervisor \(500\)"),
        (502, "Bad Gateway", SupervisorNotReadyError, r"not ready \(502\)"),
        (503, "", SupervisorNotReadyError, r"not ready \(503\)"),
        (200, "<html>", SupervisorUnreachableError, "not the Supervisor's"),
        (200, "[1]", SupervisorUnreachableError, "not the Supervisor's"),
    ],
)
async def test_every_answer_that_is_none_says_what_becomes_of_it(
    supervisor: SupervisorStandIn,
    status: int,
    text: str,
    kind: type[SupervisorError],
    says: str,
) -> None:
    supervisor.answers = status, text
    with pytest.raises(kind, match=says):
        await client(supervisor).mqtt_service()
    supervisor.answers = None
    assert await client(supervisor).mqtt_service() is not None
