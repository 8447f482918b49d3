"""
esptool in a process of its own, for one job, which dies with it and with whoever started it.

esptool blocks, keeps global state and can wait for ever; a process can always be ended, and then
the kernel closes and unlocks the port. What it says comes back as events, one a line, with a
phase even for what esptool does silently.

Source: esptool.md, sections 1.2 to 1.4.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.messages import Event, Request

_ORPHANED = 3


def main() -> int:
    """Do the one job that stands on standard input."""
    request = Request.from_line(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A library that prints must not write into the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())

    def say(event: Event, **what: object) -> None:
        answers.write(json.dumps({"event": event, **what}) + "\n")

    try:
        from agent.firmware.serial import flasher, narrator  # noqa: PLC0415 - its failure is told

        result = flasher.do(request, narrator.Teller(say))
    except SerialError as error:
        say(Event.REFUSED, code=error.code, text=error.text, next_step=error.next_step)
    except Exception as error:  # noqa: BLE001 - whatever esptool raises is the answer
        say(Event.FAILED, kind=type(error).__name__, text=str(error))
    else:
        say(Event.DONE, **result)
    return 0


def _end_with_parent() -> None:
    """End when the parent has: a flasher that nobody watches keeps the port from the next one."""
    sys.stdin.buffer.read()
    os._exit(_ORPHANED)


if __name__ == "__main__":
    sys.exit(main())
