"""
The helper path against a real Core, frame by frame: what reaches the inverter's registers.

One house per Core for all cases, in this order: the adapter alone, then the guard through a whole
discharge and a reset by the package. Minutes are not waited for: renewals come sooner than they
would. What a user sees of this path, dead Cores and dead agents among it, are the cases of a whole
house; they run on both paths.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from agent import houses
from agent.clock import SystemClock
from agent.export.commissioning import Commissioning
from agent.export.guard import Guard
from agent.export.requests import Request, RequestKind
from agent.homeassistant.link import LinkState
from agent.homeassistant.websocket import CoreConnection
from agent.house.alphaess import RESET_BLOCK, DispatchBlock
from agent.house.port import WriteStatus
from agent.setting_models import Settings
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from agent.site import SiteChoices
from tests.acceptance.paths import TIMER, TOGGLE
from tests.acceptance.prepared import ZONE, commissioned
from tests.homeassistant.linked import linked, until, until_link
from tests.peers.house import House, house

pytestmark = pytest.mark.peers("inverter")

COUNTERS = (
    "sensor.alphaess_today_s_energy_feed_to_grid_meter",
    "sensor.alphaess_today_s_energy_from_pv",
)
WISHES = {
    "mode": "control",
    "path": "ha_helpers",
    "export_limit_w": 3680,
    "target_export_w": 2500,
    "tolerance_kwh": 20,
    "minimum_off_s": 0,
    "time_zone": ZONE.key,
}
BLOCK, POWER, TIME = 0x0880, 0x0881, 0x0887


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived_in(
    core_version: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A house whose daily counters have moved, and that now lives at the pace of ours."""
    inverter = Inverter(Plant(PlantSettings(soc_percent=100)), speed=40)
    plant = inverter.plant
    plant.pv_override_w, plant.load_override_w = 6000.0, 300.0
    directory = tmp_path_factory.mktemp("helpers")
    async with house(core_version, directory, inverter=inverter, slowest_scan_s=2) as running:
        async with running.client() as client:
            await client.until_known(COUNTERS)
        inverter.speed = 1.0
        plant.soc_percent = 80.0
        plant.pv_override_w, plant.load_override_w = 0.0, 400.0
        yield running


@asynccontextmanager
async def furnished(
    running: House, **entities: str
) -> AsyncIterator[tuple[houses.House, CoreConnection]]:
    """The house as the agent builds it from its settings, with its link."""
    settings = Settings.model_validate({**WISHES, "entities": entities})
    async with (
        linked(running.core.url, lambda: running.core.token) as core,
        houses.of_home_assistant(settings, core) as built,
    ):
        task = asyncio.ensure_future(built.run())
        try:
            await until_link(core, LinkState.UP)
            meter = built.meter
            await until(meter.subscribe, lambda: meter.sample().dispatch.start.good, 30)
            yield built, core
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def frames(running: House, since: int) -> list[tuple[int, list[int]]]:
    return [(each.address, list(each.values)) for each in running.inverter.writes[since:]]


def discharge(power_w: int, minutes: int) -> DispatchBlock:
    return DispatchBlock(True, power_w, 21, minutes * 60)


async def test_only_what_changes_is_written_and_it_reaches_the_registers(lived_in: House) -> None:
    """D-23: the timer runs with the toggle, and neither is left behind."""
    since = len(lived_in.inverter.writes)
    start = discharge(2500, 6)
    async with furnished(lived_in) as (built, core):
        write = built.actuator.write
        for block in (start, discharge(2500, 5), discharge(1900, 6)):
            outcome = await write(block, 30)
            assert outcome.status is WriteStatus.DELIVERED, outcome.detail
        repeated = await write(discharge(1900, 6), 30)
        assert repeated.status is WriteStatus.UNCONFIRMED
        assert "writes nothing for a repeated value" in repeated.detail
        assert lived_in.inverter.plant.dispatch.remaining_s == pytest.approx(360, abs=15)
        assert core.states[TIMER].state == "active"
        assert (await write(RESET_BLOCK, 30)).status is WriteStatus.DELIVERED
        assert (core.states[TOGGLE].state, core.states[TIMER].state) == ("off", "idle")
        await built.actuator.refresh()
        assert built.meter.sample().dispatch.start.value == 0
    assert frames(lived_in, since) == [
        (BLOCK, start.registers()),
        (TIME, [0, 300]),
        (POWER, [0, 33_900]),
        (TIME, [0, 360]),
        (BLOCK, RESET_BLOCK.registers()),
    ]


