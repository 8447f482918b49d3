"""Fresh, stale or nothing, as days pass, clocks fail and mirrors lie: rows P01 to P15."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.firmware.trust.models import EventKind, Freshness
from agent.firmware.trust.source import TrustError, TrustPolicy
from tests.firmware.repo import Repo, day
from tests.firmware.trust.house import (
    House,
    Mirror,
    bundle,
    freshness,
    house,
    kinds,
    versions,
)

FRESH, STALE, NONE = Freshness.FRESH, Freshness.STALE, Freshness.NONE


def test_p01_an_online_look_on_day_one_is_fresh(
    home: House, repo: Repo, mirror: Mirror, tmp_path: Path
) -> None:
    image, stick = (bundle(repo, tmp_path / it, it) for it in ("bundle", "stick"))
    known = home.look(image, mirror.carrier, stick)
    assert (known.freshness, known.carrier) == (FRESH, mirror.carrier.name)
    assert [it.as_of for it in known.channels] == [day(1)] * 2


def test_p02_a_bundle_is_fresh_until_it_expires(home: House, repo: Repo, tmp_path: Path) -> None:
    known = home.look(bundle(repo, tmp_path / "bundle"), on=5)
    assert (known.freshness, known.carrier, known.confirmed) == (FRESH, "bundle", None)


def test_p03_three_years_later_the_bundle_still_serves_a_person(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    known = home.look(bundle(repo, tmp_path / "bundle"), on=3 * 365)
    assert (known.freshness, known.carrier) == (STALE, "bundle")
    assert "confirmed last on 1 Oct 2026; what was revoked since then is unknown" in known.why
    assert [it.as_of for it in known.channels] == [day(0)] * 2
    assert [it.halt.paused for it in known.channels if it.halt] == [True, True]
    assert home.release(bundle(repo, tmp_path / "bundle"), on=3 * 365).version == "1.0.0"


def test_p04_after_a_year_offline_the_cache_counts_and_not_the_older_bundle(
    home: House, repo: Repo, mirror: Mirror, tmp_path: Path
) -> None:
    old = bundle(repo, tmp_path / "bundle")
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(39))
    mirror.serves(repo.files)
    assert home.look(old, mirror.carrier, on=40).freshness is FRESH
    mirror.goes_away()
    known = home.look(old, mirror.carrier, on=400)
    assert (known.freshness, known.carrier, known.events) == (STALE, "cache", ())
    assert versions(known)["stable"] == 2
    assert known.confirmed == day(40)


def test_p05_a_mirror_that_serves_what_has_expired_is_an_event_and_never_offline(
    home: House, repo: Repo, mirror: Mirror, tmp_path: Path
) -> None:
    home.look(mirror.carrier)
    known = home.look(bundle(repo, tmp_path / "bundle"), mirror.carrier, on=30)
    assert (known.freshness, kinds(known)) == (STALE, [EventKind.LYING_MIRROR])
    assert "What it delivers has expired (timestamp)" in known.events[0].text
    assert known.confirmed == day(1)


def test_p05_a_wrong_answer_makes_even_what_has_not_expired_stale(
    home: House, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    mirror.puts("metadata/timestamp.json", b"{}")
    known = home.look(mirror.carrier, on=2)
    assert freshness(known) == {"stable": STALE, "beta": STALE}
    assert "answered wrongly and nobody else rightly" in known.why
    mirror.goes_away()
    assert home.look(mirror.carrier, on=2).freshness is FRESH


def test_p06_a_clock_in_1970_is_no_time_at_all(home: House, mirror: Mirror) -> None:
    known = home.look(mirror.carrier, on=-20_000)
    assert (known.freshness, known.carrier) == (STALE, mirror.carrier.name)
    assert kinds(known) == [EventKind.CLOCK_BEHIND]
    assert "Set the clock of this machine" in known.why
    assert known.confirmed == day(0)


def test_p07_a_clock_set_back_revives_nothing(home: House, repo: Repo, mirror: Mirror) -> None:
    repo.restamp(day(9))
    mirror.serves(repo.files)
    assert home.look(mirror.carrier, on=29).freshness is FRESH
    assert home.look(on=31).freshness is STALE
    known = home.look(on=10)
    assert (known.freshness, kinds(known)) == (STALE, [EventKind.CLOCK_BEHIND])
    assert "2026-10-30 00:00 has passed already" in known.why


def test_p08_a_changed_bundle_is_nothing_and_the_person_is_told_what_to_do(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    changed = dict(repo.files)
    changed["metadata/1.stable.json"] = changed["metadata/1.stable.json"].replace(
        b"1.0.0", b"6.6.6"
    )
    folder = bundle(changed, tmp_path / "bundle")
    known = home.look(folder)
    assert (known.freshness, known.channels) == (NONE, ())
    assert "bundle brought nothing that holds" in known.why
    assert "bring a newer bundle on a USB stick" in known.why
    assert kinds(known) == [EventKind.LYING_MIRROR]
    with pytest.raises(TrustError, match="cannot be verified"):
        home.release(folder)


def test_p09_a_newer_stick_makes_it_fresh_and_moves_no_floor(
    home: House, repo: Repo, tmp_path: Path
) -> None:
    image = bundle(repo, tmp_path / "bundle")
    repo.release("stable", "1.1.0")
    repo.publish("stable", at=day(99))
    known = home.look(image, bundle(repo, tmp_path / "usb", "stick"), on=100)
    assert (known.freshness, known.carrier, known.confirmed) == (FRESH, "stick", None)
    known = home.look(image, on=50)
    assert (known.freshness, kinds(known), versions(known)["stable"]) == (FRESH, [], 2)


def test_p10_a_stick_that_expired_before_the_last_look_is_left_aside(
    home: House, repo: Repo, mirror: Mirror, tmp_path: Path
) -> None:
    repo.publish("stable", at=day(35))
    mirror.serves(repo.files)
    home.look(mirror.carrier, on=50)
    repo.restamp(day(36), days=5)
    known = home.look(bundle(repo, tmp_path / "usb", "stick"), on=80)
    assert (known.freshness, known.carrier, known.events) == (STALE, "cache", ())
    assert versions(known)["timestamp"] == 2


def test_p11_a_key_revoked_upstream_is_trusted_offline_and_dropped_by_the_next_look(
    home: House, repo: Repo, mirror: Mirror, tmp_path: Path
) -> None:
    """The stated limit of being offline."""
    image = bundle(repo, tmp_path / "bundle")
    home.look(image)
    repo.root.roles["timestamp"].keyids = []
    repo.signers["timestamp"] = repo.signers["snapshot"]
    repo.trust("timestamp", repo.signers["timestamp"])
    repo.publish_root(at=day(30))
    repo.publish("stable")
    assert home.look(image, on=31).freshness is STALE
    mirror.serves(repo.files)
    known = home.look(image, mirror.carrier, on=31)
    assert (known.freshness, versions(known)["root"], versions(known)["stable"]) == (FRESH, 2, 2)
    assert known.events == ()


def test_p12_a_new_house_refuses_a_mirror_older_than_its_own_image(
    home: House, repo: Repo, new_mirror: Callable[[Repo], Mirror], tmp_path: Path
) -> None:
    mirror = new_mirror(repo)
    repo.publish("stable", at=day(1))
    known = home.look(bundle(repo, tmp_path / "bundle"), mirror.carrier, on=2)
    assert (known.freshness, known.carrier) == (STALE, "bundle")
    assert kinds(known) == [EventKind.ROLLBACK]


def test_p13_one_mirror_lies_and_the_next_is_honest(
    home: House, repo: Repo, mirror: Mirror, new_mirror: Callable[[Repo], Mirror]
) -> None:
    liar = new_mirror(repo)
    liar.puts("metadata/timestamp.json", b"{}")
    spare = new_mirror(repo)
    known = home.look(liar.carrier, mirror.carrier, spare.carrier)
    assert (known.freshness, known.carrier) == (FRESH, mirror.carrier.name)
    assert [it.carrier for it in known.events] == [liar.carrier.name]
    assert spare.asked == []


def test_p14_a_stolen_timestamp_key_freezes_no_longer_than_the_channel_lives(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    for on, expected in ((300, FRESH), (370, STALE)):
        repo.restamp(day(on))
        mirror.serves(repo.files)
        known = home.look(mirror.carrier, on=on)
        assert freshness(known)["stable"] is expected
    assert "The signatures of" in known.why
    # A person can still rely on the last day on which the channel held, and on no later one.
    assert home.release(mirror.carrier, on=371).version == "1.0.0"


@pytest.mark.parametrize("again", [0, 1])
def test_p15_an_expired_channel_is_found_though_the_refresh_is_fresh(
    home: House, repo: Repo, mirror: Mirror, again: int
) -> None:
    """And it stays stale: looks that succeed but for it must not take its last good day away."""
    repo.publish("stable", days={"stable": 30})
    mirror.serves(repo.files)
    assert home.look(mirror.carrier, on=15).freshness is FRESH
    for on in (35, 60)[: again + 1]:
        repo.restamp(day(on))
        mirror.serves(repo.files)
        known = home.look(mirror.carrier, on=on)
    assert freshness(known) == {"stable": STALE, "beta": FRESH}
    assert (known.freshness, known.events, known.confirmed) == (STALE, (), day(on))


def test_a_clock_that_runs_ahead_cannot_push_the_floor(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    home.look(mirror.carrier)
    assert home.look(mirror.carrier, on=20_000).freshness is STALE
    repo.restamp(day(2))
    mirror.serves(repo.files)
    known = home.look(mirror.carrier, on=2)
    assert (known.freshness, known.confirmed, kinds(known)) == (FRESH, day(2), [])


def test_an_expired_halt_is_pulled_and_what_it_revoked_stays_revoked(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    repo.halt("stable", paused=False, revoked=["e" * 64])
    repo.publish("halt", days={"halt": 30})
    mirror.serves(repo.files)
    home.look(mirror.carrier, on=15)
    repo.restamp(day(40))
    mirror.serves(repo.files)
    stable = home.look(mirror.carrier, on=41).channels[0]
    assert stable.freshness is FRESH
    assert stable.halt
    assert (stable.halt.paused, stable.halt.revoked) == (True, {"e" * 64})
    assert "the signatures of the halt role expired on 31 Oct 2026" in stable.halt.reason


PURPOSE = "DEVELOPMENT ONLY: everybody has the keys"


def test_a_root_for_development_is_refused_unless_a_test_bench_allows_it(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror]
) -> None:
    repo = Repo(purpose=PURPOSE)
    home, mirror = house(tmp_path, repo), new_mirror(repo)
    known = home.look(mirror.carrier)
    assert (known.freshness, known.development, known.channels) == (NONE, True, ())
    assert "is for development only" in known.why
    assert mirror.asked == []
    bench = replace(home, policy=TrustPolicy(allow_development_root=True))
    known = bench.look(mirror.carrier)
    assert (known.freshness, known.development) == (FRESH, True)
    assert bench.release(mirror.carrier).version == "1.0.0"
    with pytest.raises(TrustError, match="is for development only"):
        home.release(mirror.carrier)


def test_a_root_for_development_stays_one_though_its_successor_denies_it(
    tmp_path: Path, new_mirror: Callable[[Repo], Mirror]
) -> None:
    """Everybody has its keys, so everybody can sign a successor."""
    repo = Repo(purpose=PURPOSE)
    home = replace(house(tmp_path, repo), policy=TrustPolicy(allow_development_root=True))
    repo.root.unrecognized_fields.clear()
    repo.publish_root()
    mirror = new_mirror(repo)
    known = home.look(mirror.carrier)
    assert (versions(known)["root"], known.development) == (2, True)
    honest = replace(home, policy=TrustPolicy())
    with pytest.raises(TrustError, match="is for development only"):
        honest.release(mirror.carrier)


def test_a_root_that_becomes_one_for_development_is_refused_from_then_on(
    home: House, repo: Repo, mirror: Mirror
) -> None:
    assert home.look(mirror.carrier).freshness is FRESH
    repo.root.unrecognized_fields["x-pv-edge-purpose"] = PURPOSE
    repo.publish_root()
    mirror.serves(repo.files)
    assert home.look(mirror.carrier).freshness is NONE


def test_a_root_that_is_none_says_so(home: House) -> None:
    known = replace(home, root=b"{}").look()
    assert (known.freshness, known.why[:35]) == (NONE, "The root of this source cannot be r")
