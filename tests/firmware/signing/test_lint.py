"""Well signed and wrong all the same: what the lint refuses, with the sentence it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from securesystemslib.signer import Key

from agent.firmware.manifest.models import Channel, ImageKind
from agent.firmware.manifest.parse import parse_release
from agent.firmware.signing.contents import Contents, read_contents
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.lint import RoleKeys, channel_faults, key_faults, lint
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.plan import with_role
from agent.firmware.signing.publish import publish
from agent.firmware.signing.roles import renew, rotate
from agent.firmware.signing.signatures import roles_for
from tests.firmware.development_keys import signer
from tests.firmware.development_root import online
from tests.firmware.shipped import PROJECT
from tests.firmware.signing.desk import cli, day

KEY_A, KEY_B = "a" * 64, "b" * 64


def public(name: str, keyid: str = "") -> Key:
    key: Key = signer(name).public_key
    return Key.from_dict(keyid or key.keyid, key.to_dict())


def faults(*roles: RoleKeys) -> str:
    return "\n".join(key_faults(list(roles)))


def test_a_published_repository_is_clean(folder: Folder) -> None:
    assert lint(folder, on_main=True) == []


def test_one_key_under_two_ids_is_not_two_people() -> None:
    """A32: the library counts both."""
    twice = RoleKeys("stable", (public("ann"), public("ann", "c0ffee" * 8)), 2)
    found = faults(twice)
    assert "stable: the key of ann is in it twice" in found
    assert "stable needs 2 signatures and has 1 keys" in found


def test_a_client_would_accept_the_same_key_twice_so_publishing_refuses_it(folder: Folder) -> None:
    """A32 on the whole road: the doubled id is in the delegation, and nothing can be signed."""
    key = json.loads((folder.path / "keys" / "stable-1.pub.json").read_text())
    doubled = {**key, "keyid": "c0ffee" * 10}
    (folder.path / "keys" / "stable-4.pub.json").write_text(json.dumps(doubled))
    rotate(folder, "stable", ["stable-4"], [], None, day(1))
    with pytest.raises(SigningError, match=r"Nothing was signed.*stable-1 is in it twice"):
        roles_for(folder, signer("root-1"), [])
    with pytest.raises(SigningError, match=r"Nothing was published.*Remove c0ffeec0"):
        publish(folder, online(), day(1))


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        ("stable", "beta", "could be served as the other's"),
        ("targets", "stable", "could be served as the other's"),
        ("stable", "halt", "could be served as the other's"),
        ("stable", "timestamp", "a robot's key must not sign what people sign"),
        ("root", "snapshot", "a robot's key must not sign what people sign"),
        ("snapshot", "timestamp", "who steals one has both"),
    ],
)
def test_a_key_in_two_roles_is_refused(one: str, other: str, sentence: str) -> None:
    """A53: the name of a role is not in what it signs."""
    shared = (public("ann"),)
    found = faults(RoleKeys(one, shared, 1), RoleKeys(other, shared, 1))
    assert f"{one} and {other} share the key of ann" in found
    assert sentence in found


def test_root_and_targets_may_be_the_same_people() -> None:
    shared = (public("ann"), public("bob"))
    assert not faults(RoleKeys("root", shared, 2), RoleKeys("targets", shared, 2))


def test_a_threshold_that_nobody_can_meet_is_refused() -> None:
    found = faults(RoleKeys("beta", (public("ann"),), 2))
    assert found == ("beta needs 2 signatures and has 1 keys, so nobody can ever sign it. Add keys "
                     "or lower the threshold.")  # fmt: skip


def test_a_rotation_to_such_a_threshold_is_refused(folder: Folder) -> None:
    with pytest.raises(SigningError, match="beta would need 4 of 3 keys"):
        rotate(folder, "beta", [], [], 4, day(1))
    assert folder.staging.roles() == []


def test_nothing_is_staged_on_main(folder: Folder) -> None:
    renew(folder, "beta", day(1))
    assert lint(folder) == []
    answer = cli("--repository", folder.path, "lint", "--main")
    assert answer.code == 1
    assert "beta is staged on main" in answer.out


def signed(contents: Contents, **signers: tuple[str, ...]) -> Contents:
    """The same releases, the kinds of images signed as said."""
    project, entry, release = contents.releases[0]
    images = tuple(replace(it, signed_by=signers.get(it.kind, ())) for it in release.images)
    return replace(contents, releases=((project, entry, replace(release, images=images)),))


def test_an_unsigned_app_in_the_factory_image_of_a_signed_project_is_refused(
    folder: Folder,
) -> None:
    contents = read_contents(folder.target, "stable")
    assert list(channel_faults(signed(contents, ota=(KEY_A,), factory=(KEY_A,)))) == []
    found = list(channel_faults(signed(contents, ota=(KEY_A,))))
    assert len(found) == len([it for it in contents.releases[0][2].images
                              if it.kind is ImageKind.FACTORY])  # fmt: skip
    assert "the application in alphaess-bridge-1.0.0-esp32.factory.bin is not signed" in found[0]


def test_a_project_that_began_unsigned_may_become_a_signed_one(folder: Folder) -> None:
    first = read_contents(folder.target, "stable").releases[0]
    second = signed(read_contents(folder.target, "stable"), ota=(KEY_A,), factory=(KEY_A,))
    _, entry, release = second.releases[0]
    later = (PROJECT, replace(entry, version="1.1.0"), replace(release, version="1.1.0"))
    offered = replace(second.channel.projects[PROJECT], latest="1.1.0")
    both = Contents("stable", Channel({PROJECT: offered}), (first, later))
    assert list(channel_faults(both)) == []


def test_a_channel_that_strands_bridges_is_refused(folder: Folder) -> None:
    """The next release is signed by a key that the bridges in the field have never heard of."""
    contents = signed(read_contents(folder.target, "stable"), ota=(KEY_A,), factory=(KEY_A,))
    project, entry, first = contents.releases[0]
    images = tuple(replace(it, signed_by=(KEY_B,)) for it in first.images)
    second = replace(first, version="1.1.0", images=images)
    old = replace(first, trusts=(KEY_A,))
    offered = replace(contents.channel.projects[PROJECT], latest="1.1.0")
    both = Contents(
        "stable",
        Channel({PROJECT: offered}),
        ((project, entry, old), (project, replace(entry, version="1.1.0"), second)),
    )
    found = list(channel_faults(both))
    assert "1.1.0 is signed by no key that 1.0.0 trusts" in found[0]
    bridge = replace(old, trusts=(KEY_A, KEY_B))
    kept = replace(both, releases=((project, entry, bridge), both.releases[1]))
    assert list(channel_faults(kept)) == []


def test_a_published_document_that_was_edited_is_found(folder: Folder) -> None:
    path = folder.path / "targets" / "stable" / PROJECT / "1.0.0.json"
    path.write_bytes(path.read_bytes().replace(b"First release", b"Other release"))
    assert parse_release(path.read_bytes())
    assert any(f"stable/{PROJECT}/1.0.0.json is not what was signed" in it for it in lint(folder))


def test_a_published_path_that_would_change_is_found(folder: Folder) -> None:
    path = f"stable/{PROJECT}/1.0.0.json"
    renew(folder, "stable", day(1))
    changed = (folder.published.target(path) or b"").replace(b"First release", b"Other release")
    folder.staging.put_target(path, changed)
    assert any(f"{path} is published and would change" in it for it in lint(folder))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("elsewhere/x.json", "no role signs it"), ("stable/x.json", "stable does not list it")],
)
def test_a_staged_document_that_nobody_signs_is_found(
    folder: Folder, path: str, sentence: str
) -> None:
    folder.staging.put_target(path, b"{}")
    assert any(path in it and sentence in it for it in lint(folder))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("3.root.json", "root is staged as version 3, the next one is 2"),
        ("1.root.json", "root is staged as version 1, the next one is 2"),
        ("9.snapshot.json", "snapshot is staged, and people do not sign it"),
        ("1.nightly.json", "nightly is staged, and people do not sign it"),
    ],
)
def test_metadata_that_no_command_has_staged_is_found(
    folder: Folder, name: str, sentence: str
) -> None:
    """A root behind a gap would be published well signed, and no client would ever reach it."""
    staged = folder.staging.path / "metadata" / name
    staged.parent.mkdir(parents=True)
    staged.write_bytes((folder.path / "metadata" / "1.root.json").read_bytes())
    assert any(sentence in it for it in lint(folder))


def test_roles_toml_has_to_say_what_was_signed(folder: Folder) -> None:
    plan = folder.plan
    folder.put_plan(with_role(plan, replace(plan.roles["beta"], threshold=2)))
    assert any("beta: roles.toml says 2 of beta-1, beta-2, beta-3; the metadata says 1 of" in it
               for it in lint(folder))  # fmt: skip


def test_a_missing_manifest_is_found(folder: Folder, tmp_path: Path) -> None:
    path = folder.path / "targets" / "stable" / PROJECT / "1.0.0.json"
    path.rename(tmp_path / "gone")
    assert any("1.0.0.json is not there. Restore it" in it for it in lint(folder))
