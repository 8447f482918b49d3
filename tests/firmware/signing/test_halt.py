"""One key stops automatic updates within minutes, and can do nothing else."""

from __future__ import annotations

import pytest
from tuf.api.metadata import TargetFile

from agent.firmware.manifest.agree import brakes_of
from agent.firmware.manifest.models import Brakes
from agent.firmware.signing import publish as publish_module
from agent.firmware.signing.contents import (
    read_channel,
    read_halt,
    stage_channel,
    stage_halt,
)
from agent.firmware.signing.edits import let_go, pulled, with_policy
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.publish import publish
from agent.firmware.signing.roles import revised
from agent.firmware.signing.signatures import sign
from tests.firmware.development_keys import pem, signer
from tests.firmware.development_root import online, sign_all
from tests.firmware.signing.desk import DIGEST, cli, day


def brakes(folder: Folder) -> Brakes:
    channel = read_channel(folder.published.target, "stable")
    return brakes_of(channel, read_halt(folder.published.target, "stable"), halt_role=True)


def test_f10_one_halt_key_pauses_the_channel_and_revokes_an_image(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("halt-2", "snapshot", "timestamp"):
        monkeypatch.setenv(name.replace("-", "_").upper(), pem(name))
    desk = ("--repository", folder.path, "--at", day(1).isoformat())
    assert not brakes(folder).paused
    pulled_now = cli(
        *desk, "halt", "stable", "--reason", "Bridges restart every hour.", "--revoke", DIGEST,
        "--key", "env:HALT_2", "--yes",
    )  # fmt: skip
    assert pulled_now.code == 0, pulled_now.err
    assert "STOPS automatic updates of stable: Bridges restart every hour." in pulled_now.out
    assert "REVOKES image abababababab…" in pulled_now.out
    assert "halt version 2: signed by halt-2; it is complete." in pulled_now.out
    online_keys = ("--snapshot-key", "env:SNAPSHOT", "--timestamp-key", "env:TIMESTAMP")
    assert cli(*desk, "publish", *online_keys).code == 0
    now = brakes(folder)
    assert now.paused
    assert "Bridges restart every hour." in now.reason
    assert now.revoked == {DIGEST}


def test_f11_the_halt_key_cannot_let_go_what_the_channel_itself_has_paused(folder: Folder) -> None:
    channel = read_channel(folder.target, "stable")
    stage_channel(folder, "stable", with_policy(channel, revoke=[DIGEST], paused=True), day(1))
    halt = read_halt(folder.target, "stable")
    stage_halt(folder, "stable", let_go(pulled(halt, "For a moment."), "All is well."), day(1))
    sign_all(folder)
    publish(folder, online(), day(1))
    assert not read_halt(folder.published.target, "stable").paused
    assert brakes(folder).paused
    assert brakes(folder).revoked == {DIGEST}


def test_f11_the_halt_key_cannot_publish_under_a_channel(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by halt and listed by it: the lint sees it, and no client looks for it there."""
    path = "stable/pv-edge.alphaess-bridge/9.9.9.json"
    metadata = revised(folder, "halt", day(1))
    metadata.signed.targets[path] = TargetFile.from_data(path, b"{}", ["sha256"])
    folder.staging.put_target(path, b"{}")
    folder.staging.put("halt", metadata)
    sign(folder, "halt", signer("halt-1"))
    with pytest.raises(SigningError, match="stable does not list it"):
        publish(folder, online(), day(1))
    monkeypatch.setattr(publish_module, "lint", lambda _folder: [])
    with pytest.raises(SigningError, match=r"refuses .*no delegation leads to stable/.*9.9.9.json"):
        publish(folder, online(), day(1))


def test_letting_go_keeps_what_was_revoked(folder: Folder) -> None:
    halt = pulled(read_halt(folder.target, "stable"), "One", [DIGEST])
    assert let_go(halt, "Fixed.").revoked == {DIGEST}
    assert pulled(halt, "Two", ["cd" * 32]).revoked == {DIGEST, "cd" * 32}


def test_a_halt_key_signs_nothing_but_the_halt(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALT", pem("halt-1"))
    desk = ("--repository", folder.path, "--at", day(1).isoformat())
    assert cli(*desk, "renew", "stable").code == 0
    answer = cli(*desk, "sign", "--role", "stable", "--key", "env:HALT", "--yes")
    assert answer.code == 1
    assert "The key of halt-1 does not sign stable." in answer.err
