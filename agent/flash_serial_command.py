"""
`flash serial`, `flash identify` and `flash ports`: a bridge on a cable, from the shell.

Nothing is asked of a port that nobody has chosen, and of two ports none is taken silently.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, replace
from typing import Any

from agent.firmware.job.models import Patience
from agent.firmware.ota.driver import PATIENT, Limits
from agent.firmware.policy.models import Ack
from agent.firmware.serial.driver import SerialDriver
from agent.firmware.serial.errors import SerialError
from agent.firmware.serial.ports import SerialPort, holders, list_ports
from agent.flash_alone import FlashAlone, alone
from agent.flash_arguments import CABLE_ACKS
from agent.flash_cable import FlashCable, Hands, cable_error, chosen_port
from agent.flash_models import CableWish, Ended, Exit, FlashError, FlashWish
from agent.flash_signals import pressed_by
from agent.flash_terminal import Screen, plain
from agent.fleet.identity import written
from agent.journal import Journal
from agent.recovery.words import described


def acks_of(args: argparse.Namespace) -> frozenset[Ack]:
    """Return what a person accepts."""
    given = {it for it in CABLE_ACKS if getattr(args, f"ack_{it.replace('-', '_')}")}
    return frozenset(Ack(f"ack_{it.replace('-', '_')}") for it in given)


def cable_wish(args: argparse.Namespace) -> CableWish:
    """Return what was asked of the cable."""
    return CableWish(
        port=args.port,
        allow_stick=args.allow_stick,
        mac=args.mac,
        yes=args.yes,
        erase_settings=args.erase_settings,
        backup=args.backup,
        keep_backup=args.keep_backup,
    )


async def recover(
    wish: FlashWish,
    cable: CableWish,
    screen: Screen,
    patience: Patience | None = None,
    driver: SerialDriver | None = None,
) -> Ended:
    """Carry out `flash serial`; Ctrl-C warns in the middle of a write, and a second one ends it."""
    if not wish.reason:
        text = "A recovery needs a --reason: it goes into the journal with your name."
        raise FlashError(Exit.USAGE, "reason-missing", text)
    hands = Hands(cable, driver or SerialDriver(), agrees)

    def make(
        wish: FlashWish, screen: Screen, journal: Journal, patience: Patience, limits: Limits
    ) -> FlashAlone:
        return FlashCable(wish, screen, journal, patience, limits, hands)

    return await pressed_by(alone(wish, screen, patience, PATIENT, make))


def identify(args: argparse.Namespace, screen: Screen, driver: SerialDriver | None = None) -> int:
    """Carry out `flash identify`."""

    async def asked() -> dict[str, object]:
        wish = CableWish(port=args.port, allow_stick=args.allow_stick)
        port = await chosen_port(wish)
        try:
            found = await (driver or SerialDriver()).identify(port.path)
        except SerialError as error:
            raise cable_error(error) from error
        told = asdict(replace(found, table=())) | {"port": port.path}
        return told | {"mac": written(found.mac) if found.mac else "", "text": described(found)}

    told = asyncio.run(asked())
    told.pop("table")
    screen.show(json.dumps({"exit": 0} | told) if args.json else plain(str(told["text"])))
    return int(Exit.CONFIRMED)


def ports(args: argparse.Namespace, screen: Screen) -> int:
    """Carry out `flash ports`."""
    found = [_told(it) for it in list_ports()]
    if args.json:
        screen.show(json.dumps({"exit": 0, "ports": found}))
        return int(Exit.CONFIRMED)
    for it in found:
        used = f", used by {', '.join(it['used_by'])}" if it["used_by"] else ""
        screen.show(plain(f"{it['port']}  {it['title']} ({it['adapter']}{used})"))
    if not found:
        screen.show("There is no USB serial port. If a bridge is plugged in, try another cable.")
    return int(Exit.CONFIRMED)


async def agrees(question: str) -> bool:
    """Ask the person at the terminal; nobody there says no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{plain(question)} [y/N] ")
    sys.stderr.flush()
    # Waited for by the loop, so that Ctrl-C is heard meanwhile.
    answered, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _told(port: SerialPort) -> dict[str, Any]:
    return {
        "port": port.path,
        "node": port.node,
        "socket": port.by_path,
        "title": port.title,
        "adapter": str(port.adapter),
        "mac": written(port.mac) if port.mac else "",
        "used_by": [f"{it.name} (process {it.pid})" for it in holders(port.node)],
    }
