"""Houses see the old repository or the new one, never half of each, and never one they refuse."""

from __future__ import annotations

import os
import shutil
import sys
from bisect import bisect_left
from pathlib import Path
from typing import NoReturn

import pytest

from agent.firmware.signing import exchange
from agent.firmware.signing import publish as publish_module
from agent.firmware.signing.contents import stage
from agent.firmware.signing.exchange import beside, repair
from agent.firmware.signing.expiry import expiries
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.proof import prove, walk
from agent.firmware.signing.publish import OnlineKeys, publish, renew_timestamp, write_site
from agent.firmware.signing.releases import promote
from agent.firmware.signing.roles import rotate
from agent.firmware.signing.signatures import sign
from tests.firmware.development_keys import signer
from tests.firmware.development_root import online, sign_all
from tests.firmware.shipped import PROJECT
from tests.firmware.signing.desk import day, new_key

OK = 0
KILLED = 9
MORE_THAN_ALL = 256
AROUND = 3
_WRITES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}


def everything(path: Path) -> dict[str, bytes]:
    return {
        it.relative_to(path).as_posix(): it.read_bytes()
        for it in sorted(path.rglob("*"))
        if it.is_file()
    }


def first_root(folder: Folder) -> bytes:
    root = folder.published.version_bytes("root", 1)
    assert root
    return root


def rotated(folder: Folder) -> Folder:
    """A change of everything at once: the online key, so that old and new must not be mixed."""
    new_key(folder, "timestamp-2")
    rotate(folder, "timestamp", ["timestamp-2"], ["timestamp"], None, day(1))
    rotate(folder, "stable", [], ["stable-1"], None, day(1))
    for role, names in (("root", ("root-1", "root-2")), ("targets", ("root-1", "root-2")),
                        ("stable", ("stable-2", "stable-3"))):  # fmt: skip
        for name in names:
            sign(folder, role, signer(name))
    return folder


def new_online() -> OnlineKeys:
    return OnlineKeys(signer("snapshot"), signer("timestamp-2"))


def kill_at(number: int, folder: Folder) -> int:
    """Publish in a child that dies at its n-th write; return how it ended."""
    place = str(folder.path.parent)
    count = 0

    def die(event: str, args: tuple[object, ...]) -> None:
        nonlocal count
        opened = event == "open" and (args[1] is None or "w" in str(args[1]))
        if (opened or event in _WRITES) and str(args[0]).startswith(place):
            count += 1
            if count > number:
                os._exit(KILLED)  # as the power does: nothing is cleaned up

    def child() -> NoReturn:
        sys.addaudithook(die)
        try:
            publish(folder, keys, day(1))
        except BaseException:  # noqa: BLE001 - the parent's pytest must not go on twice
            os._exit(1)
        os._exit(OK)

    keys = new_online()
    pid = os.fork()
    if not pid:
        child()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("at_once", [True, False])
