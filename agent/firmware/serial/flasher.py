"""
The jobs themselves, with esptool; only the flashing process loads this.

The traps of esptool that are closed here: it would wait for ever for the helper program's hello;
it formats every packet for a trace that nobody reads; it reopens a lost port by itself; and after
one piece that cannot be compressed it compresses none.

Source: esptool.md, sections 1.4, 1.5, 1.8 to 1.10, 6.2 and 6.3.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import esptool.loader  # type: ignore[import-untyped]
from esptool.cmds import (  # type: ignore[import-untyped]
    attach_flash,
    detect_chip,
    detect_flash_size,
    read_flash,
    reset_chip,
    run_stub,
    write_flash,
)
from esptool.util import flash_size_bytes  # type: ignore[import-untyped]
from serial import Serial  # type: ignore[import-untyped]

from agent.firmware.manifest.models import Part
from agent.firmware.serial import layout
from agent.firmware.serial.boot_log import is_final, read_boot_log
from agent.firmware.serial.checks import (
    another_device,
    chip_refusals,
    device_refusals,
    lock_refusals,
    plan_refusals,
)
from agent.firmware.serial.errors import Refusal, SerialCode, SerialError, words
from agent.firmware.serial.messages import Event, Job, Request
from agent.firmware.serial.models import FlashPlan, Partition, Phase, SerialDevice, Span
from agent.firmware.serial.narrator import Teller, install
from agent.fleet.identity import Mac

Esp = Any
"""esptool's loader objects; it is not typed."""
_ROM_BAUD = 115_200
_ERASED = b"\xff"
_BY_LINE = "hard-reset"
_LISTEN_S, _LISTEN_BYTES, _HEARD_BYTES = 0.1, 4096, 16_384
_TABLE_BYTES = 0xC00
_ENTRY_BYTES = 64
_AS_SIGNED = {"flash_mode": "keep", "flash_freq": "keep", "flash_size": "keep"}
"""Anything else rewrites the header, and with it what was signed."""


def do(request: Request, content: bytes, teller: Teller) -> dict[str, object]:
    """
    Do the job and return what there is to tell of it.

    Args:
        request: the job.
        content: the file that it is about, already compared with the plan; "" if there is none.
        teller: gets what happens.

    Raises:
        SerialError: it is refused.
        Exception: whatever esptool or the port raise.
    """
    if request.job in {Job.RESTART, Job.OBSERVE}:
        return _restart(request, teller)
    with _connect(request, teller) as esp:
        try:
            result = _on_chip(esp, request, content, teller)
        except Exception:
            # What was only looked at, maybe somebody else's device, goes on with what it did.
            with contextlib.suppress(Exception):
                reset_chip(esp, _BY_LINE)
            raise
        teller.phase(Phase.RESET)
        reset_chip(esp, _BY_LINE)
    return result


def _restart(request: Request, teller: Teller) -> dict[str, object]:
    """Reset the chip by the port's lines alone, without a word, and listen if that is wanted."""
    teller.phase(Phase.RESET)
    install(teller)
    with esptool.loader.ESPLoader(request.port, _ROM_BAUD) as esp:
        # Opening has set both lines, and with both set the circuit on the boards resets nothing
        # and would hold BOOT afterwards.
        with contextlib.suppress(OSError):
            esp._port.dtr = False
        esp.hard_reset()
        if request.job is Job.RESTART:
            return {}
        teller.phase(Phase.OBSERVE)
        heard = _listen(esp._port, time.monotonic() + request.listen_s)
    return {"heard": heard.hex()}


def _listen(port: Serial, until_s: float) -> bytes:
    heard = b""
    while time.monotonic() < until_s and not is_final(read_boot_log(heard)):
        try:
            if not port.is_open:
                port.open()
            port.timeout = _LISTEN_S
            heard = (heard + port.read(_LISTEN_BYTES))[-_HEARD_BYTES:]
        except OSError:
            # A chip that is its own USB device takes the port with it when it restarts, and brings
            # it back.
            port.close()
            time.sleep(_LISTEN_S)
    return heard


