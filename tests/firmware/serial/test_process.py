"""The flashing process is ended whatever happens, and what it had begun is known."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import struct
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.serial.boot_log import Start
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialCode, SerialError
from agent.firmware.serial.messages import Event, Job, Request
from agent.firmware.serial.models import Phase, Progress
from agent.firmware.serial.pace import LADDER
from agent.fleet.identity import Mac
from tests.firmware.serial.boards import QUICK, board
from tests.firmware.serial.conftest import Started

TELLS_LATE = """
import json, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(json.dumps({"event": "phase", "phase": "write", "total": 1}), flush=True)
signal.sigwait({signal.SIGTERM})
print(json.dumps({"event": "touched"}), flush=True)
"""
STUBBORN = """
import json, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(json.dumps({"event": "phase", "phase": "write", "total": 1}), flush=True)
while True:
    signal.pause()
"""
FLOODS = """
import sys
while True:
    sys.stdout.write("x" * 65536)
"""


async def begun(program: str, told: list[Progress]) -> asyncio.Task[Any]:
    """Start a driver with that as its process, and wait until it says that it writes."""
    writes = asyncio.Event()

    def tell(now: Progress) -> None:
        told.append(now)
        if now.phase is Phase.WRITE:
            writes.set()

    own = SerialDriver(QUICK, LADDER[:1], (sys.executable, "-c", program))
    task = asyncio.create_task(own.identify("port", tell))
    await asyncio.wait_for(writes.wait(), 10)
    return task


async def test_a_write_that_began_as_the_process_was_ended_is_known(tmp_path: Path) -> None:
    """Its word was still on the way when somebody cancelled the job."""
    told: list[Progress] = []
    task = await begun(TELLS_LATE, told)
    assert not told[-1].touched
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told[-1].touched


async def test_who_cannot_wait_for_the_end_leaves_no_process_behind(started: Started) -> None:
    task = await begun(STUBBORN, [])
    (worker,) = started()
    task.cancel()
    await asyncio.sleep(0)  # it has asked the process to end, and waits for that
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(worker.wait, 5)
    assert not worker.is_running()


async def test_a_process_that_does_not_heed_the_first_signal_is_killed(started: Started) -> None:
    task = await begun(STUBBORN, [])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not started()


async def test_a_process_that_says_more_than_a_line_is_ended(started: Started) -> None:
    own = SerialDriver(QUICK, LADDER[:1], (sys.executable, "-c", FLOODS))
    with pytest.raises(SerialError) as caught:
        await asyncio.wait_for(own.identify("port"), 10)
    assert (caught.value.code, caught.value.detail) == (
        SerialCode.WORKER_DIED,
        "a line without end",
    )
    assert not started()


SURROUNDINGS = """
import json, os
told = [sorted(os.environ), os.listdir("."), os.environ["HOME"] == os.getcwd()]
told += [os.getsid(0) == os.getpid()]
print(json.dumps({"event": "done", "heard": json.dumps(told).encode().hex()}), flush=True)
"""


async def test_nothing_of_a_user_changes_what_the_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """esptool reads settings from there, some of which change how it resets a chip."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "esptool.cfg").write_text("[esptool]\nreset_delay = 9\n")
    for name in ("ESPTOOL_PORT", "ESPTOOL_CFGFILE", "ESP_IDE_WS"):
        monkeypatch.setenv(name, "/dev/ttyUSB9")
    own = SerialDriver(QUICK, command=(sys.executable, "-P", "-c", SURROUNDINGS))
    (line,) = (await own.observe("port")).lines
    names, files, at_home, alone = json.loads(line)
    assert set(names) <= {"HOME", "LANG", "LC_CTYPE", "PATH", "PYTHONPATH", "TZ"}
    assert files == []
    assert at_home
    assert alone, "a Ctrl-C in the terminal would end it in the middle of a write"


