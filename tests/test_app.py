"""What the Supervisor reads of the app agrees with what the agent does."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from agent import __version__
from agent.export.recorder import Recorder
from agent.journal import Journal, JournalLimits, Sample
from agent.options import Options
from tests.export.record_cases import taken
from tests.journal_help import NOON, contents, until

ADDON = Path(__file__).parents[1] / "addon"
SUPERVISORS_DATA = PurePath("/mnt/data/supervisor/apps/data/1a2b3c4d_pv_edge_agent")


@pytest.fixture
def app() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ADDON / "config.yaml").read_text())
    return read


def left_out(app: dict[str, Any], name: str) -> bool:
    """Return True when the Supervisor leaves this file of `/data` out of a backup."""
    return any((SUPERVISORS_DATA / name).match(glob) for glob in app["backup_exclude"])


async def test_a_backup_leaves_out_history_and_record_and_nothing_else(
    app: dict[str, Any], tmp_path: Path
) -> None:
    limits = JournalLimits(flush_samples_s=0.01)
    async with await Journal.open(tmp_path / "journal.sqlite3", limits) as journal:
        journal.note_sample(Sample(NOON.timestamp(), grid_w=1.0))
        await journal.append("started", {}, NOON)
        await until(lambda: "samples.sqlite3-wal" in contents(tmp_path), "the history")
        recorder = Recorder(tmp_path, turn_s=0.01)
        recorder.note(taken(0)[0])
        await until(lambda: "decisions.sqlite3-wal" in contents(tmp_path), "the record")
        names = set(contents(tmp_path))
        await asyncio.to_thread(recorder.close)
    out = {name for name in names if left_out(app, name)}
    assert out == {name for name in names if name.startswith(("samples", "decisions"))}
    assert {"samples.sqlite3", "samples.sqlite3-wal", "decisions.sqlite3-wal"} <= out
    assert {"journal.sqlite3", "journal.sqlite3-wal"} <= names - out
    assert not left_out(app, "settings.json")


def test_its_options_are_those_that_the_agent_takes(app: dict[str, Any]) -> None:
    assert set(app["schema"]) == set(Options.model_fields)
    assert set(app["options"]) <= set(app["schema"])
    Options.model_validate(app["options"])


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_option_is_explained(app: dict[str, Any], language: str) -> None:
    told = yaml.safe_load((ADDON / "translations" / f"{language}.yaml").read_text())
    assert set(told["configuration"]) == set(app["schema"])
    for texts in told["configuration"].values():
        assert set(texts) == {"name", "description"}
        assert all(texts.values())


def test_its_version_is_the_agents_and_the_newest_in_the_changelog(app: dict[str, Any]) -> None:
    changes = (ADDON / "CHANGELOG.md").read_text()
    newest = next(line for line in changes.splitlines() if line.startswith("## ["))
    assert app["version"] == __version__
    assert newest.startswith(f"## [{__version__}]")


def test_it_asks_for_no_more_rights_than_it_uses(app: dict[str, Any]) -> None:
    rights = {"homeassistant_api", "ingress", "services", "stdin", "tmpfs", "uart"}
    described = {"name", "version", "slug", "description", "stage", "arch", "homeassistant"}
    described |= {"url", "image"}
    rest = {"panel_icon", "panel_title", "timeout", "options", "schema"}
    rest |= {"backup_exclude", "backup_pre", "backup_post"}
    assert set(app) == rights | described | rest
