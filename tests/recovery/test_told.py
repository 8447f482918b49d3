"""Who uses a port, what a log may say, and what Home Assistant is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.firmware.job.models import JobState, ReleaseRef, Request, Result, Stage, Verdict, Way
from agent.firmware.job.progress import Progress
from agent.firmware.serial.models import SerialDevice
from agent.firmware.serial.ports import SerialPort, Usb
from agent.fleet.identity import Mac
from agent.recovery.log import LONGEST_LINE, MOST_LINES, CableLog
from agent.recovery.usage import told_by_core
from agent.recovery.views import view_of
from agent.recovery.words import described
from agent.surface.recovery_view import BLANK, STATES

BY_ID = "/dev/serial/by-id/usb-ITead_Sonoff-if00"
PORT = SerialPort("/dev/ttyUSB0", Usb(0x10C4, 0xEA60), BY_ID)
OTHER = SerialPort("/dev/ttyUSB1", Usb(0x10C4, 0xEA60))


def entry(**changes: Any) -> dict[str, Any]:
    """Return a port as Home Assistant's own code serialises it."""
    zha = {"kind": "config_entry", "title": "Zigbee\x1b[31m", "active": True, "domain": "zha"}
    told = {"device": BY_ID, "resolved_device": "/dev/ttyUSB0", "consumers": [zha], "present": True}
    return {**told, **changes}


@pytest.mark.parametrize("changes", [{}, {"device": "/dev/ttyUSB0"}, {"device": "/dev/x"}])
def test_a_port_that_an_integration_uses_is_told_under_each_of_its_names(
    changes: dict[str, Any],
) -> None:
    found = told_by_core([PORT, OTHER], [entry(**changes)])
    assert found == {BY_ID: ("Zigbee[31m (zha) of Home Assistant",)}


@pytest.mark.parametrize(
    "told",
    [None, "ports", [], ["x", None], [entry(consumers=None)], [entry(consumers=[1])],
     [entry(device=None, resolved_device=None)]],
)  # fmt: skip
def test_a_core_that_answers_otherwise_or_not_at_all_says_nothing(told: object) -> None:
    assert told_by_core([PORT], told) == {}


def test_a_log_keeps_no_secret_no_escape_and_no_more_than_its_lines() -> None:
    log = CableLog()
    log.enter("write")
    log.enter("write")
    log.add("bridge: [C][wifi:1]: SSID: 'HomeNet'")
    log.add("bridge: api encryption key abc=")
    log.add("Writing at 0x10000\x1b[2J\n" + "x" * 2 * LONGEST_LINE)
    text = log.text(("head",))
    assert text.startswith("head\n2 lines that may hold secrets are left out.\n\n== write\n")
    assert "HomeNet" not in text
    assert "abc=" not in text
    assert "\x1b" not in text
    assert len(log.newest[-1]) == LONGEST_LINE
    for number in range(2 * MOST_LINES):
        log.add(str(number))
    assert len(log.lines) == MOST_LINES


def job(**changes: Any) -> JobState:
    release = ReleaseRef("pv-edge.alphaess-bridge", "1.1.0", 3, "d" * 64, 1, "esp32c3")
    request = Request(Mac("a0b7651c2d3e"), release, "Ada", way=Way.SERIAL, port="/dev/ttyUSB0")
    state = JobState("j1", request, Stage.WRITE, datetime(2026, 6, 21, tzinfo=UTC))
    return replace(state, upload_began=True, **changes)


def test_home_assistant_is_shown_the_stage_and_afterwards_how_it_ended() -> None:
    running = view_of({"j1": job()}, {"j1": Progress(41.7)}, [], 1, "")
    assert running.state == "write"
    assert running.attributes["progress"] == 41
    assert running.attributes["mac"] == "A0:B7:65:1C:2D:3E"
    over = job(stage=Stage.FAILED, verdict=Verdict(Result.LOST, "It needs flashing.", ()))
    ended = view_of({"j1": over}, {}, ["A0:B7:65:1C:2D:3E"], 0, "")
    assert (ended.state, ended.attributes["last_result"]) == ("idle", "lost")
    asking = view_of({"j1": over}, {}, [], 1, "/dev/ttyUSB0")
    assert (asking.state, asking.attributes["port"]) == ("identify", "/dev/ttyUSB0")
    for view in (running, ended, asking):
        assert view.state in STATES
        assert view.attributes.keys() == BLANK.keys()


def test_a_locked_chip_is_described_with_what_locks_it() -> None:
    text = described(SerialDevice("esp32c3", None, secure_download=True, flash_encryption=True))
    assert "locked by flash encryption, secure download mode" in text
    assert "hides" in text
