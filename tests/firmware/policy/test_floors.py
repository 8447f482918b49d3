"""A device floor survives a restored backup of Home Assistant."""

from __future__ import annotations

import pytest

from agent.firmware.policy.floors import device_floor
from tests.firmware.manifest.documents import channel

PROJECT = "acme.bridge"


@pytest.mark.parametrize(
    ("recorded", "reported", "floor"),
    [
        (None, None, 0),
        (5, None, 5),
        (5, "1.2.0", 5),
        (1, "1.2.0", 3),
        (None, "1.2", 3),
        (None, "1.0.0", 2),
        (None, "7.7.7", 0),
        (1, "dev", 1),
    ],
)
def test_the_higher_of_our_record_and_what_the_bridge_itself_runs(
    recorded: int | None, reported: str | None, floor: int
) -> None:
    assert device_floor(recorded, reported, channel(), PROJECT) == floor


def test_what_is_not_known_of_channel_or_project_leaves_the_record() -> None:
    assert device_floor(2, "1.2.0", None, PROJECT) == 2
    assert device_floor(2, "1.2.0", channel(), "acme.other") == 2
