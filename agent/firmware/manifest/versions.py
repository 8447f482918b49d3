"""
Which of two versions is the older one, number by number: 1.10 follows 1.9.

A version is dotted and numeric, because ESPHome's own downgrade check compares such versions only.
What a bridge reports may be anything; what is no version has no place in the order.

Source: signing.md 2.1 and 4.4.
"""

from __future__ import annotations

import re

VERSION = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,3}")
"""One to four numbers without leading zeros."""


def version_key(text: str | None) -> tuple[int, ...] | None:
    """
    Return what sorts versions, the same for 1.2 and 1.2.0; `None` for what is no version.

    A device's word of any length and content may come in.
    """
    if text is None or not VERSION.fullmatch(text):
        return None
    numbers = [int(it) for it in text.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def older(one: str | None, other: str | None) -> bool | None:
    """Return whether the first version is the older one, `None` if one of them is no version."""
    first, second = version_key(one), version_key(other)
    if first is None or second is None:
        return None
    return first < second
