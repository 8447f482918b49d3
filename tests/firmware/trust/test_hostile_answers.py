"""Answers made to crash, fill, hold up or lead astray: rows A60 to A65, N, X and R."""

from __future__ import annotations

import gzip
import os
import resource
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.config import UpdaterConfig

from agent.firmware.trust import fetchers
from agent.firmware.trust.fetchers import FolderFetcher, GuardedFetcher, RedirectRefusedError
from agent.firmware.trust.models import EventKind, Freshness
from agent.firmware.trust.source import Directory, Online, TrustError
from tests.firmware.https import (
    Body,
    Cut,
    Drip,
    Endless,
    Fault,
    Hang,
    HttpsServer,
    Redirect,
    Status,
)
from tests.firmware.repo import Repo, day
from tests.firmware.trust.house import House, Mirror, bundle, kinds, versions

STAMP = "metadata/timestamp.json"


@pytest.fixture
def known_home(home: House, repo: Repo, tmp_path: Path) -> House:
    """A house that knows the first version of everything, from its bundle."""
    home.look(bundle(repo, tmp_path / "known"))
    return home


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"{garbage", "Failed to deserialize JSON", id="a60-garbage"),
        pytest.param(
            b"[" * 200_000, "exceeding the maximum allowed length of 16384", id="a61-deep"
        ),
        pytest.param(b"[" * 16_000, "Failed to deserialize JSON", id="a62-deep-and-short"),
        pytest.param(
            b'{"signatures":[],"signed":{"version":' + b"9" * 15_000 + b"}}",
            "Failed to deserialize JSON",
            id="a63-huge-number",
        ),
    ],
)
def test_a60_a61_a62_a63_what_is_no_metadata_is_an_event_and_no_crash(
    known_home: House, mirror: Mirror, data: bytes, said: str
) -> None:
    mirror.fails(STAMP, Body(data))
    known = known_home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.LYING_MIRROR]
    assert said in known.events[0].text
    assert known.freshness is Freshness.STALE


@pytest.mark.parametrize(
    "path", ["../secret", "metadata/../../secret", "/etc/hostname", "%2e%2e/secret", "a//b", "."]
)
def test_a64_no_path_leads_out_of_a_bundle(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "bundle" / "metadata").mkdir(parents=True)
    with pytest.raises(DownloadError, match="the path leaves the folder"):
        FolderFetcher(tmp_path / "bundle").download_bytes(path, 100)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a65_no_link_on_a_stick_is_followed(
    home: House, repo: Repo, tmp_path: Path, what: str
) -> None:
    """Even where the bytes would verify: what we open beside a stick is our business."""
    real = repo.save(tmp_path / "elsewhere")
    stick = tmp_path / "stick"
    if what == "file":
        repo.save(stick)
        (stick / STAMP).unlink()
        (stick / STAMP).symlink_to(real / STAMP)
    else:
        stick.mkdir()
        (stick / "metadata").symlink_to(real / "metadata")
    known = home.look(Directory(stick, "stick"))
    assert known.freshness is Freshness.NONE
    assert "symbolic link" in known.why


def test_a65_a_pipe_on_a_stick_does_not_hold_up_the_look(home: House, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    os.mkfifo(tmp_path / "metadata" / "2.root.json")
    known = home.look(Directory(tmp_path, "stick"))
    assert "it is no file" in known.why


def test_n00_a_first_look_asks_for_each_file_once(home: House, mirror: Mirror) -> None:
    home.look(mirror.carrier)
    assert len(mirror.asked) == len(set(mirror.asked)) == 11
    assert mirror.asked[:3] == ["metadata/2.root.json", STAMP, "metadata/1.snapshot.json"]


def test_n01_an_endless_timestamp_is_cut_at_16_kib(known_home: House, mirror: Mirror) -> None:
    mirror.fails(STAMP, Endless())
    known = known_home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.LYING_MIRROR]
    assert "exceeding the maximum allowed length of 16384" in known.events[0].text


def test_n02_an_endless_manifest_is_cut_at_its_signed_length(
    known_home: House, mirror: Mirror, repo: Repo
) -> None:
    target = repo.role("stable").targets["stable/acme.bridge/1.0.0.json"]
    path = f"targets/stable/acme.bridge/{target.hashes['sha256']}.1.0.0.json"
    mirror.fails(path, Endless())
    with pytest.raises(
        TrustError, match=f"exceeding the maximum allowed length of {target.length}"
    ):
        known_home.release(mirror.carrier)


@pytest.mark.parametrize("fault", [Drip(0.02), Hang()], ids=["n03-drip", "n04-no-answer"])
def test_n03_n04_a_slow_mirror_has_one_budget_for_everything(
    known_home: House, repo: Repo, mirror: Mirror, fault: Fault
) -> None:
    """A byte now and then keeps stock ngclient reading for ever."""
    repo.restamp(day(2))
    mirror.serves(repo.files)
    mirror.fails(STAMP, fault)
    known_home.budget_s = 0.4
    began_s = time.monotonic()
    known = known_home.look(mirror.carrier, on=2)
    assert time.monotonic() - began_s < 5
    assert (known.events, known.carrier, known.freshness) == ((), "cache", Freshness.FRESH)


