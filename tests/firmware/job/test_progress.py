"""What is shown of a job only goes up, and says how fast and how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.job.models import Stage
from agent.firmware.job.progress import Progress, Transfer, moving, reached
from tests.test_footprint_imports import loaded_by


@given(st.lists(st.tuples(st.sampled_from(Stage), st.floats(-1, 2)), max_size=30))
def test_progress_never_goes_back_and_stays_between_0_and_100(
    points: list[tuple[Stage, float]],
) -> None:
    shown = Progress()
    for stage, done in points:
        now = reached(shown, stage, done)
        assert 0 <= shown.percent <= now.percent <= 100
        shown = now


def test_an_upload_says_its_rate_and_the_time_left_with_the_trial() -> None:
    half = Transfer(began_s=10, at_s=20, bytes_done=500_000, bytes_total=1_000_000)
    shown = moving(Progress(30), Stage.UPLOAD, half, then_s=75)
    assert (shown.percent, shown.rate_bytes_s, shown.left_s) == (55, 50_000, 85)


def test_before_the_first_byte_nobody_claims_a_rate() -> None:
    none = Transfer(began_s=10, at_s=10, bytes_done=0, bytes_total=1_000_000)
    shown = moving(Progress(30), Stage.UPLOAD, none)
    assert (shown.rate_bytes_s, shown.left_s) == (None, None)


def test_a_failed_job_keeps_the_number_at_which_it_failed() -> None:
    assert reached(Progress(62), Stage.FAILED, 1.0).percent == 62


@pytest.mark.parametrize("module", ["job.runner", "job.over_the_air", "campaign.runner"])
def test_a_room_without_a_job_loads_no_heavy_library(module: str) -> None:
    loaded = loaded_by(f"import agent.firmware.{module}")
    assert not {"aioesphomeapi", "tuf", "esptool", "cryptography", "pydantic"} & loaded
