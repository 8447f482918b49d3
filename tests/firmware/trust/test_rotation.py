"""Keys change hands, roles change places: rows A40 to A53."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.firmware.trust.models import EventKind, Freshness
from agent.firmware.trust.source import TrustError
from tests.firmware.repo import Repo, day, keys
from tests.firmware.trust.house import House, Mirror, freshness, house, kinds, versions

FAR = 2**31


def rotate(repo: Repo, role: str, generation: int = 1, *, publish: bool = True) -> None:
    """Let new keys sign a top-level role from the next root on."""
    old = repo.signers[role]
    repo.signers[role] = keys(role, generation)
    repo.trust(role, repo.signers[role])
    if publish:
        repo.publish_root(*(old if role == "root" else ()))


def test_a40_a_house_walks_from_root_to_root_and_then_refuses_the_old_keys(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    rotate(repo, "root", 1)
    rotate(repo, "root", 2)
    mirror.serves(repo.files)
    known = home.look(mirror.carrier)
    assert (known.freshness, versions(known)["root"]) == (Freshness.FRESH, 3)
    repo.signers["root"] = keys("root", 0)
    repo.publish_root()
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.WRONG_SIGNATURE]
    assert "root was signed by 0/2 keys" in known.events[0].text
    assert versions(known)["root"] == 3


@pytest.mark.parametrize(
    "signing",
    [pytest.param(1, id="a41-new-keys-only"), pytest.param(0, id="a42-old-keys-only")],
)
def test_a41_a42_a_new_root_needs_the_old_keys_and_its_own(
    home: House, repo: Repo, mirror: Mirror, signing: int
) -> None:
    home.look(mirror.carrier)
    repo.trust("root", keys("root", 1))
    repo.signers["root"] = keys("root", signing)
    repo.publish_root()
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.WRONG_SIGNATURE]
    assert "root was signed by 0/2 keys" in known.events[0].text
    assert (known.freshness, versions(known)["root"]) == (Freshness.STALE, 1)


def test_a43_a_root_cannot_leave_a_version_out(home: House, repo: Repo, mirror: Mirror) -> None:
    repo.root.version = 2
    repo.publish_root()
    mirror.serves(repo.files)
    mirror.puts("metadata/2.root.json", repo.files["metadata/3.root.json"])
    known = home.look(mirror.carrier)
    assert kinds(known) == [EventKind.ROLLBACK]
    assert "Expected root version 2 instead got version 3" in known.events[0].text


def test_a44_a_revoked_timestamp_key_signs_nothing_any_more(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    rotate(repo, "timestamp")
    repo.signers["timestamp"] = keys("timestamp", 0)
    repo.restamp(day(2))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.WRONG_SIGNATURE]
    assert "timestamp was signed by 0/1 keys" in known.events[0].text


def test_a45_after_a_fast_forward_a_new_timestamp_key_begins_low_again(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    stamp = repo.meta["timestamp"].signed
    stamp.version = FAR
    repo.restamp(day(2))
    mirror.serves(repo.files)
    assert versions(home.look(mirror.carrier, on=2))["timestamp"] == FAR + 1
    stamp.version = 2
    repo.restamp(day(3))
    mirror.serves(repo.files)
    assert kinds(home.look(mirror.carrier, on=3)) == [EventKind.ROLLBACK]
    rotate(repo, "timestamp")
    repo.restamp(day(4))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=4)
    assert (known.freshness, versions(known)["timestamp"]) == (Freshness.FRESH, 4)


def test_a46_a_fast_forwarded_channel_is_not_taken_so_the_house_never_gets_stuck(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    """Stock ngclient keeps such a snapshot, and needs both online keys rotated to recover."""
    home.look(mirror.carrier)
    honest = repo.meta["snapshot"].to_bytes()
    repo.meta["snapshot"].signed.meta["stable.json"].version = FAR
    repo.meta["stable"].signed.version = FAR
    repo.files[repo.path("stable")] = repo.files["metadata/1.stable.json"]
    repo.seal()
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.ROLLBACK]
    assert f"Expected stable v{FAR}, got v1" in known.events[0].text
    repo.meta["snapshot"] = type(repo.meta["snapshot"]).from_bytes(honest)
    repo.meta["stable"].signed.version = 1
    repo.publish("stable", at=day(3))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=3)
    assert (known.freshness, versions(known)["stable"]) == (Freshness.FRESH, 2)


def test_a47_a_channel_whose_keys_were_revoked_is_dropped_at_once_also_offline(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    repo.delegate("stable", keys("stable", 1))
    repo.publish("targets", at=day(2))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert freshness(known) == {"stable": Freshness.NONE, "beta": Freshness.FRESH}
    assert "stable was signed by 0/2 keys" in known.why
    assert freshness(home.look(on=3)) == {"stable": Freshness.NONE, "beta": Freshness.FRESH}
    with pytest.raises(TrustError, match="Nothing is known of channel stable"):
        home.release(on=3)
    repo.signers["stable"] = keys("stable", 1)
    repo.publish("stable", at=day(4))
    mirror.serves(repo.files)
    assert home.look(mirror.carrier, on=4).freshness is Freshness.FRESH


@pytest.mark.parametrize("hashed", [True, False], ids=["hashes", "no-hashes"])
@pytest.mark.parametrize(
    ("served_as", "body", "said"),
    [
        pytest.param("2.stable", "3.stable", "Expected stable v2, got v3", id="a50-newer-body"),
        pytest.param("2.stable", "1.stable", "Expected stable v2, got v1", id="a51-older-body"),
        pytest.param("2.stable", "1.beta", "stable was signed by 0/2 keys", id="a52-other-role"),
    ],
)
def test_a50_a51_a52_parts_of_different_sets_do_not_mix(
    tmp_path: Path,
    new_mirror: Callable[[Repo], Mirror],
    hashed: bool,
    served_as: str,
    body: str,
    said: str,
) -> None:
    repo = Repo(hashed=hashed)
    home, mirror = house(tmp_path, repo), new_mirror(repo)
    home.look(mirror.carrier)
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    second = dict(repo.files)
    repo.publish("stable", at=day(2))
    mirror.serves(second)
    mirror.puts(f"metadata/{served_as}.json", repo.files[f"metadata/{body}.json"])
    known = home.look(mirror.carrier, on=2)
    assert len(known.events) == 1
    wrong_bytes = ("does not match", "exceeding the maximum")
    assert any(it in known.events[0].text for it in (wrong_bytes if hashed else (said,)))
    assert (known.freshness, versions(known)["stable"]) == (Freshness.STALE, 1)


def test_a53_with_the_same_keys_for_two_channels_one_can_stand_in_for_the_other(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror]
) -> None:
    """
    The role's name is not inside its signed body, so the publisher's lint forbids shared keys.

    A house at least never takes what the one channel signed for the other: stable is just gone.
    """
    repo = Repo(hashed=False)
    repo.delegate("beta", keys("stable"))
    repo.signers["beta"] = keys("stable")
    repo.publish("targets", "stable", "beta")
    home, mirror = house(tmp_path, repo), new_mirror(repo)
    mirror.puts("metadata/2.stable.json", repo.files["metadata/2.beta.json"])
    known = home.look(mirror.carrier)
    assert freshness(known) == {"beta": Freshness.FRESH}
    with pytest.raises(TrustError, match="does not offer it"):
        home.release(mirror.carrier)
