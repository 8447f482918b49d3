"""An Alpha ESS through a real Core: what it says, how old that is, and what a command becomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from agent.homeassistant.link import LinkState
from agent.homeassistant.websocket import CoreConnection
from agent.house.alphaess import MAX_FEED_PERCENT, DispatchBlock
from agent.house.feed_in import SENSOR, HassFeedIn
from agent.house.firmware import HassFirmware
from agent.house.hass_alphaess import HassAlphaEss
from agent.house.hass_entities import EntityMapping
from agent.house.port import BatteryActuator, SiteMeter, WriteStatus
from agent.house.readings import HouseSample, Quality
from agent.simulator.inverter import Inverter
from agent.simulator.plant import Plant, PlantSettings
from tests.homeassistant.linked import linked, until, until_link
from tests.peers.house import House, house
from tests.peers.process import free_port

pytestmark = pytest.mark.peers("inverter")

DISCHARGE = DispatchBlock(start=True, power_w=2500, cutoff_soc_percent=20, duration_s=120)
STOP = DispatchBlock(start=False, power_w=0, cutoff_soc_percent=0, duration_s=90)
VERSIONS = [
    f"sensor.alphaess_{name}"
    for name in ("inverter_version", "inverter_arm_version", "ems_version_high",
                 "ems_version_middle", "ems_version_low")
]  # fmt: skip
REQUIRED = ("grid_w", "battery_w", "pv_w", "soc_percent")


def steady_plant() -> Plant:
    plant = Plant(PlantSettings(noise_w=0.0))
    plant.pv_override_w, plant.load_override_w = 2000.0, 600.0
    return plant


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived_in(
    core_version: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """One house for all tests that leave it as they found it."""
    directory: Path = tmp_path_factory.mktemp("house")
    inverter = Inverter(steady_plant())
    async with house(core_version, directory, inverter=inverter, slowest_scan_s=10) as running:
        yield running


@asynccontextmanager
async def adapted(
    running: House, entities: EntityMapping | None = None, **options: object
) -> AsyncIterator[tuple[HassAlphaEss, CoreConnection]]:
    """An adapter with its link, until the block ends."""
    async with linked(running.core.url, lambda: running.core.token) as connection:
        adapter = HassAlphaEss(connection, entities, look_s=0.3, **options)  # type: ignore[arg-type]
        task = asyncio.create_task(adapter.run())
        try:
            yield adapter, connection
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def all_good(sample: HouseSample) -> bool:
    readings = [getattr(sample, name) for name in REQUIRED]
    readings += [sample.dispatch.start, sample.dispatch.power_w, sample.dispatch.duration_s]
    return all(reading.good for reading in readings)


async def until_sample(
    adapter: HassAlphaEss, holds: Callable[[HouseSample], bool], timeout_s: float = 90
) -> HouseSample:
    await until(adapter.subscribe, lambda: holds(adapter.sample()), timeout_s)
    return adapter.sample()


@pytest_asyncio.fixture(loop_scope="session")
async def adapter(lived_in: House) -> AsyncIterator[HassAlphaEss]:
    """An adapter whose values are all there."""
    async with adapted(lived_in) as (ready, _):
        await until_sample(ready, all_good)
        yield ready


def test_it_fulfils_both_protocols() -> None:
    adapter = HassAlphaEss(CoreConnection("http://127.0.0.1:1", lambda: ""))
    meter: SiteMeter = adapter
    actuator: BatteryActuator = adapter
    assert meter is actuator
    assert adapter.traits.path == "ha_register"


def test_before_the_link_there_is_no_value() -> None:
    sample = HassAlphaEss(
        CoreConnection("http://127.0.0.1:1", lambda: ""), EntityMapping(soc="sensor.s")
    ).sample()
    assert not sample.linked
    assert sample.soc_percent.quality is Quality.UNAVAILABLE
    assert sample.reserve_soc_percent.quality is Quality.MISSING


async def test_the_package_is_found_and_every_value_arrives_in_its_unit(
    adapter: HassAlphaEss, lived_in: House
) -> None:
    sample = await until_sample(adapter, lambda s: s.exported_wh.good and s.produced_wh.good)
    assert sample.linked
    assert sample.pv_w.value == 2000
    assert sample.battery_w.value == pytest.approx(-1400, abs=20)
    assert sample.grid_w.value == pytest.approx(0, abs=20)
    assert sample.soc_percent.value == pytest.approx(lived_in.inverter.plant.soc_percent, abs=0.3)
    assert sample.forecast_today_wh.value == 20_000
    assert (sample.dispatch.start.value, sample.dispatch.power_w.value) == (0, 0)
    assert adapter.findings == ()


async def test_a_written_block_reaches_the_inverter_in_one_frame_and_is_read_back(
    adapter: HassAlphaEss, lived_in: House
) -> None:
    frames = len(lived_in.inverter.writes)
    outcome = await adapter.write(DISCHARGE, deadline_s=10)
    assert outcome.status is WriteStatus.DELIVERED
    assert [
        (write.function, write.address, list(write.values))
        for write in lived_in.inverter.writes[frames:]
    ] == [(16, 0x0880, DISCHARGE.registers())]
    asked_s = time.monotonic()
    await adapter.refresh()
    dispatch = adapter.sample().dispatch
    assert (dispatch.start.value, dispatch.power_w.value) == (1, 2500)
    assert dispatch.duration_s.value == 120
    assert dispatch.cutoff_soc_percent.value == pytest.approx(20, abs=0.4)
    # Even a Core that keeps no report times vouches for what it was made to read.
    assert dispatch.start.reported_s is not None
    assert dispatch.start.reported_s >= asked_s
    assert (await adapter.write(STOP, deadline_s=10)).status is WriteStatus.DELIVERED
    await until_sample(adapter, lambda s: s.dispatch.start.value == 0)


async def test_an_inverter_that_does_not_answer_leaves_the_command_unconfirmed(
    adapter: HassAlphaEss, lived_in: House
) -> None:
    lived_in.inverter.faults.mute = True
    try:
        began_s = time.monotonic()
        outcome = await adapter.write(STOP, deadline_s=1.0)
        assert outcome.status is WriteStatus.UNCONFIRMED
        assert time.monotonic() - began_s < 1.5
        assert "modbus.write_register" in outcome.detail
        assert "may still run" in outcome.detail
    finally:
        lived_in.inverter.faults.mute = False
        lived_in.inverter.hang_up()
    await until_sample(adapter, all_good)


async def test_a_hub_that_does_not_exist_is_refused_by_name(lived_in: House) -> None:
    async with adapted(lived_in, hub="elsewhere") as (adapter, connection):
        await until_link(connection, LinkState.UP)
        outcome = await adapter.write(STOP, deadline_s=5)
    assert outcome.status is WriteStatus.REFUSED
    assert "no Modbus hub 'elsewhere'; set modbus_hub" in outcome.detail


async def test_without_a_link_a_command_is_refused_and_certainly_not_sent() -> None:
    async with linked(f"http://127.0.0.1:{free_port()}", lambda: "t") as connection:
        outcome = await HassAlphaEss(connection).write(STOP, deadline_s=5)
    assert outcome.status is WriteStatus.REFUSED


async def test_an_unchanged_value_is_vouched_for_where_core_keeps_report_times(
    lived_in: House, core_version: str
) -> None:
    string = EntityMapping(pv_power="sensor.alphaess_pv1_power")  # read every second
    async with adapted(lived_in, string) as (adapter, _):
        before = (await until_sample(adapter, lambda s: s.pv_w.good)).pv_w
        if core_version.startswith("2024."):
            assert before.reported_s is None
            return
        assert before.reported_s is not None
        first_s = before.reported_s
        after = await until_sample(adapter, lambda s: (s.pv_w.reported_s or 0) > first_s + 0.5)
    assert after.pv_w.changed_s == before.changed_s
    assert after.pv_w.value == before.value
    assert after.pv_w.age_s(time.monotonic()) < 5


async def test_a_token_that_may_not_ask_for_ages_is_told_what_it_lacks(lived_in: House) -> None:
    async with linked(lived_in.core.url, lambda: lived_in.core.resident.token) as connection:
        adapter = HassAlphaEss(connection, look_s=0.3)
        task = asyncio.create_task(adapter.run())
        sample = await until_sample(
            adapter, lambda s: "administrator" in s.forecast_today_wh.detail
        )
        task.cancel()
    assert sample.forecast_today_wh.quality is Quality.UNAVAILABLE


SHADOWS = EntityMapping(
    grid_power="sensor.shadow_power_grid",
    soc="sensor.shadow_soc",
    exported_today="sensor.shadow_exported_today",
)


@pytest.mark.parametrize(
    ("shadow", "field", "fault", "quality", "words"),
    [
        ("soc", "soc_percent", "unavailable", Quality.UNAVAILABLE, "is unavailable"),
        ("soc", "soc_percent", "wrong_unit", Quality.INVALID, "in 'Wh'; expected %"),
        ("soc", "soc_percent", "out_of_range", Quality.INVALID, "outside 0 to 100 %"),
        ("soc", "soc_percent", "negative", Quality.INVALID, "outside 0 to 100 %"),
        ("power_grid", "grid_w", "out_of_range", Quality.INVALID, "outside -50000 to 50000 W"),
        ("exported_today", "exported_wh", "negative", Quality.INVALID, "it is no daily energy"),
        ("exported_today", "exported_wh", "wrong_unit", Quality.GOOD, ""),
    ],
)
async def test_a_lying_sensor_is_told_by_quality_and_words(
    lived_in: House, shadow: str, field: str, fault: str, quality: Quality, words: str
) -> None:
    async with adapted(lived_in, SHADOWS) as (adapter, connection):
        honest = await until_sample(adapter, lambda s: getattr(s, field).good, 60)
        select = {"entity_id": f"input_select.shadow_{shadow}_fault"}
        try:
            await connection.call_service(
                "input_select", "select_option", {**select, "option": fault}
            )
            unit = {"wrong_unit": "Wh"}.get(fault)
            entity = f"sensor.shadow_{shadow}"

            def told() -> bool:
                reading = getattr(adapter.sample(), field)
                return reading.quality is quality and (
                    unit is None or connection.states[entity].unit == unit
                )

            await until(adapter.subscribe, told)
            reading = getattr(adapter.sample(), field)
            assert words in reading.detail
            if quality is Quality.GOOD:  # a legal unit is converted, whatever is usual
                assert reading.value == pytest.approx(getattr(honest, field).value, abs=50)
            else:
                assert reading.value is None
        finally:
            await connection.call_service(
                "input_select", "select_option", {**select, "option": "none"}
            )


async def test_a_template_over_a_charge_that_stands_still_is_asked_again(
    lived_in: House, core_version: str
) -> None:
    """A template is written when it changes; a battery at rest would look lost after 120 s."""
    entities = EntityMapping(soc="sensor.shadow_soc")
    plant = lived_in.inverter.plant
    plant.pv_override_w = plant.load_override_w  # nothing is left for the battery
    try:
        async with adapted(lived_in, entities, ask_again_s=2) as (adapter, _):
            first = (await until_sample(adapter, lambda s: s.soc_percent.good)).soc_percent
            if core_version.startswith("2024."):
                assert first.reported_s is None
                return
            reports = {first.reported_s}

            def asked(sample: HouseSample) -> bool:
                reports.add(sample.soc_percent.reported_s)
                return len(reports) >= 4

            last = (await until_sample(adapter, asked)).soc_percent
            assert last.good
            assert last.age_s(time.monotonic()) < 6
    finally:
        plant.pv_override_w = 2000.0


async def test_a_core_that_restarts_takes_every_value_with_it(
    lived_in: House, core_version: str
) -> None:
    """And what it stored does not come back as new: the inverter itself has to answer first."""
    soc = "sensor.alphaess_soc_battery"
    core, inverter = lived_in.core, lived_in.inverter
    async with adapted(lived_in) as (adapter, connection):
        await until_sample(adapter, all_good)
        stored = float(connection.states[soc].state) - 10  # or more: it charges until it stops
        await core.stopped()
        await until_link(connection, LinkState.DOWN)
        sample = adapter.sample()
        assert not sample.linked
        assert {getattr(sample, name).quality for name in REQUIRED} == {Quality.UNAVAILABLE}

        inverter.plant.soc_percent = 30.0
        inverter.faults.slow_s = 1.0  # Core has to show something while it waits
        shown: set[str] = set()
        believed: set[float | None] = set()

        def note(_: frozenset[str]) -> None:
            if soc in connection.states:
                shown.add(connection.states[soc].state)

        connection.subscribe_states(note)
        adapter.subscribe(lambda: believed.add(adapter.sample().soc_percent.value))
        core.spawn()
        try:
            await until_link(connection, LinkState.UP, 60)
            if core_version.startswith("2024."):  # newer ones wait for the first answer
                # What it stored, or `unavailable` where its first poll met no connection yet.
                await until(connection.subscribe_states, lambda: bool(shown))
        finally:
            inverter.faults.slow_s = 0.0
            await core.running()
        await until_sample(adapter, lambda s: s.soc_percent.good)
        # The battery charges meanwhile, for as long as this machine needs.
        told = {value for value in believed if value is not None}
        assert told, "nothing was believed in the end"
        assert all(30 <= value < stored for value in told), (stored, told)


def _limits_written(running: House) -> list[tuple[int, ...]]:
    written = running.inverter.writes
    return [each.values for each in written if each.address == MAX_FEED_PERCENT.address]


async def test_the_feed_in_limit_is_read_anew_and_written(lived_in: House) -> None:
    registers = lived_in.inverter.registers
    async with adapted(lived_in) as (adapter, connection):
        limit = HassFeedIn(connection, adapter, SENSOR, "test")
        await until_sample(adapter, all_good)
        assert await limit.read(20) == 100
        outcome = await limit.write(70, 20)
        assert outcome.status is WriteStatus.DELIVERED
        assert registers.read(MAX_FEED_PERCENT.address, 1) == [70]
        assert await limit.read(20) == 70
        # The package follows with its slider, and writes what the slider says once more.
        await until(connection.subscribe_states, lambda: len(_limits_written(lived_in)) == 2, 30)
        assert await HassFeedIn(connection, adapter, "sensor.gone", "test").read(5) is None
        registers.write(MAX_FEED_PERCENT.address, [100])
        assert await limit.read(20) == 100, "asked of the inverter, whatever Core knew before"


async def test_the_firmware_is_that_of_the_packages_sensors(lived_in: House) -> None:
    async with adapted(lived_in) as (adapter, connection):
        firmware = HassFirmware(connection)
        await until_sample(adapter, all_good)
        wanted = {"entity_id": VERSIONS}  # Core asks each minute
        await connection.call_service("homeassistant", "update_entity", wanted, timeout_s=30)
        await until(connection.subscribe_states, lambda: firmware().count(",") == 2, 90)
        assert firmware() == "inverter 18225, ARM 16689, EMS 1.2.3"
