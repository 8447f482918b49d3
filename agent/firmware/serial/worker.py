"""
esptool in a process of its own, for one job, which dies with it and with whoever started it.

esptool blocks, keeps global state and can wait for ever; a process can always be ended, and then
the kernel closes and unlocks the port. What it says comes back as events, one a line, with a
phase even for what esptool does silently.

Source: esptool.md, sections 1.2 to 1.4.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
from pathlib import Path

from agent.firmware.serial.errors import Refusal, SerialCode, SerialError, words
from agent.firmware.serial.messages import Event, Request
from agent.firmware.serial.plan import check_file
from agent.firmware.serial.ports import holders

_ORPHANED = 3


def main() -> int:
    """Do the one job that stands on standard input."""
    request = Request.from_line(sys.stdin.buffer.readline())
    _end_with_parent()
    # A library that prints must not write into the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

    def say(event: Event, **what: object) -> None:
        answers.write(json.dumps({"event": event, **what}) + "\n")

    try:
        content = _prepared(request)
        from agent.firmware.serial import flasher, narrator  # noqa: PLC0415 - heavy, and may fail

        result = flasher.do(request, content, narrator.Teller(say))
    except SerialError as error:
        say(Event.REFUSED, code=error.code, text=error.text, next_step=error.next_step)
    except Exception as error:  # noqa: BLE001 - whatever esptool raises is the answer
        say(Event.FAILED, kind=type(error).__name__, text=str(error))
    else:
        say(Event.DONE, **result)
    return 0


def _prepared(request: Request) -> bytes:
    """
    Return the file that will be written, after all that can be known without touching the port.

    Raises:
        SerialError: the file is not the one of the plan, or the port is not to be had.
    """
    content = _content(request.image) if request.image else b""
    if request.plan is not None:
        check_file(request.plan, content)
    if not Path(request.port).exists():
        raise SerialError(words(SerialCode.PORT_MISSING))
    others = holders(request.port)
    if others:
        names = ", ".join(f"{it.name} (process {it.pid})" for it in others)
        why = words(SerialCode.PORT_BUSY)
        raise SerialError(
            Refusal(why.code, f"Another program uses the port: {names}.", why.next_step)
        )
    return content


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        text = f"The file of the image cannot be read: {error.strerror}."
        step = "Nothing was written. Choose the release again."
        raise SerialError(Refusal(SerialCode.IMAGE_CHANGED, text, step)) from None


def _end_with_parent() -> None:
    """
    End at once when the parent has ended: a flasher that nobody watches would hold the port.

    The parent keeps this end's standard input open; when that closes, the kernel sends SIGIO,
    which ends a process whatever it is doing.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:
        os._exit(_ORPHANED)


if __name__ == "__main__":
    sys.exit(main())
