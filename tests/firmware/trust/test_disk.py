"""The disk fills, the power goes, files are edited: what is trusted stays usable. X07 to X09."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.trust.client import look
from agent.firmware.trust.floor import FILE_NAME
from agent.firmware.trust.models import Freshness, SourceKnowledge
from agent.firmware.trust.source import TrustError
from tests.firmware.repo import Repo, day
from tests.firmware.trust.house import House, Mirror, bundle, versions

CHANGES = (
    "write", "replace", "rename", "link", "symlink", "unlink", "remove", "rmdir", "mkdir",
    "fsync", "ftruncate", "chmod",
)  # fmt: skip


class PowerCutError(BaseException):
    """The machine is off."""


class Power:
    """
    Lets the machine run for so many changes of the disk.

    Once it is off nothing changes the disk any more, whatever handlers try, and what was never
    brought to the disk is gone: each such file is left empty.
    """

    def __init__(self, patch: pytest.MonkeyPatch, place: Path, changes: int) -> None:
        self.left = changes
        self.used = 0
        self._place = place
        self._synced: set[int] = set()
        self._before = {it.stat().st_ino for it in place.rglob("*") if it.is_file()}
        for name in CHANGES:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))
        real_open = os.open

        def opened(path: Any, flags: int, *args: Any, **named: Any) -> int:
            if flags & os.O_CREAT and not Path(os.fspath(path)).exists():
                self._step()
            return real_open(path, flags, *args, **named)

        patch.setattr(os, "open", opened)

    def _step(self) -> None:
        if self.left == 0:
            raise PowerCutError
        self.left -= 1
        self.used += 1

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            self._step()
            if name == "fsync":
                self._synced.add(os.fstat(args[0]).st_ino)
            return real(*args, **named)

        return counted

    def lose_what_was_not_synced(self) -> None:
        """Empty the files that were only in memory."""
        for path in self._place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                number = path.stat().st_ino
                if number not in self._synced | self._before:
                    path.write_bytes(b"")


def in_order(home: House, known: SourceKnowledge, stable: set[int]) -> None:
    assert known.freshness is not Freshness.NONE, known.why
    assert versions(known)["stable"] in stable
    assert known.events == ()
    assert not [it for it in home.place.iterdir() if it.name.startswith("set-")][1:]


@pytest.fixture
def second(home: House, repo: Repo, tmp_path: Path) -> Any:
    """A house that knows version 1, and a folder with version 2."""
    home.look(bundle(repo, tmp_path / "one"))
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(1))
    return bundle(repo, tmp_path / "two", "stick")


def cuts(home: House, carrier: Any, after: set[int]) -> Iterator[int]:
    """Cut the power at each change of one look, each time from the same beginning."""
    for changes in range(400):
        with pytest.MonkeyPatch.context() as patch:
            power = Power(patch, home.place, changes)
            try:
                home.look(carrier, on=2)
                done = True
            except PowerCutError:
                done = False
        if done:
            in_order(home, home.look(on=2), after)
            return
        power.lose_what_was_not_synced()
        yield changes


def test_x08_a_power_cut_at_any_change_leaves_the_old_set_or_the_new(
    home: House, second: Any, tmp_path: Path
) -> None:
    """Writes, renames, links, syncs and removals, each in turn; the next start is offline."""
    kept = tmp_path / "kept"
    copy_tree(home.place, kept)
    tried, seen = 0, set()
    for _ in cuts(home, second, {2}):
        known = home.look(on=2)
        in_order(home, known, {1, 2})
        seen.add(versions(known)["stable"])
        if tried % 4 == 0:
            assert home_again(home, second) == 2
        copy_tree(kept, home.place)
        tried += 1
    assert tried > 25
    assert seen == {1, 2}


def test_x08_a_power_cut_at_any_change_of_the_first_look_is_healed_by_the_second(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    carrier = bundle(repo, tmp_path / "one")
    home.place.mkdir(parents=True)
    kept = tmp_path / "kept"
    copy_tree(home.place, kept)
    for _ in cuts(home, carrier, {1}):
        in_order(home, home.look(carrier, on=2), {1})
        copy_tree(kept, home.place)


def home_again(home: House, carrier: Any) -> int:
    known = home.look(carrier, on=2)
    in_order(home, known, {2})
    return versions(known)["stable"]


def copy_tree(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


@pytest.mark.parametrize("name", ["fsync", "replace", "link", "mkdir"])
def test_x07_on_a_full_disk_what_was_trusted_is_still_trusted(
    home: House, second: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = getattr(os, name)

    def full(*args: Any, **named: Any) -> Any:
        inside = name == "fsync" or str(home.place) in f"{args[0]}{args[-1]}"
        if inside:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        known = home.look(second, on=2)
        assert known.freshness is Freshness.FRESH
        if name not in {"link", "mkdir"}:  # where no link can be made, a copy can
            assert (versions(known)["stable"], known.carrier) == (1, "cache")
        assert home.release(second, on=2).version == "1.0.0"
    assert home_again(home, second) == 2


def test_x07_a_refresh_that_cannot_be_kept_confirms_nothing(
    home: House, repo: Repo, mirror: Mirror, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.serves(repo.files)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    known = home.look(mirror.carrier, on=2)
    assert (known.confirmed, versions(known)["stable"]) == (None, 1)


def test_x08_without_its_link_root_json_a_set_is_whole(home: House, second: Any) -> None:
    (home.place / "current" / "root.json").unlink()
    in_order(home, home.look(on=2), {1})


@pytest.mark.parametrize("role", ["stable", "snapshot", "timestamp", "targets"])
def test_x09_an_edited_role_is_not_trusted_and_is_fetched_again(
    home: House, repo: Repo, mirror: Mirror, role: str
) -> None:
    home.look(mirror.carrier)
    path = home.place / "current" / f"{role}.json"
    path.write_bytes(path.read_bytes().replace(b'"expires": "202', b'"expires": "203'))
    assert home.look(on=2).freshness is Freshness.NONE
    known = home.look(mirror.carrier, on=2)
    assert (known.freshness, known.events) == (Freshness.FRESH, ())
    assert b'"expires": "203' not in path.read_bytes()


def test_x09_an_edited_document_is_fetched_again(home: House, repo: Repo, mirror: Mirror) -> None:
    home.look(mirror.carrier)
    home.release(mirror.carrier)
    for path in (home.place / "documents").iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.0.0", b"6.6.6"))
    assert home.look(mirror.carrier).freshness is Freshness.FRESH
    assert home.release(mirror.carrier).version == "1.0.0"


def test_a_file_that_cannot_be_read_counts_as_missing(home: House, mirror: Mirror) -> None:
    """The tests may run as root, whom no mode stops, so a folder stands in the way."""
    home.look(mirror.carrier)
    path = home.place / "current" / "stable.json"
    path.unlink()
    path.mkdir()
    assert home.look(mirror.carrier, on=2).freshness is Freshness.FRESH


def test_what_others_may_write_to_is_closed(home: House, mirror: Mirror) -> None:
    home.place.mkdir(parents=True)
    home.place.chmod(0o777)
    home.look(mirror.carrier)
    assert home.place.stat().st_mode & 0o777 == 0o700
    for path in home.place.rglob("*"):
        if not path.is_symlink() and path.parent == home.place:
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(home: House) -> None:
    home.place.parent.mkdir(parents=True)
    home.place.write_text("in the way")
    with pytest.raises(TrustError, match=f"The folder {home.place} cannot be used"):
        look(home.question())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"online": 5, "channels": {}}', '{"online": "2026-10-05T00:00:00"}']
)
def test_a_floor_that_cannot_be_read_starts_anew(home: House, mirror: Mirror, text: str) -> None:
    home.look(mirror.carrier)
    (home.place / FILE_NAME).write_text(text)
    known = home.look(on=2)
    assert (known.freshness, known.confirmed) == (Freshness.FRESH, None)


def test_documents_that_nothing_names_any_more_are_removed(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    before = len(list((home.place / "documents").iterdir()))
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    mirror.serves(repo.files)
    home.look(mirror.carrier, on=2)
    assert len(list((home.place / "documents").iterdir())) == before
