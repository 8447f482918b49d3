"""On the oldest and the newest real Core: notifications come and go, and the doctor sees it all."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from agent import app as app_room
from agent import doctor as doctor_room
from agent.doctor import examined_alone
from agent.export.snapshot import ErrorState, Reason
from agent.fleet.contact import Contact, ContactState
from agent.fleet.findings import findings
from agent.fleet.identity import OUR_PROJECTS
from agent.fleet.record import contacted
from agent.homeassistant.link import LinkState
from agent.homeassistant.websocket import CoreConnection
from agent.migration.models import Domain, Found, OldEntry
from agent.options import Options
from agent.simulator.inverter import Inverter
from agent.surface import bridge_notifications
from agent.surface.bridge_notifications import ID_PREFIX, bridges_due
from agent.surface.fleet_view import FleetView
from agent.surface.notification_rules import Notification
from agent.surface.notifications import Notifier
from tests.fleet.devices import fleet_of, mac, word
from tests.homeassistant.linked import QUICK, linked, until_link
from tests.peers.ha_client import CoreClient
from tests.peers.house import House, house
from tests.peers.install import CORES
from tests.peers.mosquitto import Broker
from tests.surface.conftest import WRITES
from tests.surface.desks import HandGuard

TOGGLE = "input_boolean.alphaess_helper_force_discharging"
RIVAL = "automation.evening_export"
FIGHTER = {
    "automation": [
        {
            "id": "evening",
            "alias": "Evening export",
            "trigger": {"platform": "time", "at": "17:00:00"},
            "action": {"service": "input_boolean.turn_on", "target": {"entity_id": TOGGLE}},
        }
    ]
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived_in(
    core_version: str, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """One house per Core for this whole file; it exports, so that every counter moves."""
    inverter = Inverter(speed=30)
    inverter.plant.soc_percent = 90
    inverter.plant.pv_override_w, inverter.plant.load_override_w = 5000, 300
    directory = tmp_path_factory.mktemp("house")
    running = house(
        core_version,
        directory,
        inverter=inverter,
        broker=broker,
        slowest_scan_s=2,
        packages={"fighter": FIGHTER},
    )
    async with running as found, found.client() as client:
        # A daily meter of Core has no value until its source has moved.
        await client.until_known(
            [
                "sensor.alphaess_today_s_energy_feed_to_grid_meter",
                "sensor.alphaess_today_s_energy_from_pv",
                "sensor.solcast_pv_forecast_forecast_today",
            ]
        )
        yield found


async def until_wall(client: CoreClient, *wanted: str, timeout_s: float = 60) -> dict[str, Any]:
    """Core announces no event that both versions share for this, so it is asked."""
    shown: dict[str, Any] = {}
    try:
        async with asyncio.timeout(timeout_s):
            while set(shown := await client.notifications()) != set(wanted):  # noqa: ASYNC110 - as said
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not {wanted} after {timeout_s} s, but {shown}") from None
    return shown


@pytest.mark.peers("inverter")
async def test_a_notification_appears_survives_a_blink_and_vanishes(lived_in: House) -> None:
    guard, core = HandGuard(), lived_in.core
    async with (
        lived_in.client() as client,
        linked(core.url, lambda: core.token, QUICK) as connection,
    ):
        notifier = Notifier(guard, connection, calm_s=0.1, spacing_s=0.05)
        task = asyncio.create_task(notifier.run())
        await client.call(
            "persistent_notification.create", notification_id="somebody_elses", message="stays"
        )
        lost = Reason("stop_failed", "The stop [was](http://x) **not** verified.")
        guard.show(error_state=ErrorState.DISCHARGE_STOP_FAILED, problems=(lost,))
        key = "export_monitor_discharge_stop_failed"
        shown = await until_wall(client, "somebody_elses", key)
        assert shown[key]["title"] == "⚠️ Export Monitor: Discharge Stop Failed (CRITICAL)"
        assert shown[key]["message"].startswith(r"The stop \[was\](http://x) \*\*not\*\*")
        made_at = shown[key]["created_at"]

        await restarted(connection)
        guard.show(problems=(lost, Reason("foreign_dispatch", "2000 W.")))
        foreign = "export_monitor_foreign_controller"
        shown = await until_wall(client, "somebody_elses", key, foreign)
        assert shown[key]["created_at"] == made_at  # the blink of the link repeated nothing

        # A restarted Core has forgotten; its store of notifications is memory.
        await client.call("persistent_notification.dismiss_all")
        await until_wall(client)
        await restarted(connection)
        await until_wall(client, key, foreign)

        guard.show(error_state=ErrorState.NONE, problems=())
        await until_wall(client)
        task.cancel()
        await asyncio.wait([task])


async def restarted(connection: CoreConnection) -> None:
    """Break the link from our side and wait until it is up again."""
    assert connection._session is not None
    await connection._session.abort("the test blinks")
    await until_link(connection, LinkState.DOWN)
    await until_link(connection, LinkState.UP)


@dataclasses.dataclass
class Told:
    code: int
    report: dict[str, Any]

    def of(self, code: str) -> list[dict[str, Any]]:
        return [each for each in self.report["findings"] if each["code"] == code]

    def verdict(self, code: str) -> str:
        (finding,) = self.of(code)
        return str(finding["verdict"])


async def doctor(data: Path, watch_s: float = 4, **options: str) -> Told:
    """Run the real command line."""
    environment = {f"PV_EDGE_{name.upper()}": value for name, value in options.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "doctor", "--json"),
        *("--data", str(data), "--watch", str(watch_s)),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate()
    return Told(process.returncode or 0, json.loads(output))


def options_of(lived_in: House, broker: Broker) -> dict[str, str]:
    return {
        "ha_url": lived_in.core.url,
        "ha_token": lived_in.core.token,
        "mqtt_host": broker.host,
        "mqtt_port": str(broker.port),
        "mqtt_username": broker.username,
        "mqtt_password": broker.password,
    }


@pytest.mark.peers("inverter")
async def test_a_bridge_that_needs_a_person_is_on_the_wall_for_as_long_as_it_does(
    lived_in: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_notifications, "PATIENCE_S", 0.0)
    fleet = fleet_of(word(1, name="bridge-1", project_name="pv-edge.alphaess-bridge"))
    key, state = f"pv_edge_bridge_{mac(1)}", [ContactState.WRONG_KEY]

    def also() -> dict[str, Notification]:
        now = contacted(fleet, mac(1), Contact(state[0], 5.0, "why"))
        view = FleetView(
            version="0", now_s=9.0, fleet=now, remarkable=findings(now, OUR_PROJECTS, 9.0)
        )
        return bridges_due(view, ())

    guard, core = HandGuard(), lived_in.core
    async with (
        lived_in.client() as client,
        linked(core.url, lambda: core.token, QUICK) as connection,
    ):
        await client.call("persistent_notification.dismiss_all")
        notifier = Notifier(
            guard, connection, calm_s=0.1, spacing_s=0.05, also=also, also_ids=ID_PREFIX
        )
        task = asyncio.create_task(notifier.run())
        shown = await until_wall(client, key)
        assert shown[key]["title"] == "⚠️ Bridge: The Key Does Not Fit"
        assert "does not fit" in shown[key]["message"]
        state[0] = ContactState.ONLINE
        guard.show()
        await until_wall(client)
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.peers("inverter")
async def test_the_doctor_finds_a_healthy_house_healthy(
    lived_in: House, broker: Broker, tmp_path: Path, core_version: str
) -> None:
    (tmp_path / "settings.json").write_text('{"export_limit_w": 3680}')
    lived_in.inverter.writes.clear()
    async with lived_in.client() as client:
        await client.call("automation.turn_off", RIVAL)
        told = await doctor(tmp_path, **options_of(lived_in, broker))
        await client.call("automation.turn_on", RIVAL)
    bad = [each for each in told.report["findings"] if each["verdict"] not in {"ok", "skipped"}]
    assert bad == []
    assert told.code == 0
    assert told.verdict("second_controller") == "ok"
    (version,) = told.of("core_version")
    assert version["text"] == core_version
    for code in ("token", "administrator", "clock", "time_zone", "signs", "write_path", "broker"):
        assert told.verdict(code) == "ok", code
    assert told.verdict("mqtt_integration") == "ok"
    assert told.verdict("input_forecast_today_wh") == "ok"
    assert lived_in.inverter.writes == []  # it commands nothing


@pytest.mark.peers("inverter")
async def test_the_doctor_names_what_is_broken(
    lived_in: House, broker: Broker, tmp_path: Path
) -> None:
    broken = {
        "export_limit_w": 3680,
        "time_zone": "Australia/Sydney",
        "entities": {
            "soc": "sensor.nowhere",
            "battery_power": "sensor.alphaess_soc_battery",
            "exported_today": "sensor.alphaess_total_energy_feed_to_grid_meter",
        },
    }
    (tmp_path / "settings.json").write_text(json.dumps(broken))
    async with lived_in.client() as client:
        await client.call("input_boolean.turn_on", TOGGLE)
        options = options_of(lived_in, broker) | {"mqtt_password": "wrong"}
        told = await doctor(tmp_path, 1, **options)
        await client.call("input_boolean.turn_off", TOGGLE)
    assert told.code == 2
    assert told.verdict("input_soc_percent") == "failure"
    assert "sensor.nowhere does not exist" in told.of("input_soc_percent")[0]["text"]
    (battery,) = told.of("input_battery_w")
    assert battery["verdict"] == "failure"
    assert "in '%'" in battery["text"]
    assert battery["next_step"].startswith("Expected W; set unit_of_measurement")
    assert told.verdict("time_zone") == "warning"
    assert told.verdict("broker") == "failure"
    assert "Not authorized" in told.of("broker")[0]["text"]
    (rival,) = [each for each in told.of("second_controller") if each["verdict"] == "warning"]
    assert RIVAL in rival["text"]
    assert "automation.alphaess" not in rival["text"]
    on_now = [each for each in told.of("second_controller") if each["verdict"] == "failure"]
    assert TOGGLE in on_now[0]["text"]
    for finding in told.report["findings"]:
        assert finding["next_step"] or finding["verdict"] in {"ok", "skipped"}


@pytest.mark.peers("inverter")
async def test_the_doctor_reads_forecasts_from_core_as_the_planner_does(
    lived_in: House, tmp_path: Path
) -> None:
    begins = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [begins + number * timedelta(minutes=30) for number in range(96)]
    sun = [{"period_start": at.isoformat(), "pv_estimate": 0.5} for at in rows]
    dirt = [{"from": f"{at:%Y-%m-%dT%H:%MZ}", "intensity": 150} for at in rows if at != rows[6]]
    headers = {"Authorization": f"Bearer {lived_in.core.token}"}
    async with ClientSession(headers=headers) as http:
        for entity, attributes in (
            ("sensor.my_sun", {"detailedForecast": sun, "unit_of_measurement": "kWh"}),
            ("sensor.my_carbon", {"forecast": dirt}),
        ):
            body = {"state": "12.0", "attributes": attributes}
            where = f"{lived_in.core.url}/api/states/{entity}"
            async with http.post(where, json=body) as answer:
                assert answer.status in {200, 201}
    chosen = {
        "export_limit_w": 3680,
        "enable_ci_planning": True,
        "entities": {
            "forecast_today": "sensor.my_sun",
            "forecast_tomorrow": "sensor.my_sun",
            "ci_forecast": "sensor.my_carbon, sensor.nowhere",
        },
    }
    (tmp_path / "settings.json").write_text(json.dumps(chosen))
    options = {"ha_url": lived_in.core.url, "ha_token": lived_in.core.token}
    told = await doctor(tmp_path, 1, **options)
    (sunny,) = told.of("plan_pv")
    assert sunny["verdict"] == "ok"
    assert sunny["text"].startswith("sensor.my_sun, sensor.my_sun: 500 W now, known until")
    (carbon,) = told.of("plan_carbon")
    assert carbon["verdict"] == "warning"
    assert "1 of 7" in carbon["text"]  # half hours of the 36 h that a plan looks ahead
    assert "sensor.nowhere does not exist in Home Assistant" in carbon["text"]
    assert told.verdict("plan_buy") == "skipped"
    assert told.verdict("plan_load") == "skipped"
    assert told.verdict("plan_reach") == "warning"


@pytest.mark.parametrize("core_version", [list(CORES)[-1]], indirect=True)  # a dear one
@pytest.mark.peers("inverter")
async def test_a_running_agent_tells_of_a_foreign_dispatch_and_helps_without_secrets(
    lived_in: House, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole agent, its page and its wall; the package's toggle is the foreign controller."""
    monkeypatch.setattr(lived_in.inverter, "speed", 1)  # faster, no counter would be believed
    monkeypatch.setattr(doctor_room, "WATCH_S", 0.5)

    async def old_one(_core: object) -> Found:  # tests/migration has a real one in a real Core
        return Found((OldEntry(Domain.EXPORT_MONITOR, "abc", "Old", "loaded"),))

    monkeypatch.setattr(doctor_room, "read_found", old_one)
    options = Options.model_validate(options_of(lived_in, broker))
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with (
        lived_in.client() as client,
        app_room.opened(options, app_room.Place(tmp_path, port=0)) as app,
    ):
        running = asyncio.create_task(app.run(port.set_result))
        async with asyncio.timeout(60):
            page = f"http://127.0.0.1:{await port}"
        await client.call("input_boolean.turn_on", TOGGLE)
        await until_wall(client, "export_monitor_foreign_controller", timeout_s=60)
        async with ClientSession(page, headers=WRITES) as http:
            async with http.get("/api/doctor") as answer:
                report = json.loads((await answer.text()).splitlines()[-1])["report"]
            async with http.get("/api/diagnostics") as answer:
                text = await answer.text()
            async with http.get("/api/journal.csv?days=1") as answer:
                table = await answer.text()
            await client.call("input_boolean.turn_off", TOGGLE)
            # It went beyond the allowance, so it stays until somebody says that he has seen it.
            async with http.post("/api/requests", json={"kind": "acknowledge"}) as answer:
                assert answer.status == 200
            await until_wall(client, timeout_s=60)
        app.stopping.set()
        await running
    told = {each["text"] for each in report["findings"] if each["verdict"] == "failure"}
    assert "The integration Energy Export Monitor (export_monitor) is loaded." in told
    assert lived_in.core.token not in text
    assert broker.password not in text
    document = json.loads(text)
    assert document["versions"]["home_assistant"] == lived_in.core.version
    assert document["entities"]["soc"] == "sensor.alphaess_soc_battery"
    assert document["notifications"] == ["export_monitor_foreign_controller"]
    assert "foreign_dispatch" in {each["kind"] for each in document["events"]}
    assert ",foreign_dispatch," in table


