"""What a signer is told, when a role is due, and what a bundle may promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.firmware.manifest.models import (
    Channel,
    ChannelEntry,
    ChannelProject,
    Halt,
    Wave,
)
from agent.firmware.signing.changes import channel_changes, halt_changes
from agent.firmware.signing.edits import with_policy
from agent.firmware.signing.expiry import bundle
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.plan import parse_plan, write_plan
from agent.firmware.signing.proof import prove
from agent.firmware.signing.publish import renew_timestamp
from tests.firmware.development_keys import signer
from tests.firmware.development_root import plan
from tests.firmware.shipped import PROJECT, releases
from tests.firmware.signing.desk import DIGEST, NOW, cli, day
from tests.test_footprint_imports import loaded_by

OLD = ChannelEntry("1.9.0", 1, "stable/acme.bridge/1.9.0.json")
NEW = ChannelEntry("1.10.0", 2, "stable/acme.bridge/1.10.0.json", (Wave(0, 0.1), Wave(24, 1)))
BEFORE = Channel({"acme.bridge": ChannelProject("1.9.0", (OLD,))})


def test_a_signer_reads_what_would_change_for_people() -> None:
    after = Channel({"acme.bridge": ChannelProject("1.10.0", (OLD, NEW))}, {"acme.bridge": 2},
                    frozenset({DIGEST}), paused=True)  # fmt: skip
    assert list(channel_changes(BEFORE, after)) == [
        "releases acme.bridge 1.10.0 (rollback index 2, 10% after 0 h, 100% after 24 h)",
        "latest of acme.bridge: 1.9.0 -> 1.10.0",
        "floor of acme.bridge: rollback index 0 -> 2; images below it are refused for ever",
        "REVOKES image abababababab…",
        "PAUSES automatic updates",
    ]
    assert list(channel_changes(after, BEFORE)) == [
        "WITHDRAWS acme.bridge 1.10.0",
        "latest of acme.bridge: 1.10.0 -> 1.9.0",
        "floor of acme.bridge: rollback index 2 -> 0; images below it are refused for ever",
        "allows again the revoked image abababababab…",
        "resumes automatic updates",
    ]
    assert list(channel_changes(after, after)) == []


def test_a_changed_rollout_is_a_change() -> None:
    now = replace(OLD, rollout=(Wave(0, 1),), rollback_index=3)
    after = Channel({"acme.bridge": ChannelProject("1.9.0", (now,))})
    assert list(channel_changes(BEFORE, after)) == [
        "rollout of acme.bridge 1.9.0: rollback index 3, 100% after 0 h",
        "rollback index of acme.bridge 1.9.0: 3",
    ]


def test_a_brake_says_what_it_stops_and_when_it_lets_go() -> None:
    free, held = Halt(paused=False, reason=""), Halt(paused=True, reason="Restarts.")
    assert list(halt_changes("beta", free, held)) == ["STOPS automatic updates of beta: Restarts."]
    assert list(halt_changes("beta", held, free)) == ["no longer stops automatic updates of beta: "]
    assert list(halt_changes("beta", held, replace(held, reason="Still."))) == [
        "says of beta: Still."
    ]


def test_a_signed_floor_never_falls() -> None:
    raised = with_policy(BEFORE, floors={"acme.bridge": 3})
    with pytest.raises(SigningError, match=r"is 3 and cannot fall to 2: what it forbids must"):
        with_policy(raised, floors={"acme.bridge": 2})


def test_the_policy_of_a_channel_is_staged_by_its_words(folder: Folder) -> None:
    desk = ("--repository", folder.path, "--at", NOW.isoformat(), "policy", "stable")
    assert cli(*desk, "--floor", f"{PROJECT}=2", "--revoke", DIGEST, "--pause").code == 0
    assert '"paused": true' in (folder.staging.target("stable/channel.json") or b"").decode()
    for words, sentence in (
        ((), "Nothing changes."),
        (("--floor", "acme"), "write PROJECT=INDEX"),
        (("--floor", "acme.other=1"), "no project 'acme.other'"),
    ):
        answer = cli(*desk[:-2], "policy", "beta", *words)
        assert answer.code == 2
        assert sentence in answer.err
    refused = cli(*desk, "--revoke", "no digest")
    assert refused.code == 1
    assert "a SHA-256 in lower-case hexadecimal" in refused.err


@pytest.mark.parametrize(
    ("later", "code", "state"), [(0, 0, "ok"), (15, 2, "renew now"), (30, 2, "EXPIRED")]
)
def test_a_role_that_is_due_ends_the_check_with_two(
    folder: Folder, later: int, code: int, state: str
) -> None:
    answer = cli("expire-check", "--repository", folder.path, "--at", day(later).isoformat())
    assert answer.code == code
    first = answer.out.splitlines()[1]
    assert first.startswith("timestamp")
    assert first.endswith(state)


def test_a_bundle_is_refused_when_a_role_dies_before_it(folder: Folder, tmp_path: Path) -> None:
    answer = cli("--repository", folder.path, "--at", NOW.isoformat(), "bundle", tmp_path / "out")
    assert answer.code == 1
    assert "The bundle should live until 02 Sep 2029, but" in answer.err
    assert "beta ends" in answer.err
    assert "snapshot" not in answer.err
    assert not (tmp_path / "out").exists()


def test_a_bundle_holds_what_a_house_without_a_network_needs(
    folder: Folder, tmp_path: Path
) -> None:
    for image in releases():
        (tmp_path / image.file).write_bytes(image.data)
    out = tmp_path / "bundle"
    assert bundle(folder, out, [tmp_path], timedelta(days=90), NOW) == 4
    root = (out / "metadata" / "1.root.json").read_bytes()
    assert prove(out, root, NOW).documents == 8
    blobs = [it for it in (out / "blobs" / "sha256").rglob("*") if it.is_file()]
    assert {it.read_bytes() for it in blobs} == {
        it.data for it in releases() if it.version == "1.0.0"
    }


def test_a_bundle_takes_no_image_but_the_one_that_was_signed(
    folder: Folder, tmp_path: Path
) -> None:
    for image in releases():
        (tmp_path / image.file).write_bytes(image.data + b"\0")
    with pytest.raises(SigningError, match="is not the file that was signed"):
        bundle(folder, tmp_path / "out", [tmp_path], timedelta(days=90), NOW)
    with pytest.raises(SigningError, match="is in none of the folders"):
        bundle(folder, tmp_path / "out", [folder.path], timedelta(days=90), NOW)


def test_what_is_read_from_roles_toml_is_what_was_written() -> None:
    assert parse_plan(write_plan(plan())) == plan()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[root]", "root]", "roles.toml is no TOML"),
        ("[root]", "[roots]", r"roles.toml has no \[root\]"),
        ("threshold = 2", 'threshold = "2"', "threshold has to be a whole number from 1"),
        ("threshold = 2", "treshold = 2", "nobody reads 'treshold'"),
        ('keys = ["root-1"', 'keys = ["../root-1"', "keys has to be a list of names in keys/"),
        ("renew_days = 365", "renew_days = 3650", "renew_days has to be below expires_days"),
    ],
)
def test_a_roles_toml_that_makes_no_sense_says_where(old: str, new: str, sentence: str) -> None:
    with pytest.raises(SigningError, match=sentence):
        parse_plan(write_plan(plan()).replace(old, new, 1))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("show",), 1, "There is no metadata of root in"),
        (("verify",), 1, "is not published: there is no root version 1"),
        (("init",), 1, "roles.toml is not there. Write it (docs/manifests.md shows one)"),
        (("nonsense",), 2, "invalid choice"),
    ],
)
def test_an_empty_folder_says_what_to_do(
    tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    answer = cli("--repository", tmp_path, *words)
    assert answer.code == code
    assert sentence in answer.err


def test_who_only_wants_help_does_not_wait_for_the_tools_of_signing() -> None:
    loaded = loaded_by("import agent.__main__; agent.__main__._parser()")
    assert "agent.firmware.signing.arguments" in loaded
    assert not {"tuf", "securesystemslib", "cryptography", "agent.firmware.signing.cli"} & loaded


def test_a_second_ceremony_in_the_same_folder_is_refused(folder: Folder) -> None:
    answer = cli("--repository", folder.path, "init")
    assert answer.code == 1
    assert "has metadata already" in answer.err


def test_metadata_that_cannot_be_read_says_where_to_get_it(folder: Folder) -> None:
    (folder.path / "metadata" / "1.targets.json").write_text("{")
    answer = cli("--repository", folder.path, "show")
    assert answer.code == 1
    assert "The metadata of targets" in answer.err
    assert "Restore it from version control" in answer.err


def test_a_timestamp_before_the_first_publication_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="has not been published yet"):
        renew_timestamp(Folder(tmp_path), signer("timestamp"), NOW)


def test_verify_takes_metadata_alone_when_the_documents_are_elsewhere(folder: Folder) -> None:
    (folder.path / "targets" / "stable" / "channel.json").unlink()
    desk = ("--repository", folder.path, "--at", NOW.isoformat(), "verify")
    assert cli(*desk).code == 1
    answer = cli(*desk, "--metadata-only")
    assert answer.code == 0
    assert "documents not read" in answer.out
