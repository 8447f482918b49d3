"""What somebody with a mirror, or with a stolen key, can do to a house: rows A00 to A34."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from agent.firmware.trust.models import EventKind, Freshness, SourceKnowledge
from agent.firmware.trust.source import TrustError
from tests.firmware.https import Claims
from tests.firmware.repo import PROJECT, Repo, day, key, keys
from tests.firmware.trust.house import (
    House,
    Mirror,
    bundle,
    freshness,
    house,
    kinds,
)

MANIFEST = f"stable/{PROJECT}/1.0.0.json"


def latest(known: SourceKnowledge, channel: str = "stable") -> str:
    found = next(it for it in known.channels if it.name == channel)
    assert found.channel
    return found.channel.projects[PROJECT].latest


def refused(known: SourceKnowledge, kind: EventKind, text: str) -> None:
    """The answer was thrown away, said so, and what was known before is only stale now."""
    assert kinds(known) == [kind]
    assert text in known.events[0].text
    assert known.freshness is Freshness.STALE
    assert "answered wrongly" in known.why
    assert latest(known) == "1.0.0"


def manifest_at(repo: Repo) -> str:
    digest = repo.role("stable").targets[MANIFEST].hashes["sha256"]
    return f"targets/stable/{PROJECT}/{digest}.1.0.0.json"


def test_a00_an_honest_mirror_is_believed_and_its_release_can_be_had(
    home: House, mirror: Mirror
) -> None:
    known = home.look(mirror.carrier)
    assert (known.freshness, known.why, known.events) == (Freshness.FRESH, "", ())
    assert freshness(known) == {"stable": Freshness.FRESH, "beta": Freshness.FRESH}
    assert known.carrier == mirror.carrier.name
    assert known.confirmed == day(1)
    assert known.root_sha256 == sha256(home.root).hexdigest()
    found = home.release(mirror.carrier)
    assert (found.project, found.version) == (PROJECT, "1.0.0")


def test_a00_what_was_looked_at_once_needs_two_requests_and_no_disk(
    home: House, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    before = (home.place / "current").readlink()
    asked = len(mirror.asked)
    home.look(mirror.carrier)
    assert mirror.asked[asked:] == ["metadata/2.root.json", "metadata/timestamp.json"]
    assert (home.place / "current").readlink() == before


def flipped(data: bytes) -> bytes:
    return data.replace(b'"notes"', b'"notez"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(flipped, "does not match", id="a01-one-word-changed"),
        pytest.param(lambda it: it[:-1], "does not match expected length", id="a02-truncated"),
        pytest.param(lambda it: it + b" ", "exceeding the maximum", id="a03-longer"),
    ],
)
def test_a01_a02_a03_a04_a_changed_manifest_is_refused_and_leaves_nothing(
    home: House, repo: Repo, mirror: Mirror, change: Callable[[bytes], bytes], said: str
) -> None:
    home.look(mirror.carrier)
    kept = sorted((home.place / "documents").iterdir())
    path = manifest_at(repo)
    honest = repo.files[path]
    mirror.puts(path, change(honest))
    with pytest.raises(TrustError, match=said):
        home.release(mirror.carrier)
    assert sorted((home.place / "documents").iterdir()) == kept
    mirror.puts(path, honest)
    assert home.release(mirror.carrier).version == "1.0.0"


def test_a05_an_edited_role_differs_from_the_hash_in_the_snapshot(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    mirror.serves(repo.files)
    mirror.puts(repo.path("stable"), repo.files[repo.path("stable")].replace(b"1.1.0", b"1.9.0"))
    refused(home.look(mirror.carrier, on=2), EventKind.LYING_MIRROR, "does not match")


def test_a06_without_hashes_in_the_snapshot_the_signature_catches_it(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror]
) -> None:
    repo = Repo(hashed=False)
    home, mirror = house(tmp_path, repo), new_mirror(repo)
    home.look(mirror.carrier)
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    mirror.serves(repo.files)
    mirror.puts(repo.path("stable"), repo.files[repo.path("stable")].replace(b"1.1.0", b"1.9.0"))
    refused(home.look(mirror.carrier, on=2), EventKind.WRONG_SIGNATURE, "signed by 0/2 keys")


def test_a07_an_edited_timestamp_is_signed_by_nobody(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    repo.restamp(day(2))
    later = repo.files["metadata/timestamp.json"].replace(b"2026-10", b"2036-10")
    mirror.puts("metadata/timestamp.json", later)
    refused(home.look(mirror.carrier, on=2), EventKind.WRONG_SIGNATURE, "signed by 0/1 keys")


def test_a08_a_role_longer_than_the_snapshot_says_is_not_read_to_its_end(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    mirror.serves(repo.files)
    longer = json.loads(repo.files[repo.path("stable")])
    longer["signed"]["targets"][MANIFEST]["custom"] = {"more": "than was signed" * 9}
    mirror.puts(repo.path("stable"), json.dumps(longer, indent=1).encode() + b" " * 4000)
    refused(home.look(mirror.carrier, on=2), EventKind.LYING_MIRROR, "exceeding the maximum")


def test_a10_an_older_timestamp_is_a_rollback(home: House, repo: Repo, mirror: Mirror) -> None:
    old = dict(repo.files)
    repo.release("stable", "1.1.0")
    repo.publish("stable")
    mirror.serves(repo.files)
    home.look(mirror.carrier)
    mirror.serves(old)
    known = home.look(mirror.carrier, on=2)
    assert kinds(known) == [EventKind.ROLLBACK]
    assert "timestamp version 1 must be >= 2" in known.events[0].text
    assert (known.freshness, latest(known)) == (Freshness.STALE, "1.1.0")


def test_a11_a_stolen_timestamp_key_cannot_bring_back_an_older_snapshot(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    older = repo.meta["timestamp"].signed.snapshot_meta
    repo.publish("stable")
    mirror.serves(repo.files)
    home.look(mirror.carrier)
    repo.meta["timestamp"].signed.snapshot_meta = older
    repo.restamp()
    mirror.serves(repo.files)
    refused(home.look(mirror.carrier, on=2), EventKind.ROLLBACK, "snapshot version must be >= 2")


def test_a12_stolen_online_keys_cannot_bring_back_an_older_channel(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    older = repo.meta["snapshot"].signed.meta["stable.json"]
    repo.publish("stable")
    mirror.serves(repo.files)
    home.look(mirror.carrier)
    stolen_online_keys(repo, lambda meta: meta.__setitem__("stable.json", older))
    mirror.serves(repo.files)
    refused(home.look(mirror.carrier, on=2), EventKind.ROLLBACK, "stable.json version 1, got 2")


def test_a13_stolen_online_keys_cannot_drop_a_channel(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    stolen_online_keys(repo, lambda meta: meta.pop("beta.json"))
    mirror.serves(repo.files)
    refused(home.look(mirror.carrier, on=2), EventKind.ROLLBACK, "missing info for 'beta.json'")


def stolen_online_keys(repo: Repo, change: Callable[[dict[str, object]], object]) -> None:
    """Sign the next snapshot with other contents, and a timestamp that names it."""
    snapshot = repo.meta["snapshot"].signed
    change(snapshot.meta)
    snapshot.version += 1
    data = repo.files[repo.path("snapshot")] = repo.sign("snapshot")
    meta = repo.meta["timestamp"].signed.snapshot_meta
    meta.version, meta.length, meta.hashes = snapshot.version, len(data), {}
    meta.hashes = {"sha256": sha256(data).hexdigest()}
    repo.restamp()


@pytest.mark.parametrize(
    "role",
    [
        pytest.param("timestamp", id="a20"),
        pytest.param("snapshot", id="a21"),
        pytest.param("targets", id="a22"),
        pytest.param("root", id="a24"),
    ],
)
def test_a20_a21_a22_a24_one_expired_role_of_all_is_a_freeze(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror], role: str
) -> None:
    """The publisher's robot goes on, one role is let die: nothing is fresh, nothing is lost."""
    repo = Repo()
    home, mirror = house(tmp_path, repo), new_mirror(repo)
    if role == "root":
        repo.meta["root"].signed.expires = day(30)
        repo.files[repo.path("root")] = home.root = repo.sign("root")
    repo.publish("stable", "beta", "targets", days={role: 30, "timestamp": 25})
    mirror.serves(repo.files)
    assert home.look(mirror.carrier, on=20).freshness is Freshness.FRESH
    if role != "timestamp":
        repo.restamp(day(24))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=40)
    assert freshness(known) == {"stable": Freshness.STALE, "beta": Freshness.STALE}
    assert f"The signatures of {role} expired on" in known.why
    assert "This was confirmed last on 21 Oct 2026" in known.why
    assert kinds(known) == [EventKind.LYING_MIRROR]
    assert f"has expired ({'timestamp' if role == 'timestamp' else role}" in known.events[0].text


