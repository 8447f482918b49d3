"""A bridge is taken for an update only when nothing runs through it, and is gone from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.export.failover import LEAVE_AFTER_S, THERE_FOR_S, Ways, watched
from agent.flashing.moments import GOES_OVER, NOBODY_SAYS, RUNS, BridgeMoments, Moment, moment
from agent.fleet.identity import Mac
from agent.homeassistant.websocket import CoreConnection
from agent.houses import of_bridge
from tests.fleet.test_agent import sticker
from tests.fleet.test_work import rooms
from tests.peers.fixtures import MakeDevice

MAC, OTHER = Mac("02005e300001"), Mac("02005e300002")
BOTH = ("bridge", "ha_register")


@pytest.mark.parametrize(
    ("mac", "through", "in_use", "paths", "wanted"),
    [
        (MAC, frozenset(), "bridge", ("bridge",), Moment()),
        (MAC, frozenset({MAC}), "bridge", ("bridge",), Moment(RUNS)),
        (MAC, frozenset({MAC}), "bridge", BOTH, Moment(GOES_OVER, leaves=True)),
        (MAC, None, "bridge", BOTH, Moment(NOBODY_SAYS)),
        (MAC, frozenset(), "ha_register", BOTH, Moment()),
        (OTHER, None, "bridge", ("bridge",), Moment()),
    ],
)
def test_a_bridge_waits_for_a_dispatch_through_it_or_hands_over(
    mac: Mac, through: frozenset[Mac] | None, in_use: str, paths: tuple[str, ...], wanted: Moment
) -> None:
    assert moment(mac, MAC, through, in_use, paths) == wanted


async def test_what_is_taken_is_gone_until_it_is_given_back_also_after_a_restart() -> None:
    looked: list[frozenset[Mac]] = []
    moments = BridgeMoments(lambda: looked.append(moments.gone))
    moments.ask = lambda _: Moment(GOES_OVER, leaves=True)
    assert await moments.hold(MAC) == GOES_OVER
    assert (moments.gone, moments.leaving) == (frozenset(), {MAC})
    moments.ask = lambda _: Moment()
    assert await moments.hold(MAC) == ""
    assert looked[-1] == {MAC}
    moments.ask = lambda _: Moment(RUNS)
    assert await moments.hold(MAC) == ""  # asking again is free
    moments.release(MAC)
    assert (looked[-1], moments.leaving) == (frozenset(), frozenset())
    moments.recall({OTHER})
    assert moments.gone == {OTHER}


def test_a_bridge_that_is_taken_is_left_at_once_and_not_after_a_minute() -> None:
    ways = watched(Ways(BOTH, "bridge"), 0.0, up=True, other_up=True, busy=True)
    now_s = THERE_FOR_S + 1
    stays = watched(ways, now_s, up=False, other_up=True, busy=False)
    assert stays.in_use == "bridge"
    assert now_s < LEAVE_AFTER_S
    left = watched(ways, now_s, up=False, other_up=True, busy=False, leaves=True)
    assert left.in_use == "ha_register"
    nowhere = watched(ways, now_s, up=False, other_up=False, busy=False, leaves=True)
    assert nowhere.in_use == "bridge"


async def test_the_guard_sees_a_bridge_that_is_taken_as_gone(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device("plain", name="bridge-1")
    with device:
        async with rooms(tmp_path, device) as it:
            mac, bridges = Mac(device.mac), it.made.bridges
            await it.until(lambda: it.state(device) == "online")
            await it.store.update({"path": "bridge", "path_bridge": sticker(device)}, "test")
            core = CoreConnection("http://127.0.0.1:9", lambda: "")
            async with of_bridge(it.store.current, core, bridges) as house:
                assert house.meter.sample().linked
                moments = BridgeMoments(lambda: None)
                moments.ask = lambda _: Moment()
                bridges.lent = lambda: moments.gone
                assert await moments.hold(mac) == ""
                assert not house.meter.sample().linked
                moments.release(mac)
                assert house.meter.sample().linked