class Circuit:
    """DTR and RTS of a port, and the two transistors of the boards between them and the chip."""

    def __init__(self) -> None:
        self.dtr = self.rts = True
        """As opening leaves them."""
        self.seen: list[tuple[bool, bool]] = []
        """Whether the chip was held in reset, and whether BOOT was."""

    def ioctl(self, number: int, request: int, argument: Any = 0) -> Any:
        """Do what a terminal without lines would refuse."""
        bits = struct.unpack("I", argument)[0]
        if request == termios.TIOCMGET:
            set_bits = termios.TIOCM_DTR * self.dtr | termios.TIOCM_RTS * self.rts
            return struct.pack("I", set_bits)
        for line in ("dtr", "rts"):
            named = bool(bits & getattr(termios, f"TIOCM_{line.upper()}"))
            if named or request == termios.TIOCMSET:
                setattr(self, line, named and request != termios.TIOCMBIC)
        self.seen.append((self.rts and not self.dtr, self.dtr and not self.rts))
        return 0


@pytest.fixture
def circuit(monkeypatch: pytest.MonkeyPatch) -> Circuit:
    it = Circuit()
    real: Callable[..., Any] = fcntl.ioctl

    def ioctl(number: int, request: int, *more: Any) -> Any:
        lines = {termios.TIOCMBIS, termios.TIOCMBIC, termios.TIOCMGET, termios.TIOCMSET}
        return (
            it.ioctl(number, request, *more) if request in lines else real(number, request, *more)
        )

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    # A process takes esptool's log over once, and has one job.
    monkeypatch.setattr("agent.firmware.serial.flasher.install", lambda _: None)
    return it


def test_a_restart_resets_the_chip_and_leaves_boot_alone(circuit: Circuit) -> None:
    """With both lines set, as opening leaves them, the circuit does nothing at all."""
    from agent.firmware.serial import flasher, narrator  # noqa: PLC0415 - it loads esptool

    master, slave = os.openpty()
    request = Request(Job.RESTART, os.ttyname(slave), 115_200, True, 1, 1.0)
    flasher.do(request, b"", narrator.Teller(lambda *_, **__: None))
    os.close(master)
    os.close(slave)
    held = [reset for reset, _ in circuit.seen]
    assert held.count(True) > 0, "it was never reset"
    assert not held[-1], "it is held in reset"
    after = circuit.seen[len(held) - held[::-1].index(True) :]
    assert not any(boot for _, boot in after), "it comes up in its boot loader"


async def test_a_bridge_that_is_refused_is_started_again(tmp_path: Path, circuit: Circuit) -> None:
    """It may be somebody else's, and goes on with what it did."""
    from agent.firmware.serial import flasher, narrator  # noqa: PLC0415 - it loads esptool

    async with board(tmp_path) as it:
        plan = replace(it.plan, mac=Mac("b8d61a000001"))
        request = Request(Job.WRITE, it.port.path, 115_200, True, 2, 1.0, plan)
        asked: list[int] = []

        def say(_: Event, **__: object) -> None:
            if it.esp.commands and not asked:
                asked.append(len(circuit.seen))

        teller = narrator.Teller(say)
        with pytest.raises(SerialError, match="was meant"):
            await asyncio.to_thread(flasher.do, request, it.content, teller)
    held = [reset for reset, _ in circuit.seen[asked[0] :]]
    assert held.count(True) > 0
    assert not held[-1]


async def test_a_port_that_its_chip_takes_along_when_it_starts_is_listened_to_again(
    tmp_path: Path,
) -> None:
    """So do chips that are their own USB device."""
    async with board(tmp_path, "esp32s3") as it:
        it.port.starts = False
        listening = asyncio.Event()

        def tell(now: Progress) -> None:
            if now.phase is Phase.OBSERVE:
                listening.set()

        task = asyncio.create_task(it.driver.observe(it.port.path, tell))
        await asyncio.wait_for(listening.wait(), 10)
        it.port.unplug()
        it.port.starts = True
        it.port.plug_in()
        assert (await task).start is Start.CONNECTED


@pytest.mark.parametrize("listens", [False, True])
async def test_a_port_that_is_locked_is_told_as_that_by_a_restart_too(
    tmp_path: Path, listens: bool
) -> None:
    blind = (
        sys.executable,
        "-c",
        "from agent.firmware.serial import worker\nworker.holders = lambda _: ()\nworker.main()",
    )
    async with board(tmp_path) as it:
        own = SerialDriver(QUICK, command=blind)
        other = os.open(it.port.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        try:
            with pytest.raises(SerialError, match="Another program uses the port") as caught:
                await (own.observe if listens else own.restart)(it.port.path)
        finally:
            os.close(other)
    assert caught.value.code is SerialCode.PORT_BUSY
