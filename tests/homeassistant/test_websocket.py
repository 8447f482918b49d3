"""The link to a real Core comes back by itself, loses nothing and says what is wrong."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from agent.homeassistant.errors import (
    CallRefusedError,
    CallTimeoutError,
    CallUnconfirmedError,
    NotConnectedError,
)
from agent.homeassistant.link import LinkState
from agent.homeassistant.websocket import CoreConnection, Timing
from tests.homeassistant.linked import QUICK, linked, until, until_link
from tests.peers.fixtures import MakeCore
from tests.peers.homeassistant import Core
from tests.peers.process import free_port
from tests.peers.supervisor import SupervisorStandIn

NUMBER = "input_number.knob"
POWER = "sensor.knob_power"
HOUSE: dict[str, Any] = {
    "input_number": {"knob": {"min": 0, "max": 100_000, "step": 0.001, "initial": 1}},
    "template": [
        {
            "sensor": [
                {
                    "name": "Knob Power",
                    "unit_of_measurement": "W",
                    "state": "{{ states('input_number.knob') }}",
                }
            ]
        }
    ],
    "script": {"dawdle": {"sequence": [{"delay": 2}]}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(core_version: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Core]:
    """One Core for all tests that leave it running."""
    directory = tmp_path_factory.mktemp(f"core-{core_version}")
    async with Core(core_version, directory, configuration=HOUSE) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def link(core: Core) -> AsyncIterator[CoreConnection]:
    """A link that is up and watches the knob."""
    async with linked(core.url, lambda: core.token, QUICK, NUMBER, POWER) as connection:
        await until_link(connection, LinkState.UP)
        yield connection


async def turn(connection: CoreConnection, value: float) -> None:
    data = {"entity_id": NUMBER, "value": value}
    await connection.call_service("input_number", "set_value", data)


def shows(connection: CoreConnection, entity_id: str, value: float) -> bool:
    state = connection.states.get(entity_id)
    return (
        state is not None
        and state.state not in {"unknown", "unavailable"}
        and (float(state.state) == value)
    )


async def test_a_link_that_is_up_has_read_every_wanted_state(
    link: CoreConnection, core_version: str
) -> None:
    assert link.states.keys() == {NUMBER, POWER}
    assert not link.states[POWER].live
    assert link.config is not None
    assert (link.config.version, link.config.time_zone) == (core_version, "Europe/London")
    assert (await link.get_config()).running


async def test_a_change_in_core_reaches_the_subscriber_within_milliseconds(
    link: CoreConnection,
) -> None:
    delays_s: list[float] = []

    def note(entity_ids: frozenset[str]) -> None:
        if POWER in entity_ids:
            delays_s.append(time.time() - link.states[POWER].last_updated)

    end = link.subscribe_states(note)
    for value in range(100, 140):
        await turn(link, value)
        await until(link.subscribe_states, lambda value=value: shows(link, POWER, value))
    end()
    assert statistics.median(delays_s) < 0.02
    assert link.states[POWER].live


async def test_an_entity_watched_later_joins_the_mirror(core: Core) -> None:
    async with linked(core.url, lambda: core.token) as connection:
        await until_link(connection, LinkState.UP)
        assert not connection.states
        connection.watch([NUMBER])
        await until(connection.subscribe_states, lambda: NUMBER in connection.states)


async def test_an_entity_that_appears_and_disappears_is_followed(
    link: CoreConnection, core: Core
) -> None:
    passing = "sensor.passing"
    link.watch([passing])
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {core.token}"}) as http:
        place = f"{core.url}/api/states/{passing}"
        await http.post(place, json={"state": "3", "attributes": {"unit_of_measurement": "W"}})
        await until(link.subscribe_states, lambda: shows(link, passing, 3))
        await http.delete(place)
        await until(link.subscribe_states, lambda: passing not in link.states)


async def test_events_of_cores_bus_arrive_until_unsubscribed(link: CoreConnection) -> None:
    seen: list[Mapping[str, Any]] = []
    came = asyncio.Event()

    def take(event: Mapping[str, Any]) -> None:
        seen.append(event)
        came.set()

    end = link.subscribe_events("call_service", take)
    async with asyncio.timeout(5):
        while not seen:  # the subscription itself takes a moment
            await turn(link, 5)
    end()
    assert seen[0]["data"]["service"] == "set_value"


async def test_an_unknown_service_is_refused(link: CoreConnection) -> None:
    with pytest.raises(CallRefusedError) as caught:
        await link.call_service("modbus", "write_register", {})
    assert caught.value.code == "not_found"


async def test_wrong_data_is_refused(link: CoreConnection) -> None:
    with pytest.raises(CallRefusedError) as caught:
        await link.call_service("input_number", "set_value", {"nonsense": 1})
    assert caught.value.code == "invalid_format"


async def test_a_service_that_takes_too_long_is_unconfirmed_and_the_link_stays(
    link: CoreConnection,
) -> None:
    with pytest.raises(CallTimeoutError, match=r"script\.dawdle.*may still run"):
        await link.call_service("script", "dawdle", timeout_s=0.2)
    await turn(link, 7)


async def test_a_template_is_rendered_by_core(link: CoreConnection) -> None:
    await turn(link, 42)
    assert await link.render_template("{{ states('input_number.knob') | int }}") == "42"


async def test_a_broken_template_is_refused_in_cores_words(link: CoreConnection) -> None:
    with pytest.raises(CallRefusedError, match="template_error"):
        await link.render_template("{{ nonsense( }}")


async def test_users_are_told_apart(link: CoreConnection, core: Core) -> None:
    owner, resident = [await link.get_user(user.id) for user in (core.owner, core.resident)]
    assert owner
    assert resident
    assert (owner.admin, owner.active) == (True, True)
    assert (resident.admin, resident.active) == (False, True)
    assert await link.get_user("nobody") is None


async def test_a_resident_may_read_but_not_ask_for_ages(core: Core) -> None:
    async with linked(core.url, lambda: core.resident.token) as connection:
        await until_link(connection, LinkState.UP)
        with pytest.raises(CallRefusedError, match="administrator"):
            await connection.render_template("{{ 1 }}")


async def test_a_notification_is_raised_replaced_and_dismissed(
    link: CoreConnection, core: Core
) -> None:
    async def shown() -> list[tuple[str, str]]:
        found = await link.command("persistent_notification/get")
        return [(each["notification_id"], each["message"]) for each in found]

    await link.notify("pv_edge", "Title", "first")
    await link.notify("pv_edge", "Title", "second")
    assert ("pv_edge", "second") in await shown()
    await link.dismiss("pv_edge")
    assert "pv_edge" not in dict(await shown())


async def test_a_refused_token_is_a_state_with_words_and_heals_with_a_new_token(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = {"now": "secret-that-is-wrong"}
    with caplog.at_level(logging.DEBUG, "agent"):
        async with linked(core.url, lambda: tokens["now"]) as connection:
            refused = await until_link(connection, LinkState.REFUSED)
            assert "long-lived access token" in refused.detail
            with pytest.raises(NotConnectedError, match="long-lived"):
                await connection.call_service("homeassistant", "check_config")
            tokens["now"] = core.token
            await until_link(connection, LinkState.UP)
    assert "secret-that-is-wrong" not in caplog.text
    assert core.token not in caplog.text


async def test_without_a_token_nothing_is_sent_and_the_words_say_what_to_do() -> None:
    async with linked(f"http://127.0.0.1:{free_port()}", lambda: "") as connection:
        refused = await until_link(connection, LinkState.REFUSED)
        assert "no usable token" in refused.detail


async def test_nobody_there_is_a_state_and_the_link_keeps_trying() -> None:
    tries: list[LinkState] = []
    async with linked(f"http://127.0.0.1:{free_port()}", lambda: "t") as connection:
        connection.subscribe_link(lambda link: tries.append(link.state))
        await until(connection.subscribe_link, lambda: tries.count(LinkState.CONNECTING) >= 3, 10)
        assert "trying again by itself" in connection.link.detail


async def test_a_core_that_freezes_is_noticed_by_its_silence(core: Core) -> None:
    timing = Timing(ping_s=0.2, pong_s=0.5, backoff=QUICK.backoff)
    async with linked(core.url, lambda: core.token, timing, POWER) as connection:
        await until_link(connection, LinkState.UP)
        core.pause()
        try:
            waiting = asyncio.create_task(turn(connection, 77))
            await until(connection.subscribe_link, lambda: not connection.link.up, 5)
            with pytest.raises(CallUnconfirmedError):
                await waiting
        finally:
            core.resume()
        await until_link(connection, LinkState.UP)


async def test_a_killed_core_is_found_again_and_everything_is_read_afresh(
    core_version: str, make_core: MakeCore
) -> None:
    core = make_core(core_version, configuration=HOUSE)
    core.spawn()
    await core.running()
    seen: list[str] = []
    async with linked(core.url, lambda: core.token, QUICK, POWER) as connection:
        connection.subscribe_events(
            "call_service", lambda event: seen.append(event["data"]["service"])
        )
        await until_link(connection, LinkState.UP)
        await turn(connection, 500)
        await until(connection.subscribe_states, lambda: shows(connection, POWER, 500))
        core.kill()
        lost = await until_link(connection, LinkState.DOWN, 5)
        assert "trying again" in lost.detail
        core.spawn()
        await core.running()
        await until_link(connection, LinkState.UP)
        await until(connection.subscribe_states, lambda: shows(connection, POWER, 1))
        seen.clear()
        await turn(connection, 501)
        await until(connection.subscribe_states, lambda: shows(connection, POWER, 501))
        assert seen == ["set_value"]


@pytest.mark.peers("supervisor")
async def test_behind_the_supervisor_a_core_that_does_not_run_is_waited_for(core: Core) -> None:
    async with SupervisorStandIn(None, core.token) as supervisor:
        url = f"{supervisor.url}/core"
        async with linked(url, lambda: supervisor.token, QUICK, POWER) as connection:
            await until(connection.subscribe_link, lambda: "502" in connection.link.detail)
            supervisor.core_url = core.url
            await until_link(connection, LinkState.UP)
            await turn(connection, 900)
            await until(connection.subscribe_states, lambda: shows(connection, POWER, 900))
            assert await connection.render_template("{{ 1 + 1 }}") == "2"
            supervisor.core_url = None
            await supervisor.drop_websockets()
            await until(connection.subscribe_link, lambda: "502" in connection.link.detail)
            supervisor.core_url = core.url
            await until_link(connection, LinkState.UP)
            assert shows(connection, POWER, 900)


@pytest.mark.peers("supervisor")
async def test_the_supervisor_refuses_its_own_commands_and_wrong_tokens(core: Core) -> None:
    async with SupervisorStandIn(core.url, core.token) as supervisor:
        url = f"{supervisor.url}/core"
        async with linked(url, lambda: supervisor.token) as connection:
            await until_link(connection, LinkState.UP)
            with pytest.raises(CallRefusedError, match="unauthorized"):
                await connection.command("supervisor/api")
        async with linked(url, lambda: "wrong") as connection:
            assert "refused the token" in (await until_link(connection, LinkState.REFUSED)).detail


async def test_a_subscriber_with_a_bug_does_not_cut_the_link(link: CoreConnection) -> None:
    def broken(_: frozenset[str]) -> None:
        raise RuntimeError("bug")

    end = link.subscribe_states(broken)
    await turn(link, 11)
    await turn(link, 12)
    await until(link.subscribe_states, lambda: shows(link, POWER, 12))
    end()
    assert link.link.up