def test_a23_a25_an_expired_channel_is_stale_and_takes_no_other_with_it(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier, on=100)
    repo.publish(at=day(200))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=201)
    assert freshness(known) == {"stable": Freshness.FRESH, "beta": Freshness.STALE}
    assert known.freshness is Freshness.STALE
    assert "The signatures of beta expired on 30 Mar 2027" in known.why
    assert known.events == ()


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        pytest.param(keys("stable")[:1], "1/2 keys", id="a30-one-of-two"),
        pytest.param([keys("stable")[0], key("somebody")], "1/2 keys", id="a31-a-key-of-nobody"),
        pytest.param([], "0/2 keys", id="unsigned"),
    ],
)
def test_a30_a31_a_channel_below_its_threshold_does_not_replace_the_one_before(
    home: House, repo: Repo, mirror: Mirror, signers: Sequence[object], said: str
) -> None:
    """Whoever holds the online keys can name it in the snapshot; that must not cost the old one."""
    home.look(mirror.carrier)
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(2))
    repo.files[repo.path("stable")] = repo.sign("stable", signers)  # type: ignore[arg-type]
    repo.seal()
    mirror.serves(repo.files)
    refused(home.look(mirror.carrier, on=2), EventKind.WRONG_SIGNATURE, said)
    assert home.release(mirror.carrier, on=2).version == "1.0.0"


