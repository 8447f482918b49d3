"""An image is described as the vendor's tools describe it, and a damaged one is found out."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import espsecure
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from esptool.bin_image import LoadFirmwareImage
from esptool.targets import CHIP_DEFS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.firmware.image.chips import CHIPS_BY_ID
from agent.firmware.image.models import ImageError, Layout, SignatureBlock
from agent.firmware.image.read import MAX_SIZE, read_image
from tests.firmware.esp_images import (
    APP_AT,
    BUILT,
    CHIPS,
    ESPHOME,
    IDF,
    KIB,
    PARTITION_TABLE_AT,
    application,
    bootloader,
    factory,
)
from tests.firmware.esp_signing import Key, ecdsa_key, key_digest, rsa_key, sign
from tests.firmware.shipped import PROJECT

ROOT = Path(__file__).parents[2]
OTA = application("esp32", PROJECT, "1.1.0", size=8 * KIB)
SMALL = {chip: factory(chip, PROJECT, "1.1.0", size=4 * KIB) for chip in ("esp32", "esp32c3")}


def changed(data: bytes, at: int, to: bytes) -> bytes:
    return data[:at] + to + data[at + len(to) :]


def test_the_chips_are_esptool_s() -> None:
    theirs = {
        rom.IMAGE_CHIP_ID: (name, rom.BOOTLOADER_FLASH_OFFSET)
        for name, rom in CHIP_DEFS.items()
        if name != "esp8266"
    }
    assert {n: (it.name, it.bootloader_at) for n, it in CHIPS_BY_ID.items()} == theirs


@pytest.mark.parametrize("chip", CHIPS)
def test_an_application_and_a_factory_image_are_told_apart_on_every_chip(chip: str) -> None:
    app = application(chip, PROJECT, "1.1.0", size=64 * KIB)
    ota, whole = read_image(app), read_image(factory(chip, PROJECT, "1.1.0", app=app))
    assert (ota.layout, ota.chip, ota.app_offset) == (Layout.APPLICATION, chip, 0)
    assert (whole.layout, whole.chip, whole.app_offset) == (Layout.FACTORY, chip, APP_AT)
    assert (
        replace(
            whole,
            layout=ota.layout,
            app_offset=0,
            size=ota.size,
            sha256=ota.sha256,
            md5=ota.md5,
        )
        == ota
    )
    assert read_image(bootloader(chip)).layout is Layout.BOOTLOADER


def test_everything_an_image_says_is_read() -> None:
    data = application(
        "esp32c3", PROJECT, "1.1.0", min_chip_revision=3, max_chip_revision=199, flash_size=8 << 20
    )
    it, theirs = read_image(data), LoadFirmwareImage("esp32c3", data)
    assert it.checksum_ok
    assert it.hash_ok
    assert theirs.checksum == theirs.calculate_checksum()
    assert theirs.stored_digest == theirs.calc_digest
    assert it.app_size == theirs.data_length + 32 == it.size == len(data)
    assert (it.sha256, it.md5) == (
        hashlib.sha256(data).hexdigest(),
        hashlib.md5(data).hexdigest(),  # noqa: S324 - what the wire protocol asks for
    )
    assert (it.project, it.version, it.built, it.idf) == (PROJECT, "1.1.0", BUILT, IDF)
    assert (it.min_chip_revision, it.max_chip_revision, it.flash_size) == (3, 199, 8 << 20)
    assert it.elf_sha256 == data[0xB0:0xD0].hex()
    assert it.signatures == ()


def test_without_a_project_the_descriptor_speaks() -> None:
    """ESPHome's descriptor names the node and, without downgrade protection, ESPHome's version."""
    plain = read_image(application("esp32", "", "", node="garage"))
    assert (plain.project, plain.version) == ("garage", ESPHOME)
    unprotected = read_image(application("esp32", "a.b", "3.2", downgrade_protection=False))
    assert (unprotected.project, unprotected.version) == ("a.b", "3.2")


def test_an_image_that_names_two_projects_names_none() -> None:
    twice = application("esp32", "a.b", "1.0", node="node\0Project c.d version 2\0")
    assert read_image(twice).project == "node"


def test_texts_that_cannot_be_shown_are_replaced_and_a_strange_date_is_no_date() -> None:
    data = application("esp32", "", "", node="\x1b[31mred", built=datetime(2026, 2, 28, tzinfo=UTC))
    it = read_image(changed(data, 0x80, b"Foo 31 2026\0"))
    assert it.project == "\ufffd[31mred"
    assert it.built is None


def test_old_headers_count_revisions_their_own_way() -> None:
    old = changed(application("esp32", "", ""), 14, b"\x03\0\0\0\0")
    assert (read_image(old).min_chip_revision, read_image(old).max_chip_revision) == (300, None)
    old = changed(application("esp32c3", "", ""), 14, b"\x03\0\0\0\0")
    assert read_image(old).min_chip_revision == 3


def test_every_changed_bit_is_found_by_checksum_or_hash() -> None:
    for at in (5, 0x50, len(OTA) - 1):
        it = read_image(changed(OTA, at, bytes([OTA[at] ^ 1])))
        assert it.hash_ok is False
        assert it.checksum_ok is (at != 0x50)
    whole = SMALL["esp32c3"]
    assert read_image(changed(whole, 100, b"bad")).hash_ok is False, "its bootloader counts too"


def refused(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(data)
    return str(caught.value)


def test_what_is_no_image_is_refused_with_what_to_do() -> None:
    web_page, packed = b"<!DOCTYPE html>" * 400, gzip.compress(OTA)
    for junk in (b"", web_page, packed, b"\x7fELF" + OTA, b"\xff" * 9000):
        assert "Give the .bin file that ESPHome built" in refused(junk)
    assert "cut short or damaged" in refused(OTA[:-1])
    assert "cut short or damaged" in refused(OTA[:20])
    assert "has at least 4294" in refused(changed(OTA, 28, b"\xff\xff\xff\xff"))
    assert "0 segments" in refused(changed(OTA, 1, b"\0"))
    assert "17 segments" in refused(changed(OTA, 1, b"\x11"))
    assert "chip number 999" in refused(changed(OTA, 12, (999).to_bytes(2, "little")))
    assert "more than the 33554432" in refused(b"\xe9" * (MAX_SIZE + 1))
    big = application("esp32", "", "", size=64 * KIB)
    assert "does not say what it is" in refused(changed(big, 0x20, b"\0\0\0\0"))


def test_a_factory_image_that_would_not_start_is_refused() -> None:
    whole = SMALL["esp32"]
    assert "no partition table follows" in refused(changed(whole, PARTITION_TABLE_AT, b"\0\0"))
    assert "does not fit its own checksum" in refused(
        changed(whole, PARTITION_TABLE_AT + 40, b"\x07")
    )
    assert "names no place in this file" in refused(whole[:APP_AT])
    other = application("esp32s3", "", "")
    assert "for esp32 and the application for esp32s3" in refused(whole[:APP_AT] + other)
    assert "There is no application at 0x10000" in refused(changed(whole, APP_AT + 0x20, b"\0"))
    tiny = factory("esp32", "", "", flash_size=1 << 20, size=512 * KIB)
    assert "its slot has" in refused(tiny)


def test_a_small_application_with_a_table_inside_is_no_factory_image() -> None:
    """On chips whose bootloader stands at 0 the magic alone does not tell."""
    app = application("esp32c3", "", "", size=64 * KIB)
    assert read_image(changed(app, PARTITION_TABLE_AT, b"\xaa\x50")).layout is Layout.APPLICATION


SIGNERS = {
    "rsa": lambda: (rsa_key(1),),
    "rsa twice": lambda: (rsa_key(1), rsa_key(2)),
    "p256": lambda: (ecdsa_key(1),),
    "p192": lambda: (ec.derive_private_key(77, ec.SECP192R1()),),
    "p384": lambda: (ec.derive_private_key(77, ec.SECP384R1()),),
}
SCHEMES = {"rsa": "rsa3072", "rsa twice": "rsa3072", "p256": "ecdsa256", "p192": "ecdsa192",
           "p384": "ecdsa384"}  # fmt: skip


@pytest.mark.parametrize("signers", SIGNERS)
def test_signatures_are_read_as_espsecure_writes_them(signers: str, tmp_path: Path) -> None:
    pems = [
        io.BytesIO(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        for key in SIGNERS[signers]()
    ]
    (tmp_path / "in").write_bytes(OTA)
    signed = tmp_path / "signed"
    with (tmp_path / "in").open("rb") as image:
        espsecure.sign_data("2", pems, str(signed), False, False, None, [], [], image)
    digests = []
    for pem in pems:
        pem.seek(0)
        digests.append(espsecure._digest_sbv2_public_key(pem).hex())
    it = read_image(signed.read_bytes())
    expected = tuple(SignatureBlock(SCHEMES[signers], it, valid=True) for it in digests)
    assert it.signatures == expected
    assert it.app_size == it.size == signed.stat().st_size
    assert it.hash_ok
    tampered = read_image(changed(signed.read_bytes(), 300, b"evil"))
    assert tampered.signatures == tuple(replace(it, valid=False) for it in expected)


def test_the_signatures_inside_a_factory_image_are_read() -> None:
    app = sign(OTA, rsa_key(1), rsa_key(2))
    it = read_image(factory("esp32", PROJECT, "1.1.0", app=app))
    assert [(b.key_digest, b.valid) for b in it.signatures] == [
        (key_digest(rsa_key(1)), True),
        (key_digest(rsa_key(2)), True),
    ]


def test_a_block_with_a_foreign_signature_is_not_valid_and_a_broken_one_is_none() -> None:
    signed, other = sign(OTA, rsa_key(1)), sign(application("esp32", "", ""), rsa_key(1))
    at = len(signed) - 4096
    borrowed = read_image(signed[:at] + other[-4096:]).signatures
    assert borrowed == (SignatureBlock("rsa3072", key_digest(rsa_key(1)), valid=False),)
    assert read_image(changed(signed, at + 900, b"x")).signatures == (), "its CRC does not fit"


@pytest.mark.parametrize("key", [rsa_key, ecdsa_key])
def test_a_block_that_names_another_digest_is_not_valid(key: Callable[[], Key]) -> None:
    """Its CRC and its signature are right; espsecure and the chip compare the digest too."""
    signed = sign(OTA, key())
    at = len(signed) - 4096
    block = changed(signed[at : at + 1196], 4, bytes(32))
    crc = zlib.crc32(block).to_bytes(4, "little")
    (it,) = read_image(changed(signed, at, block + crc)).signatures
    assert not it.valid


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["ota", "esp32", "esp32c3", "signed"]))
def test_no_change_of_an_image_raises_anything_else(data: st.DataObject, which: str) -> None:
    whole = {"ota": OTA, "signed": sign(OTA, ecdsa_key()), **SMALL}[which]
    places = st.one_of(
        st.integers(0, 300), st.integers(0x8000, 0x80C0), st.integers(0, len(whole) - 1)
    )
    for at, new in data.draw(st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)))):
        whole = changed(whole, at, new)
    with contextlib.suppress(ImageError):
        read_image(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])


@given(st.binary(max_size=600))
@example(b"\xe9")
def test_no_bytes_raise_anything_else(junk: bytes) -> None:
    for data in (junk, b"\xe9\x01" + junk, b"\xff" * 0x1000 + b"\xe9" + junk):
        with contextlib.suppress(ImageError):
            read_image(data)


def best_of(times: int, call: partial[object]) -> float:
    """Return the processor's seconds of the fastest call; a busy machine does not count."""
    spent = []
    for _ in range(times):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    return min(spent)


def test_a_large_signed_image_is_read_in_a_moment() -> None:
    data = sign(application("esp32s3", PROJECT, "1.1.0", size=2 << 20), rsa_key(1))
    assert best_of(5, partial(read_image, data)) < 0.05


def test_an_unsigned_image_is_read_without_cryptography() -> None:
    code = (
        "import sys; from pathlib import Path; from agent.firmware.image.read import read_image;"
        "read_image(sys.stdin.buffer.read()); print('cryptography' in sys.modules)"
    )
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], input=OTA, capture_output=True, check=True, cwd=ROOT
    )
    assert shown.stdout.strip() == b"False"
