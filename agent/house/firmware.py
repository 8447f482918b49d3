"""
Which firmware an inverter runs, as far as its path lets it be read.

What a timer does may change with a firmware, so the commissioning test belongs to one. What was
read stays known while the source is away: a sensor that is silent for a while is no update.

Source: export_monitor.md 4.2 (versions at 0x0640, 0x0645 and 0x074B).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.homeassistant.websocket import CoreConnection
from agent.house import alphaess as map_
from agent.house.hass_entities import tells

if TYPE_CHECKING:  # a real installation does not load the simulated house
    from agent.house.embedded import EmbeddedHouse

_ENTITIES = {
    "inverter": ("sensor.alphaess_inverter_version",),
    "ARM": ("sensor.alphaess_inverter_arm_version",),
    "EMS": tuple(f"sensor.alphaess_ems_version_{part}" for part in ("high", "middle", "low")),
}
"""The package shows only the first register of the first two, so a part of their text."""
_BRIDGE = {name: f"text_sensor.{name.lower()}_firmware" for name in _ENTITIES}
_ANSWER_S = 2.0
_LONGEST_PART = 30


class HassFirmware:
    """The versions that Home Assistant's sensors show; call it for the newest."""

    def __init__(self, core: CoreConnection) -> None:
        self._core = core
        self._known: dict[str, str] = {}
        core.watch(entity for entities in _ENTITIES.values() for entity in entities)

    def __call__(self) -> str:
        """Return the versions, or an empty text while none has been read."""
        for name, entities in _ENTITIES.items():
            states = [self._core.states.get(entity) for entity in entities]
            if all(tells(state) for state in states):
                shown = ".".join(state.state for state in states if state is not None)
                self._known[name] = _line(shown)
        return _words(self._known)


class BridgeFirmware:
    """The versions that a bridge shows; call it for the newest."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._known: dict[str, str] = {}

    def __call__(self) -> str:
        """Return the versions, or an empty text while none has been told."""
        for name, entity in _BRIDGE.items():
            if shown := self._text(entity):
                self._known[name] = _line(shown)
        return _words(self._known)


class EmbeddedFirmware:
    """The versions in the inverter's own registers, read once after each connect."""

    def __init__(self, house: EmbeddedHouse) -> None:
        self._house = house
        self._known: dict[str, str] = {}

    def __call__(self) -> str:
        """Return the versions, or an empty text while none has been read."""
        return _words(self._known)

    async def run(self) -> None:
        """Read after each connect, until cancelled."""
        changed = asyncio.Event()
        end = self._house.subscribe(changed.set)
        due = True
        try:
            while True:
                linked = self._house.sample().linked
                if linked and due:
                    due = not await self._read()
                due = due or not linked
                await changed.wait()
                changed.clear()
        finally:
            end()

    async def _read(self) -> bool:
        for name, address in map_.FIRMWARE_TEXTS.items():
            words = await self._house.read_registers(address, map_.FIRMWARE_TEXT_WORDS, _ANSWER_S)
            if words is None:
                return False
            raw = b"".join(word.to_bytes(2, "big") for word in words)
            self._known[name] = _line(raw.decode("ascii", "replace").strip("\0 "))
        address, count = map_.EMS_VERSION_ADDRESS, map_.EMS_VERSION_WORDS
        numbers = await self._house.read_registers(address, count, _ANSWER_S)
        if numbers is not None:
            self._known["EMS"] = ".".join(str(number) for number in numbers)
        return numbers is not None


def _words(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _line(text: str) -> str:
    """Return outside text without what would take the versions apart, or steer a terminal."""
    shown = "".join(sign for sign in text if sign.isprintable() and sign not in ", ")
    return shown[:_LONGEST_PART]
