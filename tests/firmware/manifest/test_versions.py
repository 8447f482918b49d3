"""Versions are compared number by number, and what is none has no order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.firmware.manifest.versions import older, version_key


@pytest.mark.parametrize(
    ("one", "other"), [("1.9", "1.10"), ("1.9.9", "2"), ("1", "1.0.1"), ("2026.9.1", "2026.10.0")]
)
def test_numbers_decide_and_not_letters(one: str, other: str) -> None:
    assert older(one, other) is True
    assert older(other, one) is False


def test_zeros_at_the_end_make_no_other_version() -> None:
    assert version_key("1.2") == version_key("1.2.0.0")
    assert version_key("0.0") == version_key("0") == (0,)
    assert older("1.2", "1.2.0") is False


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "dev",
        "1.2-beta",
        "v1",
        "1.",
        ".1",
        "01",
        "1..2",
        "1\n",
        "\u0661",
        "1.2.3.4.5",
        "9" * 99,
    ],
)
def test_what_is_no_version_is_neither_older_nor_newer(text: str | None) -> None:
    assert version_key(text) is None
    assert older(text, "1.0") is None
    assert older("1.0", text) is None


@given(st.text())
def test_a_bridge_may_report_anything(text: str) -> None:
    older(text, text)
