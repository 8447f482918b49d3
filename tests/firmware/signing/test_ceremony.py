"""A repository's whole life through the command line, seen by a client of its oldest root."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.firmware.manifest.agree import brakes_of
from agent.firmware.signing.contents import read_contents, read_halt
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import Plan, RolePlan
from tests.firmware.development_keys import pem
from tests.firmware.development_root import begin, draft
from tests.firmware.esp_images import slot_size
from tests.firmware.shipped import PROJECT, releases
from tests.firmware.signing.desk import Answer, cli, day, new_key

PEOPLE = ("ann-root", "ben-root", "cat-root", "ann-stable", "ben-stable", "cat-stable",
          "ann-beta", "ann-halt", "snapshot", "timestamp", "timestamp-2")  # fmt: skip
ONLINE = ("--snapshot-key", "env:SNAPSHOT", "--timestamp-key")


class Desk:
    """One folder, and commands whose exit code has to be what the test says."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.today = 0

    def run(self, *words: object, code: int = 0) -> Answer:
        answer = cli("--repository", self.folder.path, "--at", day(self.today).isoformat(), *words)
        assert answer.code == code, f"{words}\n{answer.out}{answer.err}"
        return answer

    def sign(self, *names: str) -> str:
        said = [self.run("sign", "--key", f"env:{variable(it)}", "--yes").out for it in names]
        return "".join(said)

    def publish(self, timestamp: str = "timestamp") -> str:
        return self.run("publish", *ONLINE, f"env:{variable(timestamp)}").out


def variable(name: str) -> str:
    return name.upper().replace("-", "_")


def plan() -> Plan:
    """Two of two people for what matters, so that every signature is missed."""
    both = {
        "root": ("ann-root", "ben-root"),
        "targets": ("ann-root", "ben-root"),
        "stable": ("ann-stable", "ben-stable"),
        "beta": ("ann-beta",),
        "halt": ("ann-halt",),
        "snapshot": ("snapshot",),
        "timestamp": ("timestamp",),
    }
    return Plan({name: RolePlan(name, keys, len(keys), 365, 60) for name, keys in both.items()})


def test_the_ceremony_from_the_first_key_to_the_rotated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PEOPLE:
        monkeypatch.setenv(variable(name), pem(name))
    desk = Desk(begin(tmp_path / "firmware_manifests", plan()))
    begins(desk)
    oldest = tmp_path / "1.root.json"
    shutil.copy(desk.folder.path / "metadata" / "1.root.json", oldest)
    desk.today = 1
    releases_one(desk, tmp_path)
    desk.today = 30
    changes_people(desk)
    desk.today = 31
    pulls_the_brake(desk)
    said = desk.run("verify", "--root", oldest).out
    assert "from root 1" in said
    assert "root       2" in said
    assert desk.run("lint", "--main").out == "Nothing is wrong.\n"
    desk.today = 400
    assert "is expired" in desk.run("verify", "--root", oldest, code=1).err


def begins(desk: Desk) -> None:
    assert "Staged: root, targets, halt, stable, beta" in desk.run("init").out
    said = desk.sign("ann-root")
    assert "root: 2 of 2 have to sign" in said
    assert "root version 1: signed by ann-root; 1 more needed." in said
    assert "root version 1" in desk.run("publish", *ONLINE, "env:TIMESTAMP", code=1).err
    assert "it is complete" in desk.sign("ben-root", "ann-stable", "ben-stable", "ann-beta")
    desk.sign("ann-halt")
    assert "from root 1" in desk.publish()


def releases_one(desk: Desk, place: Path) -> None:
    files = [it for it in releases() if it.version == "1.0.0"]
    for image in files:
        (place / image.file).write_bytes(image.data)
    (place / "draft.json").write_text(json.dumps(draft("1.0.0")))
    waves = ("--wave", "0:0.1", "--wave", "24:1")
    paths = [place / it.file for it in files]
    desk.run("add", "beta", place / "draft.json", *paths, "--slot-size", slot_size(), *waves)
    said = desk.sign("ann-beta")
    assert f"releases {PROJECT} 1.0.0 (rollback index 1, 10% after 0 h, 100% after 24 h)" in said
    desk.publish()
    desk.run("promote", PROJECT, "1.0.0")
    said = desk.sign("ann-stable")
    assert f"releases {PROJECT} 1.0.0 (rollback index 1, to everybody at once)" in said
    refused = desk.run("publish", *ONLINE, "env:TIMESTAMP", code=1).err
    assert "stable version 2 needs 1 more (may sign: ben-stable)" in refused
    desk.sign("ben-stable")
    desk.publish()


def changes_people(desk: Desk) -> None:
    """Somebody of stable, somebody of root, and the robot's key, all at once."""
    for name in ("cat-stable", "cat-root", "timestamp-2"):
        new_key(desk.folder, name)
    said = desk.run("rotate", "stable", "--add", "cat-stable", "--remove", "ben-stable").out
    assert "To be signed again, because signatures would no longer do: stable." in said
    desk.run("rotate", "root", "--add", "cat-root", "--remove", "ben-root")
    desk.run("rotate", "timestamp", "--add", "timestamp-2", "--remove", "timestamp")
    said = desk.sign("ann-root")
    assert "stable: may sign from now on: cat-stable" in said
    assert "stable: may no longer sign: ben-stable" in said
    assert "root: may no longer sign: ben-root" in said
    assert "timestamp: may sign from now on: timestamp-2" in said
    assert "root version 2: signed by cat-root; 1 more needed." in desk.sign("cat-root")
    desk.sign("ben-root", "ann-stable", "cat-stable")
    desk.run("publish", *ONLINE, "env:TIMESTAMP", code=1)
    assert "A client reads it from root 1, 2" in desk.publish("timestamp-2")


def pulls_the_brake(desk: Desk) -> None:
    desk.run("halt", "stable", "--reason", "Bridges restart.", "--key", "env:ANN_HALT", "--yes")
    desk.publish("timestamp-2")
    read = desk.folder.published.target
    channel = read_contents(read, "stable").channel
    assert brakes_of(channel, read_halt(read, "stable"), halt_role=True).paused
