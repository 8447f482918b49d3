"""
What a bridge shows and takes: its entities, the newest value of each, and commands.

An entity is known by its domain and its object id, as `sensor.grid_power`: the same words that
stand in its configuration. Values arrive as they are pushed; one that the device does not have is
`None`, never a zero. A command is confirmed by the state that it wanted, or it is unconfirmed:
the device refuses what it does not like without a word. An action that is made to answer answers.

Source: esphome.md, section 4: commands are fire and forget; `execute_service` may wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from aioesphomeapi.api_pb2 import SubscribeLogsResponse  # type: ignore[attr-defined]
from aioesphomeapi.client import APIClient
from aioesphomeapi.core import APIConnectionError
from aioesphomeapi.model import (
    EntityInfo,
    EntityState,
    ExecuteServiceResponse,
    LogLevel,
    UserService,
)

Scalar = bool | float | str | None
_SCALARS = (bool, int, float, str)
_NOTHING = object()


class Value(NamedTuple):
    """One value of one entity; a tuple, because hundreds of bridges make thousands a second."""

    entity: str
    """Domain and object id: `sensor.grid_power`."""
    value: Scalar
    unit: str
    at_s: float
    """When it arrived, on our monotonic clock."""


class Outcome(StrEnum):
    """What became of a command."""

    CONFIRMED = "confirmed"
    """The device showed the wanted state afterwards."""
    UNCONFIRMED = "unconfirmed"
    """It was sent, and the device has not shown the state in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered to an action."""

    done: bool
    text: str
    """For what was not done, the device's own word."""


class NotOnlineError(Exception):
    """Nothing was sent: there is no connection. The message names the device."""


