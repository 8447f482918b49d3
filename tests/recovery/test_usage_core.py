"""Who uses a port, asked of real Home Assistant: the newest knows, an old one cannot be asked."""

from __future__ import annotations

import json

import pytest

from agent.firmware.serial.ports import SerialPort, Usb
from agent.homeassistant.errors import CallRefusedError
from agent.homeassistant.link import LinkState
from agent.recovery.usage import COMMAND, users_of
from tests.homeassistant.linked import linked, until_link
from tests.peers.fixtures import MakeCore
from tests.peers.install import NEWEST, OLDEST

PORTS = (
    SerialPort("/dev/ttyUSB0", Usb(0x10C4, 0xEA60)),
    SerialPort("/dev/ttyUSB1", Usb(0x10C4, 0xEA60)),
)
ZHA = {
    "entry_id": "0" * 32,
    "version": 4,
    "minor_version": 1,
    "domain": "zha",
    "title": "Sonoff Zigbee",
    "data": {"device": {"path": "/dev/ttyUSB0"}, "radio_type": "znp"},
    "options": {},
    "pref_disable_new_entities": False,
    "pref_disable_polling": False,
    "source": "user",
    "unique_id": None,
    "disabled_by": None,
}


async def test_the_newest_core_names_the_integration_that_has_a_stick(make_core: MakeCore) -> None:
    core = make_core(NEWEST, configuration={"usb": None})
    kept = core.directory / ".storage" / "core.config_entries"
    stored = json.loads(kept.read_text())
    stored["data"]["entries"].append(ZHA)
    kept.write_text(json.dumps(stored))
    async with core, linked(core.url, lambda: core.token) as link:
        await until_link(link, LinkState.UP)
        found = await users_of(PORTS, link)
    assert found == {"/dev/ttyUSB0": ("Sonoff Zigbee (zha) of Home Assistant",)}


async def test_an_old_core_has_no_such_question_and_nothing_is_said(make_core: MakeCore) -> None:
    core = make_core(OLDEST)
    async with core, linked(core.url, lambda: core.token) as link:
        await until_link(link, LinkState.UP)
        with pytest.raises(CallRefusedError):
            await link.command(COMMAND, include_usage=True)
        assert await users_of(PORTS, link) == {}