@pytest.mark.parametrize(
    ("block", "entities", "words"),
    [
        (discharge(11_000, 6), {}, "takes 0 to 10 kW, not 11: the power was refused"),
        (replace(discharge(2500, 6), cutoff_soc_percent=2), {}, "takes 4 to 100 %, not 2"),
        (
            discharge(2500, 6),
            {"discharge_cutoff_soc": "input_number.renamed"},
            "input_number.renamed does not exist in Home Assistant",
        ),
        (
            discharge(2500, 6),
            {"discharge_duration": "input_number.alphaess_helper_max_feed_to_grid"},
            "is in '%'; a duration needs min",
        ),
    ],
    ids=["d28-over-the-ac-limit", "d08-below-the-range", "d07-renamed", "d07-another-slider"],
)
async def test_what_cannot_be_set_is_refused_before_anything_is_written(
    lived_in: House, block: DispatchBlock, entities: dict[str, str], words: str
) -> None:
    since = len(lived_in.inverter.writes)
    async with furnished(lived_in, **entities) as (built, core):
        sliders = {e: s.state for e, s in core.states.items() if "helper" in e}
        outcome = await built.actuator.write(block, 10)
        assert outcome.status is WriteStatus.REFUSED
        assert words in outcome.detail
        assert {e: s.state for e, s in core.states.items() if "helper" in e} == sliders
    assert frames(lived_in, since) == []


async def test_a_dispatch_that_no_toggle_stands_for_is_stopped_by_the_reset_button(
    lived_in: House,
) -> None:
    lived_in.inverter.write_local(discharge(1000, 5).registers())
    async with furnished(lived_in) as (built, _):
        meter = built.meter
        await until(meter.subscribe, lambda: meter.sample().dispatch.start.value == 1, 20)
        assert (await built.actuator.write(RESET_BLOCK, 30)).status is WriteStatus.DELIVERED
        await until(meter.subscribe, lambda: meter.sample().dispatch.start.value == 0, 20)
    assert not lived_in.inverter.plant.dispatch.active


async def test_a_stop_overtakes_a_start_that_is_under_way(lived_in: House) -> None:
    async with furnished(lived_in) as (built, core):
        start = asyncio.create_task(built.actuator.write(discharge(2500, 6), 30))
        await until(core.subscribe_states, lambda: core.states[TOGGLE].state == "on")
        stop = await built.actuator.write(RESET_BLOCK, 30)
        assert stop.status is WriteStatus.DELIVERED
        assert (await start).status in (WriteStatus.UNCONFIRMED, WriteStatus.DELIVERED)
        await built.actuator.refresh()
        assert built.meter.sample().dispatch.start.value == 0
    assert frames(lived_in, -1) == [(BLOCK, RESET_BLOCK.registers())]


