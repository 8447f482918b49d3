"""How read-only mappings travel in a pickle, which has no way of its own for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType


def read_only(values: dict[object, object]) -> Mapping[object, object]:
    """Return the mapping as it was."""
    return MappingProxyType(values)


def read_only_parts(
    values: Mapping[object, object],
) -> tuple[Callable[[dict[object, object]], Mapping[object, object]], tuple[dict[object, object]]]:
    """Return what `copyreg` asks for."""
    return read_only, (dict(values),)
