"""A source counts by its fingerprint, and a list whose sources do not fit together by nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.own.rules import PinError, TrustedSource, check_pin
from agent.firmware.own.sources import (
    FILE,
    SourcesError,
    load_sources,
    parse_sources,
    save_sources,
    write_sources,
)
from tests.firmware.test_store import files_at_most

ROOT = b"root of acme"
OFFICIAL = TrustedSource("official", "0" * 64, ("https://pv.example/fw",), "stable/")
ACME = TrustedSource(
    "acme", hashlib.sha256(ROOT).hexdigest(), ("https://acme.example:8443",), "stable/", 2
)
OWN_LINE = replace(ACME, prefix="x-acme/", threshold=1)


def test_l04_a_source_is_taken_only_with_the_fingerprint_that_was_confirmed() -> None:
    check_pin(ACME, ROOT)
    with pytest.raises(PinError) as refused:
        check_pin(ACME, ROOT + b"!")
    assert f"{ACME.root_sha256[:16]}… was confirmed" in str(refused.value)


def test_the_list_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    assert load_sources(tmp_path) == ()
    save_sources(tmp_path, [OFFICIAL, ACME])
    assert load_sources(tmp_path) == (OFFICIAL, ACME)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    save_sources(tmp_path, [OFFICIAL, OWN_LINE])
    with files_at_most(10), pytest.raises(SourcesError, match="the earlier one holds"):
        save_sources(tmp_path, [OFFICIAL])
    assert load_sources(tmp_path) == (OFFICIAL, OWN_LINE)


BAD = {
    "no json": (b"{", "is no JSON"),
    "another structure": (b'{"schema": 2, "sources": []}', "schema"),
    "unknown field": (b'{"schema": 1, "sources": [], "exec": 1}', "unknown field"),
    "twice": (b'{"schema": 1, "schema": 1, "sources": []}', "schema"),
}


@pytest.mark.parametrize("why", BAD)
def test_a_list_that_is_none_is_not_used(why: str, tmp_path: Path) -> None:
    data, sentence = BAD[why]
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(SourcesError) as refused:
        load_sources(tmp_path)
    assert sentence in str(refused.value)
    assert "Correct it on the page" in str(refused.value)


MISFITS = {
    "same name": ([OFFICIAL, replace(ACME, name="official")], "the same name"),
    "same root": ([OFFICIAL, replace(ACME, root_sha256="0" * 64)], "could speak for both"),
    "never met": ([OFFICIAL, replace(ACME, threshold=3)], "nothing could ever be flashed"),
    "the house's": ([replace(ACME, prefix="local/", threshold=1)], "is no publisher's"),
    "the brake": ([replace(ACME, prefix="halt/", threshold=1)], "is no publisher's"),
    "all of it": ([replace(OFFICIAL, prefix="")], "prefix"),
    "inside": ([replace(OFFICIAL, prefix="stable/beta/")], "prefix"),
    "http": ([replace(OFFICIAL, carriers=("http://pv.example",))], "carriers"),
    "no fingerprint": ([replace(OFFICIAL, root_sha256="")], "root_sha256"),
    "a path": ([replace(OFFICIAL, name="../x")], "name"),
    "no one needed": ([replace(OFFICIAL, threshold=0)], "threshold"),
}


@pytest.mark.parametrize("why", MISFITS)
def test_sources_that_do_not_fit_together_are_not_saved(why: str, tmp_path: Path) -> None:
    sources, sentence = MISFITS[why]
    with pytest.raises(SourcesError) as refused:
        save_sources(tmp_path, sources)
    assert sentence in str(refused.value)
    assert not (tmp_path / FILE).exists()


def test_a_gate_fits_beside_the_source_that_came_with_the_app(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="nothing could ever be flashed"):
        save_sources(tmp_path, [ACME])
    save_sources(tmp_path, [ACME], [OFFICIAL])
    assert load_sources(tmp_path, [OFFICIAL]) == (ACME,)
    twin = replace(ACME, name="official")
    with pytest.raises(SourcesError, match="the same name"):
        write_sources([twin], [OFFICIAL])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with pytest.raises(SourcesError):
        parse_sources(data)
