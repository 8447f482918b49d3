"""The walk-through in docs/manifests.md works as it is written."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.firmware.signing.cli import VERBS
from agent.firmware.signing.contents import read_contents, read_halt
from agent.firmware.signing.folder import Folder
from tests.firmware.development_root import slot_size
from tests.firmware.shipped import PROJECT, releases
from tests.firmware.signing.desk import cli

DOCS = Path(__file__).parents[3] / "docs" / "manifests.md"
_BLOCK = re.compile(
    r"(?:^`([^`\n]+)`:\n\n)?^```(sh|toml|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_EXPORT = re.compile(r'export (\w+)="\$\(cat ([\w/.-]+)\)"')


def steps() -> Iterator[tuple[str, str]]:
    """Yield (file, its text) and ("", one command), in the order of the page."""
    for file, kind, text in _BLOCK.findall(DOCS.read_text("utf-8")):
        if kind == "sh":
            yield from (("", line) for line in text.splitlines())
        else:
            yield file, text


def test_every_command_of_the_walk_through_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PV_EDGE_PASSPHRASE", "correct horse")
    (tmp_path / "images").mkdir()
    for image in releases():
        (tmp_path / "images" / image.file).write_bytes(image.data)
    said: dict[str, str] = {}
    for file, text in steps():
        if file:
            Path(file).write_text(text, encoding="utf-8")
        elif text.startswith("python -m agent manifests "):
            words = shlex.split(text)[4:]
            answer = cli(*words)
            assert answer.code == 0, f"{text}\n{answer.out}{answer.err}"
            said[words[0]] = answer.out
        elif export := _EXPORT.fullmatch(text):
            monkeypatch.setenv(export[1], Path(export[2]).read_text())
        else:
            subprocess.run(shlex.split(text), check=True)  # noqa: S603 - mkdir and cp of the page
    folder = Folder(tmp_path / "firmware_manifests")
    contents = read_contents(folder.published.target, "stable")
    assert [it.version for it in contents.of(PROJECT)] == ["1.0.0"]
    assert not read_halt(folder.published.target, "stable").paused
    assert "Verified on" in said["verify"]
    assert "Published. A client reads it from root 1" in said["publish"]
    assert len(list((tmp_path / "bundle" / "blobs").rglob("*/*/*"))) == 2
    assert (tmp_path / "site" / "metadata" / "timestamp.json").is_file()


def test_the_page_speaks_of_every_verb() -> None:
    text = DOCS.read_text("utf-8")
    assert [
        verb for verb in VERBS if f"manifests {verb}" not in text and f"`{verb}`" not in text
    ] == []


def test_the_slot_size_of_the_page_is_that_of_the_bridge() -> None:
    assert f"--slot-size {slot_size()} " in DOCS.read_text("utf-8")
