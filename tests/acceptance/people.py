"""
What the people of the production guide look at, and what the inverter does meanwhile.

A state is judged by Home Assistant's entities and notifications and by the inverter's own
registers, never by what the agent says of itself elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.acceptance.parts import Json, eventually
from tests.acceptance.stack import Stack

ERROR_STATE = "sensor.export_monitor_error_state"
HEALTH = "sensor.export_monitor_system_health"
STALENESS = "sensor.export_monitor_data_staleness"
BREAKER = "sensor.export_monitor_circuit_breaker_status"
STATUS = "sensor.export_monitor_discharge_status"
LATCHED = "binary_sensor.export_monitor_acknowledge_needed"
START = "button.export_monitor_start_discharge"
OURS = "export_monitor_"
SOON_S = 20
SHADOWED = {
    "grid_power": "sensor.shadow_power_grid",
    "battery_power": "sensor.shadow_power_battery",
    "soc": "sensor.shadow_soc",
    "exported_today": "sensor.shadow_exported_today",
    "produced_today": "sensor.shadow_produced_today",
}
"""Sensors of Home Assistant that can be made to lie, by what the agent reads of them."""


async def sees(house: Stack, error: str, health: str, within_s: float = SOON_S) -> Json:
    """Wait until Home Assistant shows this error state and health; return health's attributes."""
    await house.client.until(ERROR_STATE, error, within_s)
    shown = await house.client.until_state(
        HEALTH,
        lambda it: it["state"] == health and it["attributes"]["error_state"] == error,
        within_s,
    )
    return shown["attributes"]


async def told(house: Stack, *kinds: str, within_s: float = SOON_S) -> str:
    """Wait until exactly these notifications of ours are shown; return the text of the first."""
    wanted = {OURS + kind for kind in kinds}
    found: dict[str, Json] = {}

    async def holds() -> bool:
        found.clear()
        found.update(await house.client.notifications())
        return {key for key in found if key.startswith(OURS)} == wanted

    async def shown() -> object:
        return {key: it["message"] for key, it in found.items()}, await house.shown()

    await eventually(holds, within_s, f"the notifications {sorted(wanted)}", shown)
    return found[OURS + kinds[0]]["message"] if kinds else ""


async def tells_nothing(house: Stack) -> bool:
    """Return True while no notification of ours is shown."""
    return not any(key.startswith(OURS) for key in await house.client.notifications())


async def all_is_well(house: Stack, within_s: float = 60) -> None:
    """Wait until nothing is wrong in Home Assistant and every notification of ours is gone."""
    await sees(house, "none", "Healthy", within_s)
    await told(house)
    await house.client.until(BREAKER, "Closed", SOON_S)
    await house.client.until(STALENESS, lambda age: float(age) < 30, SOON_S)


async def asks_to_start(house: Stack) -> Json:
    """Press the start button; return what it says was answered."""
    before = house.client.states[START]["attributes"].get("last_at")
    await house.press("start_discharge")
    pressed = await house.client.until_state(
        START, lambda it: it["attributes"].get("last_at") != before, SOON_S
    )
    return pressed["attributes"]


async def is_refused(house: Stack, code: str) -> str:
    """Press the start button, be refused for this reason and return its words."""
    answer = await asks_to_start(house)
    assert answer["last_accepted"] is False, answer
    assert answer["last_code"] == code, answer
    return answer["last_answer"]


async def starts_again(house: Stack) -> None:
    """Start a discharge now that the cause has gone; what was wrong is forgotten."""
    await house.started()
    await house.client.until(STATUS, "Active")
    await all_is_well(house)


async def commands(house: Stack) -> int:
    """Return how many frames have been written to the inverter, by whomever."""
    return (await house.simulator.state())["writes"]


async def lies(house: Stack, shadow: str, fault: str) -> None:
    """Have a sensor of Home Assistant lie, or tell the truth again with `none`."""
    select = f"input_select.shadow_{shadow}_fault"
    await house.client.call("input_select.select_option", select, option=fault)


@asynccontextmanager
async def lying(house: Stack, shadow: str, fault: str) -> AsyncIterator[None]:
    """Have a sensor lie in the block, where nothing may be commanded; afterwards all is well."""
    before = await commands(house)
    await lies(house, shadow, fault)
    yield
    assert await commands(house) == before
    await lies(house, shadow, "none")
    await all_is_well(house)