class Panel:
    """The entities of one connection, their newest values, and the commands they take."""

    def __init__(self) -> None:
        self._client: APIClient | None = None
        self._title = "the bridge"
        self._by_number: dict[tuple[int, int], tuple[str, str]] = {}
        self._numbers: dict[str, tuple[int, int]] = {}
        self._values: dict[str, Value] = {}
        self._actions: dict[str, UserService] = {}
        self._shown = asyncio.Event()  # a value came, or the connection went
        self._gone = asyncio.Event()  # this connection went
        self._ears: list[Callable[[str], None]] = []
        self._log_asked = False

    @property
    def log_read(self) -> bool:
        """Return whether the device was asked for its log on this connection."""
        return self._log_asked

    def hear(self, on_line: Callable[[str], None]) -> Callable[[], None]:
        """
        Tell each line of the device's log, on this connection and on each later one.

        It is asked for with the dump of its configuration: there safe mode and the crash handler
        say how the boot before has ended. Lines are the device's own words, and hostile. Returns
        a function that ends it.
        """
        self._ears.append(on_line)
        self._ask_for_log()
        return partial(self._unhear, on_line)

    @property
    def values(self) -> Mapping[str, Value]:
        """Return the newest values; none while there is no connection."""
        return MappingProxyType(self._values)

    @property
    def entities(self) -> frozenset[str]:
        """Return the entities of the device at the last connection."""
        return frozenset(self._numbers)

    async def set_number(self, entity: str, value: float, within_s: float = 5.0) -> Outcome:
        """
        Set a number and wait until the device shows it.

        Raises:
            NotOnlineError: nothing was sent.
            KeyError: the device has no such entity.
        """
        client, (device, key) = self._ready(entity)
        client.number_command(key, value, device)
        return await self._until_shown(entity, lambda it: it == value, within_s)

    async def set_switch(self, entity: str, *, on: bool, within_s: float = 5.0) -> Outcome:
        """Switch and wait until the device shows it; raises as `set_number` does."""
        client, (device, key) = self._ready(entity)
        client.switch_command(key, on, device)
        return await self._until_shown(entity, lambda it: it is on, within_s)

    def press(self, entity: str) -> None:
        """Press a button; what it did shows elsewhere. Raises as `set_number` does."""
        client, (device, key) = self._ready(entity)
        client.button_command(key, device)

    async def act(
        self, action: str, data: Mapping[str, bool | int | float | str], within_s: float
    ) -> Answer | None:
        """
        Call an action that answers; `None` when no answer came in time, or no longer can.

        Then it may have been carried out, or still be.

        Raises:
            NotOnlineError: nothing was sent.
            KeyError: the device has no such action, or it takes other data; nothing was sent.
        """
        if self._client is None:
            raise NotOnlineError(f"{self._title} is not connected; nothing was sent to it")
        known = self._actions.get(action)
        if known is None or {it.name for it in known.args} != data.keys():
            raise KeyError(f"{self._title} has no action {action} with {', '.join(data)}")
        asking = asyncio.ensure_future(_ask(self._client, known, data, within_s))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((asking, gone), return_when=asyncio.FIRST_COMPLETED)
            answer = asking.result() if asking.done() else None
        finally:
            asking.cancel()
            gone.cancel()
        return None if answer is None else Answer(answer.success, answer.error_message)

    def begin(
        self,
        client: APIClient,
        title: str,
        infos: Iterable[EntityInfo],
        actions: Iterable[UserService] = (),
    ) -> None:
        """Take what a new connection has; values of the old one are no longer true."""
        self._client = client
        self._gone = asyncio.Event()
        self._actions = {action.name: action for action in actions}
        self._title = title or self._title
        self._by_number.clear()
        self._numbers.clear()
        self._values.clear()
        for info in infos:
            entity = f"{domain_of(info)}.{info.object_id}"
            number = (info.device_id, info.key)
            self._by_number[number] = (entity, str(getattr(info, "unit_of_measurement", "")))
            self._numbers[entity] = number
        self._log_asked = False
        if self._ears:
            self._ask_for_log()

    def end(self) -> None:
        """Forget the values: what a device said before it was lost is not how it is."""
        self._client = None
        self._log_asked = False
        self._values.clear()
        self._shown.set()
        self._gone.set()

    def take(self, state: EntityState, now_s: float) -> Value | None:
        """Take a pushed state; return the value, or `None` for one that has no single value."""
        known = self._by_number.get((state.device_id, state.key))
        if known is None or (shown := getattr(state, "state", _NOTHING)) is _NOTHING:
            return None
        entity, unit = known
        missing = getattr(state, "missing_state", False)
        value = Value(entity, None if missing else _scalar(shown), unit, now_s)
        self._values[entity] = value
        self._shown.set()
        return value

    def _ask_for_log(self) -> None:
        if self._client is None or self._log_asked:
            return
        with contextlib.suppress(APIConnectionError):
            self._client.subscribe_logs(
                self._line, log_level=LogLevel.LOG_LEVEL_INFO, dump_config=True
            )
            self._log_asked = True

    def _line(self, told: SubscribeLogsResponse) -> None:
        text = told.message.decode(errors="replace")
        for ear in tuple(self._ears):
            ear(text)

    def _unhear(self, on_line: Callable[[str], None]) -> None:
        if on_line in self._ears:
            self._ears.remove(on_line)
        if not self._ears and self._client is not None and self._log_asked:
            self._log_asked = False
            with contextlib.suppress(APIConnectionError):
                self._client.subscribe_logs(lambda _: None, log_level=LogLevel.LOG_LEVEL_NONE)()

    def _ready(self, entity: str) -> tuple[APIClient, tuple[int, int]]:
        if self._client is None:
            raise NotOnlineError(f"{self._title} is not connected; nothing was sent to it")
        if entity not in self._numbers:
            raise KeyError(f"{self._title} has no {entity}")
        return self._client, self._numbers[entity]

    async def _until_shown(
        self, entity: str, fits: Callable[[Scalar], bool], within_s: float
    ) -> Outcome:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._client is not None:
                    self._shown.clear()
                    shown = self._values.get(entity)
                    if shown is not None and fits(shown.value):
                        return Outcome.CONFIRMED
                    await self._shown.wait()
        return Outcome.UNCONFIRMED


async def _ask(
    client: APIClient,
    action: UserService,
    data: Mapping[str, bool | int | float | str],
    within_s: float,
) -> ExecuteServiceResponse | None:
    with contextlib.suppress(TimeoutError, APIConnectionError):
        return await client.execute_service(
            action, dict(data), return_response=True, timeout=within_s
        )
    return None


def domain_of(info: EntityInfo) -> str:
    """Return the domain of an entity: `BinarySensorInfo` is a `binary_sensor`."""
    name = type(info).__name__.removesuffix("Info")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _scalar(shown: object) -> Scalar:
    if isinstance(shown, float) and not math.isfinite(shown):
        return None
    return shown if isinstance(shown, _SCALARS) else None
