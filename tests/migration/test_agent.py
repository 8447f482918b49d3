"""The started agent beside the old integration in a real Core: locked until a person has chosen."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.acceptance.parts import WRITE, Json, eventually
from tests.fleet.test_agent import Caretaker, caretaker
from tests.peers.fixtures import MakeCore
from tests.peers.ha_client import CoreClient
from tests.peers.ha_storage import remember_entry
from tests.peers.install import NEWEST
from tests.peers.old_integration import OPS, install, install_ops

CODE = "second_controller"
FORM = {
    "battery_capacity_kwh": 13.3,
    "current_soc": "sensor.my_soc",
    "export_window_start": "16:00:00",
}


class Mover(Caretaker):
    """The started agent with what it says of old integrations."""

    async def asks(self, what: str, **body: Any) -> tuple[int, Json]:
        url = f"{self._url}/api/{what}"
        async with self._http.post(url, json=body, headers=WRITE) as answer:
            return answer.status, await answer.json()

    async def shown(self) -> Json:
        async with self._http.get(f"{self._url}/api/migration", headers=WRITE) as answer:
            return dict(await answer.json())

    async def blocked(self) -> bool:
        return any(each["code"] == CODE for each in (await self.state())["blockers"])

    async def becomes_blocked(self, wanted: bool) -> None:
        async def holds() -> bool:
            return await self.blocked() is wanted

        await eventually(holds, 20, f"blocked is {wanted}", self.shown)

    async def knows(self, entry_id: str) -> None:
        async def holds() -> bool:
            return entry_id in {it["entry_id"] for it in (await self.shown())["entries"]}

        await eventually(holds, 20, f"{entry_id} is known", self.shown)


async def test_nothing_is_commanded_beside_it_until_a_person_has_chosen(
    core_version: str, make_core: MakeCore, tmp_path: Path
) -> None:
    core = make_core(core_version)
    old = install(core.directory, FORM)
    if core_version == NEWEST:
        ops, standing, answers = install_ops(core.directory), "active", CODE
    else:  # its code is gone: Core cannot load it, so it can do nothing
        ops = remember_entry(core.directory, OPS, "<b>Ops</b>", {})
        standing, answers = "asleep", "no-members"
    async with (
        core,
        CoreClient(core.url, core.token) as home,
        caretaker(
            tmp_path, core.url, core.token, {}, kind=Mover, mode="control", export_limit_w=3680
        ) as agent,
    ):
        assert isinstance(agent, Mover)
        await home.says("sensor.my_soc", "80", unit_of_measurement="%")
        await agent.start()
        await agent.becomes_blocked(True)
        standings = {it["entry_id"]: it["standing"] for it in (await agent.shown())["entries"]}
        assert standings == {old: "active", ops: standing}
        status, answer = await agent.asks("requests", kind="commission")
        assert (status, answer["code"]) == (409, CODE)
        assert "Energy Export Monitor is active in Home Assistant" in answer["text"]

        status, answer = await agent.asks("flashing/campaigns", macs=[])
        assert (status, answer["code"]) == (409, answers)

        await takes_its_settings_over(agent, core_version)

        status, answer = await agent.asks("migration/choose", entry_id="nobody", choice="accept")
        assert (status, answer["text"]) == (
            400,
            "There is no such integration any more. Look again.",
        )
        await agent.asks("migration/choose", entry_id=old, choice="accept")
        await agent.becomes_blocked(False)
        if core_version == NEWEST:  # what was chosen outlives a restart
            await agent.terminated(signal.SIGTERM, 30)
            await agent.start()
            await agent.knows(old)
            assert not await agent.blocked()
        await agent.asks("migration/choose", entry_id=old, choice="undo")
        await agent.becomes_blocked(True)

        status, answer = await agent.asks("migration/choose", entry_id=old, choice="turn_off")
        assert status == 200, answer
        assert "runs on until the inverter's timer ends it" in answer["text"]
        await agent.becomes_blocked(False)
        entries = await home.command("config_entries/get")
        assert next(it for it in entries if it["entry_id"] == old)["disabled_by"] == "user"
        shown = await agent.shown()
        assert [it["name"] for it in shown["lingering"]] == ["Energy Export Monitor"]

        await home.command("config_entries/disable", entry_id=old, disabled_by=None)
        await agent.becomes_blocked(True)  # nobody has to look: Core tells
        kinds = [it["kind"] for it in agent.events()]
        assert kinds.count("old_integration_found") >= 2
        others = {"old_integration_gone", "old_integration_chosen", "old_settings_taken"}
        assert others <= set(kinds)


async def takes_its_settings_over(agent: Mover, core_version: str) -> None:
    """From its form where Core can open it for an entry, and from its numbers everywhere."""
    status, shown = await agent.asks("migration/look")
    assert status == 200, shown
    offered = {it["key"]: it for it in shown["plan"]["proposals"]}
    assert offered["target_export_w"]["value"] == "3000 W"
    assert offered["target_export_w"]["old_value"].endswith(" W")
    assert not offered["tolerance_kwh"]["chosen"]
    assert offered["entity_prefix"]["value"] == "energy_export_monitor"
    if core_version == NEWEST:
        assert offered["battery_capacity_kwh"]["value"] == "13.3 kWh"
        assert offered["entities.soc"]["value"] == "sensor.my_soc"
        assert offered["export_window_start"]["value"] == "16:00"
    else:  # its form is that of a new entry there, whose 99 kWh are nobody's
        assert "battery_capacity_kwh" not in offered
        assert "shows no form" in " ".join(it["text"] for it in shown["plan"]["left"])
    status, answer = await agent.asks("migration/take", keys=["target_export_w", "mode"])
    assert (status, answer["code"]) == (400, "refused")
    keys = ["target_export_w", "min_soc_percent"]
    status, answer = await agent.asks("migration/take", keys=keys)
    assert status == 200, answer
    values = (await agent.setting_values())["values"]
    assert (values["target_export_w"], values["min_soc_percent"]) == (3000, 15)
    assert (values["tolerance_kwh"], values["mode"]) == (0, "control")
