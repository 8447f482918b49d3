"""Each notification is told once, taken away when it is over, and told again to a new Core."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.export.snapshot import ErrorState, Mode, Reason
from agent.fleet.contact import Contact, ContactState
from agent.fleet.findings import findings
from agent.fleet.identity import OUR_PROJECTS
from agent.fleet.record import contacted
from agent.fleet.sighting import Source
from agent.homeassistant.errors import CallTimeoutError, NotConnectedError
from agent.homeassistant.link import Link, LinkState
from agent.surface import bridge_notifications
from agent.surface.bridge_notifications import bridges_due
from agent.surface.fleet_view import FleetView
from agent.surface.notification_rules import ID_PREFIX, KINDS, TITLE_PREFIX, due, plain
from agent.surface.notifications import Notifier
from tests.fleet.devices import fleet_of, mac, word
from tests.surface.desks import QUIET, HandGuard

COMMISSIONED = dataclasses.replace(QUIET.commissioning, passed=True)
STOP = Reason("stop_unverified", "The stop could not be verified within 60 s.")


def ids(**changes: Any) -> set[str]:
    return {key.removeprefix(ID_PREFIX) for key in due(dataclasses.replace(QUIET, **changes))}


def failed(error: ErrorState, code: str, text: str = "It failed.") -> dict[str, Any]:
    return {"error_state": error, "problems": (Reason(code, text),)}


def test_a_quiet_house_has_nothing_to_tell() -> None:
    assert ids() == set()


def test_two_sources_that_disagree_are_told_while_nothing_else_is_wrong() -> None:
    apart = Reason("sources_disagree", "Grid power: a shows 5 W, and b 900 W.", "b")
    assert ids(problems=(apart,)) == {"sources_disagree"}


@pytest.mark.parametrize(
    ("error", "code", "wanted"),
    [
        (ErrorState.SOC_READ_FAILED, "soc_unavailable", {"soc_read_failed"}),
        (ErrorState.STALE_DATA, "grid_power_stale", {"stale_data"}),
        (ErrorState.NO_DATA, "link_down", {"lost_input"}),
        (ErrorState.DISCHARGE_POWER_SET_FAILED, "power_set_failed", {"discharge_power_failed"}),
        (ErrorState.DISCHARGE_START_FAILED, "start_failed", {"discharge_start_failed"}),
        (
            ErrorState.DISCHARGE_START_FAILED,
            "start_unverified",
            {"discharge_start_failed", "verification_failed"},
        ),
        (
            ErrorState.DISCHARGE_STOP_FAILED,
            "stop_unverified",
            {"discharge_stop_failed", "verification_failed"},
        ),
        (ErrorState.LOST_INPUT, "lost_input", {"lost_input"}),
        (ErrorState.FOREIGN_CONTROLLER, "foreign_controller", {"foreign_controller"}),
        (ErrorState.OVER_EXPORT, "over_export", {"over_export"}),
    ],
)
def test_every_error_state_has_its_notification(
    error: ErrorState, code: str, wanted: set[str]
) -> None:
    assert ids(**failed(error, code)) == wanted


def test_no_error_state_is_without_notification() -> None:
    for error in set(ErrorState) - {ErrorState.NONE}:
        assert ids(**failed(error, "x")), error


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("soc_invalid", "soc_read_failed"),
        ("battery_power_frozen", "stale_data"),
        ("exported_counter_fell", "lost_input"),
        ("dispatch_missing", "lost_input"),
    ],
)
def test_a_lost_input_that_stops_nothing_is_told_when_it_stays_lost(code: str, wanted: str) -> None:
    picture = dataclasses.replace(QUIET, problems=(Reason(code, "It is lost."),))
    told = due(picture)[ID_PREFIX + wanted]
    assert told.after_s > 0
    assert ids(problems=(Reason("grid_power_late", "It is late."),)) == set()


def test_a_foreign_dispatch_is_told_and_told_anew_when_it_becomes_dangerous() -> None:
    seen = due(dataclasses.replace(QUIET, problems=(Reason("foreign_dispatch", "2000 W."),)))
    beyond = due(
        dataclasses.replace(QUIET, **failed(ErrorState.FOREIGN_CONTROLLER, "foreign_controller"))
    )
    key = ID_PREFIX + "foreign_controller"
    assert seen[key].news != beyond[key].news


def test_over_export_stays_until_it_is_acknowledged_whatever_error_came_later() -> None:
    breach = dataclasses.replace(QUIET.energy, breach=True)
    assert ids(energy=breach, latched=True) == {"over_export"}
    assert ids(energy=breach, latched=False) == set()


def test_target_is_zero_is_told_only_to_who_wants_control() -> None:
    zero = (Reason("target_is_zero", "The wanted export is 0 W."),)
    assert ids(blockers=zero) == set()
    wanted = {"mode": Mode.CONTROL, "commissioning": COMMISSIONED}
    assert ids(blockers=zero, **wanted) == {"target_is_zero"}
    assert ids(blockers=(), **wanted) == set()


def test_ids_and_titles_are_those_of_the_guide() -> None:
    guide = {
        "soc_read_failed": "SOC Sensor Failed",
        "stale_data": "Stale Data Detected",
        "discharge_power_failed": "Discharge Power Set Failed",
        "discharge_start_failed": "Discharge Start Failed",
    }
    assert {key: KINDS[key].title for key in guide} == guide
    told = due(dataclasses.replace(QUIET, **failed(ErrorState.STALE_DATA, "grid_power_stale")))
    (notification,) = told.values()
    assert notification.kind.id == "export_monitor_stale_data"
    assert notification.title == "⚠️ Export Monitor: Stale Data Detected"
    assert notification.title.startswith(TITLE_PREFIX)
    assert "It failed." in notification.message
    assert "**Next:**" in notification.message


def test_every_kind_names_a_next_step() -> None:
    assert all(len(kind.next_step) > 30 for kind in KINDS.values())


@given(st.text())
def test_outside_text_never_becomes_markup(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    for sign in "[]<>`*":
        assert shown.count(sign) == shown.count(f"\\{sign}")


class HandWall:
    """A Core's wall of notifications; the test breaks the link and restarts it."""

    def __init__(self) -> None:
        self.link = Link(LinkState.UP)
        self.shown: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.broken = False
        self.failures = 0
        self.changed = asyncio.Event()
        self._on_link: list[Callable[[Link], None]] = []

    def subscribe_link(self, callback: Callable[[Link], None]) -> Callable[[], None]:
        self._on_link.append(callback)
        return lambda: self._on_link.remove(callback)

    def set_link(self, state: LinkState) -> None:
        self.link = Link(state)
        for callback in list(self._on_link):
            callback(self.link)

    async def command(self, kind: str, timeout_s: float = 10.0, **fields: Any) -> Any:
        assert (kind, fields) == ("persistent_notification/get", {})
        return [{"notification_id": key} for key in self.shown]

    async def notify(self, notification_id: str, title: str, message: str) -> None:
        self._fail_if_broken()
        self.shown[notification_id] = message
        self._note("notify", notification_id)

    async def dismiss(self, notification_id: str) -> None:
        self._fail_if_broken()
        self.shown.pop(notification_id, None)
        self._note("dismiss", notification_id)

    def _fail_if_broken(self) -> None:
        if not self.link.up:
            raise NotConnectedError("no link")
        if self.broken:
            self.failures += 1
            self.changed.set()
            raise CallTimeoutError("no answer")

    def _note(self, what: str, key: str) -> None:
        self.calls.append((what, key.removeprefix(ID_PREFIX)))
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