def test_n04_the_budget_also_holds_for_the_head_of_an_answer(mirror: Mirror) -> None:
    mirror.fails(STAMP, Hang())
    fetcher = GuardedFetcher(mirror.carrier, 0.2)
    try:
        with pytest.raises(SlowRetrievalError, match="Too slow"):
            fetcher.download_bytes(f"{mirror.carrier.url}/{STAMP}", 100)
    finally:
        fetcher.close()


def test_n05_a_gzip_bomb_is_read_as_it_came(known_home: House, mirror: Mirror) -> None:
    """Nobody asked for packed content, so nothing is ever unpacked: it is garbage of 12 kB."""
    bomb = gzip.compress(bytes(12_000_000))
    assert len(bomb) < 16_384
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mirror.fails(STAMP, Body(bomb))
    known = known_home.look(mirror.carrier, on=2)
    assert "Failed to deserialize" in known.events[0].text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000


@pytest.mark.parametrize(
    ("status", "fresh"),
    [
        pytest.param(500, False, id="n06-500"),
        pytest.param(403, True, id="n07-403"),
        pytest.param(404, True, id="404"),
    ],
)
def test_n06_n07_only_a_missing_root_means_that_there_is_no_newer_one(
    known_home: House, repo: Repo, mirror: Mirror, status: int, fresh: bool
) -> None:
    """A mirror can hide a rotation with 403 or 404: until the timestamp expires, or P14."""
    repo.publish_root()
    repo.restamp(day(2))
    mirror.serves(repo.files)
    mirror.fails("metadata/2.root.json", Status(status))
    known = known_home.look(mirror.carrier, on=2)
    assert (versions(known)["timestamp"] == 2) is fresh
    assert (versions(known)["root"], known.events) == (1, ())
    assert known.carrier == (mirror.carrier.name if fresh else "cache")


@pytest.mark.parametrize("why", ["n08-refused", "n09-certificate"])
def test_n08_n09_who_cannot_be_reached_is_no_answer_and_no_event(
    known_home: House, mirror: Mirror, why: str
) -> None:
    away = Online("https://localhost:1/x") if "refused" in why else Online(mirror.carrier.url)
    known = known_home.look(away, on=2)
    assert (known.events, known.carrier, known.freshness) == ((), "cache", Freshness.FRESH)
    fetcher = GuardedFetcher(away, 5)
    with pytest.raises(DownloadError, match=r"Connection|CERTIFICATE_VERIFY_FAILED"):
        fetcher.download_bytes(f"{away.url}/{STAMP}", 100)
    fetcher.close()


def test_n10_the_systems_certificates_are_those_that_ssl_cert_file_names(
    home: House, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(mirror.server.ca_file))
    assert home.look(Online(mirror.carrier.url)).freshness is Freshness.FRESH


def test_n11_a_document_that_broke_off_is_asked_for_again_from_its_beginning(
    home: House, mirror: Mirror, repo: Repo
) -> None:
    """Documents are small; only images resume."""
    path = repo.path("stable")
    mirror.server.fails(f"{mirror.prefix}/{path}", Cut(100))
    assert home.look(mirror.carrier).freshness is Freshness.NONE
    assert home.look(mirror.carrier).freshness is Freshness.FRESH
    again = [it for it in mirror.server.asked if it.path == f"{mirror.prefix}/{path}"]
    assert [it.range for it in again] == [None, None]


def test_x01_x02_a_stolen_timestamp_key_cannot_fill_the_disk(
    known_home: House, repo: Repo, mirror: Mirror
) -> None:
    """The timestamp says how long the snapshot is; stock ngclient believes it without end."""
    meta = repo.meta["timestamp"].signed.snapshot_meta
    meta.version, meta.length = 2, 10**12
    repo.restamp(day(2))
    mirror.serves(repo.files)
    mirror.fails("metadata/2.snapshot.json", Endless())
    before = mirror.server.sent
    known = known_home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.LYING_MIRROR]
    assert f"maximum allowed length of {fetchers.METADATA_CAP}" in known.events[0].text
    # What is on its way when we hang up lies in the buffers of the sockets.
    assert mirror.server.sent - before < fetchers.METADATA_CAP + 16 * 1024 * 1024
    assert (known.freshness, versions(known)["timestamp"]) == (Freshness.STALE, 1)


def test_x03_x04_a_transport_that_breaks_in_mid_body_is_no_answer(
    known_home: House, repo: Repo, mirror: Mirror
) -> None:
    """Stock ngclient lets urllib3's own errors through here."""
    repo.restamp(day(2))
    mirror.serves(repo.files)
    mirror.fails(STAMP, Cut(100))
    known = known_home.look(mirror.carrier, on=2)
    assert (known.events, known.carrier) == ((), "cache")
    with pytest.raises(DownloadError, match="IncompleteRead"):
        fetched(mirror, STAMP)


