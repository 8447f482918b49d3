"""
The virtual ESP on a pseudo terminal, which a flasher opens as it would open a serial port.

A pseudo terminal has no control lines, so what resets a real board cannot be seen here: closing
the port stands for it. It carries no speed either, but it does say which one the other end has set,
and a device that was told another one hears noise.

Source: esptool.md, section 3, "What was hard" (1).
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.simulator.esp_rom import VirtualEsp

_BITS_PER_BYTE = 10
_BUFFER = 1 << 16
_LOOK_S = 0.002
_START_S = 0.05
"""From a reset to the first line; a port that was just opened has been emptied by then."""
_RATES = {
    value: int(name[1:])
    for name, value in vars(termios).items()
    if name.startswith("B") and name[1:].isdigit()
}


class EspPort:
    """
    Serves a device on a pseudo terminal; a context manager inside a running event loop.

    Args:
        esp: the device.
        link: a symbolic link to make to the terminal, as udev makes those in `/dev/serial/by-id`.
        paced: let bytes take the time that they take on a wire.
    """

    def __init__(self, esp: VirtualEsp, link: Path | None = None, *, paced: bool = False) -> None:
        self.esp = esp
        self._link = link
        self.paced = paced
        """May be changed at any time."""
        self._master = -1
        self._out = bytearray()
        self._turn: asyncio.TimerHandle | None = None
        self._free_at_s = 0.0
        self.starts = False
        """Opening the port starts its program, as on a board whose lines do not reach BOOT."""
        self.node = ""
        """The terminal itself; another one after `plug_in`."""
        self.closed = asyncio.Event()
        """Set while nobody has it open, and what was sent before has been taken."""
        self.gone = asyncio.Event()
        """Set while it is unplugged."""

    @property
    def path(self) -> str:
        """What a flasher opens."""
        return str(self._link or self.node)

    async def __aenter__(self) -> Self:
        self.plug_in()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    def plug_in(self) -> None:
        """Appear, under a new name and, if there is a link, the old one."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.node = os.ttyname(slave)
        # Kept open it would hide the closing of the port, which is all that tells of a reset.
        os.close(slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self.node)
        self.esp.unplugged = False
        self.esp.restart()
        self.gone.clear()
        self._look()

    def unplug(self) -> None:
        """Vanish; who has it open gets an error."""
        if self._master < 0:
            return
        self._closed()
        if self._turn is not None:
            self._turn.cancel()
        os.close(self._master)
        self._master = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self.gone.set()

    def _look(self) -> None:
        """Begin to listen once somebody has opened it; a hung-up terminal is always readable."""
        loop = asyncio.get_running_loop()
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
            self._turn = loop.call_later(_LOOK_S, self._look)
            return
        self._turn = None
        self.closed.clear()
        loop.add_reader(self._master, self._readable)
        if self.starts:
            self._turn = loop.call_later(_START_S, self._send, self.esp.start())

    def _closed(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        self._out.clear()
        self.closed.set()

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _BUFFER)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._closed()
            self.esp.restart()
            self._look()
            return
        if not self.paced:
            self._take(data)
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        # Counted from when the wire was free, or each look would add its own lateness.
        begun_s = max(self._free_at_s, loop.time())
        self._free_at_s = begun_s + len(data) * _BITS_PER_BYTE / self._rate()
        self._turn = loop.call_at(self._free_at_s, self._take_and_listen, data)

    def _take_and_listen(self, data: bytes) -> None:
        self._turn = None
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        self._take(data)

    def _take(self, data: bytes) -> None:
        answer = self.esp.receive(data, self._rate())
        if self.esp.unplugged:
            self.unplug()
        else:
            self._send(answer)

    def _send(self, data: bytes) -> None:
        self._out += data
        if self._out:
            asyncio.get_running_loop().add_writer(self._master, self._writable)

    def _rate(self) -> int:
        return _RATES.get(termios.tcgetattr(self._master)[5], 0)

    def _writable(self) -> None:
        try:
            del self._out[: os.write(self._master, self._out)]
        except BlockingIOError:
            return
        if not self._out:
            asyncio.get_running_loop().remove_writer(self._master)