async def test_the_doctor_tells_wrong_token_resident_nobody_and_lost_helper_apart(
    lived_in: House, broker: Broker, tmp_path: Path
) -> None:
    async def told(**changes: str) -> Told:
        options = Options.model_validate(options_of(lived_in, broker) | changes)
        report = await examined_alone(options, tmp_path, lambda *_: None, 0)
        return Told(report.exit_code, report.as_json())

    helpers = tmp_path / "helpers"
    helpers.mkdir()
    chosen = {"path": "ha_helpers", "entities": {"charge_power": "number.gone"}}
    (helpers / "settings.json").write_text(json.dumps(chosen))
    options = Options.model_validate(options_of(lived_in, broker))
    by_helpers = await examined_alone(options, helpers, lambda *_: None, 0)
    (written,) = Told(by_helpers.exit_code, by_helpers.as_json()).of("write_path")
    assert (written["verdict"], written["text"]) == ("failure", "number.gone does not exist.")

    wrong, resident, nobody = await asyncio.gather(
        told(ha_token="not-a-token"),
        told(ha_token=lived_in.core.resident.token),
        told(ha_url="http://127.0.0.1:9"),
    )
    assert (wrong.code, wrong.verdict("host"), wrong.verdict("token")) == (2, "ok", "failure")
    assert "not-a-token" not in json.dumps(wrong.report)
    assert (resident.verdict("token"), resident.verdict("administrator")) == ("ok", "failure")
    assert (nobody.code, nobody.verdict("host")) == (2, "failure")
    assert nobody.verdict("token") == "skipped"
