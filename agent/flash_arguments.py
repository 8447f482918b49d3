"""
The words of `flash` on the command line. Light to load, so that --help answers at once.

Secrets come from files or the environment, never from the command line, where every process of
the machine could read them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.fleet.identity import Mac, mac_of

KEY_VARIABLE = "BRIDGE_API_KEY"
PASSWORD_VARIABLE = "BRIDGE_UPLOAD_PASSWORD"  # noqa: S105 - the name of a variable
ACKS = {
    "stale": "what is known of releases is stale",
    "downgrade": "it is older than what the bridge runs",
    "project-change": "it makes another device of the bridge",
    "unsigned": "nobody signed it but this house",
}
"""What a person can accept over the air; the policy's words are in docs/firmware.md."""
CABLE_ACKS = {**ACKS, "device-floor": "it is older than what may come back over the air"}
"""Over the cable a person can go further back."""


def add_flash(flash: argparse.ArgumentParser) -> None:
    """Add the ways and their options."""
    ways = flash.add_subparsers(dest="way", required=True)
    _add_ota(ways.add_parser("ota", help="over the air, without Home Assistant"))
    _add_serial(ways.add_parser("serial", help="over a cable, to bring a dead bridge back"))
    identify = ways.add_parser("identify", help="say what is on a cable, and change nothing")
    _add_port(identify)
    ports = ways.add_parser("ports", help="list the serial ports; nothing is asked of them")
    for way in (identify, ports):
        way.add_argument("--json", action="store_true", help="print one JSON object, last")


def _add_ota(ota: argparse.ArgumentParser) -> None:
    add = ota.add_argument
    add("host", help="address or name of the bridge")
    _add_release(ota)
    add("--port", type=_port, default=3232, help="where it takes uploads (3232)")
    add("--api-port", type=_port, default=6053, help="where its API listens (6053)")
    _add_secrets(ota)
    for ack, meaning in ACKS.items():
        add(f"--ack-{ack}", action="store_true", help=f"accept that {meaning}")
    add("--reason", default="", help="why, for the journal; needed with any --ack")
    add("--bench", action="store_true", help="no inverter is connected to it")
    add(
        "--stable-for",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="how long it has to stay connected first (10)",
    )


def _add_serial(serial: argparse.ArgumentParser) -> None:
    add = serial.add_argument
    _add_port(serial)
    _add_release(serial)
    for ack, meaning in CABLE_ACKS.items():
        add(f"--ack-{ack}", action="store_true", help=f"accept that {meaning}")
    add("--reason", default="", help="why, for the journal; always needed")
    add("--mac", type=_mac, help="the bridge that is meant; nobody is asked then")
    add("--yes", action="store_true", help="whatever bridge is there is meant")
    add("--erase-settings", action="store_true", help="erase Wi-Fi and keys of the bridge")
    add("--backup", choices=("quick", "full", "none"), default="quick",
        help="copy its settings first, all of it, or nothing (quick)")  # fmt: skip
    add("--keep-backup", action="store_true", help="keep the copy after a success")
    add("--host", default="", help="where to look for the bridge on the network afterwards")
    add("--api-port", type=_port, default=6053, help="where its API listens (6053)")
    add("--key-file", type=Path, help=f"file with the API key; else {KEY_VARIABLE}, else the data")


def _add_port(way: argparse.ArgumentParser) -> None:
    add = way.add_argument
    add("--port", help="by its name in /dev; the only one there is, if not given")
    add("--allow-stick", action="store_true", help="it looks like a radio stick and is a bridge")


def _add_release(way: argparse.ArgumentParser) -> None:
    add = way.add_argument
    add(
        "--release",
        required=True,
        metavar="PROJECT@VERSION|VERSION|FILE.bin",
        help="what to install; a version alone is of the bridge's own project",
    )
    add("--data", type=Path, default=Path("/data"), help="data directory (/data)")
    add("--source", default="", help="name of the source of releases (the project's own)")
    add("--channel", default="", help="channel (the one in the settings)")
    add("--bundle", type=Path, metavar="FOLDER", help="signed documents (those of the app)")
    add("--images", type=Path, action="append", default=[], metavar="FOLDER", help="image files")
    add("--files-at", default="", metavar="URL", help="where image files are, over https")
    add("--allow-development-root", action="store_true", help="take one whose keys are public")
    add("--json", action="store_true", help="print one JSON object, last")


def _add_secrets(ota: argparse.ArgumentParser) -> None:
    add = ota.add_argument
    add("--key-file", type=Path, help=f"file with the API key; else {KEY_VARIABLE}, else the data")
    add("--password-file", type=Path, help=f"with the upload password; else {PASSWORD_VARIABLE}")
    add("--allow-md5", action="store_true", help="show the password by MD5 (before 2025.10)")
    add("--allow-plaintext", action="store_true", help="upload unencrypted (before 2026.9)")


def _mac(text: str) -> Mac:
    mac = mac_of(text)
    if mac is None:
        raise argparse.ArgumentTypeError("has to be an address like A0:B7:65:1C:2D:3E")
    return mac


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port <= 0xFFFF:  # noqa: PLR2004 - a port
        raise argparse.ArgumentTypeError("has to be 1 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 3600:  # noqa: PLR2004 - an hour
        raise argparse.ArgumentTypeError("has to be 0 to 3600")
    return seconds
