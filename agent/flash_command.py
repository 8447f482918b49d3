"""
`flash`: one bridge, one release, one verdict, and an exit code that says it.

It needs no Home Assistant and no running agent, and does nothing that the agent would not do.
Ctrl-C ends it as safely as the moment allows and says what a second one would mean.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
from pathlib import Path

from agent.firmware.image.store import StoreError
from agent.firmware.job.models import Patience
from agent.firmware.ota.driver import PATIENT, Limits
from agent.firmware.policy.models import Ack
from agent.firmware.serial.driver import SerialDriver
from agent.flash_alone import alone
from agent.flash_arguments import ACKS, KEY_VARIABLE, PASSWORD_VARIABLE
from agent.flash_models import Ended, Exit, FlashError, FlashWish, Given
from agent.flash_signals import pressed_by
from agent.flash_terminal import Screen
from agent.fleet.keys import KeyFormatError, SecretKind, checked
from agent.instance import AlreadyRunningError
from agent.journal import JournalError
from agent.setting_releases import mirrors

LARGEST_SECRET_BYTES = 4096
_ACKS = {"stale": Ack.STALE, "downgrade": Ack.DOWNGRADE, "project-change": Ack.PROJECT_CHANGE,
         "unsigned": Ack.UNSIGNED}  # fmt: skip


def command(
    args: argparse.Namespace,
    patience: Patience | None = None,
    limits: Limits = PATIENT,
    screen: Screen | None = None,
    driver: SerialDriver | None = None,
) -> int:
    """Carry out the command, show its end and return the exit code."""
    screen = screen or Screen(as_json=args.json)
    try:
        if args.way != "ota":
            found = _on_a_cable(args, screen, patience, driver)
            if isinstance(found, int):
                return found
            end = found
        else:
            end = asyncio.run(_flash(wish_of(args), screen, patience, limits))
    except FlashError as error:
        end = Ended(error.exit, error.code, str(error))
    except AlreadyRunningError as error:
        end = Ended(Exit.BUSY, "busy", str(error))
    except (JournalError, StoreError, OSError) as error:
        data = getattr(args, "data", "it")
        text = f"{error}. Check --data: {data} has to be a directory that can be written."
        end = Ended(Exit.FAILED, "disk", text)
    except (asyncio.CancelledError, KeyboardInterrupt):
        text = "Left without a verdict. Ask for a flash of this bridge again to learn it."
        end = Ended(Exit.LEFT, "left", text)
    return screen.ended(end)


def _on_a_cable(
    args: argparse.Namespace,
    screen: Screen,
    patience: Patience | None,
    driver: SerialDriver | None,
) -> Ended | int:
    from agent import flash_serial_command as cable  # noqa: PLC0415 - the air needs none of it

    if args.way == "ports":
        return cable.ports(args, screen)
    if args.way == "identify":
        return cable.identify(args, screen, driver)
    wish = cable_base(args, cable.acks_of(args))
    return asyncio.run(cable.recover(wish, cable.cable_wish(args), screen, patience, driver))


def cable_base(args: argparse.Namespace, acks: frozenset[Ack]) -> FlashWish:
    """
    Return what a recovery has in common with a flash over the air.

    Raises:
        FlashError: something of it cannot be used.
    """
    _check_address(args.files_at)
    return FlashWish(
        host=args.host,
        release=args.release,
        data=args.data,
        by=f"{_user()} on the command line",
        api_port=args.api_port,
        source=args.source,
        channel=args.channel,
        bundle=args.bundle,
        images=tuple(args.images),
        files_at=args.files_at,
        allow_development_root=args.allow_development_root,
        acks=acks,
        reason=args.reason.strip(),
        given=Given(_secret(SecretKind.API_KEY, args.key_file, KEY_VARIABLE)),
    )


def _check_address(text: str) -> None:
    try:
        if text:
            mirrors(text)
    except ValueError as error:
        told = "--files-at has to be one https address without user or password."
        raise FlashError(Exit.USAGE, "bad-address", told) from error


def wish_of(args: argparse.Namespace) -> FlashWish:
    """
    Return what was asked for, with its secrets read.

    Raises:
        FlashError: something of it cannot be used; the text says what, and never a secret.
    """
    acks = frozenset(_ACKS[it] for it in ACKS if getattr(args, f"ack_{it.replace('-', '_')}"))
    if acks and not args.reason.strip():
        text = "Accepting something needs a --reason: it goes into the journal with your name."
        raise FlashError(Exit.USAGE, "reason-missing", text)
    _check_address(args.files_at)
    return FlashWish(
        host=args.host,
        release=args.release,
        data=args.data,
        by=f"{_user()} on the command line",
        api_port=args.api_port,
        upload_port=args.port,
        source=args.source,
        channel=args.channel,
        bundle=args.bundle,
        images=tuple(args.images),
        files_at=args.files_at,
        allow_development_root=args.allow_development_root,
        acks=acks,
        reason=args.reason.strip(),
        given=Given(
            _secret(SecretKind.API_KEY, args.key_file, KEY_VARIABLE),
            _secret(SecretKind.UPLOAD_PASSWORD, args.password_file, PASSWORD_VARIABLE),
            args.allow_md5,
            args.allow_plaintext,
        ),
        bench=args.bench,
        stable_s=args.stable_for,
    )


async def _flash(
    wish: FlashWish, screen: Screen, patience: Patience | None, limits: Limits
) -> Ended:
    return await pressed_by(alone(wish, screen, patience, limits))


def _secret(kind: SecretKind, file: Path | None, variable: str) -> str | None:
    try:
        if file is None:
            text = os.environ.get(variable)
        else:
            with file.open(encoding="utf-8") as opened:
                text = opened.read(LARGEST_SECRET_BYTES)
        return None if text is None else checked(kind, text).reveal()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise FlashError(Exit.USAGE, "bad-secret", f"{file} cannot be read: {why}.") from None
    except KeyFormatError as error:
        where = str(file) if file else variable
        raise FlashError(Exit.USAGE, "bad-secret", f"{where}: {error}.") from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user of that number
        return "somebody"
