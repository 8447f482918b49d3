"""The committed tree is what the commands make, says that it is no real one, and is described."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from agent.firmware.signing.beginning import stage_first
from agent.firmware.signing.changes import changes
from agent.firmware.signing.cli_look import development_purpose
from agent.firmware.signing.contents import WEB_SUFFIX
from agent.firmware.signing.expiry import expiries
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import PUBLIC_SUFFIX
from agent.firmware.signing.lint import delegated_keys, lint
from agent.firmware.signing.proof import prove
from tests.firmware.development_keys import signer
from tests.firmware.development_root import COMMITTED, MADE, PURPOSE, begin, build, made
from tests.firmware.signing.desk import cli

ROOT = COMMITTED.parent
AT = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, made once more."""
    return build(tmp_path_factory.mktemp("again") / "firmware_manifests").path


def test_what_is_committed_is_what_the_commands_make(again: Path) -> None:
    """After a change on purpose: python -m tests.firmware.development_root."""
    fresh = made(again)
    assert fresh == made(COMMITTED)
    assert {name.partition("/")[0] for name in fresh} == set(MADE)


def test_it_passes_the_lint_of_main_and_verifies_from_its_first_root() -> None:
    folder = Folder(COMMITTED)
    assert lint(folder, on_main=True) == []
    root = folder.published.version_bytes("root", 1)
    assert root
    assert prove(COMMITTED, root, AT).documents == 12


def test_it_says_in_what_root_signs_that_it_is_for_development_only() -> None:
    assert development_purpose(Folder(COMMITTED)) == PURPOSE
    assert PURPOSE.startswith("DEVELOPMENT ONLY - ")


def test_who_signs_such_a_root_reads_what_it_is(tmp_path: Path) -> None:
    folder = begin(tmp_path)
    stage_first(folder, AT)
    assert f"purpose: {PURPOSE}" in changes(folder, "root")


def test_its_keys_follow_from_a_text_that_everybody_can_read() -> None:
    for path in (COMMITTED / "keys").iterdir():
        name = path.name.removesuffix(PUBLIC_SUFFIX)
        assert signer(name).public_key.keyid in path.read_text()


def test_its_documents_fit_the_schemas_beside_them() -> None:
    def schema(name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((COMMITTED / "schema" / name).read_text())
        return found

    for path, data in Folder(COMMITTED).published.targets():
        if not path.endswith(WEB_SUFFIX):
            kind = ("halt" if path.startswith("halt/")
                    else "channel" if path.endswith("/channel.json") else "manifest")  # fmt: skip
            jsonschema.validate(json.loads(data), schema(f"{kind}.schema.json"))


def test_it_holds_text_only() -> None:
    for path in COMMITTED.rglob("*"):
        if path.is_file():
            assert b"\0" not in path.read_bytes()
            assert path.suffix in {".json", ".md", ".toml"}
            path.read_text("utf-8")


def test_a_release_is_not_built_on_it() -> None:
    answer = cli("--repository", COMMITTED, "--at", AT.isoformat(), "verify", "--release")
    assert answer.code == 1
    assert "DEVELOPMENT ONLY" in answer.err
    assert "it is not released. Hold the ceremony of docs/manifests.md" in answer.err


def test_who_knows_what_it_is_may_build_on_it() -> None:
    answer = cli("--repository", COMMITTED, "--at", AT.isoformat(), "verify", "--release",
                 "--allow-development-root")  # fmt: skip
    assert answer.code == 0, answer.err


def test_a_root_for_houses_may_be_released(folder: Folder) -> None:
    answer = cli("--repository", folder.path, "--at", "2026-09-04", "verify", "--release")
    assert answer.code == 0, answer.err


def test_the_readme_says_what_the_metadata_says() -> None:
    text = (COMMITTED / "README.md").read_text("utf-8")
    folder = Folder(COMMITTED)
    first = folder.published.version_bytes("root", 1)
    assert first
    assert f"`{hashlib.sha256(first).hexdigest()}`" in text
    assert PURPOSE in text
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))
    ends = {it.role: it.expires for it in expiries(folder)}
    assert set(ends) == set(rows)
    for role in delegated_keys(folder.root().signed, folder.targets().signed):
        wanted = f"{role.threshold} of {len(role.keys)} | {ends[role.role]:%d %b %Y}"
        assert rows[role.role].startswith(wanted), role.role
