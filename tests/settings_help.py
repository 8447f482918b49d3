"""What tests of the settings look at and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.settings import SettingError, SettingsStore


def stored(folder: Path) -> Any:
    return json.loads((folder / "settings.json").read_text())


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def refusal(store: SettingsStore, **changes: object) -> SettingError:
    before = store.current
    with pytest.raises(SettingError) as caught:
        await store.update(changes, "test")
    assert store.current is before
    return caught.value