@dataclass
class Guarded:
    """A guard over the helper path, and what it says."""

    guard: Guard
    core: CoreConnection

    async def asked(self, kind: RequestKind) -> None:
        """Ask as soon as nothing is in the way."""
        if kind is RequestKind.START_DISCHARGE:
            await self.until(lambda: not self.guard.snapshot().blockers)
        answer = self.guard.request(Request(kind, "test"))
        assert answer.accepted, answer

    async def until(self, holds: Callable[[], bool], timeout_s: float = 30) -> None:
        """Wait until something is so."""
        try:
            await until(self.guard.subscribe, holds, timeout_s)
        except TimeoutError:
            picture = self.guard.snapshot()
            pytest.fail(f"{picture.phase} {picture.reason} {picture.problems} {picture.lease}")

    def confirmed_s(self) -> int | None:
        """Return the Dispatch Time that the registers have shown."""
        shown = [c for c in self.guard.state.commitments if c.confirmed_s is not None]
        return shown[-1].block.duration_s if shown else None


@asynccontextmanager
async def guarded(running: House, data: Path) -> AsyncIterator[Guarded]:
    """A guard as the app builds it, but in more of a hurry to renew."""
    async with furnished(running) as (built, core):
        settings = Settings.model_validate(WISHES)
        choices = SiteChoices(lambda: settings, built.meter.traits, built.identity)
        journal = await commissioned(data, built.identity())

        def hurried(test: Commissioning) -> object:
            config = choices(test)
            hurry = replace(config.path, renew_after_s=2.0, reduce_every_s=1.0)
            return replace(config, path=hurry)

        clock = SystemClock(ZONE)
        guard = Guard(built.meter, built.actuator, journal, clock, hurried)  # type: ignore[arg-type]
        await guard.recall()
        task = asyncio.create_task(guard.run())
        try:
            yield Guarded(guard, core)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await journal.close()


async def test_a_discharge_is_started_renewed_reduced_and_stopped(
    lived_in: House, tmp_path: Path
) -> None:
    plant, since = lived_in.inverter.plant, len(lived_in.inverter.writes)
    async with guarded(lived_in, tmp_path) as it:
        await it.asked(RequestKind.START_DISCHARGE)
        for wanted_s in (360, 300, 360):
            await it.until(lambda s=wanted_s: it.confirmed_s() == s)
            assert plant.dispatch.duration_s == wanted_s
            assert plant.dispatch.remaining_s > wanted_s - 20
        plant.load_override_w, plant.pv_override_w = 0.0, 2500.0
        await it.until(lambda: -3700 < plant.grid_w < -1000 and plant.dispatch.power_w < 2500)
        await it.asked(RequestKind.STOP_DISCHARGE)
        await it.until(lambda: it.guard.state.stopping is None)
        assert not plant.dispatch.active
        assert it.core.states[TOGGLE].state == "off"
        assert it.core.states[TIMER].state == "idle"
    written = frames(lived_in, since)
    assert written[0][0] == BLOCK
    assert written[-1] == (BLOCK, RESET_BLOCK.registers())
    times = [values[1] for address, values in written if address == TIME]
    assert times[:2] == [300, 360]
    assert {values[1] % 100 for address, values in written if address == POWER} <= {0}
    plant.load_override_w, plant.pv_override_w = 400.0, 0.0


async def test_the_reset_at_cores_start_is_answered_with_a_renewal(
    lived_in: House, tmp_path: Path
) -> None:
    """D-24: the package resets everything when Core starts; the wish is still there."""
    core, dispatch = lived_in.core, lived_in.inverter.plant.dispatch
    async with guarded(lived_in, tmp_path) as it:
        await it.asked(RequestKind.START_DISCHARGE)
        await it.until(lambda: it.confirmed_s() is not None)
        since = len(lived_in.inverter.writes)
        await core.stopped()
        await until_link(it.core, LinkState.DOWN)
        core.spawn()
        await core.running()
        reset = (BLOCK, RESET_BLOCK.registers())
        await it.until(lambda: reset in frames(lived_in, since), 60)
        await it.until(lambda: dispatch.active and it.confirmed_s() is not None, 90)
        assert it.core.states[TOGGLE].state == "on"
        await it.asked(RequestKind.STOP_DISCHARGE)
        await it.until(lambda: it.guard.state.stopping is None)
    assert not dispatch.active
