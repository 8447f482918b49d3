"""
A bench for `flash serial`: a publisher, a data directory, and a virtual ESP on a pseudo terminal.

Between them is what the command runs: real esptool in its own process. Only the list of ports is
told, because the kernel knows no USB device behind a pseudo terminal. As a program it is the
command itself with that list.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from agent import flash_cable, flash_command, flash_release, flash_serial_command
from agent.__main__ import _parser
from agent.firmware.image.read import read_image
from agent.firmware.job.models import KIND, Patience
from agent.firmware.job.replay import Jobs, replay
from agent.firmware.manifest.models import Release
from agent.firmware.own.builds import parts_of
from agent.firmware.serial.boot_log import BootReport
from agent.firmware.serial.driver import SerialDriver, Tell
from agent.firmware.serial.layout import read_table
from agent.firmware.serial.models import Partition
from agent.firmware.serial.pace import LADDER, Rung
from agent.firmware.serial.pace import Patience as CablePatience
from agent.firmware.serial.ports import SerialPort, Usb
from agent.firmware.trust import client
from agent.firmware.trust.models import SourceKnowledge
from agent.firmware.trust.source import Question
from agent.flash_terminal import Screen
from agent.journal import Journal
from agent.simulator.esp_rom import VirtualEsp
from agent.simulator.esp_rom_chips import Specimen
from agent.simulator.esp_rom_faults import RomFaults
from agent.simulator.esp_rom_port import EspPort
from tests.firmware.esp_images import KIB, factory
from tests.firmware.repo import Repo
from tests.firmware.serial.boards import COMMAND, SETTINGS
from tests.flash_help import Shown

ROOT = Path(__file__).parents[1]
PROJECT = "pv-edge.alphaess-bridge"
VERSION = "1.1.0"
COMPILED = "TESTS_SERIAL_COMMAND"
"""Hands the flashing process to the command, with esptool compiled already."""
MAC = "A0:B7:65:1C:2D:3E"
QUICK = CablePatience(connect_attempts=2, greeting_s=2, reappear_s=0.5, listen_s=0.3)
WAITS = Patience(settle_s=0.2, network_s=1.0)


@dataclass
class CableBench:
    """One bridge on a cable, one publisher, one data directory."""

    folder: Path
    port: EspPort
    content: bytes
    old: bytes
    ladder: tuple[Rung, ...] = LADDER
    starts: bool = True
    """It says how it starts when it is listened to."""
    data: Path = field(init=False)

    def __post_init__(self) -> None:
        """Publish the release."""
        self.data = self.folder / "data"
        repo = Repo(project=PROJECT, at=datetime.now(UTC) - timedelta(hours=1))
        repo.release("stable", VERSION, **_entry(self.content))
        repo.publish("stable")
        repo.save(self.folder / "bundle")
        (self.folder / "images").mkdir()
        self.image.write_bytes(self.content)

    @property
    def image(self) -> Path:
        """The file of the release."""
        return self.folder / "images" / "bridge.bin"

    @property
    def esp(self) -> VirtualEsp:
        return self.port.esp

    @property
    def nvs(self) -> Partition:
        """Where its settings are."""
        return next(it for it in read_table(self.content[0x8000:0x9000]) if it.keeps_settings)

    @property
    def flashed(self) -> bool:
        """Whether its flash holds the signed bytes."""
        return all(
            self.at(it.offset, it.size) == self.content[it.start : it.start + it.size]
            for it in parts_of(self.content, read_image(self.content))
        )

    @property
    def settings(self) -> bytes:
        """What stands where its settings were."""
        return self.at(self.nvs.offset, len(SETTINGS))

    def at(self, offset: int, size: int) -> bytes:
        return bytes(self.esp.flash.data[offset : offset + size])

    def words(self, *more: str, release: str = f"{PROJECT}@{VERSION}") -> list[str]:
        """Return the command's words."""
        found = ["flash", "serial", "--port", self.port.path, "--release", release]
        found += ["--data", str(self.data), "--bundle", str(self.folder / "bundle")]
        found += ["--images", str(self.folder / "images"), "--reason", "it is dead", "--json"]
        return [*found, *(more or ("--mac", MAC))]

    def run(self, *words: str) -> Shown:
        """Run the command in this thread, which is not that of the virtual chip."""
        args = _parser().parse_args(list(words))
        out, err = io.StringIO(), io.StringIO()
        driver = Starter(self.port if self.starts else None, QUICK, self.ladder, COMMAND)
        code = flash_command.command(
            args, WAITS, screen=Screen(out, err, as_json=args.json), driver=driver
        )
        return Shown(code, out.getvalue(), err.getvalue())

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start the command as a process of its own."""
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "tests.cable_help", self.port.path, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", COMPILED: json.dumps(COMMAND)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def jobs(self) -> Jobs:
        """Return what the journal says of the jobs."""
        async with await Journal.open(self.data / "journal.sqlite3") as journal:
            found = await journal.events(kinds=[KIND], after_id=0, limit=1000)
            return replay((it.at, it.data) for it in found)

    async def stages(self) -> list[str]:
        """Return the stages of all jobs, as they were journaled."""
        async with await Journal.open(self.data / "journal.sqlite3") as journal:
            found = await journal.events(kinds=[KIND], after_id=0, limit=1000)
            return [str(it.data["stage"]) for it in found if it.data["line"] == "stage"]


@asynccontextmanager
async def cable_bench(
    folder: Path,
    chip: str = "esp32c3",
    faults: RomFaults | None = None,
    *,
    specimen: Specimen | None = None,
    made_for: str | None = None,
    paced: bool = False,
    starts: bool = True,
    size: int = 16 * KIB,
    ladder: tuple[Rung, ...] = LADDER,
) -> AsyncIterator[CableBench]:
    """A bridge that runs an older version and has settings in its NVS."""
    esp = VirtualEsp(specimen or Specimen(chip), faults)
    content = factory(made_for or esp.specimen.chip, PROJECT, VERSION, size=size)
    old = factory(esp.specimen.chip, PROJECT, "1.0.0", size=8 * KIB)
    esp.flash.load(0, old)
    async with EspPort(esp, folder / "usb-bridge-if00-port0", paced=paced) as port:
        bench = CableBench(folder, port, content, old, ladder, starts=starts)
        esp.flash.load(bench.nvs.offset, SETTINGS)
        PLUGGED.append(listed(port.path))
        try:
            yield bench
        finally:
            PLUGGED.remove(listed(port.path))


class Starter(SerialDriver):
    """Has the chip start its program when that is listened to: a pty has no reset line."""

    def __init__(self, port: EspPort | None, *of: Any) -> None:
        super().__init__(*of)
        self._board = port

    async def observe(self, port: str, tell: Tell | None = None) -> BootReport:
        if self._board is None:
            return await super().observe(port, tell)
        self._board.starts = True
        try:
            return await super().observe(port, tell)
        finally:
            self._board.starts = False


def listed(path: str, usb: Usb | None = None) -> SerialPort:
    """Return a port as the kernel would tell it."""
    return SerialPort(path, usb or Usb(0x10C4, 0xEA60, "0001", "Silicon Labs", "CP2102N"))


def _entry(content: bytes) -> dict[str, Any]:
    facts = read_image(content)
    parts = [
        {"offset": it["offset"], "from": it["start"], "size": it["size"]}
        for it in map(asdict, parts_of(content, facts))
    ]
    image = {
        "kind": "factory",
        "chip": facts.chip,
        "file": "bridge.bin",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "flash_size": 4 << 20,
        "parts": parts,
    }
    return {
        "hw": [],
        "boards": [],
        "min_chip_revision": 0,
        "trusts": [],
        "health": {"confirm_after_s": 5, "expect_entities": []},
        "images": [image],
    }


PLUGGED: list[SerialPort] = []
"""What the kernel would list; benches put themselves in."""


async def _look(question: Question) -> SourceKnowledge:
    """Ask the trust worker's own function, without a process: others test that one."""
    return await asyncio.to_thread(client.look, question)


async def _release(question: Question, channel: str, project: str, version: str) -> Release:
    return await asyncio.to_thread(client.release, question, channel, project, version)


@contextmanager
def plugged() -> Iterator[None]:
    """Have the command see the ports of the benches."""
    with (
        mock.patch.object(flash_release, "look_in_worker", _look),
        mock.patch.object(flash_release, "release_in_worker", _release),
        mock.patch.object(flash_cable, "list_ports", side_effect=lambda: tuple(PLUGGED)),
        mock.patch.object(flash_serial_command, "list_ports", side_effect=lambda: tuple(PLUGGED)),
    ):
        yield


if __name__ == "__main__":
    where, *rest = sys.argv[1:]
    PLUGGED.append(listed(where))
    with plugged():
        args = _parser().parse_args(rest)
        command = tuple(json.loads(os.environ[COMPILED]))
        quick = SerialDriver(QUICK, LADDER, command)
        sys.exit(flash_command.command(args, WAITS, driver=quick))