@dataclasses.dataclass
class Scene:
    guard: HandGuard
    wall: HandWall
    notifier: Notifier

    async def shows(self, *suffixes: str) -> None:
        wanted = {ID_PREFIX + suffix for suffix in suffixes}
        await self.wall.until(lambda: set(self.wall.shown) == wanted)

    async def looked(self) -> None:
        """Let the notifier look at one more picture: a marker comes and goes."""
        kept = self.guard.shown
        beside = (*kept.problems, Reason("foreign_dispatch", "marker"))
        self.guard.show(problems=beside)
        key = ID_PREFIX + "foreign_controller"
        await self.wall.until(lambda: key in self.wall.shown)
        self.guard.show(problems=kept.problems)
        await self.wall.until(lambda: key not in self.wall.shown)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    guard, wall = HandGuard(), HandWall()
    notifier = Notifier(guard, wall, calm_s=0.02, spacing_s=0.01)
    task = asyncio.create_task(notifier.run())
    yield Scene(guard, wall, notifier)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()  # no failure of Core may have ended it
    assert not guard.watched


async def test_it_is_told_once_and_taken_away_when_over(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.DISCHARGE_STOP_FAILED, "stop_failed"))
    await scene.shows("discharge_stop_failed")
    for second in range(5):
        later = Reason("stop_failed", f"It failed {second} s ago.")
        scene.guard.show(problems=(later,))
        await scene.looked()
    scene.guard.show(error_state=ErrorState.NONE, problems=())
    await scene.shows()
    told = [call for call in scene.wall.calls if call[1] == "discharge_stop_failed"]
    assert told == [("notify", "discharge_stop_failed"), ("dismiss", "discharge_stop_failed")]


