"""Signed documents are read strictly: proper ones become models, anything else a sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.manifest.models import (
    ChannelEntry,
    ChannelProject,
    Halt,
    Health,
    ImageKind,
    ManifestError,
    Origin,
    Part,
    Security,
    UnknownSchemaError,
    Wave,
)
from agent.firmware.manifest.parse import parse_channel, parse_halt, parse_release
from tests.firmware.manifest.documents import (
    CHANNEL,
    HALT,
    RELEASE,
    A,
    B,
    C,
    Change,
    Document,
    channel,
    halt,
    release,
    text,
)
from tests.firmware.manifest.mutations import mutated

READERS: list[tuple[Callable[[bytes], object], Document]] = [
    (parse_release, RELEASE),
    (lambda data: parse_channel(data, "stable"), CHANNEL),
    (parse_halt, HALT),
]


def test_a_release_says_everything_that_stands_in_its_manifest() -> None:
    it = release()
    assert (it.project, it.version, it.rollback_index) == ("acme.bridge", "1.2.0", 3)
    assert (it.min_version, it.hw, it.boards) == ("1.0.0", ("r1", "r2"), ("esp32dev",))
    assert (it.min_chip_revision, it.trusts) == (301, (A, B))
    assert it.released == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert it.origin == Origin("https://example.com/acme", "0" * 40, "b/edge.yaml")
    assert (it.esphome, it.security) == ("2026.10.0", Security.MODERATE)
    assert (it.notes, it.notes_url) == (RELEASE["notes"], "https://example.com/acme/1.2.0")
    assert it.health == Health(90, ("sensor.grid_power",))
    ota, factory = it.images
    assert (ota.kind, ota.slot_size, ota.md5) == (ImageKind.OTA, 1_900_544, "d" * 32)
    assert (ota.size, ota.sha256, ota.signed_by, ota.parts) == (1_053_312, A, (A,), ())
    assert (factory.kind, factory.flash_size) == (ImageKind.FACTORY, 4_194_304)
    assert (factory.chip, factory.file) == ("esp32", "acme-1.2.0.factory.bin")
    assert factory.parts[1] == Part(offset=32_768, start=32_768, size=3072)


def test_a_channel_says_what_it_offers_and_forbids() -> None:
    it = channel()
    path = "stable/acme.bridge"
    assert dict(it.projects) == {
        "acme.bridge": ChannelProject(
            "1.2.0",
            (
                ChannelEntry("1.0.0", 2, f"{path}/1.0.0.json"),
                ChannelEntry("1.2.0", 3, f"{path}/1.2.0.json", (Wave(1, 0.05), Wave(24.5, 1))),
            ),
        )
    }
    assert dict(it.min_rollback_index) == {"acme.bridge": 2}
    assert (it.revoked, it.paused) == (frozenset({C}), False)


def test_a_halt_says_why_and_what() -> None:
    assert halt() == Halt(True, "1.2.0 forgets its key", frozenset({A}))


@pytest.mark.parametrize(("read", "document"), READERS)
def test_f05_a_later_structure_asks_for_an_update_of_the_app(
    read: Callable[[bytes], object], document: Document
) -> None:
    with pytest.raises(UnknownSchemaError, match=r"structure 2, this app reads 1: update the app"):
        read(text({**document, "schema": 2, "new": 1}))


@pytest.mark.parametrize(("read", "document"), READERS)
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda it: it[:-1] + b', "exec": "sh"}', "unknown field 'exec'"),
        (lambda it: it[:-1] + b', "x": 1, "x": 1}', "the key 'x' comes twice"),
        (lambda it: it[:-1] + b', "x": NaN}', "NaN is no number"),
        (lambda it: it[:-1] + b', "x": -Infinity}', "-Infinity is no number"),
        (lambda it: it.replace(b'"schema": 1', b'"schema": true'), "schema: it is true"),
        (lambda it: it.replace(b'"schema": 1', b'"schema": 0'), "schema: it is 0"),
        (lambda it: it[:-1] + b', "x": 1' + b"0" * 5000 + b"}", "a number in it is too long"),
        (lambda it: b"[" * 60_000, "nested too deeply"),
        (lambda it: b'{"a":' * 12_000, "nested too deeply"),
        (lambda it: it + b"\xff", "is no UTF-8"),
        (lambda it: b"\xef\xbb\xbf" + it, "is no JSON"),
        (lambda it: it + b"{}", "is no JSON"),
        (lambda it: b"[]", "it is a list of 0, it has to be an object"),
        (lambda it: it + b" " * 1_048_577, "bytes, "),
        (lambda it: b"{}", "schema: it is null"),
        (lambda it: b'{"schema": 1}', "is missing"),
    ],
)
def test_f06_f07_f08_f09_what_has_two_meanings_or_none_is_refused(
    read: Callable[[bytes], object],
    document: Document,
    spoil: Callable[[bytes], bytes],
    words: str,
) -> None:
    with pytest.raises(ManifestError) as caught:
        read(spoil(text(document)))
    assert words in str(caught.value)
    assert str(caught.value).endswith("Tell the publisher.")


def test_f09_a_manifest_of_more_than_64_kib_is_refused_and_one_of_64_is_not() -> None:
    whole = text(RELEASE)
    parse_release(whole + b" " * (65_536 - len(whole)))
    with pytest.raises(ManifestError, match="it has 65537 bytes, 65536 are the most"):
        parse_release(whole + b" " * (65_537 - len(whole)))


def image(number: int, **fields: object) -> Change:
    return lambda it: it["images"][number].update(fields)


def parts(*spans: tuple[int, int, int]) -> Change:
    said = [{"offset": to, "from": start, "size": size} for to, start, size in spans]
    return image(1, parts=said)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.update(version="1.2.0-dev"), "version: it is '1.2.0-dev'"),
        (lambda it: it.update(version="01.2"), "version: it is '01.2'"),
        (lambda it: it.update(version="1.2.0\n"), r"version: it is '1.2.0\n'"),
        (lambda it: it.update(version="\u0661.2"), "version"),
        (lambda it: it.update(min_version="1.2.1"), "min_version: it is 1.2.1, above its own"),
        (lambda it: it.update(project="bridge"), "project: it is 'bridge'"),
        (lambda it: it.update(project="../bridge.x"), "project: it is '../bridge.x'"),
        (lambda it: it.update(rollback_index=-1), "rollback_index: it is -1"),
        (lambda it: it.update(rollback_index=True), "rollback_index: it is true"),
        (lambda it: it.update(rollback_index=1.0), "rollback_index: it is 1.0"),
        (lambda it: it.update(rollback_index=2**31), "rollback_index: it is 2147483648"),
        (lambda it: it.update(released="2026-02-30T00:00:00Z"), "no day of the calendar"),
        (lambda it: it.update(released="2026-11-22"), "released: it is '2026-11-22'"),
        (lambda it: it.update(notes="\u001b[2J"), r"notes: it is '\x1b[2J'"),
        (lambda it: it.update(notes="safe \u202e"), "notes"),
        (lambda it: it.update(notes="\ud800"), "notes"),
        (lambda it: it.update(notes_url="http://x.org"), "notes_url: it is 'http://x.org'"),
        (lambda it: it.update(notes_url="https://me@x.org"), "notes_url"),
        (lambda it: it.update(security="high"), "security: it is 'high'"),
        (lambda it: it.update(trusts=["A" * 64]), "trusts[0]: it is 'AAAA"),
        (lambda it: it.update(trusts=[A, A]), "trusts: something is in it twice"),
        (lambda it: it.update(hw="r1"), "hw: it is 'r1', it has to be a list"),
        (lambda it: it.update(hw=[f"r{n}" for n in range(65)]), "hw: it is a list of 65"),
        (lambda it: it.update(esphome=None), "esphome: it is null"),
        (lambda it: it["source"].update(config="../../etc/passwd"), "source.config: it is"),
        (lambda it: it["health"].update(confirm_after_s=-1), "health.confirm_after_s: it is -1"),
        (lambda it: it["health"].update(expect_entities=["x"]), "health.expect_entities[0]: it"),
        (lambda it: it.update(images=[]), "images: there is none"),
        (image(0, kind="both"), "images[0].kind: it is 'both'"),
        (image(0, chip="ESP32-C3"), "images[0].chip: it is 'ESP32-C3'"),
        (image(0, file="../x.bin"), "images[0].file: it is '../x.bin'"),
        (image(0, file="a/x.bin"), "images[0].file"),
        (image(0, file="x\x00.bin"), "images[0].file"),
        (image(0, file="x..bin"), "images[0].file"),
        (image(0, size=0), "images[0].size: it is 0"),
        (image(0, size=2_000_000), "images[0].size: it has 2000000 bytes, more than its slot"),
        (image(0, parts=[]), "images[0]: unknown field 'parts'"),
        (lambda it: it["images"][0].pop("md5"), "images[0]: md5 is missing"),
        (lambda it: it["images"][0].pop("slot_size"), "images[0]: slot_size is missing"),
        (lambda it: it["images"][1].pop("flash_size"), "images[1]: flash_size is missing"),
        (image(1, md5="d" * 32), "images[1]: unknown field 'md5'"),
        (image(1, parts=[]), "images[1].parts: there is none"),
        (image(1, file="acme-1.2.0.ota.bin"), "images: two have the same file name"),
        (lambda it: it["images"].append({**it["images"][0], "file": "y"}), "same chip and kind"),
        (parts((100, 0, 9)), "images[1].parts[0].offset: it is 100, no multiple of 4096"),
        (parts((0, 0, 4097), (4096, 8192, 1)), "parts: at 0 of the flash one reaches beyond 4096"),
        (parts((8192, 0, 9), (0, 8, 1)), "parts: at 0 of the file one reaches beyond 8"),
        (parts((0, 1_118_848, 1)), "at 1118848 of the file one reaches beyond 1118848"),
        (parts((4_190_208, 0, 4097)), "at 4190208 of the flash one reaches beyond 4194304"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_with_its_place(
    change: Change, words: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        release(change)
    assert words in str(caught.value)


def test_parts_may_touch_and_fill_file_and_flash_to_the_last_byte() -> None:
    spans = ((0, 0, 4096), (4096, 4096, 1_114_752))
    it = release(lambda it: (parts(*spans)(it), image(1, flash_size=1_118_848)(it)))
    assert [(part.offset, part.start, part.size) for part in it.images[1].parts] == list(spans)


def test_an_image_may_fill_its_slot_and_a_release_may_follow_itself() -> None:
    it = release(lambda it: (image(0, slot_size=1_053_312)(it), it.update(min_version="1.2.0")))
    assert it.images[0].slot_size == it.images[0].size


def test_a_number_and_a_list_may_reach_their_limits() -> None:
    it = release(rollback_index=2**31 - 1, hw=[f"r{n}" for n in range(64)])
    assert (it.rollback_index, len(it.hw)) == (2**31 - 1, 64)
    assert release(rollback_index=0).rollback_index == 0


def test_a_megabyte_of_keys_of_which_the_last_comes_twice_is_refused_at_once() -> None:
    keys = ", ".join(f'"{n}": 1' for n in range(80_000))
    start = time.process_time()
    with pytest.raises(ManifestError, match="the key '79999' comes twice"):
        parse_channel(f'{{{keys}, "79999": 1}}'.encode(), "stable")
    assert time.process_time() - start < 1


def entry(**fields: object) -> Change:
    return lambda it: it["projects"]["acme.bridge"]["releases"][1].update(fields)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (entry(manifest="beta/acme.bridge/1.2.0.json"), "outside of its channel"),
        (entry(manifest="stable/../beta/x/1.json"), "releases[1].manifest: it is 'stable/../beta"),
        (entry(manifest="/stable/a/1.json"), "manifest"),
        (entry(manifest="stable/acme.bridge/1.2.0.bin"), "manifest"),
        (entry(version="1.0"), "projects['acme.bridge'].releases: a version is in it twice"),
        (entry(version="1.1.0"), "projects['acme.bridge'].latest: 1.2.0 is not among"),
        (entry(rollout=[{"after_h": 0, "share": 0.5}]), "the last share has to be 1"),
        (entry(rollout=[{"after_h": -1, "share": 1}]), "rollout[0].after_h: it is -1"),
        (entry(rollout=[{"after_h": 1, "share": 1.1}]), "rollout[0].share: it is 1.1"),
        (
            entry(rollout=[{"after_h": 1, "share": 0.5}, {"after_h": 2, "share": 0.5}]),
            "have to rise",
        ),
        (entry(rollout=[{"after_h": 1, "share": 0.5}, {"after_h": 1, "share": 1}]), "have to rise"),
        (lambda it: it["projects"].update({"bridge": {}}), "projects['bridge']: it is 'bridge'"),
        (lambda it: it["policy"].pop("paused"), "policy: paused is missing"),
        (lambda it: it["policy"].update(paused=0), "policy.paused: it is 0"),
        (lambda it: it["policy"].update(revoked=["x"]), "policy.revoked[0]: it is 'x'"),
        (
            lambda it: it["policy"].update(min_rollback_index={"a.b": -1}),
            "policy.min_rollback_index['a.b']: it is -1",
        ),
    ],
)
def test_f02_a_channel_that_makes_no_sense_is_refused_with_its_place(
    change: Change, words: str
) -> None:
    with pytest.raises(ManifestError, match="The channel stable is not used") as caught:
        channel(change)
    assert words in str(caught.value)


def test_a_halt_without_a_plain_yes_or_no_is_refused() -> None:
    with pytest.raises(ManifestError, match="paused: it is 'yes', it has to be true or false"):
        halt(lambda it: it.update(paused="yes"))
    with pytest.raises(ManifestError, match=r"reason: it is .* one line"):
        halt(lambda it: it.update(reason="a\nb"))


def sane(read: Callable[[bytes], object], data: bytes) -> None:
    said = ""
    try:
        read(data)
    except ManifestError as error:
        said = str(error)
    assert not said or said.isprintable()
    assert len(said) < 500


@given(st.binary() | st.text().map(str.encode))
def test_whatever_the_bytes_are_the_outcome_is_a_document_or_a_sentence(data: bytes) -> None:
    for read, _ in READERS:
        sane(read, data)


@given(st.data(), st.sampled_from(READERS))
def test_whatever_is_changed_in_a_document_the_outcome_is_a_document_or_a_sentence(
    data: st.DataObject, reader: tuple[Callable[[bytes], object], Document]
) -> None:
    read, document = reader
    sane(read, json.dumps(data.draw(mutated(document))).encode())


@given(st.data(), st.sampled_from(READERS))
def test_whatever_bytes_are_lost_or_exchanged_the_outcome_is_a_document_or_a_sentence(
    data: st.DataObject, reader: tuple[Callable[[bytes], object], Document]
) -> None:
    read, document = reader
    whole = text(document)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    sane(read, whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


def quickest_ms(read: Callable[[], Any]) -> float:
    def once() -> float:
        start = time.process_time()
        read()
        return (time.process_time() - start) * 1000

    return min(once() for _ in range(15))


def test_a_channel_of_1250_releases_is_read_in_10_ms_and_a_release_in_1() -> None:
    many: list[Document] = [
        {"version": f"1.{n}", "rollback_index": 1, "manifest": f"stable/acme.bridge/1.{n}.json"}
        for n in range(1, 1251)
    ]
    project = {"latest": "1.1250", "releases": many}
    big = json.dumps({**CHANNEL, "projects": {"acme.bridge": project}}).encode()
    assert len(parse_channel(big, "stable").projects["acme.bridge"].releases) == 1250
    assert quickest_ms(lambda: parse_channel(big, "stable")) < 10
    one = text(RELEASE)
    assert quickest_ms(lambda: parse_release(one)) < 1
