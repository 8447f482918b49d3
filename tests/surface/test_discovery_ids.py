"""An id that was taken is found and named; what a person has chosen is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.desks import Reception
from agent.export.snapshot import Reason
from agent.homeassistant.errors import CallTimeoutError
from agent.homeassistant.link import Link, LinkState
from agent.journal import Journal
from agent.surface import discovery_ids
from agent.surface.discovery import unique_id
from agent.surface.discovery_ids import CODE, collisions, watch_ids
from agent.surface.entities import ENTITIES, Entity
from agent.surface.entities_release import FLEET_ROWS
from tests.surface.desks import HandGuard

PREFIX = "export_monitor"
BY_SLOT = {entity.slot: entity for entity in ENTITIES}


def row(entity: Entity, given: str | None = None, prefix: str = PREFIX) -> dict[str, Any]:
    plain = f"{entity.platform}.{prefix}_{entity.key}"
    return {"entity_id": given or plain, "unique_id": unique_id(entity), "platform": "mqtt"}


def test_entities_with_their_own_ids_are_no_problem() -> None:
    assert collisions([row(entity) for entity in ENTITIES], ENTITIES, PREFIX) == ()
    assert collisions([], ENTITIES, PREFIX) == ()


def test_a_numbered_id_is_a_problem_that_names_the_holder() -> None:
    health = BY_SLOT["system_health"]
    theirs = "sensor.export_monitor_system_health"
    registry = [
        {"entity_id": theirs, "unique_id": "abc_system_health", "platform": "export_monitor"},
        row(health, f"{theirs}_2"),
    ]
    (found,) = collisions(registry, ENTITIES, PREFIX)
    assert (found.code, found.source) == (CODE, f"{theirs}_2")
    assert "export_monitor holds it" in found.text
    assert f"rename {theirs}_2 to {theirs}" in found.text


def test_pvautonomy_ops_that_is_still_installed_is_named_as_the_holder() -> None:
    (status,) = (it for it in FLEET_ROWS if it.key == "status")
    theirs = status.entity_id
    held = {"entity_id": theirs, "unique_id": theirs, "platform": "pvautonomy_ops"}
    ours = {"entity_id": f"{theirs}_2", "unique_id": status.unique_id, "platform": "mqtt"}
    (found,) = collisions([held, ours], ENTITIES, PREFIX)
    assert found.source == f"{theirs}_2"
    assert "pvautonomy_ops holds it" in found.text
    assert "entity_prefix" not in found.text  # which would not change this one
    alone = {**ours, "entity_id": theirs}
    assert collisions([alone], ENTITIES, PREFIX) == ()


def test_a_sensor_and_a_number_of_one_key_are_told_apart() -> None:
    number = BY_SLOT["number_minimum_soc"]
    registry = [row(BY_SLOT["minimum_soc"]), row(number, "number.export_monitor_minimum_soc_3")]
    assert [it.source for it in collisions(registry, ENTITIES, PREFIX)] == [
        "number.export_monitor_minimum_soc_3"
    ]


def test_a_name_that_a_person_chose_is_no_problem() -> None:
    registry = [row(BY_SLOT["system_health"], "sensor.my_battery_2")]
    assert collisions(registry, ENTITIES, PREFIX) == ()


def test_a_registry_with_strange_rows_breaks_nothing() -> None:
    registry: list[dict[str, Any]] = [{}, {"entity_id": None}, {"entity_id": "x", "platform": 3}]
    assert collisions(registry, ENTITIES, PREFIX) == ()


class HandCore:
    """The three calls of `CoreConnection` that are used, answered by hand."""

    def __init__(self) -> None:
        self.link = Link(LinkState.UP)
        self.answers: list[Any] = []
        self.asked = 0
        self.wakes: list[Callable[[Any], None]] = []

    def subscribe_link(self, callback: Callable[[Link], None]) -> Callable[[], None]:
        self.wakes.append(callback)
        return lambda: self.wakes.remove(callback)

    def subscribe_events(self, event: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        assert event == "entity_registry_updated"
        return self.subscribe_link(callback)

    async def command(self, kind: str, timeout_s: float) -> Any:
        assert (kind, timeout_s) == ("config/entity_registry/list", 30)
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_watch_reports_what_comes_and_what_goes(monkeypatch: Any) -> None:
    """After an answer that timed out it asks again; the same news is not reported twice."""
    monkeypatch.setattr(discovery_ids, "SETTLE_S", 0.01)
    health = BY_SLOT["system_health"]
    taken, good = [row(health, "sensor.export_monitor_system_health_2")], [row(health)]
    core = HandCore()
    core.answers = [CallTimeoutError("slow"), taken]
    reports: asyncio.Queue[tuple[Reason, ...]] = asyncio.Queue()
    watch = asyncio.create_task(
        watch_ids(core, ENTITIES, lambda: PREFIX, reports.put_nowait)  # type: ignore[arg-type]
    )
    async with asyncio.timeout(5):
        assert len(await reports.get()) == 1
        asked = core.asked
        core.wakes[1]({})
        while core.asked == asked:  # noqa: ASYNC110 - the watch asks in its own time
            await asyncio.sleep(0.005)
        assert reports.empty()
        core.answers = [good]
        core.wakes[0](core.link)
        assert await reports.get() == ()
    watch.cancel()
    await asyncio.wait([watch])
    assert core.wakes == []


async def test_a_collision_is_a_problem_that_page_and_entities_show(tmp_path: Path) -> None:
    guard = HandGuard()
    woken: list[bool] = []
    guard.wake = lambda: woken.append(True)  # type: ignore[attr-defined]
    async with await Journal.open(tmp_path / "journal.sqlite3") as journal:
        desk = Reception(guard, journal)  # type: ignore[arg-type]
        problem = Reason(CODE, "sensor.a is called sensor.a_2", "sensor.a_2")
        assert desk.snapshot().problems == ()
        desk.notice((problem,))
        assert woken
        assert desk.snapshot().problems == (problem,)
        feed = BY_SLOT["system_health"].attributes
        assert feed
        assert feed(desk.snapshot())["problems"] == [problem.text]
        desk.notice(())
        assert desk.snapshot().problems == ()
