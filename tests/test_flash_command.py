"""
`flash ota` on real ESPHome firmware: each end has its exit code, its words and its journal.

The cases run at once on devices of their own, as long as the longest takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.job.models import KIND, Request, Stage
from agent.firmware.job.replay import Jobs, asked, data_of, replay
from agent.flash_models import Exit
from agent.fleet.identity import Mac
from agent.fleet.keys import KeyFile, Keyring, KeySource, SecretKind, checked, with_secret
from agent.journal import Journal
from tests.firmware.esp_images import application, factory
from tests.firmware.job.scene import release_of
from tests.firmware.ota.between import Between, Trouble
from tests.flash_help import CHIP, PROJECT, Bench, Shown, as_an_esp32, begun, ended, flashed
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY, TRIAL, firmware
from tests.peers.esphome_trial import Fate, TrialDevice, image

DOCS = Path(__file__).parents[1] / "docs"
PASSWORD = "not-the-password"
Case = Callable[[Bench], Shown]


def left_behind(bench: Bench, mac: str) -> None:
    """Write down a job that was asked for and not begun."""

    async def write() -> None:
        wish = Request(Mac(mac), release_of(image("1.1.0"), "1.1.0"), "Ada")
        async with await Journal.open(bench.data / "journal.sqlite3") as journal:
            await journal.append(KIND, data_of(asked("left", wish)), datetime.now(UTC))

    bench.data.mkdir(exist_ok=True)
    asyncio.run(write())


def good(bench: Bench) -> Shown:
    left_behind(bench, bench.device.mac)
    bench.publish("1.1.0", image("1.1.0"))
    return flashed(bench.words("1.1.0", "--stable-for", "1"))


def crash(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0", Fate.CRASHES))
    return flashed(bench.words(f"{PROJECT}@1.1.0"))


def signed_file(bench: Bench) -> Shown:
    """Give the file of a release that is signed; the key is the data directory's."""
    bench.data.mkdir()
    key = checked(SecretKind.API_KEY, API_KEY)
    mac = Mac(bench.device.mac)
    KeyFile(bench.data).store(
        with_secret(Keyring(), mac, SecretKind.API_KEY, key, KeySource.ENTERED)
    )
    bench.publish("1.1.0", image("1.1.0"))
    file = (bench.folder / "images" / "bridge-1.1.0.bin").rename(bench.folder / "got.bin")
    return flashed(bench.words(str(file), key=False))


