"""No release that is still in use is left without a way to the latest."""

from __future__ import annotations

import time

import pytest

from agent.firmware.manifest.models import Release
from agent.firmware.manifest.path import stranded
from tests.firmware.manifest.documents import RELEASE, A, B, C, release

OTA, FACTORY = RELEASE["images"]


def version(
    number: str,
    index: int = 1,
    signed_by: str = A,
    chips: tuple[str, ...] = ("esp32",),
    **fields: object,
) -> Release:
    """Return a release that trusts key A and that nothing stands in the way of."""
    images = [{**OTA, "chip": it, "file": f"{it}.bin", "signed_by": [signed_by]} for it in chips]
    usual = {"min_version": "0", "trusts": [A], "hw": [], "boards": []}
    said = {**usual, "version": number, "rollback_index": index, "images": images, **fields}
    return release(**said)


def test_where_every_release_takes_the_latest_nobody_is_stranded() -> None:
    assert stranded([version("1.0"), version("1.1"), version("1.10")]) == ()
    assert stranded([version("1.0")]) == ()


def test_a_stepping_stone_leads_on_and_its_absence_strands() -> None:
    old, stone = version("1.0"), version("1.5")
    latest = version("2.0", min_version="1.5")
    assert stranded([latest, old, stone]) == ()
    (left,) = stranded([latest, old])
    assert (left.version, left.chip) == ("1.0", "esp32")
    assert left.text == (
        "From 1.0 on esp32 nothing leads to 2.0: 2.0 wants at least 1.5 to be installed. "
        "Keep or add a release between them that it takes."
    )


def test_a_new_key_needs_a_release_that_the_old_one_takes_and_that_trusts_it() -> None:
    old, latest = version("1.0"), version("2.0", signed_by=B)
    (left,) = stranded([old, latest])
    assert "2.0 is signed by no key that 1.0 trusts" in left.text
    assert stranded([old, version("1.5", trusts=[A, B]), latest]) == ()
    assert len(stranded([old, version("1.5", trusts=[C]), latest])) == 2


def test_a_release_that_checks_no_signatures_takes_any() -> None:
    assert stranded([version("1.0", trusts=[]), version("2.0", signed_by=B)]) == ()


def test_a_rollback_index_that_falls_strands_and_no_detour_upwards_helps() -> None:
    old, between, latest = version("1.0", 2), version("1.5", 3), version("2.0", 1)
    found = stranded([old, between, latest])
    assert [it.version for it in found] == ["1.0", "1.5"]
    assert "its rollback index falls from 3 to 1" in found[1].text


def test_a_chip_or_board_that_the_latest_forgets_is_stranded_alone() -> None:
    both = version("1.0", chips=("esp32", "esp32c3"))
    (left,) = stranded([both, version("2.0")])
    assert (left.chip, "has no image for esp32c3 over the air" in left.text) == ("esp32c3", True)
    (left,) = stranded([version("1.0", hw=["r1", "r2"]), version("2.0", hw=["r2"])])
    assert (left.hw, "for board revisions r2 only" in left.text) == ("r1", True)
    (left,) = stranded([version("1.0", boards=["x", "y"]), version("2.0", boards=["y"])])
    assert (left.board, "on esp32, x nothing leads" in left.text) == ("x", True)


def test_a_factory_image_is_no_way_over_the_air() -> None:
    assert len(stranded([version("1.0"), version("2.0", images=[FACTORY])])) == 1


def test_another_latest_can_be_asked_for_and_has_to_be_there() -> None:
    releases = [version("1.0"), version("1.5"), version("2.0", min_version="1.5")]
    assert stranded(releases, "1.5") == ()
    assert [it.version for it in stranded([releases[0], releases[2]], "2.0")] == ["1.0"]
    with pytest.raises(ValueError, match=r"Release 3\.0 is not among the releases"):
        stranded(releases, "3.0")
    with pytest.raises(ValueError, match="several projects"):
        stranded([version("1.0"), version("2.0", project="a.b")])


def test_a_step_between_two_revisions_is_a_step_for_the_bridge_and_not_for_the_release() -> None:
    old = version("1.0", hw=["r1"])
    between = version("1.5", min_version="1.0")
    latest = version("2.0", hw=["r1", "r2"], min_version="1.5")
    assert stranded([old, between]) == ()
    # Who runs the one for all revisions may have any, so the last step is not sure for them.
    assert [(it.version, it.hw) for it in stranded([old, between, latest])] == [("1.5", None)]


def test_a_channel_of_many_releases_is_walked_at_once() -> None:
    many = [version(f"1.{n}", min_version=f"1.{max(n - 1, 0)}") for n in range(300)]
    start = time.process_time()
    assert stranded(many) == ()
    assert [it.version for it in stranded(many[:9] + many[10:])] == [f"1.{n}" for n in range(9)]
    assert time.process_time() - start < 2
