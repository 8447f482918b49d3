"""What goes where, and why not, decided before a cable is plugged in."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.image.models import ImageFacts, Layout
from agent.firmware.manifest.models import ImageKind, Part, ReleaseImage
from agent.firmware.policy.models import Device
from agent.firmware.serial.checks import as_policy_device, meant_refusals
from agent.firmware.serial.errors import SerialCode, SerialError
from agent.firmware.serial.layout import describe_app, read_table, starting_slot, subtract
from agent.firmware.serial.models import Partition, SerialDevice, Span
from agent.firmware.serial.plan import check_file, plan_flash
from agent.fleet.identity import Mac
from tests.firmware.serial.boards import ELSEWHERE, NVS, factory, otadata, program, table

MAC = Mac("a0b7651c2d3e")
IMAGE, CONTENT = factory("esp32")
TABLE = read_table(CONTENT[0x8000:])
DEVICE = SerialDevice("esp32", MAC, revision=300, flash_size=4 << 20, table=TABLE)
MEANT = Device(mac="A0:B7:65:1C:2D:3E", project="pv-edge.bridge", version="1", chip="esp32")


def refused(
    code: SerialCode,
    *,
    image: ReleaseImage = IMAGE,
    content: bytes = CONTENT,
    device: SerialDevice = DEVICE,
    facts: ImageFacts | None = None,
    min_chip_revision: int = 0,
) -> str:
    with pytest.raises(SerialError) as caught:
        plan_flash(image, content, device, facts=facts, min_chip_revision=min_chip_revision)
    assert caught.value.code is code
    assert not caught.value.touched
    return str(caught.value)


def test_the_merged_image_is_cut_around_the_settings() -> None:
    plan = plan_flash(IMAGE, CONTENT, DEVICE)
    after = NVS[2] + NVS[3]
    assert plan.parts == (Part(0, 0, NVS[2]), Part(after, after, len(CONTENT) - after))
    assert [it.offset for it in plan.kept] == [NVS[2]]
    assert not plan.blank


def test_settings_are_kept_where_the_old_table_cannot_be_read() -> None:
    """A dead bridge may have lost its table and kept its Wi-Fi."""
    assert plan_flash(IMAGE, CONTENT, replace(DEVICE, table=())).kept


def test_settings_that_would_be_lost_are_lost_only_if_a_person_says_so() -> None:
    image, content = factory("esp32", nvs=ELSEWHERE)
    said = refused(SerialCode.SETTINGS_LOST, image=image, content=content)
    assert "Wi-Fi and keys would be lost" in said
    plan = plan_flash(image, content, DEVICE, erase_settings=True)
    assert plan.blank == (Span(ELSEWHERE[2], ELSEWHERE[3]),), "the old ones are in the image's way"
    assert not plan.kept


def test_erasing_settings_blanks_them_and_nothing_else() -> None:
    plan = plan_flash(IMAGE, CONTENT, DEVICE, erase_settings=True)
    assert plan.blank == (Span(NVS[2], NVS[3]),)
    assert plan.parts == plan_flash(IMAGE, CONTENT, DEVICE).parts


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((Part(0x800, 0, 0x1000),), "inside a sector"),
        ((Part(0, 0, len(CONTENT) + 1),), "not in the file"),
        ((Part(0, 0, 0x9000), Part(0x8000, 0x8000, 0x1000)), "overlap at 0x8000"),
        ((Part(0, 0, 0x8001), Part(0x8000, 0x8000, 0x1000)), "overlap at 0x8000"),
        ((Part(0, 0, 0x8000),), "no partition table"),
        ((Part(0x8000, 0x8000, len(CONTENT) - 0x8000),), "no boot loader for esp32 at 0x1000"),
    ],
)
def test_parts_that_cannot_be_right_are_refused(parts: tuple[Part, ...], said: str) -> None:
    assert said in refused(SerialCode.BAD_PLAN, image=replace(IMAGE, parts=parts))


def test_an_image_for_another_chip_is_refused_whatever_its_manifest_says() -> None:
    liar, content = factory("esp32", made_for="esp32c3")
    said = refused(SerialCode.WRONG_CHIP, image=liar, content=content)
    assert "not made for esp32" in said
    honest, content = factory("esp32c3")
    said = refused(SerialCode.WRONG_CHIP, image=honest, content=content)
    assert "made for esp32c3, and the bridge has esp32" in said


def test_a_program_for_another_chip_behind_the_right_boot_loader_is_refused() -> None:
    """esptool writes it with a note: it looks at the boot loader's address alone."""
    content = CONTENT[:0x10000] + program("esp32s3", "x", "1", 0x1000)
    digest = hashlib.sha256(content).hexdigest()
    image = replace(IMAGE, parts=(Part(0, 0, len(content)),), size=len(content), sha256=digest)
    assert "at 0x10000" in refused(SerialCode.WRONG_CHIP, image=image, content=content)


