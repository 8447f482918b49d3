"""What this house signs itself is an ordinary repository, and survives whatever breaks off."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from agent.firmware.image.models import ImageError
from agent.firmware.image.read import read_image
from agent.firmware.image.store import BlobStore
from agent.firmware.manifest.models import ImageKind
from agent.firmware.manifest.parse import parse_channel, parse_release
from agent.firmware.own import local
from agent.firmware.own.builds import LABEL, BuildRefusedError, parts_of
from agent.firmware.own.local import Accepted, LocalRepository, LocalRepositoryError
from tests.firmware.esp_images import application, bootloader
from tests.firmware.esp_signing import ecdsa_key, key_digest, sign
from tests.firmware.shipped import PROJECT, shipped

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OTA = shipped("1.1.0", "esp32", "ota").data
FACTORY = shipped("1.1.0", "esp32", "factory").data


@pytest.fixture
def house(tmp_path: Path) -> LocalRepository:
    repository = LocalRepository(tmp_path, BlobStore(tmp_path / "blobs"))
    repository.create(NOW)
    return repository


def accept(house: LocalRepository, data: bytes, *, in_place: bool = False) -> Accepted:
    return house.accept(data, "ESPHome build", NOW, in_place=in_place)


class FromFolder(FetcherInterface):
    """Brings the repository's files to the reference client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str):
        try:
            yield (self._folder / url.removeprefix("house:/")).read_bytes()
        except FileNotFoundError:
            raise DownloadHTTPError(url, 404) from None


def seen_by_the_reference_client(house: LocalRepository) -> dict[str, bytes]:
    """Every document that python-tuf's own client takes, from the root on."""
    work = house.folder.parent / "client"
    work.mkdir(exist_ok=True)
    updater = Updater(
        str(work),
        "house:/metadata/",
        str(work),
        "house:/targets/",
        fetcher=FromFolder(house.folder),
        bootstrap=house.root(),
    )
    updater.refresh()

    def document(path: str) -> bytes:
        target = updater.get_targetinfo(path)
        assert target, path
        return Path(updater.download_target(target)).read_bytes()

    found = {"local/channel.json": document("local/channel.json")}
    for project in parse_channel(found["local/channel.json"], "local").projects.values():
        found.update({it.manifest: document(it.manifest) for it in project.releases})
    return found


def test_one_click_makes_a_repository_that_lives_for_ten_years(house: LocalRepository) -> None:
    assert set(seen_by_the_reference_client(house)) == {"local/channel.json"}
    assert stat.S_IMODE((house.folder / "key.pem").stat().st_mode) == 0o600
    assert b"PRIVATE KEY" in (house.folder / "key.pem").read_bytes()
    for it in (house.folder / "metadata").iterdir():
        assert f'"expires": "{NOW.year + 10}-' in it.read_text()
    root = house.root()
    assert house.create(NOW + timedelta(days=1)) == root, "a second click changes nothing"


def test_a_file_becomes_a_release_of_the_house(house: LocalRepository) -> None:
    done = house.accept(OTA, "PVAutonomy release 1.0.4\x1b[31m\n", NOW)
    assert not done.already
    documents = seen_by_the_reference_client(house)
    release = parse_release(documents[f"local/{PROJECT}/1.1.0.json"])
    assert release == done.release
    assert release.notes == f"PVAutonomy release 1.0.4 [31m.\n{LABEL}"
    (image,) = release.images
    facts = read_image(OTA)
    assert (image.kind, image.chip, image.size) == (ImageKind.OTA, "esp32", len(OTA))
    assert (image.sha256, image.md5) == (facts.sha256, facts.md5)
    assert BlobStore(house.folder.parent / "blobs").read(image.sha256) == OTA


