"""The agent knows releases: bundle first, mirrors after, and a wrong answer is never no answer."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from agent.firmware.policy.models import Ack
from agent.firmware.trust.models import Freshness
from agent.fleet.evidence import Around, evidence_of
from agent.fleet.gate_models import GateId, Result, Rules
from agent.fleet.gates import NO_RELEASE, judge
from agent.fleet.identity import Mac
from agent.releases.offers import gate_release
from agent.surface.release_view import Standing, confirmed_words
from tests.firmware.https import HttpsServer
from tests.firmware.repo import PROJECT, Repo, day, keys
from tests.fleet.devices import mac
from tests.releases.scene import archive, bridge, scene

FRESH, STALE, NONE = Freshness


async def test_the_bundle_is_known_at_once_and_a_mirror_tells_what_is_newer(tmp_path: Path) -> None:
    """And a mirror that lies afterwards is an alarm until a good look."""
    with HttpsServer() as server:
        async with scene(tmp_path, ca_file=str(server.ca_file)) as it:
            it.repo.release("stable", "1.1.0", hw=[], rollback_index=4)
            it.repo.publish("stable", at=day(1))
            it.serve(server)
            server.files = {f"/pv{path}": data for path, data in server.files.items()}
            async with it.running():
                await it.until(lambda: it.offer().latest == "1.0.0")
                first = it.service.trust.sources[0]
                assert (first.freshness, first.carrier) == (FRESH, "the bundle of the app")
                assert server.asked == []
                await it.store.update({"releases.mirrors": server.url("/pv")}, "test")
                await it.until(lambda: it.offer().latest == "1.1.0" and not it.service.looking)
                known = it.service.trust.sources[0]
                assert known.confirmed == day(1)
                offer = it.offer()
                assert (offer.standing, offer.floor) == (Standing.UPDATE, 3)
                assert offer.decision
                assert offer.decision.allowed

                stranger = it.repo.sign("timestamp", keys("timestamp", generation=9))
                good = server.files["/pv/metadata/timestamp.json"]
                server.files["/pv/metadata/timestamp.json"] = stranger
                told = await it.service.look()
                assert told.startswith("official: stale.")
                (note,) = it.service.notifications().values()
                assert "A Signature Is Wrong" in note.title
                assert "localhost" in note.message
                assert it.offer().decision
                assert it.offer().decision.missing == {Ack.STALE}  # type: ignore[union-attr]
                server.files["/pv/metadata/timestamp.json"] = good
                assert await it.service.look() == "official: fresh."
                assert it.service.notifications() == {}
            asked = len(server.asked)
            it.begin()
            async with it.running():
                await it.until(lambda: len(server.asked) > asked and not it.service.looking)
            looked = await it.events("releases_looked")
            states = [each.data["freshness"] for each in looked]
            assert states[:4] == ["fresh", "fresh", "stale", "fresh"]
            (alarm,) = await it.events("releases_alarm")
            assert (alarm.data["of"], alarm.data["source"]) == ("wrong_signature", "official")
            (floor,) = await it.events("release_floor")
            assert floor.data["floors"] == {PROJECT: 3}


async def test_a_house_without_the_internet_goes_stale_and_says_since_when(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        await it.service.look()
        assert it.service.trust.state is FRESH
        it.now = day(400)
        assert "expired on 22 Oct 2026" in await it.service.look()
        (known,) = it.service.trust.sources
        assert known.freshness is STALE
        assert it.service.trust.stale_since["official"] == day(21)
        assert confirmed_words(known) == (
            "Last confirmed 1 Oct 2026, revocations since then are unknown here."
        )
        shown = it.rooms.desk.shown()
        assert (shown["state"], shown["sources"][0]["words"]) == ("stale", confirmed_words(known))
        assert "No mirror is set" in shown["hint"]
        refused = {each["code"]: each for each in shown["bridges"][0]["refusals"]}
        assert refused["stale-metadata"]["ack"] == "ack_stale"
        before = await it.events("releases_looked")
        await it.service.look()
        assert await it.events("releases_looked") == before  # it has changed nothing
        newer = Repo()
        newer.release("stable", "1.1.0")
        newer.publish("stable", "beta", "halt", "targets", at=day(399))
        told = await it.rooms.desk.take_bundle(archive(newer.files), "Ann")
        assert told.endswith("official: fresh.")
        assert it.service.trust.sources[0].carrier == "the bundle that was uploaded"


async def test_a_restored_backup_lowers_no_floor_below_what_the_bridge_itself_says(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        it.repo.release("stable", "1.1.0", rollback_index=5)
        it.repo.publish("stable")
        it.repo.save(tmp_path / "bundle")
        it.fleet = bridge(project_version="1.1.0")
        await it.service.look()
        backup = {"alarms": [], "since": {}, "floors": {mac(1): {PROJECT: 1}}}
        await it.journal.save_state("releases", backup, it.now)
        it.begin()
        async with it.running():
            await it.until(lambda: it.service.shelves and it.offer().latest)
            assert it.offer().floor == 5
        told = (await it.events("release_floor"))[-1]
        assert told.data["floors"] == {PROJECT: 5}, "and the journal knows it again"


async def test_what_a_bridge_ran_counts_after_a_restart_and_though_it_says_something_else(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        it.repo.release("stable", "1.1.0", rollback_index=5)
        it.repo.publish("stable")
        it.repo.save(tmp_path / "bundle")
        it.fleet = bridge(project_version="1.1.0")
        await it.service.look()
        assert it.offer().standing is Standing.CURRENT
        it.begin()
        it.fleet = bridge(project_version="0.9.0")
        async with it.running():
            await it.until(lambda: it.service.shelves and it.offer().latest)
            assert it.offer().floor == 5
        assert len(await it.events("release_floor")) == 1


async def test_a_look_that_goes_wrong_here_is_a_state_with_words_and_ends_nothing(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        await it.service.look()
        assert it.service.trust.state is FRESH
        shutil.rmtree(tmp_path / "trust")
        (tmp_path / "trust").write_text("a file in the way")
        told = await it.service.look()
        assert told.startswith("official: stale.")
        assert "cannot be used" in told
        assert it.offer().latest == "1.0.0"
        it.begin()
        async with it.running():
            await it.until(lambda: it.service.trust.sources)
            assert it.service.trust.state is NONE
            assert it.offer().standing is Standing.NONE
            assert "cannot be used" in it.offer().why
        assert len(await it.events("releases_failed")) >= 2


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_development_root_is_for_the_demo_alone(tmp_path: Path, *, allowed: bool) -> None:
    repo = Repo(purpose="DEVELOPMENT ONLY: everybody has these keys")
    async with scene(tmp_path, repo, allow_development=allowed) as it:
        told = await it.service.look()
        (shown,) = it.rooms.desk.shown()["sources"]
        assert shown["development"] is True
        assert it.service.trust.state is (FRESH if allowed else NONE)
        assert (it.offer().latest is not None) is allowed
        if not allowed:
            assert "for development only" in told
            assert "for development only" in it.offer().why


async def test_an_app_without_a_bundle_and_one_whose_folder_is_empty_know_nothing(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        shutil.rmtree(tmp_path / "bundle")
        assert await it.service.look() == "There is no source."
        assert it.service.trust.state is NONE
        assert it.offer().why == "No source of releases is trusted yet."


async def test_each_bridge_is_offered_its_channel_and_its_gates_are_held_against_that(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        it.repo.release("beta", "1.2.0", hw=[])
        it.repo.publish("beta")
        it.repo.save(tmp_path / "bundle")
        two = bridge(2).records
        it.fleet = type(it.fleet)({**it.fleet.records, **two})
        one = "02:00:5E:10:00:01"
        told = await it.rooms.desk.choose_channel(one, "beta", "Ann")
        assert told == f"{one} is offered what comes to beta."
        await it.service.look()
        assert (it.offer(1).latest, it.offer(2).latest) == ("1.2.0", "1.0.0")
        record = it.fleet.records[Mac(mac(1))]
        found = gate_release(it.offer(1))
        assert found
        at_s, rules = 1.0, Rules()
        evidence = evidence_of(record, {}, frozenset(), Around(), at_s, it.now)
        said = {each.gate: each for each in judge(evidence, *found, rules).gates}
        assert said[GateId.IDENTITY].result is Result.PASS
        assert said[GateId.IMAGE].result is Result.PASS
        assert "compared with it when it is fetched" in said[GateId.IMAGE].evidence
        nothing = {each.gate: each for each in judge(evidence, None, None, rules).gates}
        assert nothing[GateId.IMAGE].evidence == NO_RELEASE
        assert await it.rooms.desk.choose_channel(one, None, "Ann") == (
            f"{one} is offered what comes to stable."
        )
        assert it.store.current.releases.channels == ""
        for mac_, channel in ((one, "dev"), ("bridge-1", "beta"), (None, None)):
            with pytest.raises(ValueError, match=r"has to be one of|no MAC"):
                await it.rooms.desk.choose_channel(mac_, channel, "Ann")


async def test_a_clock_that_was_set_back_is_no_reason_for_an_alarm(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.now = day(-100)
        await it.service.look()
        assert it.service.trust.state is STALE
        assert it.service.notifications() == {}
        (event,) = await it.events("releases_alarm")
        assert event.data["of"] == "clock_behind"
        assert timedelta() < day(0) - it.now
