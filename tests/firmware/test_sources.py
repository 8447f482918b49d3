"""One prefix, one rule: no source is heard where it may not speak, and a gate needs both."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.own.rules import (
    PinError,
    Resolved,
    TrustedSource,
    Word,
    asked_for,
    check_pin,
    resolve,
)
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
LOCAL = TrustedSource("local", "1" * 64, (), "local/")
ACME = TrustedSource(
    "acme", hashlib.sha256(ROOT).hexdigest(), ("https://acme.example:8443",), "stable/", 2
)
OWN_LINE = replace(ACME, prefix="x-acme/", threshold=1)
ONE, OTHER = Word(4, "a" * 64), Word(5, "b" * 64)
PATH = "stable/pv-edge.alphaess-bridge/1.1.0.json"


def test_an_official_path_comes_from_the_official_source_only() -> None:
    """L01: though the house signed the same path."""
    found = resolve(PATH, [OFFICIAL, LOCAL], {"official": ONE, "local": OTHER})
    assert found == Resolved(ONE, ("official",), "")


def test_an_own_build_comes_from_the_house_only() -> None:
    """L02 and L03: neither the publisher nor a thief of its keys places anything there."""
    found = resolve("local/a.b/1.json", [OFFICIAL, LOCAL], {"official": OTHER, "local": ONE})
    assert found == Resolved(ONE, ("local",), "")
    stolen = resolve("local/a.b/1.json", [OFFICIAL, LOCAL], {"official": OTHER})
    assert stolen.word is None


@pytest.mark.parametrize("path", ["nightly/x.json", "stable", "", "/stable/x", "stablex/x.json"])
def test_a_path_that_no_rule_names_is_not_found(path: str) -> None:
    found = resolve(path, [OFFICIAL, LOCAL, ACME], {"official": ONE, "local": ONE, "acme": ONE})
    assert found.word is None
    assert "No source of this house may speak of" in found.why


def test_a_gate_opens_when_both_signed_the_same_bytes() -> None:
    """L06."""
    found = resolve(PATH, [OFFICIAL, ACME], {"official": ONE, "acme": ONE})
    assert found == Resolved(ONE, ("acme", "official"), "")


def test_a_gate_stays_closed_until_the_installer_has_signed() -> None:
    """L07."""
    found = resolve(PATH, [OFFICIAL, ACME], {"official": ONE, "acme": None})
    assert (found.word, found.agreed) == (None, ("official",))
    assert "needs 2 of 2 sources to have signed it, and acme did not" in found.why


@pytest.mark.parametrize("word", [OTHER, replace(ONE, length=5), replace(ONE, sha256="c" * 64)])
def test_a_gate_stays_closed_when_the_two_disagree(word: Word) -> None:
    """L08: by length or by hash."""
    found = resolve(PATH, [OFFICIAL, ACME], {"official": ONE, "acme": word})
    assert found.word is None
    assert "acme and official signed different bytes" in found.why


def test_a_word_against_it_counts_though_one_would_do() -> None:
    loose = replace(ACME, threshold=1)
    assert resolve(PATH, [OFFICIAL, loose], {"official": ONE, "acme": OTHER}).word is None


SOURCES = st.lists(
    st.builds(
        TrustedSource,
        st.sampled_from("abcd"),
        st.just("0" * 64),
        st.just(()),
        st.sampled_from(["stable/", "local/", "x-acme/"]),
        st.integers(1, 3),
    ),
    unique_by=lambda it: it.name,
)
WORDS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([ONE, OTHER, None]))


@given(SOURCES, WORDS, st.sampled_from([PATH, "local/x.json", "x-acme/x.json"]))
def test_nothing_is_taken_without_enough_words_of_its_own_prefix(
    sources: list[TrustedSource], words: dict[str, Word | None], path: str
) -> None:
    found = resolve(path, sources, words)
    mine = [it for it in sources if path.startswith(it.prefix)]
    assert list(asked_for(path, sources)) == mine
    assert (found.word is None) == (found.why != "")
    if found.word is not None:
        assert len(found.agreed) >= max(it.threshold for it in mine)
        assert {words.get(it.name) for it in mine} <= {found.word, None}


def test_a_source_is_taken_only_with_the_fingerprint_that_was_confirmed() -> None:
    """L04."""
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
