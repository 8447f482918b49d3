"""What `flash ota` is told and what it says, without a bridge."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import _parser
from agent.firmware.job.models import Result, Stage
from agent.firmware.job.progress import Progress
from agent.flash_arguments import ACKS, KEY_VARIABLE, PASSWORD_VARIABLE
from agent.flash_bridge import DISPATCH, dispatching
from agent.flash_command import wish_of
from agent.flash_models import MEANS, OF_RESULT, Ended, Exit
from agent.flash_terminal import Screen, line
from agent.fleet.panel import Value
from agent.instance import sole_owner
from tests.flash_help import flashed
from tests.peers.esphome_firmware import API_KEY

DOCS = Path(__file__).parents[1] / "docs"


def test_an_agent_that_owns_the_data_directory_is_left_alone(tmp_path: Path) -> None:
    with sole_owner(tmp_path):
        shown = flashed(
            ["flash", "ota", "192.0.2.1", "--release", "1.1.0", "--data", str(tmp_path), "--json"]
        )
    assert shown.code == Exit.BUSY
    assert "already runs" in shown.end["text"]
    assert "--data" in shown.end["text"]
    assert not (tmp_path / "journal.sqlite3").exists()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--ack-stale"], "reason-missing", "needs a --reason"),
        (["--key-file", "{tmp}/missing"], "bad-secret", "cannot be read"),
        (["--key-file", "{tmp}/bad"], "bad-secret", "not base64"),
        (["--files-at", "http://example.com"], "bad-address", "https"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_touched(
    tmp_path: Path, more: list[str], code: str, said: str
) -> None:
    (tmp_path / "bad").write_text("my secret!")
    given = [it.replace("{tmp}", str(tmp_path)) for it in more]
    words = ["flash", "ota", "192.0.2.1", "--release", "1.1.0", "--data", str(tmp_path / "d")]
    shown = flashed([*words, "--json", *given])
    assert (shown.code, shown.end["code"]) == (Exit.USAGE, code)
    assert said in shown.end["text"]
    assert "my secret" not in shown.out + shown.err
    assert not (tmp_path / "d").exists()


def test_secrets_come_from_files_and_the_environment_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["flash", "ota", "192.0.2.1", "--release", "1.1.0", "--data", str(tmp_path)]
    monkeypatch.setenv(KEY_VARIABLE, API_KEY)
    monkeypatch.setenv(PASSWORD_VARIABLE, "from-outside")
    (tmp_path / "password").write_text("from-a-file\n")
    wish = wish_of(_parser().parse_args([*words, "--password-file", str(tmp_path / "password")]))
    assert (wish.given.api_key, wish.given.password) == (API_KEY, "from-a-file")
    assert API_KEY not in repr(wish)
    assert "from-a-file" not in repr(wish)
    told = _parser().parse_args(words)
    assert wish_of(told).given.password == "from-outside"
    # No option takes a secret itself: what stands there is seen by every process.
    assert {it for it in vars(told) if "key" in it or "password" in it} == {
        "key_file",
        "password_file",
    }


@pytest.mark.parametrize(
    ("shown", "dispatches"), [(1.0, True), (0.0, False), (None, False), ("x", False)]
)
async def test_a_dispatch_that_the_bridge_shows_is_waited_for(shown: Any, dispatches: bool) -> None:
    value = Value(DISPATCH, shown, "", 0.0)
    assert dispatching({DISPATCH: value}) is dispatches
    assert not dispatching({})


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_in_place_and_nothing_that_it_would_obey() -> None:
    err, out = _Terminal(), io.StringIO()
    screen = Screen(out, err)
    screen.progress(Stage.UPLOAD, Progress(50.0, "", 312_400.0, 75.0))
    shown = err.getvalue()
    assert shown.startswith("\r\033[K[############............]  50 %")
    assert shown.endswith("312 kB/s  1 min 15 s left")
    screen.progress(Stage.UPLOAD, Progress(50.0, "", 312_400.0, 75.0))
    assert err.getvalue() == shown  # nothing new, nothing written
    code = screen.ended(Ended(Exit.LOST, "lost", "gone \x1b]0;evil\x07", ("\x1b[31mred",)))
    assert code == Exit.LOST
    rest = err.getvalue().removeprefix(shown)
    assert rest.startswith("\r\033[K")  # the bar gives way
    assert rest.count("\x1b") == 1
    assert "lost: gone  ]0;evil" in rest
    assert "\x1b" not in line(Stage.POSTCHECK, Progress(80.0, "\x1b[2Jhello"))


def test_every_verdict_has_an_exit_code_of_its_own_and_the_docs_tell_all() -> None:
    assert set(OF_RESULT) == set(Result)
    assert len(set(OF_RESULT.values())) == len(Result)
    told = (DOCS / "flash.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", told, re.MULTILINE))
    assert rows == {str(int(it)): f"`{it.name.lower()}` | {MEANS[it]}" for it in MEANS}
    for ack in ACKS:
        assert f"`--ack-{ack}`" in told
