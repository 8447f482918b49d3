"""
What the rest of the agent asks of a cable: who is there, copy it, write it, prove it.

Each job is one process that holds the port for as long as it runs. If a phase takes longer than it
ever should, if the task is cancelled or if this program ends, that process ends with it and the
port is free; what a failed write leaves behind is said in `SerialError.touched`.

Source: esptool.md, sections 0 and 1.3; the decisions are in `checks`, `plan` and `pace`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import agent
from agent.firmware.manifest.models import Part
from agent.firmware.serial.boot_log import BootReport, read_boot_log
from agent.firmware.serial.errors import Refusal, SerialCode, SerialError, explain, words
from agent.firmware.serial.messages import Event, Job, Request, device_from
from agent.firmware.serial.models import (
    Backup,
    FlashPlan,
    Phase,
    Progress,
    SerialDevice,
    Span,
    Written,
)
from agent.firmware.serial.pace import LADDER, Patience, Rung, next_rung

Tell = Callable[[Progress], None]
_COMMAND = (sys.executable, "-P", "-m", "agent.firmware.serial.worker")
_GRACE_S = 1.0
_LOOK_S = 0.1


class SerialDriver:
    """
    Jobs on ports.

    Args:
        patience: how long to wait for what.
        ladder: how to try, and how to try again.
        command: how to start the flashing process; another one in tests.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        ladder: tuple[Rung, ...] = LADDER,
        command: tuple[str, ...] = _COMMAND,
    ) -> None:
        self._patience = patience or Patience()
        self._ladder = ladder
        self._command = command

    async def identify(self, port: str, tell: Tell | None = None) -> SerialDevice:
        """
        Return what is on a port; it is reset, and nothing on it is changed.

        Raises:
            SerialError: nothing answers, or what does is no ESP.
        """
        result, _ = await self._climb(self._request(Job.IDENTIFY, port), tell)
        return device_from(result["device"])

    async def backup(
        self, port: str, device: SerialDevice, path: Path, tell: Tell | None = None, *,
        full: bool = False,
    ) -> Backup:  # fmt: skip
        """
        Copy settings and partition table of a device into a new file of mode 0600.

        What was read is compared with the flash and the file with what was read. The file holds
        Wi-Fi passwords: delete it when it is not needed any more.

        Args:
            port: where it is.
            device: as it was identified.
            path: the file; one that is there is replaced once the new one is complete.
            tell: gets what happens.
            full: copy all of the flash.

        Raises:
            SerialError: it cannot be read or is another device; no file is left.
        """
        partial = partial_of(path)
        request = self._request(Job.BACKUP, port)
        request = replace(request, output=str(partial), full=full, mac=device.mac)
        try:
            result, _ = await self._climb(request, tell)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        found = device_from(result["device"])
        if found.mac is None or found.flash_size is None:
            raise SerialError(words(SerialCode.WORKER_DIED))
        regions = tuple(Part(**it) for it in result["regions"])
        return Backup(path, found.mac, found.chip, found.flash_size, result["sha256"], regions)

    async def write(
        self, port: str, plan: FlashPlan, image: Path, tell: Tell | None = None
    ) -> Written:
        """
        Carry a plan out; what is there already is not written again.

        Raises:
            SerialError: it failed; `touched` says whether the device needs flashing now.
        """
        request = replace(self._request(Job.WRITE, port), plan=plan, image=str(image))
        result, rung = await self._climb(request, tell)
        return Written(
            written=tuple(Part(**it) for it in result["written"]),
            already_right=tuple(Part(**it) for it in result["same"]),
            erased=tuple(Span(**it) for it in result["erased"]),
            baud=rung.baud,
            with_stub=rung.stub,
        )

    async def verify(
        self, port: str, plan: FlashPlan, image: Path, tell: Tell | None = None
    ) -> None:
        """
        Prove, after a fresh start of the chip, that its flash holds what the plan says.

        Raises:
            SerialError: it does not, with the code `NOT_KEPT`, or it cannot be asked.
        """
        request = replace(self._request(Job.VERIFY, port), plan=plan, image=str(image))
        await self._climb(request, tell)

    async def holds(
        self, port: str, plan: FlashPlan, image: Path, tell: Tell | None = None
    ) -> bool:
        """Return whether all of a plan is there already; False too where that cannot be told."""
        # Tried once: who asks will write otherwise, and hears then what is wrong.
        once = SerialDriver(self._patience, self._ladder[:1], self._command)
        try:
            await once.verify(port, plan, image, tell)
        except SerialError:
            return False
        return True

    async def restart(self, port: str) -> None:
        """
        Let the device start its program, by the port's lines and without a word to it.

        A job that was cancelled leaves the device in its boot loader, where it does nothing.

        Raises:
            SerialError: the port is not to be had.
        """
        await self._climb(self._request(Job.RESTART, port), None)

    async def observe(self, port: str, tell: Tell | None = None) -> BootReport:
        """
        Start the device and say how that went, by what it prints on the cable.

        That it is on the network is for others to prove, by its address.

        Raises:
            SerialError: the port is not to be had.
        """
        request = replace(self._request(Job.OBSERVE, port), listen_s=self._patience.listen_s)
        result, _ = await self._climb(request, tell)
        return read_boot_log(bytes.fromhex(result["heard"]))

    def _request(self, job: Job, port: str) -> Request:
        rung, patience = self._ladder[0], self._patience
        return Request(
            job, port, rung.baud, rung.stub, patience.connect_attempts, patience.greeting_s
        )

    async def _climb(self, request: Request, tell: Tell | None) -> tuple[dict[str, Any], Rung]:
        """Do the job, more slowly each time that this may help."""
        rung, touched, gone = self._ladder[0], False, False
        while True:
            attempt = _Attempt(rung, self._patience, tell or _nobody, touched=touched)
            try:
                request = replace(request, baud=rung.baud, stub=rung.stub)
                return await attempt.run(request, self._command), rung
            except SerialError as error:
                touched = error.touched = attempt.touched
                # A port that has just vanished may be seen for a moment more.
                lost = gone and error.code is SerialCode.PORT_MISSING
                gone = lost or error.code is SerialCode.UNPLUGGED
                slower = next_rung(rung, SerialCode.UNPLUGGED if gone else error.code, self._ladder)
                if slower is None:
                    raise
                attempt.say(f"{error.text} Trying again at {slower.baud} baud.")
                if gone and not await self._back(request, attempt):
                    raise
                rung = slower

    async def _back(self, request: Request, attempt: _Attempt) -> bool:
        """Wait for a port that has vanished, and return whether it came back."""
        attempt.enter(Phase.WAIT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.reappear_s):
                port = Path(request.port)
                while not await asyncio.to_thread(port.exists):  # noqa: ASYNC110 - udev tells nobody
                    await asyncio.sleep(_LOOK_S)
                return True
        return False