def wrong_password(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    (bench.folder / "password").write_text(PASSWORD)
    given = ["--password-file", str(bench.folder / "password")]
    given += ["--ack-project-change", "--reason", "it grows"]
    return flashed(bench.words(f"{PROJECT}@1.1.0", *given, key=False))


def wrong_key(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"))
    (bench.folder / "key").write_text("YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU=")
    return flashed(bench.words("1.1.0"))


def wrong_chip(bench: Bench) -> Shown:
    bench.publish("1.1.0", image("1.1.0"), chip="esp32c3")
    return flashed(bench.words("1.1.0"))


def no_inverter(bench: Bench) -> Shown:
    """Ask as in a house, where health and readings count."""
    bench.publish("1.1.0", image("1.1.0"))
    return flashed([it for it in bench.words("1.1.0") if it != "--bench"])


def another_is_open(bench: Bench) -> Shown:
    left_behind(bench, "02005e40ffff")
    bench.publish("1.1.0", image("1.1.0"))
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


def revoked_file(bench: Bench) -> Shown:
    """Bring a file that no channel names any more, because it was revoked."""
    data = application(CHIP, PROJECT, "1.0.5")
    bench.repo.halt("stable", paused=False, revoked=[hashlib.sha256(data).hexdigest()])
    bench.repo.publish("halt")
    bench.publish("1.1.0", image("1.1.0"))
    return own_file(data, *ACKED)(bench)


def unsigned_file(bench: Bench) -> Shown:
    """Bring other bytes than were signed under that version."""
    bench.publish("1.1.0", image("1.1.0"))
    return own_file(application(CHIP, PROJECT, "1.1.0"))(bench)


ACKED = ("--ack-unsigned", "--ack-project-change", "--reason", "mine")
CASES: dict[str, tuple[str, Case, Exit, str, str]] = {
    "good": (TRIAL, good, Exit.CONFIRMED, "confirmed", "is confirmed"),
    "crash": (TRIAL, crash, Exit.ROLLED_BACK, "rolled-back", "did not hold"),
    "signed_file": (TRIAL, signed_file, Exit.CONFIRMED, "confirmed", "is confirmed"),
    "wrong_password": (
        "plain", wrong_password, Exit.REFUSED, "wrong_password", "did not accept the upload pass"),
    "wrong_key": (TRIAL, wrong_key, Exit.REFUSED, "wrong_key", "key"),
    "wrong_chip": (TRIAL, wrong_chip, Exit.REFUSED, "gates_failed", "for its chip"),
    "no_inverter": (TRIAL, no_inverter, Exit.REFUSED, "gates_failed", "sensor.battery_soc"),
    "another_is_open": (
        TRIAL, another_is_open, Exit.REFUSED, "other-job", "02:00:5E:40:FF:FF"),
    "damaged_file": (TRIAL, damaged_file, Exit.UNCHANGED, "download", "could not be fetched"),
    "factory_file": (
        TRIAL, own_file(factory(CHIP, PROJECT, "1.1.0"), *ACKED),
        Exit.REFUSED, "factory-needs-serial", "over the air"),
    "foreign_file": (
        TRIAL, own_file(b"MZ" + bytes(100_000), *ACKED), Exit.REFUSED, "bad-image", "own.bin"),
    "chip_of_a_file": (
        TRIAL, own_file(application("esp32c3", PROJECT, "1.1.0"), *ACKED),
        Exit.REFUSED, "wrong-chip", "esp32c3"),
    "revoked_file": (TRIAL, revoked_file, Exit.REFUSED, "image-revoked", "revoked"),
    "own_build": (
        TRIAL, own_file(application(CHIP, PROJECT, "1.1.0"), *ACKED),
        Exit.REFUSED, "update_end", "rejected it"),
    "unsigned_file": (TRIAL, unsigned_file, Exit.REFUSED, "own-build", "signed"),
}  # fmt: skip
SENT = {"good", "crash", "signed_file", "wrong_password", "own_build"}
"""`own_build` is for a real ESP32: it comes as far as the bridge's own check."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Bench, Shown]]]:
    if firmware(TRIAL) is None or firmware("plain") is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    benches: dict[str, Bench] = {}
    devices: dict[str, Device] = {}
    try:
        for number, (name, (kind, *_)) in enumerate(CASES.items()):
            where, whose = tmp_path_factory.mktemp(name), _device_of(name, number)
            if whose not in devices:
                mac, of_kind = (
                    f"02005e40{len(devices):04x}",
                    TrialDevice if kind == TRIAL else _plain,
                )
                devices[whose] = of_kind(where / "device", name=whose.replace("_", "-"), mac=mac)
                devices[whose].start()
            benches[name] = Bench(where, devices[whose])
        with as_an_esp32(), ThreadPoolExecutor(len(benches)) as pool:
            running = {name: pool.submit(CASES[name][1], it) for name, it in benches.items()}
            yield {name: (benches[name], it.result()) for name, it in running.items()}
    finally:
        for device in devices.values():
            device.kill()


def _device_of(name: str, number: int) -> str:
    """Return whose device it is: a bridge takes few connections at once."""
    return name if name in SENT else f"left-alone-{number % 2}"


def _plain(directory: Path, **named: Any) -> Device:
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
    assert len(jobs.open) == (name == "another_is_open")
    assert jobs.unread == 0
    began = any(it.upload_began for it in jobs.by_id.values())
    assert began == (name in SENT)
    if name not in SENT:
        assert "OTA begin" not in bench.device.log(100_000)
        assert bench.device.boots == 1


@pytest.mark.peers("esphome")
async def test_what_an_earlier_run_had_not_begun_is_cancelled(
    played: dict[str, tuple[Bench, Shown]],
) -> None:
    bench, shown = played["good"]
    left, mine = (await journaled(bench)).by_id.values()
    assert left.verdict is not None
    assert (left.id, left.verdict.code, left.upload_began) == ("left", "cancelled", False)
    assert mine.id == shown.end["job"]


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
    assert "Watching it for 1 s first." in shown.err


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
            first = begun(*words)
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
    knocked = asyncio.Event()

    async def silent(*_: object) -> None:
        knocked.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        words = ["flash", "ota", "127.0.0.1", "--release", "1.1.0", "--data", str(tmp_path / "d")]
        running = begun(*words, "--api-port", str(port), "--json")
        async with asyncio.timeout(60):
            await knocked.wait()
        running.send_signal(signal.SIGTERM)
        shown = await asyncio.to_thread(ended, running)
    assert (shown.code, shown.end["code"]) == (Exit.CANCELLED, "cancelled"), shown
    assert "nothing was sent" in shown.err


def _until(process: subprocess.Popen[str], word: str) -> str:
    """Return what it said, up to the line with that word."""
    assert process.stderr is not None
    said = ""
    for each in process.stderr:
        said += each
        if word in each:
            return said
    raise AssertionError(f"it ended without {word!r}: {said}")
