"""A kept image is right or absent, whatever the disk and other processes do."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.image.store import (
    MAX_IMAGE,
    STALE_PART_S,
    Blob,
    BlobStore,
    StoreError,
    to_evict,
)
from tests.firmware.power import Power, PowerCutError

IMAGE = b"image " * 40_000
DIGEST = hashlib.sha256(IMAGE).hexdigest()


def files(folder: Path) -> set[str]:
    return {it.name for it in folder.rglob("*") if it.is_file()}


def test_what_was_added_is_read_and_lies_under_its_hash(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    assert store.read(DIGEST) is None
    assert store.add(IMAGE) == store.add(IMAGE) == DIGEST
    assert store.read(DIGEST) == IMAGE
    path = tmp_path / "sha256" / DIGEST[:2] / DIGEST
    assert path.read_bytes() == IMAGE
    assert path.stat().st_mode & 0o077 == 0
    assert files(tmp_path) == {DIGEST}


def test_bit_rot_counts_as_absent_and_is_cleared_away(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.add(IMAGE)
    store.path(DIGEST).write_bytes(IMAGE[:-1] + b"?")
    assert store.read(DIGEST) is None
    assert files(tmp_path) == set()


def test_x10_a_file_that_is_swapped_after_its_check_is_not_what_is_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store notes the use of a file right after its check: there the swap happens."""
    store = BlobStore(tmp_path)
    store.add(IMAGE)
    noted = os.utime

    def swapped(path: Path) -> None:
        path.write_bytes(b"another firmware")
        noted(path)

    monkeypatch.setattr(os, "utime", swapped)
    assert store.read(DIGEST) == IMAGE
    assert store.path(DIGEST).read_bytes() == b"another firmware", "the swap took place"
    assert store.read(DIGEST) is None


@pytest.mark.parametrize("digest", ["../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n"])
def test_only_a_digest_is_a_name(tmp_path: Path, digest: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        BlobStore(tmp_path).path(digest)


def test_the_longest_unused_goes_first_and_what_is_pinned_stays(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, limit=250)
    first, second = (store.add(bytes([n]) * 100) for n in range(2))
    os.utime(store.path(first), (1, 1))
    os.utime(store.path(second), (2, 2))
    third = store.add(b"3" * 100, pinned={first})
    assert {it.digest for it in store.blobs()} == {first, third}
    store.read(first)
    os.utime(store.path(third), (3, 3))
    fourth = store.add(b"4" * 100)
    assert {it.digest for it in store.blobs()} == {first, fourth}


BLOBS = st.lists(
    st.builds(Blob, st.text("abc", min_size=1, max_size=4), st.integers(0, 50), st.floats(0, 9)),
    unique_by=lambda it: it.digest,
    max_size=12,
)


@given(
    BLOBS, st.sets(st.text("abc", min_size=1, max_size=4)), st.integers(0, 200), st.integers(0, 60)
)
def test_eviction_never_takes_what_is_pinned_and_never_more_than_it_must(
    blobs: list[Blob], pinned: set[str], limit: int, room: int
) -> None:
    gone = to_evict(blobs, pinned, limit, room)
    left = [it for it in blobs if it.digest not in gone]
    total = sum(it.size for it in left) + room
    assert not pinned & set(gone)
    assert total <= limit or {it.digest for it in left} <= pinned
    if gone:
        last = next(it for it in blobs if it.digest == gone[-1])
        assert total + last.size > limit
    unpinned = [it.used for it in left if it.digest not in pinned]
    assert all(it.used <= min(unpinned, default=9) for it in blobs if it.digest in gone)


def test_an_image_larger_than_any_chip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no image of more than 33554432 is kept"):
        BlobStore(tmp_path).make_room(MAX_IMAGE + 1)


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond this, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    small = store.add(b"small")
    with files_at_most(100_000), pytest.raises(StoreError) as refused:
        store.add(IMAGE)
    assert "no room" in str(refused.value)
    assert "free some space" in str(refused.value)
    assert files(tmp_path) == {small}
    assert store.read(small) == b"small"


def test_a_power_cut_between_any_two_changes_leaves_the_image_or_nothing(tmp_path: Path) -> None:
    small = BlobStore(tmp_path).add(b"small")
    for changes in range(50):
        BlobStore(tmp_path).path(DIGEST).unlink(missing_ok=True)
        done = False
        with pytest.MonkeyPatch.context() as patch:
            power = Power(patch, tmp_path, changes)
            with contextlib.suppress(PowerCutError):
                BlobStore(tmp_path).add(IMAGE)
                done = True
        power.lose_what_was_not_synced()
        store = BlobStore(tmp_path)
        assert store.read(small) == b"small"
        assert store.read(DIGEST) in ({IMAGE} if done else {IMAGE, None})
        store.add(IMAGE)
        assert store.read(DIGEST) == IMAGE
        if done:
            break
    assert 5 <= changes < 20


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "sha256").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="Check the disk"):
        BlobStore(tmp_path).add(IMAGE)


def test_a_download_belongs_to_one_at_a_time_and_goes_on_after_a_crash(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    first = store.claim(DIGEST)
    assert first
    first.append(IMAGE[:1000])
    assert store.claim(DIGEST) is None
    first.close()  # as the kernel does it for a process that was killed
    second = store.claim(DIGEST)
    assert second
    assert second.size == 1000
    assert store.read(DIGEST) is None, "half a file is not visible"
    second.append(IMAGE[1000:])
    assert store.settle(DIGEST, second) == IMAGE == store.read(DIGEST)
    second.close()
    assert files(tmp_path) == {DIGEST}


def test_a_finished_download_is_not_claimed_by_who_opened_it_before(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    mine = store.claim(DIGEST)
    late = store._open(store.path(DIGEST).with_name(f"{DIGEST}.part"))
    assert mine
    mine.append(IMAGE)
    store.settle(DIGEST, mine)
    mine.close()
    assert not late.claim(), "else it would write into the published file"
    late.close()


def test_wrong_bytes_never_become_visible(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    part = store.claim(DIGEST)
    assert part
    part.append(b"x" * len(IMAGE))
    assert store.settle(DIGEST, part) is None
    assert part.size == 0
    part.close()
    assert store.read(DIGEST) is None


def test_a_download_that_nobody_continued_is_cleared_away(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    part = store.claim(DIGEST)
    assert part
    part.append(b"x")
    part.close()
    path = store.path(DIGEST).with_name(f"{DIGEST}.part")
    store.make_room(1)
    assert path.exists()
    long_ago = path.stat().st_mtime - STALE_PART_S - 60
    os.utime(path, (long_ago, long_ago))
    store.make_room(1)
    assert not path.exists()


def hammer(folder: Path, seed: int) -> None:
    store = BlobStore(folder, limit=700_000)
    for n in range(12):
        data = bytes([(seed + n) % 5]) * 100_000
        digest = store.add(data)
        read = store.read(digest)
        assert read in {data, None}


def test_processes_that_share_a_folder_do_not_see_each_other_s_halves(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=hammer, args=(tmp_path, n)) for n in range(3)]
    for it in workers:
        it.start()
    for it in workers:
        it.join(30)
    assert [it.exitcode for it in workers] == [0, 0, 0]
    for blob in BlobStore(tmp_path).blobs():
        assert hashlib.sha256(BlobStore(tmp_path).path(blob.digest).read_bytes()).hexdigest() == (
            blob.digest
        )
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
