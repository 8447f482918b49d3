"""Where the MQTT broker is, and whether it lets us in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.homeassistant.supervisor import BASE_URL, Supervisor, SupervisorError
from agent.options import SUPERVISOR_CORE_URL, Options
from agent.surface.mqtt import BrokerAddress, MqttState, MqttStatus

PROBE_S = 10.0


async def find_broker(
    options: Options, token: Callable[[], str], supervisor: str = BASE_URL
) -> BrokerAddress | None:
    """
    Return the broker of the options, else the Supervisor's, else none.

    It is asked before every attempt: a broker comes late, moves, and gets another password.

    Raises:
        OSError: the Supervisor could not be asked; ask again.
    """
    if options.mqtt_host:
        return BrokerAddress(
            options.mqtt_host,
            options.mqtt_port,
            options.mqtt_username,
            options.mqtt_password.get_secret_value(),
            options.mqtt_tls,
        )
    if options.ha_url != SUPERVISOR_CORE_URL:
        return None
    try:
        service = await Supervisor(token, supervisor).mqtt_service()
    except SupervisorError as error:
        raise OSError(str(error)) from error
    if service is None:
        return None
    return BrokerAddress(
        service.host, service.port, service.username, service.password, service.ssl
    )


async def probe(address: BrokerAddress | None, deadline_s: float = PROBE_S) -> MqttState:
    """Log in once, publish nothing, leave; return how it went."""
    if address is None:
        return MqttState(MqttStatus.NOT_CONFIGURED, "No MQTT broker is configured.")
    where = f"{address.host}:{address.port}"
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[ReasonCode] = loop.create_future()

    def take(code: ReasonCode) -> None:
        if not answer.done():
            answer.set_result(code)

    def connected(
        _client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be gone by now
            loop.call_soon_threadsafe(take, code)

    client = paho.Client(CallbackAPIVersion.VERSION2)  # an id of its own: the agent's stays in
    client.on_connect = connected
    if address.username:
        client.username_pw_set(address.username, address.password)
    if address.tls:
        client.tls_set()
    try:
        async with asyncio.timeout(deadline_s):
            await asyncio.to_thread(client.connect, address.host, address.port)
            client.loop_start()
            code = await answer
    except TimeoutError:
        return MqttState(MqttStatus.UNREACHABLE, f"The broker at {where} did not answer.")
    except (OSError, ValueError) as error:  # ValueError: paho does not like the host
        return MqttState(MqttStatus.UNREACHABLE, f"The broker at {where}: {error}.")
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    if code.is_failure:
        return MqttState(MqttStatus.AUTH_FAILED, f"The broker at {where} says: {code}.")
    return MqttState(MqttStatus.CONNECTED, where)
