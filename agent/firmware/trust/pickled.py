"""How read-only mappings travel in a pickle, which has no way of its own for them."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

_ReadOnly = MappingProxyType[Any, Any]


def read_only(values: dict[Any, Any]) -> _ReadOnly:
    """Return the mapping as it was."""
    return MappingProxyType(values)


def read_only_parts(values: _ReadOnly) -> tuple[Callable[..., _ReadOnly], tuple[Any, ...]]:
    """Return what `copyreg` asks for."""
    return read_only, (dict(values),)