async def test_who_puts_it_away_is_not_nagged_until_it_happens_again(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.shows("over_export")
    scene.wall.shown.clear()
    await scene.looked()
    assert scene.wall.calls.count(("notify", "over_export")) == 1
    scene.guard.show(error_state=ErrorState.NONE, problems=())
    await scene.wall.until(lambda: ("dismiss", "over_export") in scene.wall.calls)
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.shows("over_export")


async def test_a_restarted_core_is_told_again_what_is_still_true(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.FOREIGN_CONTROLLER, "foreign_controller"))
    await scene.shows("foreign_controller")
    scene.wall.set_link(LinkState.DOWN)
    scene.wall.shown.clear()
    scene.wall.set_link(LinkState.UP)
    await scene.shows("foreign_controller")
    assert scene.wall.calls.count(("notify", "foreign_controller")) == 2


async def test_a_link_that_only_blinked_repeats_nothing(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.shows("over_export")
    scene.wall.set_link(LinkState.DOWN)
    scene.wall.set_link(LinkState.UP)
    await scene.looked()
    assert scene.wall.calls.count(("notify", "over_export")) == 1


async def test_what_ended_while_core_was_away_is_taken_away_afterwards(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.shows("over_export")
    scene.wall.set_link(LinkState.DOWN)
    scene.guard.show(error_state=ErrorState.NONE, problems=())
    scene.wall.set_link(LinkState.UP)
    await scene.shows()


async def test_leftovers_of_an_earlier_run_are_taken_away_and_nothing_else() -> None:
    guard, wall = HandGuard(), HandWall()
    wall.shown = {"export_monitor_stale_data": "old", "somebody_elses": "stays"}
    notifier = Notifier(guard, wall, calm_s=0.02, spacing_s=0.01)
    task = asyncio.create_task(notifier.run())
    await wall.until(lambda: set(wall.shown) == {"somebody_elses"})
    task.cancel()
    await asyncio.wait([task])


async def test_a_core_that_does_not_answer_is_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.surface.notifications.RETRY_S", 0.01)
    scene.wall.broken = True
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.wall.until(lambda: scene.wall.failures > 1)
    scene.wall.broken = False
    await scene.shows("over_export")


async def test_clear_all_puts_everything_away_and_does_not_bring_it_back(scene: Scene) -> None:
    scene.guard.show(**failed(ErrorState.OVER_EXPORT, "over_export"))
    await scene.shows("over_export")
    assert await scene.notifier.clear() == len(KINDS)
    assert scene.wall.shown == {}
    await scene.looked()
    assert scene.wall.calls.count(("notify", "over_export")) == 1


async def test_patience_is_kept_before_a_lost_input_is_told() -> None:
    """Time is given, not waited for."""
    guard, wall, now_s = HandGuard(), HandWall(), [0.0]
    notifier = Notifier(guard, wall, calm_s=0.02, spacing_s=0.01, monotonic=lambda: now_s[0])
    task = asyncio.create_task(notifier.run())
    scene = Scene(guard, wall, notifier)
    lost = Reason("soc_unavailable", "The state of charge is unavailable.")
    over = Reason("over_export", "Too much.")
    guard.show(error_state=ErrorState.OVER_EXPORT, problems=(over, lost))
    await scene.shows("over_export")
    now_s[0] = 29.0
    guard.show(problems=(over, lost, Reason("foreign_dispatch", "2000 W.")))
    await scene.shows("over_export", "foreign_controller")
    now_s[0] = 31.0
    await scene.shows("over_export", "foreign_controller", "soc_read_failed")
    task.cancel()
    await asyncio.wait([task])


PRODUCTION = "pv-edge.alphaess-bridge"


def known(state: ContactState, project: str | None = PRODUCTION) -> FleetView:
    fleet = fleet_of(word(1, name="bridge-1", project_name=project))
    fleet = contacted(fleet, mac(1), Contact(state, 5.0, "why"))
    return FleetView(
        version="0", now_s=9, fleet=fleet, remarkable=findings(fleet, OUR_PROJECTS, 9.0)
    )


@pytest.mark.parametrize("state", ContactState)
def test_a_bridge_is_told_of_when_it_needs_a_person(state: ContactState) -> None:
    wanted = state in {
        ContactState.KEY_MISSING,
        ContactState.WRONG_KEY,
        ContactState.NOT_ENCRYPTED,
        ContactState.WRONG_DEVICE,
        ContactState.HUNG,
        ContactState.SAFE_MODE,
    }
    told = bridges_due(known(state), ())
    assert set(told) == ({f"pv_edge_bridge_{mac(1)}"} if wanted else set())
    for each in told.values():
        assert each.title.startswith("⚠️ Bridge: ")
        assert "bridge-1" in each.message
        assert each.after_s >= 10  # a bridge that restarts looks like other things for a moment
        assert len(each.message.partition("**Next:** ")[2]) > 20


def test_nobody_is_told_of_the_keys_of_somebody_elses_devices() -> None:
    """A house has bulbs and plugs that announce themselves and want a key of their own."""
    for project in (None, "", "acme.garage"):
        view = known(ContactState.KEY_MISSING, project)
        assert bridges_due(view, ()) == {}
        assert bridges_due(view, {mac(1)})  # unless we were given its key
    written = fleet_of(word(1, name="b"), word(1, Source.MANUAL, addresses=("10.0.0.1",)))
    written = contacted(written, mac(1), Contact(ContactState.KEY_MISSING, 5.0, "why"))
    assert bridges_due(FleetView(version="0", now_s=9, fleet=written), ())


def test_the_name_of_a_bridge_never_becomes_markup() -> None:
    fleet = fleet_of(word(1, name="b", friendly_name="[x](http://y) <b>", project_name=PRODUCTION))
    fleet = contacted(fleet, mac(1), Contact(ContactState.HUNG, 5.0, "why"))
    (told,) = bridges_due(FleetView(version="0", now_s=9, fleet=fleet), ()).values()
    assert r"\[x\](http://y) \<b\>" in told.message


async def test_a_bridges_notification_comes_and_goes_with_its_condition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bridge_notifications, "PATIENCE_S", 0.0)
    guard, wall = HandGuard(), HandWall()
    key, old = f"pv_edge_bridge_{mac(1)}", f"pv_edge_bridge_{mac(2)}"
    wall.shown = {old: "of an earlier run", "somebody_elses": "stays"}
    shown = [known(ContactState.ONLINE)]
    notifier = Notifier(
        guard,
        wall,
        calm_s=0.02,
        spacing_s=0.01,
        also=lambda: bridges_due(shown[0], ()),
        also_ids="pv_edge_bridge_",
    )
    task = asyncio.create_task(notifier.run())
    await wall.until(lambda: set(wall.shown) == {"somebody_elses"})
    for times, state in enumerate((ContactState.WRONG_KEY, ContactState.HUNG), start=1):
        shown[0] = known(state)
        guard.show()
        await wall.until(lambda times=times: wall.calls.count(("notify", key)) == times)
    shown[0] = known(ContactState.ONLINE)
    guard.show()
    await wall.until(lambda: set(wall.shown) == {"somebody_elses"})
    shown[0] = known(ContactState.HUNG)
    guard.show()
    await wall.until(lambda: key in wall.shown)
    await notifier.clear()
    assert set(wall.shown) == {"somebody_elses"}
    task.cancel()
    await asyncio.wait([task])
