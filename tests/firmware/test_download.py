"""Whatever a mirror does over a real connection, only the signed bytes come out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.firmware.image.download import Downloader, DownloadError, Wanted, begins_at
from agent.firmware.image.store import BlobStore, StoreError
from tests.firmware.https import (
    Body,
    Claims,
    Cut,
    Drip,
    Endless,
    Fault,
    GzipBomb,
    Hang,
    HttpsServer,
    NoRange,
    Redirect,
    Status,
    WrongRange,
)
from tests.firmware.test_store import files, files_at_most

IMAGE = hashlib.shake_128(b"image").digest(1_200_000)
LENGTH = len(IMAGE)
DIGEST = hashlib.sha256(IMAGE).hexdigest()


def hashed(data: bytes) -> str:
    """The digest stands for the bytes: a difference of megabytes says nothing to a reader."""
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def running() -> Iterator[HttpsServer]:
    with HttpsServer() as server:
        yield server


@pytest.fixture
def server(running: HttpsServer) -> HttpsServer:
    running.files = {"/a.bin": IMAGE, "/b.bin": IMAGE}
    running._faults.clear()
    running.asked.clear()
    running.was_asked.clear()
    running.sent = 0
    return running


@pytest.fixture
async def downloader(server: HttpsServer, tmp_path: Path) -> AsyncIterator[Downloader]:
    async with fresh(server, tmp_path) as it:
        yield it


def fresh(server: HttpsServer, folder: Path, **budget: float) -> Downloader:
    return Downloader(BlobStore(folder), {server.origin}, tls=server.trusted(), **budget)


def wanted(server: HttpsServer, *paths: str) -> Wanted:
    return Wanted(DIGEST, LENGTH, tuple(server.url(it) for it in paths or ("/a.bin",)))


async def test_an_image_is_fetched_once_and_kept(
    server: HttpsServer, downloader: Downloader
) -> None:
    assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert len(server.asked) == 1
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert server.asked[0].range is None


async def test_b01_a_cut_connection_costs_only_what_is_missing(
    server: HttpsServer, downloader: Downloader
) -> None:
    server.fails("/a.bin", Cut(900_000))
    assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert server.sent == LENGTH
    assert server.asked[1].range == "bytes=900000-"


async def test_what_an_earlier_run_left_is_continued(server: HttpsServer, tmp_path: Path) -> None:
    part = BlobStore(tmp_path).claim(DIGEST)
    assert part
    part.append(IMAGE[:700_000])
    part.close()
    async with fresh(server, tmp_path) as downloader:
        assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert server.sent == 500_000


@pytest.mark.parametrize("fault", [NoRange(), WrongRange(17), Status(416)])
async def test_b02_a_mirror_that_cannot_continue_begins_again(
    server: HttpsServer, downloader: Downloader, fault: Fault
) -> None:
    server.fails("/a.bin", Cut(900_000), fault)
    assert hashed(await downloader.get(wanted(server))) == DIGEST


@pytest.mark.parametrize("length", [500_000, LENGTH])
async def test_b03_a_poisoned_beginning_is_found_and_dropped(
    server: HttpsServer, tmp_path: Path, length: int
) -> None:
    part = BlobStore(tmp_path).claim(DIGEST)
    assert part
    part.append(b"poison".ljust(length, b"!"))
    part.close()
    async with fresh(server, tmp_path) as downloader:
        assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert server.asked[-1].range is None


LIES: dict[str, tuple[Fault, str]] = {
    "other bytes": (Body(IMAGE[:-1] + b"?"), "other bytes than were signed"),
    "longer": (Body(IMAGE + b"more"), "another length than was signed"),
    "endless": (Endless(), "sent more than was signed"),
    "packed": (GzipBomb(8 << 20), "packs what was asked for as it is"),
    "shorter": (Body(IMAGE[:1000]), "another length than was signed"),
    "wrong length": (Claims(LENGTH + 5), "another length than was signed"),
    "an error": (Status(500), "it answered 500"),
    "nothing there": (Status(404), "it answered 404"),
    "always broken": (Cut(0), "gave up after 4 broken answers"),
    "a redirect inside": (Redirect("https://127.0.0.1/admin"), "The host 127.0.0.1 is not among"),
    "a redirect to http": (Redirect("http://localhost/x"), "does not begin with https"),
    "redirects in a circle": (Redirect("/a.bin"), "once more after 3 redirects"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_b04_b05_a_mirror_that_lies_is_passed_over_and_named(
    server: HttpsServer, downloader: Downloader, tmp_path: Path, lie: str
) -> None:
    fault, sentence = LIES[lie]
    server.always_fails("/a.bin", fault)
    with pytest.raises(DownloadError) as refused:
        await downloader.get(wanted(server))
    assert sentence in str(refused.value)
    assert server.url("/a.bin") in str(refused.value)
    assert not [name for name in files(tmp_path) if not name.endswith(".part")]
    assert hashed(await downloader.get(wanted(server, "/a.bin", "/b.bin"))) == DIGEST


async def test_a_redirect_among_the_named_hosts_is_followed(
    server: HttpsServer, downloader: Downloader
) -> None:
    server.fails("/a.bin", Redirect(server.url("/b.bin?token=1")))
    assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert [it.path for it in server.asked] == ["/a.bin", "/b.bin?token=1"]


async def test_a_host_nobody_named_is_not_asked(server: HttpsServer, tmp_path: Path) -> None:
    async with Downloader(BlobStore(tmp_path), {"github.com"}, tls=server.trusted()) as it:
        with pytest.raises(DownloadError, match="is not among those that releases may come from"):
            await it.get(wanted(server))
    assert not server.asked


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: HttpsServer, tmp_path: Path
) -> None:
    async with Downloader(BlobStore(tmp_path), {server.origin}) as it:
        with pytest.raises(DownloadError, match="could not be reached, or it is not who it says"):
            await it.get(wanted(server))
    assert not server.asked


async def test_b06_five_hundred_askers_cost_one_download(
    server: HttpsServer, downloader: Downloader
) -> None:
    got = await asyncio.gather(*(downloader.get(wanted(server)) for _ in range(500)))
    assert {hashed(it) for it in set(got)} == {DIGEST}
    assert server.sent == LENGTH


async def test_who_gives_up_does_not_take_it_from_the_others(
    server: HttpsServer, downloader: Downloader
) -> None:
    first = asyncio.create_task(downloader.get(wanted(server)))
    second = asyncio.create_task(downloader.get(wanted(server)))
    await asyncio.to_thread(server.was_asked.wait, 10)
    first.cancel()
    assert hashed(await second) == DIGEST
    assert first.cancelled()


@pytest.mark.parametrize("fault", [Drip(), Hang()])
async def test_a_slow_mirror_ends_with_the_budget_and_what_came_is_kept(
    server: HttpsServer, tmp_path: Path, fault: Fault
) -> None:
    server.always_fails("/a.bin", fault)
    async with fresh(server, tmp_path, total_s=0.4) as downloader:
        with pytest.raises(DownloadError, match=r"not all was there after 0\.4 s"):
            await downloader.get(wanted(server))
    async with fresh(server, tmp_path) as downloader:
        assert hashed(await downloader.get(wanted(server, "/b.bin"))) == DIGEST
    kept = server.asked[-1].range
    assert (kept is not None) == isinstance(fault, Drip)


async def test_the_next_mirror_is_asked_when_one_is_silent(
    server: HttpsServer, tmp_path: Path
) -> None:
    server.always_fails("/a.bin", Hang())
    async with fresh(server, tmp_path, silent_s=0.05) as downloader:
        assert hashed(await downloader.get(wanted(server, "/a.bin", "/b.bin"))) == DIGEST


async def test_two_processes_download_once(server: HttpsServer, tmp_path: Path) -> None:
    """Another downloader on the same folder stands for another process: the kernel's lock is per
    open file, not per process."""
    server.fails("/a.bin", Cut(900_000))
    async with fresh(server, tmp_path) as one, fresh(server, tmp_path) as other:
        got = await asyncio.gather(one.get(wanted(server)), other.get(wanted(server)))
    assert [hashed(it) for it in got] == [DIGEST, DIGEST]
    assert server.sent == LENGTH


async def test_b07_bit_rot_costs_one_more_download(server: HttpsServer, tmp_path: Path) -> None:
    async with fresh(server, tmp_path) as downloader:
        await downloader.get(wanted(server))
        BlobStore(tmp_path).path(DIGEST).write_bytes(b"rotten")
        assert hashed(await downloader.get(wanted(server))) == DIGEST
    assert len(server.asked) == 2


async def test_a_full_disk_ends_it_with_its_own_error(
    server: HttpsServer, downloader: Downloader, tmp_path: Path
) -> None:
    with files_at_most(300_000), pytest.raises(StoreError, match="no room"):
        await downloader.get(wanted(server))
    assert files(tmp_path) == set()
    assert hashed(await downloader.get(wanted(server))) == DIGEST


async def test_a_manifest_that_lies_about_the_length_is_found_out(
    server: HttpsServer, downloader: Downloader
) -> None:
    await downloader.get(wanted(server))
    with pytest.raises(DownloadError, match="1200000 bytes and its manifest says 7"):
        await downloader.get(Wanted(DIGEST, 7, ()))
    with pytest.raises(DownloadError, match="only 1 to 33554432 are fetched"):
        await downloader.get(Wanted("0" * 64, 1 << 40, ()))
    with pytest.raises(DownloadError, match="no mirror is known"):
        await downloader.get(Wanted("0" * 64, 7, ()))


@pytest.mark.parametrize(
    ("status", "content_range", "begins"),
    [
        (200, None, 0),
        (200, "bytes 5-9/10", 0),
        (206, "bytes 5-9/10", 5),
        (206, "bytes 5-9/*", 5),
    ],
)
def test_an_answer_says_where_its_body_begins(
    status: int, content_range: str | None, begins: int
) -> None:
    assert begins_at(status, content_range, 5, 10) == begins


@pytest.mark.parametrize(
    ("status", "content_range"),
    [(206, None), (206, "bytes 4-9/10"), (206, "bytes 5-9/11"), (206, "lines 5-9/10"), (204, None)],
)
def test_an_answer_about_something_else_is_refused(status: int, content_range: str | None) -> None:
    with pytest.raises(ValueError, match="it "):
        begins_at(status, content_range, 5, 10)
