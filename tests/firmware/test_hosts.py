"""A download goes to the hosts that were named, over https, and nowhere else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.trust.hosts import MAX_HOPS, UrlError, check_url, next_hop, shown

HOSTS = {"github.com", "objects.githubusercontent.com", "Mirror.example:8443"}
RELEASE = "https://github.com/a/b/releases/download/1.0.0/x.bin"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (RELEASE, RELEASE),
        ("https://GitHub.com:443/x#part", "https://GitHub.com:443/x"),
        ("https://mirror.example:8443/x?token=1", "https://mirror.example:8443/x?token=1"),
    ],
)
def test_a_named_host_is_asked(url: str, asked: str) -> None:
    assert check_url(url, HOSTS) == asked


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://github.com/x", "does not begin with https"),
        ("ftp://github.com/x", "does not begin with https"),
        ("//github.com/x", "does not begin with https"),
        ("https://192.168.1.1/x", "The host 192.168.1.1 is not among those"),
        ("https://github.com.evil.example/x", "The host github.com.evil.example is not among"),
        ("https://evil.github.com/x", "The host evil.github.com is not among"),
        ("https://github.com./x", "The host github.com. is not among"),
        ("https://github.com:8443/x", "The host github.com:8443 is not among"),
        ("https://mirror.example/x", "The host mirror.example is not among"),
        ("https://me:secret@github.com/x", "contains a user name or password"),
        ("https://github.com@evil.example/x", "contains a user name or password"),
        ("https://[::1]/x", "is not among"),
        ("https://[::1/x", "is no address"),
        ("https://github.com:port/x", "is no address"),
        ("https://github.com\\@evil.example/x", "characters that no address has"),
        ("https://github.com/\nHost: evil", "characters that no address has"),
        ("https://g\u0131thub.com/x", "characters that no address has"),
        ("https://github.com/" + "x" * 5000, "longer than 4096"),
        ("", "does not begin with https"),
    ],
)
def test_anything_else_is_refused_and_said(url: str, sentence: str) -> None:
    with pytest.raises(UrlError) as refused:
        check_url(url, HOSTS)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_redirect_is_followed_like_a_first_address() -> None:
    there = "https://objects.githubusercontent.com/y?sig=abc"
    assert next_hop(RELEASE, 302, there, 0, HOSTS) == there
    assert next_hop(RELEASE, 308, "/elsewhere", 2, HOSTS) == "https://github.com/elsewhere"
    assert next_hop(RELEASE, 200, there, 0, HOSTS) is None
    assert next_hop(RELEASE, 304, there, 0, HOSTS) is None


@pytest.mark.parametrize(
    ("location", "hops", "sentence"),
    [
        ("https://127.0.0.1/admin", 0, "The host 127.0.0.1 is not among"),
        ("http://github.com/x", 0, "does not begin with https"),
        ("//evil.example/x", 0, "The host evil.example is not among"),
        ("https://[bad", 0, "is no address"),
        (None, 0, "does not say where to"),
        ("/x", MAX_HOPS, "once more after 3 redirects"),
    ],
)
def test_a_redirect_that_leads_away_is_not_followed(
    location: str | None, hops: int, sentence: str
) -> None:
    with pytest.raises(UrlError) as refused:
        next_hop(RELEASE, 302, location, hops, HOSTS)
    assert sentence in str(refused.value)


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    assert shown("https://u:pass@github.com:8443/x?sig=secret#f") == "https://github.com:8443/x"
    assert "secret" not in shown("https://[u:secret@x?secret")


@given(st.text(max_size=80), st.sampled_from([RELEASE, "https://github.com"]))
def test_no_text_leads_to_a_host_that_was_not_named(text: str, base: str) -> None:
    for ask in (lambda: check_url(text, HOSTS), lambda: next_hop(base, 301, text, 0, HOSTS)):
        with contextlib.suppress(UrlError):
            url = ask()
            assert url is not None
            assert url.lower().split("/")[2].removesuffix(":443") in {h.lower() for h in HOSTS}