def test_both_ways_and_all_chips_of_a_version_come_together(house: LocalRepository) -> None:
    for chip in ("esp32", "esp32c3"):
        for kind in ("ota", "factory"):
            accept(house, shipped("1.1.0", chip, kind).data)
    accept(house, shipped("1.0.0", "esp32", "ota").data)
    project = house.channel().projects[PROJECT]
    assert project.latest == "1.1.0"
    assert [it.version for it in project.releases] == ["1.0.0", "1.1.0"]
    documents = seen_by_the_reference_client(house)
    assert len(parse_release(documents[f"local/{PROJECT}/1.1.0.json"]).images) == 4


def test_a_factory_image_is_written_in_parts_that_keep_the_settings() -> None:
    whole = FACTORY.ljust(0x390000, b"\xff") + b"\xff" * 0x6D000
    parts = parts_of(whole, read_image(whole))
    assert [(it.offset, it.size) for it in parts][:3] == [
        (0x1000, 0x7000), (0x8000, 0x1000), (0x9000, 0x2000),
    ]  # fmt: skip
    assert len(parts) == 4
    assert parts[3].offset == 0x10000
    assert all(it.start == it.offset for it in parts)


def test_the_same_file_twice_is_one_release(house: LocalRepository) -> None:
    first = accept(house, OTA)
    before = sorted((it.name, it.stat().st_mtime_ns) for it in house.folder.rglob("*"))
    again = accept(house, OTA)
    assert again == replace(first, already=True)
    assert sorted((it.name, it.stat().st_mtime_ns) for it in house.folder.rglob("*")) == before


def test_other_bytes_of_a_version_are_refused_until_they_shall_replace_it(
    house: LocalRepository,
) -> None:
    accept(house, OTA)
    accept(house, FACTORY)
    other = application("esp32", PROJECT, "1.1.0", size=len(OTA), node="rebuilt")
    with pytest.raises(BuildRefusedError) as refused:
        accept(house, other)
    assert "is here already with other bytes" in str(refused.value)
    assert "raise the version" in str(refused.value)
    done = accept(house, other, in_place=True)
    digests = {it.kind: it.sha256 for it in done.release.images}
    assert digests == {
        ImageKind.OTA: hashlib.sha256(other).hexdigest(),
        ImageKind.FACTORY: hashlib.sha256(FACTORY).hexdigest(),
    }
    documents = seen_by_the_reference_client(house)
    assert parse_release(documents[f"local/{PROJECT}/1.1.0.json"]) == done.release


def test_a_build_without_a_project_is_named_after_its_node(house: LocalRepository) -> None:
    done = accept(house, application("esp32c3", "", "", node="garage"))
    assert (done.release.project, done.release.version) == ("own.garage", "2026.10.0")


def test_what_was_accepted_stays_though_room_is_short(tmp_path: Path) -> None:
    """Nobody can bring it again."""
    blobs = BlobStore(tmp_path / "blobs", limit=len(OTA))
    house = LocalRepository(tmp_path, blobs)
    house.create(NOW)
    blobs.add(b"fetched from a mirror")
    accept(house, OTA)
    accept(house, FACTORY)
    assert house.digests() == {hashlib.sha256(it).hexdigest() for it in (OTA, FACTORY)}
    assert {it.digest for it in blobs.blobs()} == house.digests()


def test_valid_signatures_are_remembered(house: LocalRepository) -> None:
    done = accept(house, sign(OTA, ecdsa_key(1)))
    assert done.image.signed_by == (key_digest(ecdsa_key(1)),)


