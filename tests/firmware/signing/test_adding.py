"""A release says what its files say, or it is not added."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.manifest.models import Release
from agent.firmware.signing.contents import read_contents
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import SigningError, UsageError
from agent.firmware.signing.releases import Addition, add
from tests.firmware.development_root import draft
from tests.firmware.esp_images import SECTOR, application, bootloader, factory, slot_size
from tests.firmware.esp_signing import ecdsa_key, key_digest, sign
from tests.firmware.shipped import PROJECT
from tests.firmware.signing.desk import day

VERSION = "1.1.0"
NEW = "acme.bridge"
"""A project without a release, so that nobody can be stranded."""
OTA, FACTORY = "bridge.ota.bin", "bridge.factory.bin"


def images(project: str = NEW, **more: Any) -> dict[str, bytes]:
    return {
        OTA: application("esp32c3", project, VERSION, **more),
        FACTORY: factory("esp32c3", project, VERSION),
    }


class Desk:
    """Adds to beta of one repository what a test hands it."""

    def __init__(self, folder: Folder, place: Path) -> None:
        self.folder, self.place = folder, place

    def add(self, files: dict[str, bytes], slot: int | None = slot_size(), **said: Any) -> Release:
        written = self.place / "draft.json"
        written.write_text(json.dumps({**draft(VERSION), "project": NEW, **said}))
        for name, data in files.items():
            (self.place / name).write_bytes(data)
        paths = tuple(self.place / name for name in files)
        return add(self.folder, Addition("beta", written, paths, slot_size=slot), day(1))


@pytest.fixture
def desk(folder: Folder, tmp_path: Path) -> Desk:
    return Desk(folder, tmp_path)


def test_size_digests_chip_and_signers_come_from_the_file(desk: Desk) -> None:
    key = ecdsa_key()
    app = sign(images()[OTA], key)
    release = desk.add({OTA: app})
    (image,) = release.images
    assert (image.chip, image.size, image.signed_by) == ("esp32c3", len(app), (key_digest(key),))
    assert image.md5
    assert len(image.sha256) == 64


def test_what_was_added_is_in_the_channel_and_waits_for_signatures(desk: Desk) -> None:
    files = {}
    for chip in ("esp32", "esp32c3"):
        files[f"{chip}.bin"] = application(chip, PROJECT, VERSION)
    desk.add(files, project=PROJECT)
    contents = read_contents(desk.folder.target, "beta")
    assert [it.version for it in contents.of(PROJECT)] == ["1.0.0", "1.1.0"]
    assert contents.channel.projects[PROJECT].latest == "1.1.0"
    assert desk.folder.staging.roles() == ["beta"]


def test_a_chip_revision_that_the_image_needs_is_in_the_manifest(desk: Desk) -> None:
    assert desk.add(images(min_chip_revision=101)).min_chip_revision == 101


Bad = Callable[[Desk], object]


def damaged(data: bytes) -> bytes:
    return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (lambda it: it.add({OTA: damaged(images()[OTA])}), r"bridge.ota.bin is damaged: checksum"),
        (lambda it: it.add({OTA: b"<html>404</html>"}), r"bridge.ota.bin: The file is no image"),
        (lambda it: it.add({OTA: bootloader("esp32c3")}), "is a bootloader alone"),
        (lambda it: it.add(images(), project=PROJECT), r"it is project .acme.bridge., the draft"),
        (lambda it: it.add(images(), version="1.2.0"), r"says it is version '1.1.0', the draft"),
        (lambda it: it.add(images(), slot=None), r"How large is the slot .*Say --slot-size"),
        (lambda it: it.add(images(), slot=SECTOR), r"more than its slot"),
        (lambda it: it.add(images(), images=[{"file": OTA, "chip": "esp32"}]),
         r"the draft says chip 'esp32', the file says 'esp32c3'"),
        (lambda it: it.add(images(), images=[{"file": OTA, "sha256": "00" * 32}]),
         r"the draft says sha256"),
        (lambda it: it.add(images(), images=[{"file": "other.bin"}]), "names other.bin, which was"),
        (lambda it: it.add(images(), images=[{"file": FACTORY, "flash_size": 1 << 20}]),
         r"is built for 4194304 bytes of flash, the draft says 1048576"),
        (lambda it: it.add(images(), exec="rm"), "would be refused by every house"),
        (lambda it: it.add(images(), trusts=[key_digest(ecdsa_key())]),
         r"bridge.ota.bin is not signed, but firmware of acme.bridge verifies"),
        (lambda it: it.add({OTA: images(PROJECT)[OTA]}, project=PROJECT), "would strand bridges"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_and_nothing_is_staged(
    desk: Desk, bad: Bad, sentence: str
) -> None:
    with pytest.raises(SigningError, match=sentence):
        bad(desk)
    assert desk.folder.staging.roles() == []
    assert list(desk.folder.staging.targets()) == []


def test_a_factory_image_of_a_signed_project_needs_a_signed_application(desk: Desk) -> None:
    """Signed over the air and unsigned in the factory image: that one would not start."""
    key = ecdsa_key()
    signed = {OTA: sign(images()[OTA], key), FACTORY: images()[FACTORY]}
    with pytest.raises(SigningError, match=r"The application in bridge.factory.bin is not signed"):
        desk.add(signed)
    app = sign(images()[OTA], key)
    desk.add({OTA: app, FACTORY: factory("esp32c3", NEW, VERSION, app=app)})


def test_an_image_whose_signature_is_that_of_another_is_refused(desk: Desk) -> None:
    app, other = images()[OTA], images(node="other")[OTA]
    with pytest.raises(SigningError, match=r"ota.bin is damaged: a signature does not fit"):
        desk.add({OTA: app + sign(other, ecdsa_key())[len(app) :]})


def test_a_published_version_is_not_added_again(desk: Desk) -> None:
    again = {OTA: application("esp32", PROJECT, "1.0.0")}
    with pytest.raises(SigningError, match=r"1.0.0.json is published and never changes"):
        desk.add(again, **draft("1.0.0"))


def test_a_channel_that_is_none_names_those_there_are(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no channel 'nightly'. There are: stable, beta"):
        add(folder, Addition("nightly", tmp_path / "x", ()), day(1))
