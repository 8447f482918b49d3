"""What is written for a person to sign is what is read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.manifest.models import Channel, ChannelEntry, ChannelProject, Halt, Wave
from agent.firmware.manifest.parse import parse_channel, parse_halt, parse_release
from agent.firmware.manifest.write import write_channel, write_halt, write_release
from tests.firmware.manifest.documents import CHANNEL, HALT, RELEASE, channel, halt, release
from tests.firmware.manifest.mutations import proper_releases

DIGESTS = st.frozensets(st.integers(0, 9).map(lambda n: f"{n:064x}"))


def test_the_whole_of_every_document_comes_back() -> None:
    assert json.loads(write_release(release())) == RELEASE
    assert json.loads(write_channel(channel())) == CHANNEL
    assert json.loads(write_halt(halt())) == HALT
    assert parse_release(write_release(release()).encode()) == release()
    assert parse_channel(write_channel(channel()).encode(), "stable") == channel()
    assert parse_halt(write_halt(halt()).encode()) == halt()


def test_the_text_of_a_halt_is_this_to_the_byte() -> None:
    said = Halt(paused=True, reason="ü", revoked=frozenset({"b" * 64, "a" * 64}))
    assert write_halt(said) == (
        '{\n  "schema": 1,\n  "paused": true,\n  "reason": "ü",\n  "revoked": [\n'
        f'    "{"a" * 64}",\n    "{"b" * 64}"\n  ]\n}}\n'
    )


def test_what_is_usual_is_left_out_and_a_moment_is_in_utc() -> None:
    optional = {"min_version", "hw", "boards", "min_chip_revision", "trusts", "source", "esphome"}
    bare = release(lambda it: [it.pop(key) for key in {*optional, "notes_url", "security"}])
    assert set(json.loads(write_release(bare))) == set(RELEASE) - optional - {
        "notes_url",
        "security",
    }
    berlin = datetime(2026, 11, 22, 9, tzinfo=timezone(timedelta(hours=1)))
    assert write_release(replace(bare, released=berlin)) == write_release(bare)
    assert bare.released == datetime(2026, 11, 22, 8, tzinfo=UTC)


@given(proper_releases())
def test_a_release_comes_back_whatever_it_says(data: bytes) -> None:
    said = parse_release(data)
    assert parse_release(write_release(said).encode()) == said


ENTRIES = st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True).map(
    lambda them: tuple(
        ChannelEntry(f"1.{n}", n, f"stable/a.b/1.{n}.json", (Wave(n / 8, 0.25), Wave(99, 1)))
        for n in them
    )
)


@given(
    st.builds(
        lambda names, entries, index, revoked, paused: Channel(
            MappingProxyType({it: ChannelProject(entries[0].version, entries) for it in names}),
            MappingProxyType(dict.fromkeys(names, index)),
            revoked,
            paused,
        ),
        st.sets(st.sampled_from(["a.b", "c.d", "b.a"])),
        ENTRIES,
        st.integers(0, 2**31 - 1),
        DIGESTS,
        st.booleans(),
    )
)
def test_a_channel_comes_back_whatever_it_says(said: Channel) -> None:
    text = write_channel(said)
    read = parse_channel(text.encode(), "stable")
    assert read == said
    assert write_channel(read) == text