@pytest.mark.parametrize("role", ["snapshot", "stable", "halt", "beta"])
def test_x04_a_set_of_which_one_file_does_not_come_takes_nothing_away(
    known_home: House, repo: Repo, mirror: Mirror, role: str
) -> None:
    """Stock ngclient keeps what came so far, and offline that verifies nowhere."""
    repo.publish("stable", "halt", "beta", at=day(2))
    mirror.serves(repo.files)
    mirror.fails(repo.path(role), Status(404))
    known = known_home.look(mirror.carrier, on=2)
    assert (known.freshness, known.carrier, known.events) == (Freshness.FRESH, "cache", ())
    assert {it.version for it in known.roles} == {1}
    assert [it.halt is not None for it in known.channels] == [True, True]


def test_x05_plain_http_is_not_even_asked() -> None:
    fetcher = GuardedFetcher(Online("http://localhost:1"), 5)
    with pytest.raises(DownloadError, match="does not begin with https"):
        fetcher.download_bytes("http://localhost:1/metadata/timestamp.json", 100)
    fetcher.close()


def test_x06_a_role_of_unsaid_length_is_cut_at_5_mb(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror]
) -> None:
    repo = Repo(hashed=False)
    mirror = new_mirror(repo)
    mirror.fails(repo.path("stable"), Body(b" " * 5_200_000))
    home = House(tmp_path, repo.files["metadata/1.root.json"])
    known = home.look(mirror.carrier)
    assert UpdaterConfig().targets_max_length == 5_000_000
    assert "exceeding the maximum allowed length of 5000000" in known.events[0].text


@pytest.fixture
def inner() -> Iterator[HttpsServer]:
    """A host in the local network that nobody named."""
    with HttpsServer() as running:
        yield running


def test_r01_r02_a_redirect_to_a_host_that_nobody_named_is_not_followed(
    known_home: House, mirror: Mirror, inner: HttpsServer
) -> None:
    inner.files["/admin"] = b"{}"
    mirror.fails(STAMP, Redirect(inner.url("/admin")))
    known = known_home.look(mirror.carrier, on=2)
    assert inner.asked == []
    assert kinds(known) == [EventKind.LYING_MIRROR]
    assert f"The host {inner.origin} is not among those" in known.events[0].text
    assert known.freshness is Freshness.STALE


def test_r02_a_redirect_to_a_named_host_is_followed_and_each_hop_is_checked(
    known_home: House, mirror: Mirror, repo: Repo, inner: HttpsServer
) -> None:
    repo.restamp(day(2))
    mirror.serves(repo.files)
    inner.files["/stamp"] = repo.files[STAMP]
    inner.fails("/hop", Redirect(inner.url("/stamp")))
    mirror.fails(STAMP, Redirect(inner.url("/hop")))
    named = Online(mirror.carrier.url, frozenset({inner.origin}), mirror.carrier.cafile)
    known = known_home.look(named, on=2)
    assert [it.path for it in inner.asked] == ["/hop", "/stamp"]
    assert (known.freshness, versions(known)["timestamp"]) == (Freshness.FRESH, 2)


def test_r02_a_chain_of_redirects_ends_after_three(mirror: Mirror) -> None:
    mirror.fails(STAMP, Redirect(f"{mirror.carrier.url}/{STAMP}"))
    before = len(mirror.asked)
    with pytest.raises(RedirectRefusedError, match="once more after 3 redirects"):
        fetched(mirror, STAMP)
    assert len(mirror.asked) - before == 4


def test_any_other_status_than_200_is_no_file(mirror: Mirror) -> None:
    mirror.fails(STAMP, Status(204))
    with pytest.raises(DownloadHTTPError, match="answered with status 204"):
        fetched(mirror, STAMP)


def test_a_certificate_file_that_is_gone_says_so(mirror: Mirror, home: House) -> None:
    known = home.look(Online(mirror.carrier.url, cafile="/nowhere/ca.pem"))
    assert "The certificates /nowhere/ca.pem cannot be read" in known.why


def fetched(mirror: Mirror, path: str) -> bytes:
    fetcher = GuardedFetcher(mirror.carrier, 10)
    try:
        return fetcher.download_bytes(f"{mirror.carrier.url}/{path}", 100_000)
    finally:
        fetcher.close()


def test_a_folder_of_the_maintainers_with_plain_names_is_read_too(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    plain = {}
    for path, data in repo.files.items():
        folder, _, name = path.rpartition("/")
        plain[f"{folder}/{name.removeprefix(f'{sha256(data).hexdigest()}.')}"] = data
    folder = bundle(plain, tmp_path / "bundle")
    assert home.look(folder).freshness is Freshness.FRESH
    assert home.release(folder).version == "1.0.0"
