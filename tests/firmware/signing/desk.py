"""A maintainer's desk: the real command line in this process, and a repository to work on."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import PUBLIC_SUFFIX, public_text
from agent.firmware.signing.models import Plan
from tests.firmware.development_keys import signer
from tests.firmware.development_root import build, plan

NOW = datetime(2026, 9, 3, 12, tzinfo=UTC)
"""A day after the release of 1.0.0 to stable."""
DIGEST = "ab" * 32


@dataclass(frozen=True)
class Answer:
    """What the command line said."""

    code: int
    out: str
    err: str


def cli(*words: object) -> Answer:
    """Run `python -m agent manifests` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(["manifests", *map(str, words)])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def day(number: int) -> datetime:
    """Return a moment so many days after NOW."""
    return NOW + timedelta(days=number)


def real_plan() -> Plan:
    """Return the plan with the lifetimes of signing.md 4.2, for houses."""
    lives = {"root": (548, 183), "targets": (365, 60), "stable": (365, 60), "beta": (182, 30),
             "halt": (365, 60), "snapshot": (365, 60), "timestamp": (21, 7)}  # fmt: skip
    roles = {
        name: replace(role, expires_days=lives[name][0], renew_days=lives[name][1])
        for name, role in plan().roles.items()
    }
    return Plan(roles)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published repository that every test copies."""
    place = tmp_path_factory.mktemp("desk") / "firmware_manifests"
    return build(place, ("1.0.0",), real_plan()).path


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Folder:
    """A repository of its own with 1.0.0 in beta and stable, published for houses."""
    path = tmp_path / "firmware_manifests"
    shutil.copytree(template, path)
    return Folder(path)


def new_key(folder: Folder, name: str) -> None:
    """Put one more public key into the repository's `keys/`."""
    path = folder.path / "keys" / f"{name}{PUBLIC_SUFFIX}"
    path.write_text(public_text(signer(name).public_key))