def test_a_publication_that_dies_anywhere_leaves_the_old_repository_or_the_new(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Halving its writes to find the swap, then at each around it; with and without a true one."""
    if not at_once:
        monkeypatch.setattr(exchange, "_exchanged", lambda _one, _other: False)
    rotated(folder)
    old = everything(folder.path)
    root = first_root(folder)
    master = tmp_path / "original"
    folder.path.rename(master)

    def after(number: int) -> str:
        for leftover in folder.path.parent.glob("*firmware_manifests*"):
            shutil.rmtree(leftover)
        shutil.copytree(master, folder.path)
        ended = kill_at(number, folder)
        repair(folder.path)
        found = everything(folder.path)
        assert walk(folder.path, root, day(1)).documents == 8
        if found == old:
            assert ended == KILLED
            return "old"
        assert found.keys() - old.keys() >= {"metadata/2.root.json", "metadata/3.stable.json"}
        assert not any(name.startswith("staging/") for name in found)
        return "new" if ended == KILLED else "done"

    assert after(0) == "old"
    assert after(MORE_THAN_ALL) == "done"
    first_new = bisect_left(range(MORE_THAN_ALL), 1, key=lambda it: int(after(it) != "old"))
    around = range(first_new - AROUND, first_new + AROUND)
    assert [after(number) for number in around] == ["old"] * AROUND + ["new"] * AROUND


def test_what_a_dead_publication_left_behind_does_not_disturb_the_next(folder: Folder) -> None:
    promoted = rotated(folder)
    (beside(folder.path) / "metadata").mkdir(parents=True)
    (beside(folder.path) / "metadata" / "9.root.json").write_text("half a roo")
    publish(promoted, new_online(), day(1))
    assert folder.published.versions("root") == [1, 2]
    assert not beside(folder.path).exists()


def test_nothing_is_published_while_a_signature_is_missing(folder: Folder) -> None:
    new_key(folder, "beta-4")
    rotate(folder, "beta", ["beta-4"], [], None, day(1))
    sign(folder, "targets", signer("root-3"))
    before = everything(folder.path)
    with pytest.raises(SigningError, match=r"targets version 2 needs 1 more .*root-1, root-2"):
        publish(folder, online(), day(1))
    assert everything(folder.path) == before


def test_a_rotation_stages_each_child_whose_signatures_would_no_longer_do(folder: Folder) -> None:
    assert rotate(folder, "stable", [], ["stable-1"], None, day(1)) == ["targets", "stable"]
    assert folder.staging.roles() == ["stable", "targets"]


def test_a_rotation_leaves_a_child_alone_that_still_has_enough(folder: Folder) -> None:
    assert rotate(folder, "stable", [], ["stable-3"], None, day(1)) == ["targets"]


def test_a_higher_threshold_asks_the_child_for_more_signatures(folder: Folder) -> None:
    assert rotate(folder, "stable", [], [], 3, day(1)) == ["targets", "stable"]


def test_a_dropped_key_that_a_child_still_needs_is_not_published(folder: Folder) -> None:
    """The mistake that once made every client refuse everything."""
    rotate(folder, "stable", [], ["stable-1"], None, day(1))
    (folder.staging.path / "metadata" / "3.stable.json").unlink()
    for name in ("root-1", "root-2"):
        sign(folder, "targets", signer(name))
    before = everything(folder.path)
    with pytest.raises(SigningError, match=r"stable version 2 needs 1 more.*`manifests renew"):
        publish(folder, online(), day(1))
    assert everything(folder.path) == before


def test_what_a_client_refuses_is_not_published(folder: Folder) -> None:
    """A root that has expired is signed well and refused all the same."""
    before = everything(folder.path)
    with pytest.raises(SigningError, match=r"begins at root 1 refuses .*root.json is expired"):
        renew_timestamp(folder, signer("timestamp"), day(600))
    assert everything(folder.path) == before
    assert not beside(folder.path).exists()


def test_the_robot_renews_the_timestamp_and_leaves_what_is_staged(folder: Folder) -> None:
    new_key(folder, "beta-4")
    rotate(folder, "beta", ["beta-4"], [], None, day(1))
    renew_timestamp(folder, signer("timestamp"), day(10))
    assert folder.staging.roles() == ["targets"]
    ends = {it.role: it.expires for it in expiries(folder)}
    assert ends["timestamp"] == day(31)
    prove(folder.path, first_root(folder), day(30))


def test_an_online_role_is_not_signed_by_a_key_of_another(folder: Folder) -> None:
    with pytest.raises(SigningError, match=r"snapshot does not sign timestamp.*--timestamp"):
        renew_timestamp(folder, signer("snapshot"), day(1))


def test_a_link_to_the_repository_stays_a_link(folder: Folder, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    renew_timestamp(Folder(link), signer("timestamp"), day(1))
    assert link.is_symlink()
    assert sorted(folder.path.parent.iterdir()) == [folder.path, link]


def test_nobody_is_left_standing_in_a_folder_that_is_gone(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path / "metadata")
    with pytest.raises(SigningError, match=r"about to be replaced .*Change to another folder"):
        renew_timestamp(folder, signer("timestamp"), day(1))


def test_a_host_serves_documents_under_their_digest(folder: Folder, tmp_path: Path) -> None:
    write_site(folder, tmp_path / "site")
    shutil.rmtree(folder.path / "targets")
    assert prove(tmp_path / "site", first_root(folder), day(0)).documents == 8
    with pytest.raises(SigningError, match="not empty"):
        write_site(folder, tmp_path / "site")


def test_only_what_is_published_can_be_promoted(folder: Folder) -> None:
    with pytest.raises(SigningError, match=r"beta/.*/9.9.9.json is not published.*first"):
        promote(folder, ("beta", "stable"), PROJECT, "9.9.9", (), day(1))


def test_two_people_sign_all_that_is_staged(folder: Folder) -> None:
    """The helper of the tests signs as the plan says, so a threshold that nobody needs shows."""
    rotate(folder, "stable", [], ["stable-1"], None, day(1))
    sign_all(folder)
    assert publish(folder, online(), day(1))[0].from_root == 1


def test_what_only_the_client_of_houses_refuses_is_not_published_either(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed and listed as TUF wants it, but no house could read it; past the lint, too."""
    monkeypatch.setattr(publish_module, "lint", lambda _folder: [])
    stage(folder, "stable/channel.json", b'{"schema": 2}', day(1))
    sign_all(folder)
    with pytest.raises(SigningError, match=r"root 1 refuses .*stable cannot be used.*update the"):
        publish(folder, online(), day(1))
    assert folder.published.versions("stable") == [1, 2]
