"""
A test's own view of Core: states as they change, service calls, events, templates.

Apart from the agent's client on purpose: a test that looked through the agent's eyes would miss
what the agent misses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import aiohttp

State = dict[str, Any]
NO_VALUE = {"unknown", "unavailable"}


class CoreClient:
    """One REST and one WebSocket connection to a Core that runs."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.states: dict[str, State] = {}
        """Every entity's state as Core last announced it."""
        self._token = token
        self._last_id = 0
        self._results: dict[int, asyncio.Future[Any]] = {}
        self._events: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._changed = asyncio.Condition()

    async def command(self, kind: str, timeout_s: float = 30, **fields: Any) -> Any:
        """Send one WebSocket command and return its result."""
        self._last_id += 1
        result = self._results[self._last_id] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._last_id, "type": kind, **fields})
        return await asyncio.wait_for(result, timeout_s)

    async def call(self, service: str, entity_id: str | None = None, **data: Any) -> Any:
        """Call `domain.service` and wait until Core has carried it out."""
        domain, name = service.split(".")
        fields: dict[str, Any] = {"domain": domain, "service": name, "service_data": data}
        if entity_id is not None:
            fields["target"] = {"entity_id": entity_id}
        return await self.command("call_service", **fields)

    async def subscribe(self, event_type: str) -> asyncio.Queue[dict[str, Any]]:
        """Return a queue that receives every event of that type from now on."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events[self._last_id + 1] = queue
        await self.command("subscribe_events", event_type=event_type)
        return queue

    def state(self, entity_id: str) -> str | None:
        """Return the entity's state now, or None while there is no such entity."""
        known = self.states.get(entity_id)
        return known["state"] if known else None

    async def until(
        self, entity_id: str, wanted: str | Callable[[str], bool], timeout_s: float = 60
    ) -> State:
        """Wait until the entity has the wanted state, or one of which `wanted` says yes."""
        says_yes = wanted if callable(wanted) else wanted.__eq__
        return await self.until_state(entity_id, lambda it: says_yes(it["state"]), timeout_s)

    async def until_state(
        self, entity_id: str, fits: Callable[[State], bool], timeout_s: float = 60
    ) -> State:
        """Wait as `until` does, for a condition on state and attributes."""

        def reached() -> bool:
            return entity_id in self.states and fits(self.states[entity_id])

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(reached), timeout_s)
            except TimeoutError:
                found = self.states.get(entity_id)
                raise AssertionError(f"{entity_id} is {found} after {timeout_s} s") from None
        return self.states[entity_id]

    async def until_all(self, holds: Callable[[dict[str, State]], bool], timeout_s: float) -> None:
        """Wait until a condition over all states holds."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: holds(self.states)), timeout_s)

    async def until_known(self, entities: Iterable[str], timeout_s: float = 150) -> None:
        """Wait until every one of these entities has a value."""
        wanted = set(entities)

        def unknown(states: dict[str, State]) -> set[str]:
            return {it for it in wanted if it not in states or states[it]["state"] in NO_VALUE}

        try:
            await self.until_all(lambda states: not unknown(states), timeout_s)
        except TimeoutError:
            missing = {it: self.state(it) for it in sorted(unknown(self.states))}
            raise AssertionError(f"without value after {timeout_s} s: {missing}") from None

    async def template(self, template: str) -> str:
        """Render a template in Core; the only way to see a live `last_reported`."""
        async with self._http.post(
            f"{self.url}/api/template", json={"template": template}
        ) as answer:
            return await answer.text()

    async def notifications(self) -> dict[str, dict[str, Any]]:
        """Return the persistent notifications that a person sees now, by their id."""
        shown = await self.command("persistent_notification/get")
        return {each["notification_id"]: each for each in shown}

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON of a REST path."""
        async with self._http.get(self.url + path) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())

    async def says(self, entity_id: str, state: str, **attributes: Any) -> None:
        """Have a state in Core, as an integration would."""
        body = {"state": state, "attributes": attributes}
        async with self._http.post(f"{self.url}/api/states/{entity_id}", json=body) as answer:
            answer.raise_for_status()

    async def _read(self) -> None:
        async for message in self._socket:
            parsed = message.json()
            for each in parsed if isinstance(parsed, list) else [parsed]:
                await self._take(each)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            event = message["event"]
            if message["id"] in self._events:
                self._events[message["id"]].put_nowait(event)
            if event.get("event_type") == "state_changed":
                await self._apply(event["data"])
        elif (result := self._results.pop(message["id"], None)) and not result.done():
            if message.get("success", True):
                result.set_result(message.get("result"))
            else:
                result.set_exception(CoreRefusedError(message["error"]))

    async def _apply(self, change: dict[str, Any]) -> None:
        async with self._changed:
            if change["new_state"] is None:
                self.states.pop(change["entity_id"], None)
            else:
                self.states[change["entity_id"]] = change["new_state"]
            self._changed.notify_all()

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._token}"}
        self._http = aiohttp.ClientSession(headers=headers)
        address = self.url.replace("http", "ws", 1) + "/api/websocket"
        self._socket = await self._http.ws_connect(address, max_msg_size=0)
        await self._socket.receive_json()
        await self._socket.send_json({"type": "auth", "access_token": self._token})
        verdict = await self._socket.receive_json()
        if verdict["type"] != "auth_ok":
            await self._http.close()
            raise CoreRefusedError(verdict)
        self._reader = asyncio.create_task(self._read())
        await self.command("subscribe_events", event_type="state_changed")
        for state in await self.command("get_states"):
            self.states.setdefault(state["entity_id"], state)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._socket.close()
        await self._http.close()


class CoreRefusedError(Exception):
    """Core answered a command with an error."""