def _on_chip(esp: Esp, request: Request, content: bytes, teller: Teller) -> dict[str, object]:
    teller.phase(Phase.IDENTIFY)
    device, plan = _who(esp), request.plan
    if request.job is Job.IDENTIFY:
        if not device.secure_download:
            attach_flash(esp)
            device = _with_flash(esp, device, contents=True)
        return {"device": asdict(device)}
    # Before anything is put even into the memory of what may be somebody else's device.
    _stop_at(lock_refusals(device))
    _stop_at(chip_refusals(device, plan) if plan is not None else ())
    if request.mac is not None and device.mac != request.mac:
        raise SerialError(another_device(device.mac, request.mac))
    esp = _fast(esp, request, teller)
    device = _with_flash(esp, device, contents=request.job is Job.BACKUP)
    _stop_at(plan_refusals(device, plan) if plan is not None else device_refusals(device))
    if request.job is Job.BACKUP:
        return _backup(esp, request, device, teller)
    if plan is None:
        raise ValueError(f"a {request.job} needs a plan")
    does = _write if request.job is Job.WRITE else _verify
    return does(esp, plan, content, teller)


def _stop_at(refusals: tuple[Refusal, ...]) -> None:
    for why in refusals:
        raise SerialError(why)


def _connect(request: Request, teller: Teller) -> Esp:
    teller.phase(Phase.CONNECT)
    install(teller)
    # Each packet would be printed for a trace that is switched off: eight times the work.
    esptool.loader.HexFormatter.__str__ = lambda _: ""
    # A lost port is this program's to find again: it may be another device by then.
    esptool.loader.ESPLoader.WRITE_FLASH_ATTEMPTS = 1
    return detect_chip(request.port, _ROM_BAUD, connect_attempts=request.connect_attempts)


def _who(esp: Esp) -> SerialDevice:
    """Learn from its eFuses who the chip is and what it forbids."""
    chip = esp.CHIP_NAME.lower().replace("-", "")
    if esp.secure_download_mode:
        return SerialDevice(chip=chip, secure_download=True)
    return SerialDevice(
        chip=chip,
        mac=Mac(bytes(esp.read_mac("BASE_MAC")).hex()),
        description=esp.get_chip_description(),
        revision=esp.get_chip_revision(),
        secure_boot=bool(esp.get_secure_boot_enabled()),
        flash_encryption=bool(esp.get_flash_encryption_enabled()),
    )


def _with_flash(esp: Esp, device: SerialDevice, *, contents: bool) -> SerialDevice:
    """Learn how large the flash is and, if wanted, how it is divided and what would start."""
    size = detect_flash_size(esp)
    device = replace(
        device, flash_size=flash_size_bytes(size) if size else None, flash_id=esp.flash_id()
    )
    if not contents or size is None or device.flash_encryption:
        return device
    table = layout.read_table(_read(esp, layout.TABLE.offset, _TABLE_BYTES))
    name, version = _app(esp, table)
    return replace(device, table=table, app_name=name, app_version=version)


def _app(esp: Esp, table: tuple[Partition, ...]) -> tuple[str, str]:
    choice = next((it for it in table if it.is_otadata), None)
    otadata = b""
    if choice is not None:
        # Two entries of 32 bytes, each at the start of its sector.
        first = _read(esp, choice.offset, _ENTRY_BYTES)
        second = _read(esp, choice.offset + layout.SECTOR, _ENTRY_BYTES)
        otadata = first.ljust(layout.SECTOR, _ERASED) + second
    slot = layout.starting_slot(table, otadata)
    head = _read(esp, slot.offset, layout.DESCRIPTOR_BYTES) if slot else b""
    return layout.describe_app(head)


def _fast(esp: Esp, request: Request, teller: Teller) -> Esp:
    """Put the helper program onto the chip, if wanted, and go to the speed that is wanted."""
    if request.stub:
        teller.phase(Phase.STUB)
        esp._port.timeout = request.greeting_s
        esp = run_stub(esp)
    if request.baud != _ROM_BAUD:
        esp.change_baud(request.baud)
    attach_flash(esp)
    return esp