REFUSED = {
    "damaged": (OTA[:-1] + b"?", "does not fit its own checksum"),
    "changed after signing": (
        sign(OTA, ecdsa_key(1)).replace(b"alphaess-bridge\0", b"alphaess-bridgf\0"),
        "does not fit its own checksum",
    ),
    "a forged signature": (
        sign(OTA, ecdsa_key(1))[:-4096] + sign(FACTORY, ecdsa_key(1))[-4096:],
        "A signature in the file does not fit it",
    ),
    "a bootloader": (bootloader("esp32"), "a bootloader alone and no firmware"),
    "a way out": (application("esp32", "", "", node="../../etc"), "a project is named like"),
    "a path": (application("esp32", "", "", node="a/b.c"), "a project is named like"),
    "no name": (application("esp32", "", "", node=""), "a project is named like"),
    "a strange version": (application("esp32", "a.b", "dev"), "a version is numbers and dots"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_would_not_start_or_has_no_name_is_refused(house: LocalRepository, why: str) -> None:
    data, sentence = REFUSED[why]
    with pytest.raises(BuildRefusedError) as refused:
        accept(house, data)
    assert sentence in str(refused.value)
    assert house.channel().projects == {}
    assert not list((house.folder.parent / "blobs").rglob("*"))


def test_what_is_no_image_is_refused(house: LocalRepository) -> None:
    with pytest.raises(ImageError, match=r"Give the \.bin file"):
        accept(house, b"<html>")


def test_without_a_repository_nothing_is_accepted(tmp_path: Path) -> None:
    none = LocalRepository(tmp_path, BlobStore(tmp_path / "blobs"))
    for ask in (none.root, none.channel, lambda: accept(none, OTA)):
        with pytest.raises(LocalRepositoryError, match="no repository of its own yet"):
            ask()


def test_a_changed_document_is_found_before_it_is_signed_again(house: LocalRepository) -> None:
    accept(house, OTA)
    (path,) = (house.folder / "targets" / "local" / PROJECT).glob("*.1.1.0.json")
    path.write_text(path.read_text().replace("esp32", "esp33"))
    with pytest.raises(LocalRepositoryError, match="restore it from a backup"):
        accept(house, FACTORY)


class Crash(BaseException):
    """The power goes."""


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_write_leaves_the_repository_as_it_was(
    house: LocalRepository, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    accept(house, OTA)
    real, left = local.replace_file, 0

    def until_the_crash(path: Path, text: str) -> None:
        nonlocal left
        left -= 1
        if left < 0 and not after:
            raise Crash
        real(path, text)
        if left < 0:
            raise Crash

    monkeypatch.setattr(local, "replace_file", until_the_crash)
    older, crashes, done = seen_by_the_reference_client(house), 0, None
    while done is None:
        left = crashes
        try:
            done = accept(house, FACTORY)
        except Crash:
            seen = seen_by_the_reference_client(house)
            if seen != older:
                assert after
                assert len(parse_release(seen[f"local/{PROJECT}/1.1.0.json"]).images) == 2
            crashes += 1
    assert crashes == 5, "manifest, channel, role, snapshot, timestamp"
    seen = seen_by_the_reference_client(house)
    assert len(parse_release(seen[f"local/{PROJECT}/1.1.0.json"]).images) == 2


def test_a_crash_while_it_is_created_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = LocalRepository(tmp_path, BlobStore(tmp_path / "blobs"))
    real, left = local.replace_file, 0

    def until_the_crash(path: Path, text: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        real(path, text)

    monkeypatch.setattr(local, "replace_file", until_the_crash)
    for crashes in range(7):
        left = crashes
        with pytest.raises(Crash):
            house.create(NOW)
        assert not house.exists
    left = 7
    house.create(NOW)
    assert set(seen_by_the_reference_client(house)) == {"local/channel.json"}


def test_two_files_at_the_same_time_are_both_accepted(house: LocalRepository) -> None:
    with ThreadPoolExecutor(4) as pool:
        files = [shipped("1.1.0", chip, "ota").data for chip in ("esp32", "esp32c3")] + [FACTORY]
        list(pool.map(lambda data: accept(house, data), files))
    documents = seen_by_the_reference_client(house)
    assert len(parse_release(documents[f"local/{PROJECT}/1.1.0.json"]).images) == 3


def test_the_rules_about_own_builds_cost_no_python_tuf() -> None:
    code = (
        "import sys, agent.firmware.own.sources, agent.firmware.own.builds, "
        "agent.firmware.image.download; print({'tuf', 'cryptography'} & set(sys.modules))"
    )
    shown = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True
    )
    assert shown.stdout.strip() == "set()"
