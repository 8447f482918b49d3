"""Channel, manifest and halt tell one story, and brakes only ever add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.manifest.agree import agree, brakes_of, entry_of, latest_of
from agent.firmware.manifest.models import Brakes, Channel, Halt, ManifestError
from tests.firmware.manifest.documents import A, B, C, channel, halt, release

ENTRY = channel().projects["acme.bridge"].releases[1]


def test_f01_a_manifest_that_repeats_what_its_channel_says_agrees() -> None:
    agree("stable", "acme.bridge", ENTRY, release())


@pytest.mark.parametrize(
    ("name", "project", "fields", "words"),
    [
        ("beta", "acme.bridge", {}, "it lies at stable/acme.bridge/1.2.0.json, outside"),
        ("stabl", "acme.bridge", {}, "outside"),
        ("stable", "acme.other", {}, "it is for acme.bridge, the channel says acme.other"),
        ("stable", "acme.bridge", {"version": "1.2.1"}, "version 1.2.1, the channel says 1.2.0"),
        ("stable", "acme.bridge", {"rollback_index": 4}, "index is 4, the channel says 3"),
        ("stable", "acme.bridge", {"rollback_index": 2}, "index is 2, the channel says 3"),
    ],
)
def test_f02_f03_f04_a_manifest_that_says_something_else_is_refused(
    name: str, project: str, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        agree(name, project, ENTRY, release(**fields))
    assert words in str(caught.value)
    assert "It is not used. Tell the publisher." in str(caught.value)


def test_all_that_differs_is_said_at_once() -> None:
    with pytest.raises(
        ManifestError, match=r"outside .*; it is for .*; it is version .*; its roll"
    ):
        agree("beta", "a.b", ENTRY, release(version="2.0", rollback_index=9))


def test_f10_one_halt_pauses_the_channel_and_revokes_an_image() -> None:
    brakes = brakes_of(channel(), halt(), halt_role=True)
    assert brakes.paused
    assert "emergency brake: 1.2.0 forgets its key" in brakes.reason
    assert brakes.revoked == {A, C}
    assert dict(brakes.min_rollback_index) == {"acme.bridge": 2}


def test_f11_a_halt_that_says_go_does_not_undo_the_channels_pause() -> None:
    go = Halt(paused=False, reason="")
    paused = brakes_of(replace(channel(), paused=True), go, halt_role=True)
    assert (paused.paused, paused.reason) == (True, "The publisher has paused this channel.")
    assert brakes_of(channel(), go, halt_role=True) == Brakes(
        {"acme.bridge": 2}, frozenset({C}), paused=False, reason=""
    )


def test_a_halt_that_should_be_there_and_is_not_counts_as_pulled() -> None:
    missing = brakes_of(channel(), None, halt_role=True)
    assert missing.paused
    assert "could not be read" in missing.reason
    local = brakes_of(channel(), None, halt_role=False)
    assert (local.paused, local.reason) == (False, "")


DIGESTS = st.frozensets(st.sampled_from([A, B, C]))


@given(
    st.builds(Channel, st.just({}), st.just({"a.b": 1}), DIGESTS, st.booleans()),
    st.none() | st.builds(Halt, st.booleans(), st.text(max_size=3), DIGESTS),
    st.booleans(),
)
def test_a_halt_never_takes_away_what_the_channel_forbids(
    said: Channel, brake: Halt | None, halt_role: bool
) -> None:
    brakes = brakes_of(said, brake, halt_role=halt_role)
    assert brakes.revoked >= said.revoked
    assert brakes.paused >= said.paused
    assert brakes.paused == bool(brakes.reason)
    assert brakes.min_rollback_index == said.min_rollback_index


def test_the_latest_of_a_channel_and_the_release_that_a_bridge_reports() -> None:
    it = channel()
    assert latest_of(it, "acme.bridge") == ENTRY
    assert latest_of(it, "acme.other") is None
    assert entry_of(it, "acme.bridge", "1.0") == it.projects["acme.bridge"].releases[0]
    for unknown in ("1.1", "dev", "", None):
        assert entry_of(it, "acme.bridge", unknown) is None
    assert entry_of(it, "acme.other", "1.0.0") is None