def _backup(esp: Esp, request: Request, device: SerialDevice, teller: Teller) -> dict[str, object]:
    spans = _worth_keeping(device, full=request.full)
    teller.phase(Phase.READ, sum(it.size for it in spans))
    copy, regions = b"", []
    for span in spans:
        teller.piece(span.size)
        content = _read(esp, span.offset, span.size, progress=True)
        if not _holds(esp, span.offset, content):
            raise SerialError(_unreadable(span))
        regions.append(asdict(Part(span.offset, len(copy), span.size)))
        copy += content
    _save(Path(request.output), copy)
    digest = hashlib.sha256(copy).hexdigest()
    return {"device": asdict(device), "regions": regions, "sha256": digest}


def _save(target: Path, content: bytes) -> None:
    """Write a file that nobody else can read, not even for a moment: it holds passwords."""
    try:
        target.unlink(missing_ok=True)
        number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        kept = target.read_bytes() == content
    except OSError as error:
        raise SerialError(_unsaved(target, str(error.strerror))) from None
    if not kept:
        raise SerialError(_unsaved(target, "the disk gave back something else"))


def _unsaved(target: Path, why: str) -> Refusal:
    text = f"The backup could not be saved to {target.parent}: {why}."
    step = "Make room there, or go on without a backup."
    return Refusal(SerialCode.BACKUP_UNSAVED, text, step)


def _worth_keeping(device: SerialDevice, *, full: bool) -> list[Span]:
    if full:
        return [Span(0, device.flash_size or 0)]
    kept = [Span(it.offset, it.size) for it in device.table if it.keeps_settings or it.is_otadata]
    return [layout.TABLE, *sorted(kept, key=lambda it: it.offset)]


def _write(esp: Esp, plan: FlashPlan, content: bytes, teller: Teller) -> dict[str, object]:
    pieces = [(part, _piece(part, content)) for part in plan.parts]
    teller.phase(Phase.COMPARE, plan.bytes_to_write)
    same = [part for part, data in pieces if _holds(esp, part.offset, data)]
    todo = [(part.offset, data) for part, data in pieces if part not in same]
    erased = [it for it in plan.blank if not _holds(esp, it.offset, _ERASED * it.size)]
    todo += [(it.offset, _ERASED * it.size) for it in erased]
    if todo:
        teller.phase(Phase.WRITE, sum(len(data) for _, data in todo))
        teller.say(Event.TOUCHED)
    for offset, data in todo:
        teller.piece(len(data))
        # One call each: a piece that does not compress switches it off for the rest of a call.
        write_flash(esp, [(offset, data)], **_AS_SIGNED)
    return {
        "written": [asdict(part) for part, _ in pieces if part not in same],
        "same": [asdict(part) for part in same],
        "erased": [asdict(it) for it in erased],
    }


def _verify(esp: Esp, plan: FlashPlan, content: bytes, teller: Teller) -> dict[str, object]:
    teller.phase(Phase.COMPARE, plan.bytes_to_write)
    pieces = [(part.offset, _piece(part, content)) for part in plan.parts]
    pieces += [(it.offset, _ERASED * it.size) for it in plan.blank]
    for offset, data in pieces:
        teller.piece(len(data))
        if not _holds(esp, offset, data):
            why = words(SerialCode.NOT_KEPT)
            end = offset + len(data)
            text = f"{why.text} It differs between {offset:#x} and {end:#x}."
            raise SerialError(Refusal(why.code, text, why.next_step))
        teller.share(1, 1)
    return {}


def _piece(part: Part, content: bytes) -> bytes:
    return content[part.start : part.start + part.size]


def _holds(esp: Esp, offset: int, content: bytes) -> bool:
    wanted = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return bool(esp.flash_md5sum(offset, len(content)) == wanted)


def _read(esp: Esp, offset: int, size: int, *, progress: bool = False) -> bytes:
    return bytes(read_flash(esp, offset, size, None, no_progress=not progress))


def _unreadable(span: Span) -> Refusal:
    return Refusal(
        SerialCode.BACKUP_FAILED,
        f"What was read at {span.offset:#x} is not what the flash holds.",
        "Try again, or go on without a backup.",
    )
