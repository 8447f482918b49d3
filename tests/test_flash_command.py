"""
`flash ota` on real ESPHome firmware: each end has its exit code, its words and its journal.

The cases run at once on devices of their own, as long as the longest takes.
"""

from __future__ import annotations

import asyncio
import io
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.job.models import KIND, Result, Stage
from agent.firmware.job.progress import Progress
from agent.firmware.job.replay import Jobs, replay
from agent.flash_arguments import ACKS
from agent.flash_models import MEANS, OF_RESULT, Ended, Exit
from agent.flash_terminal import Screen, line
from agent.instance import sole_owner
from agent.journal import Journal
from tests.firmware.esp_images import application, factory
from tests.firmware.ota.between import Between, Trouble
from tests.flash_help import CHIP, PROJECT, Bench, Shown, as_an_esp32, ended, flashed
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY, TRIAL, firmware
from tests.peers.esphome_trial import Fate, TrialDevice, image

DOCS = Path(__file__).parents[1] / "docs"
PASSWORD = "not-the-password"
NEVER_SENT = ("upload", "postcheck")
Case = Callable[[Bench], Shown]


def good(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    return flashed(bench.words("1.1.0"))


def crash(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0", Fate.CRASHES))
    return flashed(bench.words(f"{PROJECT}@1.1.0"))


def signed_file(bench: Bench) -> Shown:
    """Give the file of a release that is signed."""
    bench.publish("1.1.0", image("1.1.0"))
    file = (bench.folder / "images" / "bridge-1.1.0.bin").rename(bench.folder / "got.bin")
    return flashed(bench.words(str(file)))


def wrong_password(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    (bench.folder / "password").write_text(PASSWORD)
    given = ["--password-file", str(bench.folder / "password")]
    given += ["--ack-project-change", "--reason", "it grows"]
    return flashed(bench.words(f"{PROJECT}@1.1.0", *given, key=False))


def project_differs(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    return flashed(bench.words(f"{PROJECT}@1.1.0", key=False))


def wrong_key(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    (bench.folder / "key").write_text("YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU=")
    return flashed(bench.words("1.1.0"))


def wrong_chip(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"), chip="esp32c3")
    return flashed(bench.words("1.1.0"))


def damaged_file(bench: Bench) -> Shown:
    """Let nobody have the bytes that were signed."""
    bench.publish("1.1.0", image("1.1.0"))
    (bench.folder / "images" / "bridge-1.1.0.bin").write_bytes(image("1.1.0", Fate.HANGS))
    return flashed(bench.words("1.1.0"))


def own_file(data: bytes, *more: str) -> Case:
    def case(bench: Bench) -> Shown:
        path = bench.folder / "own.bin"
        path.write_bytes(data)
        return flashed(bench.words(str(path), *more))

    return case


ACKED = ("--ack-unsigned", "--ack-project-change", "--reason", "mine")
CASES: dict[str, tuple[str, Case, Exit, str, str]] = {
    "good": (TRIAL, good, Exit.CONFIRMED, "confirmed", "is confirmed"),
    "crash": (TRIAL, crash, Exit.ROLLED_BACK, "rolled-back", "did not hold"),
    "signed_file": (TRIAL, signed_file, Exit.CONFIRMED, "confirmed", "is confirmed"),
    "wrong_password": (
        "plain", wrong_password, Exit.REFUSED, "wrong_password", "did not accept the upload pass"),
    "project_differs": ("plain", project_differs, Exit.REFUSED, "project-differs", "project"),
    "wrong_key": (TRIAL, wrong_key, Exit.REFUSED, "wrong_key", "key"),
    "wrong_chip": (TRIAL, wrong_chip, Exit.REFUSED, "gates_failed", "for its chip"),
    "damaged_file": (TRIAL, damaged_file, Exit.UNCHANGED, "download", "could not be fetched"),
    "factory_file": (
        TRIAL, own_file(factory(CHIP, PROJECT, "1.1.0"), *ACKED),
        Exit.REFUSED, "factory-needs-serial", "cable"),
    "foreign_file": (
        TRIAL, own_file(b"MZ" + bytes(100_000), *ACKED), Exit.REFUSED, "bad-image", "own.bin"),
    "chip_of_a_file": (
        TRIAL, own_file(application("esp32c3", PROJECT, "1.1.0"), *ACKED),
        Exit.REFUSED, "wrong-chip", "esp32c3"),
    "unsigned_file": (
        TRIAL, own_file(application(CHIP, PROJECT, "1.1.0")), Exit.REFUSED, "own-build", "signed"),
}  # fmt: skip
SENT = {"good", "crash", "signed_file", "wrong_password"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Bench, Shown]]]:
    if firmware(TRIAL) is None or firmware("plain") is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    benches = {}
    try:
        for number, (name, (kind, *_)) in enumerate(CASES.items()):
            where, mac = tmp_path_factory.mktemp(name), f"02005e40{number:04x}"
            of_kind = TrialDevice if kind == TRIAL else _device
            device = of_kind(where / "device", name=name.replace("_", "-"), mac=mac)
            benches[name] = Bench(where, device)
            device.start()
        with as_an_esp32(), ThreadPoolExecutor(len(benches)) as pool:
            running = {name: pool.submit(CASES[name][1], it) for name, it in benches.items()}
            yield {name: (benches[name], it.result()) for name, it in running.items()}
    finally:
        for bench in benches.values():
            bench.device.kill()


def _device(directory: Path, **named: Any) -> Device:
    return Device("plain", directory, **named)


async def journaled(bench: Bench) -> Jobs:
    async with await Journal.open(bench.data / "journal.sqlite3") as journal:
        found = await journal.events(kinds=[KIND], after_id=0, limit=1000)
        return replay((it.at, it.data) for it in found)


@pytest.mark.peers("esphome")
@pytest.mark.parametrize("name", CASES)
async def test_each_end_has_its_exit_code_its_words_and_no_lock(
    played: dict[str, tuple[Bench, Shown]], name: str
) -> None:
    bench, shown = played[name]
    _, _, code, word, said = CASES[name]
    told = shown.end
    assert (shown.code, told["exit"], told["verdict"]) == (code, code, code.name.lower()), shown
    assert (told["code"], said in told["text"]) == (word, True), shown
    assert PASSWORD not in shown.out + shown.err
    assert API_KEY not in shown.out + shown.err
    jobs = await journaled(bench)
    assert jobs.open == ()
    assert jobs.unread == 0
    began = any(it.upload_began for it in jobs.by_id.values())
    assert began == (name in SENT)
    if name not in SENT:
        assert "OTA" not in bench.device.log(100_000).replace("Over-The-Air", "").split("begin")[-1]
        assert bench.device.boots == 1


@pytest.mark.peers("esphome")
async def test_what_is_shown_goes_from_stage_to_stage_and_never_back(
    played: dict[str, tuple[Bench, Shown]],
) -> None:
    _, shown = played["good"]
    lines = [it for it in shown.err.splitlines() if re.match(r" *\d+ %", it)]
    percents = [int(it.split()[0]) for it in lines]
    assert percents == sorted(percents)
    stages = [it.split()[2] for it in lines]
    assert [it for it in Stage if it in stages][:6] == list(dict.fromkeys(stages))[:6]
    uploading = [it for it in lines if " upload " in it]
    assert any(re.search(r"\d+ kB/s +(\d+ min )?\d+ s left", it) for it in uploading), lines
    assert "\r" not in shown.err


@pytest.mark.peers("esphome")
async def test_ctrl_c_ends_a_running_upload_and_a_second_one_leaves_it_to_the_next_run(
    tmp_path: Path,
) -> None:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    device = TrialDevice(tmp_path / "device", name="stopped", mac="02005e40ff01")
    with device:
        bench = Bench(tmp_path, device)
        bench.publish("1.1.0", image("1.1.0"))
        stall = [Trouble(up_bytes=60_000, stalls=True)] * 20  # also for those who only knock
        async with Between(device.ota_port, *stall) as between:
            words = bench.words("1.1.0", "--port", str(between.port))
            first = bench.begin(*words)
            said = await asyncio.to_thread(_until, first, "upload")
            first.send_signal(signal.SIGINT)
            said += await asyncio.to_thread(_until, first, "Stopping the upload")
            assert "Ctrl-C again leaves at once" in said
            said = await asyncio.to_thread(_until, first, "postcheck")
            first.send_signal(signal.SIGINT)
            left = await asyncio.to_thread(ended, first)
        assert left.code == Exit.LEFT, left
        assert left.end["code"] == "left"
        (job,) = (await journaled(bench)).open
        assert job.upload_began
        with as_an_esp32():
            next_run = await asyncio.to_thread(flashed, words)
        assert (next_run.code, next_run.end["code"]) == (Exit.CANCELLED, "cancelled"), next_run
        assert "an earlier flash" in next_run.end["text"]
        assert "runs what it ran before" in next_run.end["text"]
        assert (await journaled(bench)).open == ()
        assert device.boots == 1


async def test_ctrl_c_before_anything_is_sent_says_so(tmp_path: Path) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        words = ["flash", "ota", "127.0.0.1", "--release", "1.1.0", "--data", str(tmp_path / "d")]
        running = Bench.begin(None, *words, "--api-port", str(port), "--json")  # type: ignore[arg-type]
        await asyncio.to_thread(_wait_for, tmp_path / "d" / "journal.sqlite3")
        running.send_signal(signal.SIGTERM)
        shown = await asyncio.to_thread(ended, running)
    assert (shown.code, shown.end["code"]) == (Exit.CANCELLED, "cancelled"), shown
    assert "nothing was sent" in shown.err


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


def _until(process: subprocess.Popen[str], word: str) -> str:
    """Return what it said, up to the line with that word."""
    assert process.stderr is not None
    said = ""
    for each in process.stderr:
        said += each
        if word in each:
            return said
    raise AssertionError(f"it ended without {word!r}: {said}")


def _wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        signal.sigtimedwait([], 0.05)
    raise AssertionError(f"there is no {path.name}")
