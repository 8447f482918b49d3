"""Settings on disk: whole, private, back after a restart, and never in control by accident."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
from pathlib import Path

import pytest

from agent.settings import Settings, SettingsStore
from tests.settings_help import refusal, stored, write

REPOSITORY = Path(__file__).parents[1]
WRITER = """
import asyncio, os, sys
from pathlib import Path
from agent.settings import SettingsStore

async def main():
    store = SettingsStore(Path(sys.argv[1]))
    for n in range(int(sys.argv[2]) + 1, 50_000):
        await store.update({"export_limit_w": n, "modbus_hub": "x" * (n % 100 + 1)}, "test")
        os.write(1, f"{n}\\n".encode())

asyncio.run(main())
"""


@pytest.fixture
def store(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path)


async def test_a_change_is_on_disk_private_and_back_after_a_restart(
    store: SettingsStore, tmp_path: Path
) -> None:
    changes = {"export_limit_w": 3680, "mode": "control", "entities.soc": "sensor.soc"}
    await store.update(changes, "page: Anna")
    assert modes(tmp_path) == {"settings.json": 0o600}
    again = SettingsStore(tmp_path)
    assert again.current == store.current
    assert again.current.mode == "control"
    assert again.warnings == ()


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


async def test_listeners_hear_of_changes_after_they_are_stored_and_of_nothing_else(
    store: SettingsStore, tmp_path: Path
) -> None:
    heard: list[tuple[float, float]] = []

    def listener(now: Settings) -> None:
        heard.append((now.target_export_w, stored(tmp_path)["target_export_w"]))

    end = store.subscribe(listener)
    await store.update({"target_export_w": 500}, "test")
    await store.update({"target_export_w": 500}, "test")  # nothing new
    await refusal(store, target_export_w=-1)
    end()
    await store.update({"target_export_w": 700}, "test")
    assert heard == [(500.0, 500.0)]


async def test_a_failing_listener_does_not_silence_the_others(
    store: SettingsStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Settings] = []

    def broken(_: Settings) -> None:
        raise RuntimeError("broken room")

    store.subscribe(broken)
    store.subscribe(heard.append)
    now = await store.update({"export_limit_w": 100}, "test")
    assert heard == [now]
    assert "broken room" in caplog.text


async def test_concurrent_changes_are_all_kept(store: SettingsStore, tmp_path: Path) -> None:
    changes = [
        {"export_limit_w": 100}, {"target_export_w": 200}, {"min_soc_percent": 30},
        {"tolerance_kwh": 1.5}, {"entities.soc": "sensor.a"}, {"entities.grid_power": "sensor.b"},
    ]  # fmt: skip
    await asyncio.gather(*(store.update(change, "test") for change in changes))
    now = SettingsStore(tmp_path).current
    assert now == store.current
    assert now.model_dump(exclude_defaults=True) == {
        "export_limit_w": 100, "target_export_w": 200, "min_soc_percent": 30,
        "tolerance_kwh": 1.5, "entities": {"soc": "sensor.a", "grid_power": "sensor.b"},
    }  # fmt: skip


async def test_a_cancelled_caller_leaves_file_and_memory_alike(
    store: SettingsStore, tmp_path: Path
) -> None:
    told = asyncio.Event()
    store.subscribe(lambda _: told.set())
    caller = asyncio.create_task(store.update({"export_limit_w": 100}, "test"))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(told.wait(), 10)
    assert store.current.export_limit_w == 100
    assert SettingsStore(tmp_path).current == store.current


async def test_a_killed_process_leaves_whole_settings(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(3):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(tmp_path), str(acknowledged),
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert child.stdout
        for _ in range(1 + 13 * kill):
            acknowledged = int(await asyncio.wait_for(child.stdout.readline(), 20))
        child.kill()
        tail, _ = await child.communicate()
        acknowledged = max([acknowledged, *map(int, tail.decode().rpartition("\n")[0].split())])
        store = SettingsStore(tmp_path)
        assert store.warnings == ()
        assert store.current.export_limit_w in {acknowledged, acknowledged + 1}


async def test_a_disk_that_refuses_changes_nothing(
    store: SettingsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.update({"export_limit_w": 100}, "test")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = await refusal(store, export_limit_w=50_000)
    assert error.key == "export_limit_w"
    assert "No space left on device" in str(error)
    assert "nothing was changed" in str(error)
    assert stored(tmp_path) == {"export_limit_w": 100.0}
    monkeypatch.undo()
    await store.update({"export_limit_w": 200}, "test")  # the leftover is no obstacle
    assert SettingsStore(tmp_path).current.export_limit_w == 200


async def test_the_log_tells_who_changed_what(
    store: SettingsStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await store.update({"export_limit_w": 100, "tolerance_kwh": 0}, "page: Eve\nforged line")
    assert caplog.messages == [
        "Setting export_limit_w changed by 'page: Eve\\nforged line': None -> 100.0"
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"mode": "control", "export_', "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'["control"]', "it holds no settings"),
        (b'{"mode": "control", "export_limit_w": 99999}', "99999 is outside 0 to 50000 W"),
        (b'{"mode": "control", "colour": 1}', "colour: there is no such setting"),
        (b'{"mode": "control", "stale_after_s": 10}', "must be below stale_after_s"),
    ],
)
def test_an_unusable_file_is_kept_aside_and_never_ends_in_control(
    tmp_path: Path, content: bytes, why: str
) -> None:
    write(tmp_path, "settings.json.broken-1", b"older")
    write(tmp_path, "settings.json", content)
    store = SettingsStore(tmp_path)
    assert store.current == Settings()
    assert store.current.mode == "observe"
    (warning,) = store.warnings
    assert why in warning.text
    assert "mode is observe" in warning.text
    assert warning.kept_as == tmp_path / "settings.json.broken-2"
    assert warning.kept_as.read_bytes() == content
    assert (tmp_path / "settings.json.broken-1").read_bytes() == b"older"
    assert not (tmp_path / "settings.json").exists()