@pytest.mark.parametrize(
    ("device", "code", "said"),
    [
        (replace(DEVICE, flash_size=2 << 20), SerialCode.FLASH_TOO_SMALL, "and the bridge has 2"),
        (replace(DEVICE, revision=100), SerialCode.CHIP_REVISION, "needs chip revision v3.0"),
        (replace(DEVICE, flash_size=None), SerialCode.FLASH_SILENT, "does not answer"),
        (replace(DEVICE, secure_boot=True), SerialCode.SECURE_BOOT, "secure boot"),
        (
            replace(DEVICE, mac=None, secure_download=True),
            SerialCode.SECURE_DOWNLOAD,
            "tools of whoever locked it",
        ),
        (replace(DEVICE, mac=None), SerialCode.BAD_PLAN, "does not tell its address"),
    ],
)
def test_a_device_that_the_image_does_not_suit_is_refused(
    device: SerialDevice, code: SerialCode, said: str
) -> None:
    assert said in refused(code, device=device, min_chip_revision=300)


def test_a_truncated_file_is_refused_before_anything_is_planned() -> None:
    said = refused(SerialCode.IMAGE_CHANGED, content=CONTENT[:-4096])
    assert "not the one that was checked" in said


def test_an_ota_image_never_goes_over_the_cable() -> None:
    assert "Only a factory image" in refused(
        SerialCode.BAD_PLAN, image=replace(IMAGE, kind=ImageKind.OTA)
    )


def test_a_program_that_is_longer_than_its_slot_is_refused() -> None:
    facts = ImageFacts(Layout.FACTORY, len(CONTENT), "", "", "esp32", 0, None, None,
                       app_offset=0x10000, app_size=0x1C0001)  # fmt: skip
    assert "1 bytes too long" in refused(SerialCode.BAD_PLAN, facts=facts)


def test_the_bridge_that_was_meant_is_known_by_its_address_and_its_chip() -> None:
    assert not meant_refusals(DEVICE, MEANT)
    (why,) = meant_refusals(replace(DEVICE, mac=Mac("b8d61a000001")), MEANT)
    assert "is B8:D6:1A:00:00:01, and A0:B7:65:1C:2D:3E was meant" in why.text
    (why,) = meant_refusals(DEVICE, replace(MEANT, chip_revision=301))
    assert "was known with chip revision 301 and has 300" in why.text
    (why,) = meant_refusals(replace(DEVICE, mac=None), MEANT)
    assert why.code is SerialCode.WRONG_DEVICE


def test_the_policy_is_asked_about_what_the_cable_says_now() -> None:
    known = replace(MEANT, chip=None, flash_size=2 << 20, floor=7)
    asked = as_policy_device(DEVICE, known)
    assert (asked.chip, asked.chip_revision, asked.flash_size) == ("esp32", 300, 4 << 20)
    assert (asked.floor, asked.project) == (7, "pv-edge.bridge")
    with pytest.raises(ValueError, match="is not"):
        as_policy_device(DEVICE, replace(MEANT, mac="b8d61a000001"))


def test_a_file_that_changed_is_not_the_one_of_the_plan() -> None:
    plan = plan_flash(IMAGE, CONTENT, DEVICE)
    check_file(plan, CONTENT)
    for other in (CONTENT[:-1], CONTENT[:-1] + b"!", b""):
        with pytest.raises(SerialError, match="not the one that was checked"):
            check_file(plan, other)


def test_a_damaged_table_is_no_table() -> None:
    good = table(NVS, (0, 0x10, 0x10000, 0x1000))
    assert [it.label for it in read_table(good)] == ["part0", "part1"]
    assert read_table(good[:40] + b"?" + good[41:]) == ()
    assert read_table(b"\xff" * 0xC00) == ()
    assert read_table(b"") == ()


def test_the_slot_that_starts_is_the_one_of_the_newest_valid_choice() -> None:
    slots = [Partition(0, 0x10 + n, 0x10000 * (n + 1), 0x10000, f"app{n}") for n in range(2)]
    first, second = otadata(1).ljust(0x1000, b"\xff"), otadata(2)
    assert starting_slot(slots, first + second) == slots[1]
    assert starting_slot(slots, first + second[:-1] + b"?") == slots[0]
    assert starting_slot(slots, b"\xff" * 0x2000) == slots[0]
    assert starting_slot([], b"") is None


def test_a_program_without_a_descriptor_has_no_name() -> None:
    assert describe_app(program("esp32", "edge101", "1.2", 0x200)) == ("edge101", "1.2")
    assert describe_app(b"\xff" * 0x120) == ("", "")
    assert describe_app(b"\xe9") == ("", "")


spans = st.builds(Span, st.integers(0, 60), st.integers(1, 20))


@given(whole=spans, holes=st.lists(spans, max_size=4))
def test_what_is_left_is_what_was_there_without_the_holes(whole: Span, holes: list[Span]) -> None:
    left = subtract(whole, holes)
    taken = {at for hole in holes for at in range(hole.offset, hole.end)}
    wanted = [at for at in range(whole.offset, whole.end) if at not in taken]
    assert [at for it in left for at in range(it.offset, it.end)] == wanted
