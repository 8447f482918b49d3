"""
What a bridge prints while it starts, and whether that is a good sign.

The ROM, the boot loader and ESPHome write to the same line. What was said last counts: a bridge
that connected and then crashed has crashed. Lines that may hold a network's name or a key are left
out; the others are a stranger's text and come printable.

Source: esptool.md, section 5; ESP-IDF "Fatal Errors"; ESPHome's `wifi` and `app` components.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_LONGEST_LINE = 300
_MOST_LINES = 200
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SECRET = re.compile(r"ssid|passw|psk|\bkey\b|secret", re.IGNORECASE)


class Start(StrEnum):
    """How a start went, as far as it was seen."""

    CONNECTED = "connected"
    RUNNING = "running"
    """Its program talks; the network was not reached while somebody listened."""
    NO_PROGRAM = "no-program"
    CRASHED = "crashed"
    BROWNOUT = "brownout"
    DOWNLOADING = "downloading"
    """It waits in its boot loader."""
    SILENT = "silent"


_SIGNS = {
    Start.CONNECTED: r"\[wifi:\d+[^\]]*\][^\n]*: Connected\b|IP Address: \d",
    Start.RUNNING: r"\[[A-Z]{1,2}\]\[[a-z_.]+:\d+",
    Start.NO_PROGRAM: r"invalid header: 0x|flash read err|No bootable app partitions",
    Start.CRASHED: r"Guru Meditation Error|abort\(\) was called|assert failed:",
    Start.BROWNOUT: r"[Bb]rownout detector was triggered",
    Start.DOWNLOADING: r"waiting for download",
}
_WORDS = {
    Start.CONNECTED: ("The bridge starts and is on the network.", ""),
    Start.RUNNING: (
        "The bridge starts; it was not seen to reach the network.",
        "Wait a minute. If it does not appear, set up its Wi-Fi.",
    ),
    Start.NO_PROGRAM: (
        "The bridge finds no program in its flash.",
        "Write it again.",
    ),
    Start.CRASHED: (
        "The program of the bridge crashes while it starts.",
        "Write it again with its settings erased, or write an older release.",
    ),
    Start.BROWNOUT: (
        "The bridge gets too little power.",
        "Take a shorter cable, another USB socket or a powered hub.",
    ),
    Start.DOWNLOADING: (
        "The bridge waits in its boot loader, as if somebody held BOOT.",
        "Press RESET on it, or unplug it and plug it in again.",
    ),
    Start.SILENT: (
        "The bridge says nothing on the cable.",
        "Wait until it appears on the network; otherwise press RESET on it.",
    ),
}


@dataclass(frozen=True, slots=True)
class BootReport:
    """What was heard."""

    start: Start
    text: str
    """A sentence."""
    next_step: str
    """What to do, "" if nothing is needed."""
    lines: tuple[str, ...] = ()
    """What it said, printable and without secrets."""


def read_boot_log(raw: bytes) -> BootReport:
    """Return what the bytes on the line say of a start."""
    text = _COLOUR.sub("", raw.decode("utf-8", "replace"))
    last = {start: _last(sign, text) for start, sign in _SIGNS.items()}
    start = max(last, key=lambda it: last[it])
    if last[start] < 0:
        start = Start.SILENT
    # A program that talks on after it has connected is still connected.
    if start is Start.RUNNING and last[Start.CONNECTED] >= 0:
        bad = (Start.NO_PROGRAM, Start.CRASHED, Start.BROWNOUT, Start.DOWNLOADING)
        since = max(last[it] for it in bad)
        start = Start.CONNECTED if last[Start.CONNECTED] > since else start
    return BootReport(start, *_WORDS[start], _told(text))


def is_final(report: BootReport) -> bool:
    """Whether listening on would tell nothing new."""
    return report.start in {Start.CONNECTED, Start.NO_PROGRAM, Start.DOWNLOADING}


def _last(sign: str, text: str) -> int:
    return max((it.start() for it in re.finditer(sign, text)), default=-1)


def _told(text: str) -> tuple[str, ...]:
    lines = ("".join(c for c in it if c.isprintable()).strip() for it in text.splitlines())
    kept = [it[:_LONGEST_LINE] for it in lines if it and not _SECRET.search(it)]
    return tuple(kept[-_MOST_LINES:])
