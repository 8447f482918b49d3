"""What the builder of images makes is what the vendor's own tools call right."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable

import espsecure
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from esptool.cmds import image_info
from esptool.targets import CHIP_DEFS

from tests.firmware.esp_images import (
    APP_AT,
    BUILT,
    CHIPS,
    PARTITION_TABLE_AT,
    application,
    bootloader,
    factory,
    partition_table,
)
from tests.firmware.esp_signing import Key, ecdsa_key, key_digest, rsa_key, sign
from tests.firmware.shipped import OTA_SIZE, PROJECT, releases


def told_by_esptool(capsys: pytest.CaptureFixture[str], data: bytes) -> str:
    """What `esptool image-info` prints."""
    capsys.readouterr()
    image_info(data)
    return capsys.readouterr().out


@pytest.mark.parametrize("chip", CHIPS)
def test_esptool_finds_every_chip_checksum_hash_and_descriptor_right(
    chip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = application(chip, PROJECT, "1.1.0", size=8192, min_chip_revision=301)
    told = told_by_esptool(capsys, data)
    assert re.search(rf"Chip ID: {CHIPS[chip].id} \(", told)
    assert re.search(r"^Checksum: .* \(valid\)", told, re.MULTILINE)
    assert re.search(r"^Validation hash: .* \(valid\)", told, re.MULTILINE)
    assert "Project name: alphaess-bridge" in told
    assert "App version: 1.1.0" in told
    assert f"Compile time: {BUILT:%b} {BUILT.day:2} {BUILT.year} 12:00:00" in told
    assert "Minimal chip revision: v3.1" in told
    assert "Flash size: 4MB" in told
    assert "invalid" not in told.lower()
    assert "(valid)" in told_by_esptool(capsys, bootloader(chip))


def test_a_chip_s_bootloader_stands_where_esptool_would_write_it() -> None:
    for name, chip in CHIPS.items():
        rom = CHIP_DEFS[name]
        assert (chip.id, chip.bootloader_at) == (rom.IMAGE_CHIP_ID, rom.BOOTLOADER_FLASH_OFFSET)
    assert set(CHIPS) == set(CHIP_DEFS) - {"esp8266"}


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32s3"])
def test_a_factory_image_holds_its_pieces_at_their_places(chip: str) -> None:
    app = application(chip, PROJECT, "1.1.0")
    whole = factory(chip, PROJECT, "1.1.0", app=app)
    at = CHIPS[chip].bootloader_at
    assert whole[at : at + 1] == b"\xe9"
    assert whole[:at] == b"\xff" * at
    assert whole[PARTITION_TABLE_AT:].startswith(partition_table())
    assert whole[APP_AT:] == app


def test_the_same_words_give_the_same_bytes() -> None:
    """These digests change only when somebody changes the images of all tests."""
    digests = {
        chip: hashlib.sha256(application(chip, PROJECT, "1.1.0")).hexdigest()[:12]
        for chip in ("esp32", "esp32c3")
    }
    assert digests == {"esp32": "548ee9704df1", "esp32c3": "72e661632c0a"}
    assert sign(application("esp32", "", "1"), rsa_key()) == sign(
        application("esp32", "", "1"), rsa_key()
    )


SIGNERS: dict[str, Callable[[], tuple[Key, ...]]] = {
    "one": lambda: (rsa_key(1),),
    "two": lambda: (rsa_key(1), rsa_key(2)),
    "ecdsa": lambda: (ecdsa_key(1),),
}


@pytest.mark.parametrize("signers", SIGNERS)
def test_espsecure_accepts_every_signer(signers: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys = SIGNERS[signers]()
    data = sign(application("esp32c3", PROJECT, "1.1.0"), *keys)
    espsecure.signature_info_v2(io.BytesIO(data))
    told = capsys.readouterr().out
    for key in keys:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        espsecure.verify_signature_v2(
            hsm=False, hsm_config=None, keyfile=io.BytesIO(pem), datafile=io.BytesIO(data)
        )
        assert bytes.fromhex(key_digest(key)).hex(" ") in " ".join(told.split())


def test_the_shipped_releases_are_eight_small_files() -> None:
    files = {it.file: len(it.data) for it in releases()}
    assert len(files) == 8
    assert set(files.values()) == {OTA_SIZE, OTA_SIZE + APP_AT}