def test_a30_in_a_new_house_a_channel_below_its_threshold_is_nothing(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    repo.files[repo.path("stable")] = repo.sign("stable", keys("stable")[:1])
    repo.seal()
    mirror.serves(repo.files)
    known = home.look(mirror.carrier)
    assert freshness(known) == {"stable": Freshness.NONE, "beta": Freshness.FRESH}
    assert "The channel stable cannot be used: stable was signed by 1/2 keys" in known.why
    with pytest.raises(TrustError, match="Nothing is known of channel stable"):
        home.release(mirror.carrier)


def test_a31_the_same_signature_under_a_second_key_id_counts_once(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    repo.release("stable", "1.1.0")
    repo.publish("stable")
    forged = json.loads(repo.sign("stable", keys("stable")[:1]))
    other = keys("stable")[1].public_key.keyid
    forged["signatures"].append({"keyid": other, "sig": forged["signatures"][0]["sig"]})
    repo.files[repo.path("stable")] = json.dumps(forged).encode()
    repo.seal()
    mirror.serves(repo.files)
    known = home.look(mirror.carrier)
    assert freshness(known)["stable"] is Freshness.NONE
    assert "1/2 keys" in known.why


def test_a32_one_key_under_two_key_ids_counts_twice_so_only_the_publishers_lint_can_see_it(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    """Known limit of python-tuf, and allowed by the specification: ids are unique, not keys."""
    one = keys("stable")[0]
    twin = type(one.public_key).from_dict("f" * 64, one.public_key.to_dict())
    assert repo.targets.delegations
    repo.targets.add_key(twin, "stable")
    repo.publish("targets")
    signed = json.loads(repo.sign("stable", [one]))
    signed["signatures"].append({"keyid": "f" * 64, "sig": signed["signatures"][0]["sig"]})
    repo.files[repo.path("stable")] = json.dumps(signed).encode()
    repo.seal()
    mirror.serves(repo.files)
    assert freshness(home.look(mirror.carrier))["stable"] is Freshness.FRESH


def test_a33_beta_keys_cannot_add_a_release_to_stable(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    path = f"stable/{PROJECT}/6.6.6.json"
    repo.put("beta", path, repo.files[manifest_at(repo)])
    repo.publish("beta")
    mirror.serves(repo.files)
    assert home.look(mirror.carrier).freshness is Freshness.FRESH
    with pytest.raises(TrustError, match=r"has no acme.bridge 6\.6\.6"):
        home.release(mirror.carrier, version="6.6.6")


def test_a34_beta_keys_cannot_replace_a_release_of_stable(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    honest = repo.files[manifest_at(repo)]
    evil = honest.replace(b"Keeps the lease", b"Drops the lease")
    assert evil != honest
    repo.put("beta", MANIFEST, evil)
    repo.put("beta", "stable/channel.json", {"schema": 1, "projects": {}})
    repo.publish("beta")
    mirror.serves(repo.files)
    assert latest(home.look(mirror.carrier)) == "1.0.0"
    assert "Keeps the lease" in home.release(mirror.carrier).notes


def test_the_manifest_itself_has_to_say_what_its_channel_says(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    other = json.loads(repo.files[manifest_at(repo)]) | {"rollback_index": 9}
    repo.put("stable", MANIFEST, other)
    repo.publish("stable")
    mirror.serves(repo.files)
    home.look(mirror.carrier)
    with pytest.raises(TrustError, match="rollback index is 9, the channel says 3"):
        home.release(mirror.carrier)


def test_a_halt_that_cannot_be_had_leaves_the_channel_without_its_brake(
    tmp_path: Path, home: House, repo: Repo
) -> None:
    """No halt where there should be one counts as paused; `brakes_of` says so."""
    without = {path: data for path, data in repo.files.items() if "halt" not in path}
    known = home.look(bundle(without, tmp_path / "bundle"))
    assert [(it.halt, it.halt_role) for it in known.channels] == [(None, True)] * 2
    assert known.freshness is Freshness.FRESH


def test_a_length_that_is_not_the_files_is_no_answer(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    repo.restamp(day(2))
    mirror.serves(repo.files)
    mirror.fails("metadata/timestamp.json", Claims(9000))
    known = home.look(mirror.carrier, on=2)
    assert (known.events, known.carrier) == ((), "cache")
