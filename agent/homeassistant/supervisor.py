"""
The five questions an app asks the Supervisor, and what to do when it cannot answer.

The Supervisor restarts, is not ready at boot and knows the broker only while one runs, so every
call can fail and none may be remembered for ever. An answer is an envelope, `{"result", "data"}`
or `{"result", "message"}`; the status tells failures apart.

Source: ha_platform.md section 6.5, Supervisor of August 2026.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

BASE_URL = "http://supervisor"
NO_BROKER_MESSAGE = "Service not enabled"
NOT_READY_MESSAGE = "System is not ready"


class SupervisorError(Exception):
    """The Supervisor did not do what was asked; the message says what to do next."""


class SupervisorUnreachableError(SupervisorError):
    """Nobody answers, or not in time: the Supervisor restarts. Try again."""


class SupervisorNotReadyError(SupervisorError):
    """The Supervisor, or Core behind it, is still starting. Try again."""


class SupervisorDeniedError(SupervisorError):
    """The token or the app's permissions do not reach; trying again changes nothing."""


class SupervisorRefusedError(SupervisorError):
    """The Supervisor understood and said no, for instance to an option out of range."""


@dataclass(frozen=True, slots=True)
class SelfInfo:
    """What the Supervisor knows about this app."""

    version: str
    slug: str
    hostname: str
    state: str
    ingress_url: str
    ingress_entry: str
    ingress_port: int
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MqttService:
    """The broker that another app provides to this one."""

    host: str
    port: int
    ssl: bool
    username: str
    password: str = field(repr=False)
    protocol: str
    addon: str


@dataclass(frozen=True, slots=True)
class CoreInfo:
    """Where Core is and what it runs, as the Supervisor sees it."""

    version: str
    ip_address: str
    port: int
    ssl: bool


class Supervisor:
    """Asks the Supervisor; one short connection per call, as calls are minutes apart."""

    def __init__(
        self,
        token: Callable[[], str],
        base_url: str = BASE_URL,
        timeout_s: float = 10.0,
    ) -> None:
        self._token = token
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s

    async def self_info(self) -> SelfInfo:
        """Return what the Supervisor knows about this app; raises `SupervisorError`."""
        data = await self._ask("GET", "/addons/self/info")
        return SelfInfo(
            version=_text(data, "version"),
            slug=_text(data, "slug"),
            hostname=_text(data, "hostname"),
            state=_text(data, "state"),
            ingress_url=_text(data, "ingress_url"),
            ingress_entry=_text(data, "ingress_entry"),
            ingress_port=_number(data, "ingress_port"),
            options=dict(data.get("options") or {}),
        )

    async def set_options(self, options: Mapping[str, Any]) -> None:
        """
        Replace this app's whole set of options; in force at its next start.

        Raises:
            SupervisorRefusedError: an option is not what the app's schema allows.
            SupervisorError: any other failure.
        """
        await self._ask("POST", "/addons/self/options", {"options": dict(options)})

    async def mqtt_service(self) -> MqttService | None:
        """Return the broker, `None` while no app provides one; raises `SupervisorError`."""
        try:
            data = await self._ask("GET", "/services/mqtt")
        except SupervisorRefusedError as error:
            if NO_BROKER_MESSAGE.lower() in str(error).lower():
                return None
            raise
        return MqttService(
            host=_text(data, "host"),
            port=_number(data, "port") or 1883,
            ssl=bool(data.get("ssl")),
            username=_text(data, "username"),
            password=_text(data, "password"),
            protocol=_text(data, "protocol"),
            addon=_text(data, "addon"),
        )

    async def core_info(self) -> CoreInfo:
        """Return where Core is and what it runs; raises `SupervisorError`."""
        data = await self._ask("GET", "/core/info")
        return CoreInfo(
            version=_text(data, "version"),
            ip_address=_text(data, "ip_address"),
            port=_number(data, "port"),
            ssl=bool(data.get("ssl")),
        )

    async def info(self) -> Mapping[str, Any]:
        """Return the versions of this installation, for diagnostics; raises `SupervisorError`."""
        return await self._ask("GET", "/info")

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        what = f"{method} {path}"
        try:
            token = self._token().strip()
        except (OSError, ValueError, KeyError) as error:
            raise SupervisorDeniedError(
                f"{what}: SUPERVISOR_TOKEN cannot be read ({type(error).__name__}); restart the app"
            ) from None
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                aiohttp.ClientSession() as http,
                http.request(
                    method,
                    self._base_url + path,
                    json=body,
                    headers={"Authorization": f"Bearer {token}"},
                ) as response,
            ):
                status = response.status
                try:
                    envelope = await response.json(content_type=None)
                except ValueError:
                    envelope = None
        except TimeoutError:
            raise SupervisorUnreachableError(
                f"{what}: no answer within {self._timeout_s:.0f} s; it will be asked again"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SupervisorUnreachableError(
                f"{what}: the Supervisor cannot be reached ({type(error).__name__}); "
                "it will be asked again"
            ) from None
        return _open_envelope(what, status, envelope)


def _open_envelope(what: str, status: int, envelope: Any) -> Mapping[str, Any]:
    """Return the data of an answer, or raise what its status means."""
    envelope = envelope if isinstance(envelope, dict) else {}
    message = str(envelope.get("message") or "")
    if status == HTTPStatus.OK and envelope.get("result") == "ok":
        data = envelope.get("data")
        return data if isinstance(data, dict) else {}
    if status == HTTPStatus.UNAUTHORIZED:
        raise SupervisorDeniedError(
            f"{what}: the Supervisor does not know our token (401); restart the app"
        )
    if status == HTTPStatus.FORBIDDEN:
        raise SupervisorDeniedError(
            f"{what}: the app may not ask this (403); its config needs the service or role "
            "declared, so reinstall it from the repository"
        )
    if status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}:
        raise SupervisorNotReadyError(f"{what}: not ready ({status}); it will be asked again")
    if NOT_READY_MESSAGE.lower() in message.lower():
        raise SupervisorNotReadyError(f"{what}: the system is still starting; asked again soon")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SupervisorUnreachableError(f"{what}: failed inside the Supervisor ({status})")
    if status == HTTPStatus.OK and not envelope:
        raise SupervisorUnreachableError(f"{what}: the answer is not the Supervisor's")
    raise SupervisorRefusedError(f"{what}: refused ({status}): {message or 'no reason given'}")


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0
