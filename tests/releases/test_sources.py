"""Another publisher is trusted by his fingerprint, for his own projects, and by nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.releases.bundles import BundleError, unpack
from agent.releases.sources import fingerprint_of, fitting, wanted
from agent.surface.desk import NewSource
from tests.firmware.https import Hang, HttpsServer, Redirect
from tests.firmware.repo import Repo
from tests.releases.scene import archive, scene

ROOT = "1.root.json"


async def test_an_installer_gates_a_channel_by_the_fingerprint_that_he_told(tmp_path: Path) -> None:
    theirs = Repo(purpose="an installer's")
    with HttpsServer() as server:
        async with scene(tmp_path, ca_file=str(server.ca_file)) as it:
            server.files = {f"/{path}": data for path, data in theirs.files.items()}
            desk, mirror = it.rooms.desk, server.url("")
            told = hashlib.sha256(theirs.files[f"metadata/{ROOT}"]).hexdigest()
            printed = ":".join(told[i : i + 2] for i in range(0, 64, 2)).upper()
            with pytest.raises(ValueError, match="has the fingerprint"):
                await desk.add_source(NewSource("acme", mirror, "ab" * 32, "stable"), "Ann")
            server.fails(f"/metadata/{ROOT}", Redirect(server.url("/elsewhere")))
            right = NewSource("acme", mirror, printed, "stable")
            with pytest.raises(OSError, match="answers with 302"):
                await desk.add_source(right, "Ann")
            assert desk.shown()["sources"] == []
            said = await desk.add_source(right, "Ann")
            assert said.startswith("acme is trusted for the channel stable beside the publisher")
            kinds = {each["name"]: each["kind"] for each in desk.shown()["sources"]}
            assert kinds == {"official": "official", "acme": "added"}
            assert it.offer().latest == "1.0.0"  # both have signed the same
            it.repo.release("stable", "1.1.0")
            it.repo.publish("stable")
            it.repo.save(tmp_path / "bundle")
            it.begin()
            await it.service.look()
            assert it.offer().release is None
            assert it.offer().why == (
                "2 of official, acme have to have signed the same, and have not yet."
            )
            desk = it.rooms.desk
            with pytest.raises(ValueError, match="two have the same name"):
                await desk.add_source(right, "Ann")
            with pytest.raises(ValueError, match="that of the app cannot be removed"):
                await desk.remove_source("official", "Ann")
            (root,) = (tmp_path / "release_roots").iterdir()
            root.write_text("{}")  # exchanged behind our back
            assert "acme: none." in await it.service.look()
            await desk.remove_source("acme", "Ann")
            assert [each["name"] for each in desk.shown()["sources"]] == ["official"]
            assert it.offer().latest == "1.1.0"


async def test_a_mirror_that_never_answers_is_given_up_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.releases.roots.DEADLINE_S", 0.3)
    with HttpsServer() as server:
        async with scene(tmp_path, ca_file=str(server.ca_file)) as it:
            server.always_fails(f"/metadata/{ROOT}", Hang())
            wanted = NewSource("acme", server.url(""), "ab" * 32, "x-acme")
            with pytest.raises(OSError, match="did not answer in 0 s"):
                await it.rooms.desk.add_source(wanted, "Ann")


@pytest.mark.parametrize(
    ("name", "mirror", "channel", "words"),
    [
        ("official", "https://a.example", "x-acme", "two have the same name"),
        ("../acme", "https://a.example", "x-acme", "name"),
        ("acme", "http://a.example", "x-acme", "one https address"),
        ("acme", "https://a.example, https://b.example", "x-acme", "one https address"),
        ("acme", "https://a.example", "acme", "begins with x-"),
        ("acme", "https://a.example", "local", "begins with x-"),
        ("acme", "https://a.example", "halt", "begins with x-"),
        ("acme", "https://a.example", "", "begins with x-"),
    ],
)
def test_what_a_source_may_not_be_is_refused_in_words(
    name: str, mirror: str, channel: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fitting([wanted(name, mirror, channel, "ab" * 32)], b"the root of the app")


def test_a_fingerprint_is_taken_as_people_copy_it() -> None:
    assert fingerprint_of(" SHA256: AB" + ":ab" * 31) == "ab" * 32
    for wrong in ("", "ab" * 31, "zz" * 32):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            fingerprint_of(wrong)


async def test_a_damaged_list_trusts_nobody_because_a_gate_may_have_been_in_it(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        await it.service.look()
        assert it.offer().latest == "1.0.0"
        (tmp_path / "sources.json").write_text('{"sources": [')
        told = await it.service.look()
        assert "list of sources is not used" in told
        assert it.rooms.desk.shown()["warning"] == told
        assert it.offer().release is None
        with pytest.raises(ValueError, match="list of sources is not used"):
            await it.rooms.desk.remove_source("acme", "Ann")


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
