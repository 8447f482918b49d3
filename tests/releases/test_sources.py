"""Another publisher is trusted by his fingerprint, for his own projects, and by nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from agent.releases.bundles import BundleError, unpack
from agent.releases.sources import FILE_NAME, Publisher, SourceBook, checked, fingerprint_of
from agent.surface.desk import NewSource
from tests.firmware.https import Hang, HttpsServer, Redirect
from tests.firmware.repo import Repo
from tests.releases.scene import archive, bridge, scene

ROOT = "1.root.json"


async def test_an_installer_is_added_by_the_fingerprint_that_he_told_and_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.releases.roots.DEADLINE_S", 5.0)
    theirs = Repo(purpose="an installer's")
    with HttpsServer() as server:
        async with scene(tmp_path, ca_file=str(server.ca_file)) as it:
            server.files = {f"/{path}": data for path, data in theirs.files.items()}
            desk, mirror = it.rooms.desk, server.url("")
            told = hashlib.sha256(theirs.files[f"metadata/{ROOT}"]).hexdigest()
            printed = ":".join(told[i : i + 2] for i in range(0, 64, 2)).upper()
            wrong = NewSource("acme", mirror, "ab" * 32, "acme")
            with pytest.raises(ValueError, match=f"another fingerprint.*it is {told}"):
                await desk.add_source(wrong, "Ann")
            server.fails(f"/metadata/{ROOT}", Redirect(server.url("/elsewhere")))
            right = NewSource("acme", mirror, printed, "acme")
            with pytest.raises(OSError, match="answers with 302"):
                await desk.add_source(right, "Ann")
            assert it.rooms.desk.shown()["sources"] == []
            said = await desk.add_source(right, "Ann")
            assert said.startswith("acme is trusted for projects that begin with acme.")
            # The publisher of the app has this project too; the prefix decides whose it is.
            it.fleet = bridge()
            assert it.offer().source == "acme"
            names = {each["name"]: each["prefix"] for each in desk.shown()["sources"]}
            assert names == {"official": "", "acme": "acme."}
            assert SourceBook(tmp_path).publishers[0].fingerprint == told
            with pytest.raises(ValueError, match="no source may have it yet"):
                await desk.add_source(right, "Ann")
            with pytest.raises(ValueError, match="that of the app cannot be removed"):
                await desk.remove_source("official", "Ann")
            await desk.remove_source("acme", "Ann")
            assert [each["name"] for each in desk.shown()["sources"]] == ["official"]
            assert it.offer().source == "official"


async def test_a_mirror_that_never_answers_is_given_up_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.releases.roots.DEADLINE_S", 0.3)
    with HttpsServer() as server:
        async with scene(tmp_path, ca_file=str(server.ca_file)) as it:
            server.always_fails(f"/metadata/{ROOT}", Hang())
            wanted = NewSource("acme", server.url(""), "ab" * 32, "acme")
            with pytest.raises(OSError, match="did not answer in 0 s"):
                await it.rooms.desk.add_source(wanted, "Ann")


@pytest.mark.parametrize(
    ("name", "mirror", "prefix", "words"),
    [
        ("official", "https://a.example", "acme", "no source may have it"),
        ("../acme", "https://a.example", "acme", "lower-case letters"),
        ("acme", "http://a.example", "acme", "one https address"),
        ("acme", "https://a.example, https://b.example", "acme", "one https address"),
        ("acme", "https://a.example", "pv-edge", "has to be its own"),
        ("acme", "https://a.example", "PVAutonomy.", "has to be its own"),
        ("acme", "https://a.example", "pvautonomy", "has to be its own"),
        ("acme", "https://a.example", "", "has to be its own"),
        ("acme", "https://a.example", "other", "has to be its own"),
    ],
)
def test_what_a_source_may_not_be_is_refused_in_words(
    name: str, mirror: str, prefix: str, words: str
) -> None:
    there = (Publisher("other", "https://o.example", "other.", b"{}"),)
    with pytest.raises(ValueError, match=words):
        checked(name, mirror, prefix, there)


def test_a_fingerprint_is_taken_as_people_copy_it() -> None:
    assert fingerprint_of(" SHA256: AB" + ":ab" * 31) == "ab" * 32
    for wrong in ("", "ab" * 31, "zz" * 32):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            fingerprint_of(wrong)


@pytest.mark.parametrize("damage", ["{", '{"sources": [{"name": "x"}]}', "exchanged"])
def test_a_book_that_was_changed_by_hand_is_set_aside_and_trusted_in_nothing(
    tmp_path: Path, damage: str
) -> None:
    book = SourceBook(tmp_path)
    book.replace((Publisher("acme", "https://a.example", "acme.", b'{"signed": {}}'),))
    path = tmp_path / FILE_NAME
    if damage == "exchanged":
        document = json.loads(path.read_text())
        document["sources"][0]["root"] = '{"signed": 1}'
        damage = json.dumps(document)
    path.write_text(damage)
    again = SourceBook(tmp_path)
    assert again.publishers == ()
    assert "set aside" in again.warning
    assert (tmp_path / f"{FILE_NAME}.broken-1").exists()


def test_a_bundle_brings_documents_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "release_bundle"
    files = {
        "pv/metadata/timestamp.json": b"{}",
        "pv/metadata/root_history/../../../evil.json": b"x",
        "pv/metadata/1.root.json": b"{}",
        "pv/targets/stable/acme.bridge/1.0.0.json": b"{}",
        "pv/targets/stable/run.sh": b"x",
        "pv/README.md": b"x",
    }
    assert unpack(archive(files), folder) == 3
    there = {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}
    assert there == {
        "metadata/timestamp.json",
        "metadata/1.root.json",
        "targets/stable/acme.bridge/1.0.0.json",
    }
    for wrong, words in (
        (b"no archive", "no ZIP archive"),
        (archive({"other.json": b"{}"}), r"holds no metadata/timestamp\.json"),
        (archive({"metadata/timestamp.json": bytes(33 * 1024 * 1024)}), "more than 2000"),
    ):
        with pytest.raises(BundleError, match=words):
            unpack(wrong, folder)
    assert {it.name for it in tmp_path.iterdir()} == {"release_bundle"}
    assert (folder / "metadata" / "1.root.json").exists()  # what was there stays