@dataclass(slots=True)
class _Attempt:
    """One process, and what is known of how far it came."""

    rung: Rung
    patience: Patience
    tell: Tell
    touched: bool = False
    phase: Phase = Phase.CONNECT
    done: int = 0
    total: int = 0
    began_s: float = 0.0
    last: str = ""
    """The last lines of esptool."""

    async def run(self, request: Request, command: tuple[str, ...]) -> dict[str, Any]:
        """
        Start the process and return its result.

        Raises:
            SerialError: it failed, took too long, or ended without a word.
        """
        async with _worker(command) as process:
            if process.stdin is None or process.stdout is None:
                raise SerialError(words(SerialCode.WORKER_DIED))
            # Left open: its closing tells the process that this one has ended.
            process.stdin.write(request.to_line())
            self.enter(Phase.CONNECT)
            try:
                return await self._followed(process.stdout)
            finally:
                await _end(process)
                await self._last_words(process.stdout)

    async def _followed(self, stream: asyncio.StreamReader) -> dict[str, Any]:
        while True:
            event = _parsed(await self._line(stream))
            if event is None:
                raise SerialError(words(SerialCode.WORKER_DIED), detail=self.last)
            result = self._heed(event)
            if result is not None:
                return result

    async def _last_words(self, stream: asyncio.StreamReader) -> None:
        """Learn that it had begun to write, where it was ended before that was heard."""
        if self.touched:
            return
        # The process is gone, so this ends.
        said = [_parsed(it) for it in (await stream.read()).splitlines()]
        if any(it and it.get("event") == Event.TOUCHED for it in said):
            self.touched = True
            self.say()

    def enter(self, phase: Phase, total: int = 0) -> None:
        """Begin a phase."""
        self.phase, self.done, self.total = phase, 0, total
        self.began_s = asyncio.get_running_loop().time()
        self.say()

    def say(self, text: str = "") -> None:
        """Tell the caller how far it is."""
        self.tell(Progress(self.phase, self.done, self.total, text, self.touched))

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        limit_s = self.patience.limit_s(self.phase, self.total, self.rung)
        try:
            # Counted from its beginning: what keeps talking and gets nowhere ends too.
            async with asyncio.timeout_at(self.began_s + limit_s):
                return await stream.readline()
        except TimeoutError:
            raise SerialError(words(SerialCode.TOO_SLOW), detail=self.last) from None
        except ValueError:
            raise SerialError(words(SerialCode.WORKER_DIED), detail="a line without end") from None

    def _heed(self, event: dict[str, Any]) -> dict[str, Any] | None:
        match event["event"]:
            case Event.PHASE:
                self.enter(Phase(event["phase"]), event["total"])
            case Event.PROGRESS:
                self.done = event["done"]
                self.say()
            case Event.LOG:
                self.last = event["text"]
                self.say(event["text"])
            case Event.TOUCHED:
                self.touched = True
                self.say()
            case Event.REFUSED:
                code = SerialCode(event["code"])
                raise SerialError(Refusal(code, event["text"], event["next_step"]))
            case Event.FAILED:
                why = explain(event["kind"], event["text"], self.phase)
                raise SerialError(why, detail=_printable(event["text"]))
            case Event.DONE:
                return event
        return None


@asynccontextmanager
async def _worker(command: tuple[str, ...]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the process where nothing of a user changes what it does, and end it afterwards."""
    # esptool reads settings from its folder, its home and its environment, some of which change
    # how it resets a chip.
    with tempfile.TemporaryDirectory(prefix="serial-") as empty:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        root = str(Path(agent.__file__).parents[1])
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=empty,
            # Ctrl-C in a terminal reaches the agent, which knows whether this is a good moment.
            start_new_session=True,
            env={**kept, "HOME": empty, "PYTHONPATH": root},
        )
        try:
            yield process
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process, gently at first; it is gone when this returns."""
    try:
        for stop in (process.terminate, process.kill):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, TimeoutError):
                    stop()
                    await asyncio.wait_for(process.wait(), _GRACE_S)
        await process.wait()
    except asyncio.CancelledError:
        # Whoever is in such a hurry still leaves nobody behind that holds the port.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        raise


def partial_of(backup: Path) -> Path:
    """Return where a backup is written until it is complete."""
    return backup.with_name(f"{backup.name}.part")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return an event, `None` if the process ended in or before it."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _printable(text: str) -> str:
    return "".join(it if it.isprintable() else " " for it in text)


def _nobody(_: Progress) -> None:
    """Hear nothing."""
