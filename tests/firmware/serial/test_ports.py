"""Ports are listed from the kernel's files, told apart, and never chosen by chance."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.firmware.serial.errors import SerialCode, SerialError
from agent.firmware.serial.hotplug import HOTPLUG_S, watch_ports
from agent.firmware.serial.ports import Adapter, choose_port, holders, list_ports


@dataclass
class Machine:
    """A computer's `/dev` and `/sys`, with sockets to plug things into."""

    dev: Path
    sys: Path

    def plug(
        self, tty: str, socket: str, ids: str, *, serial: str = "", product: str = "",
        by_id: str = "", node: Path | None = None,
    ) -> None:  # fmt: skip
        usb = self.sys / "devices" / "pci0" / "usb1" / socket
        terminal = usb / f"{socket}:1.0" / tty
        terminal.mkdir(parents=True)
        vendor, model = ids.split(":")
        told = {"idVendor": vendor, "idProduct": model, "serial": serial, "product": product}
        for name, text in told.items():
            (usb / name).write_text(f"{text}\n")
        known = self.sys / "class" / "tty" / tty
        known.mkdir(parents=True)
        (known / "device").symlink_to(terminal)
        target = self.dev / tty
        target.symlink_to(node) if node else target.touch()
        for folder, name in (("by-path", f"pci-usb-0:{socket}"), ("by-id", by_id)):
            if name:
                link = self.dev / "serial" / folder / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(target)

    def unplug(self, tty: str) -> None:
        (self.sys / "class" / "tty" / tty / "device").unlink()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "dev").mkdir()
    # A line of the mainboard has a terminal and no USB above it.
    (tmp_path / "sys" / "class" / "tty" / "ttyS0" / "device").mkdir(parents=True)
    (tmp_path / "dev" / "ttyS0").touch()
    return Machine(tmp_path / "dev", tmp_path / "sys")


CP2102 = "usb-Silicon_Labs_CP2102_0001-if00-port0"


def test_each_kind_of_port_is_known_by_what_its_usb_says(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "10c4:ea60", serial="0001", product="CP2102", by_id=CP2102)
    machine.plug("ttyACM0", "1-2", "303a:1001", serial="A0:B7:65:1C:2D:3E", product="USB JTAG")
    machine.plug("ttyACM1", "1-3", "303a:0009")
    machine.plug("ttyUSB1", "1-4", "10c4:ea60", product="Sonoff Zigbee 3.0 USB Dongle Plus")
    machine.plug("ttyACM2", "1-5", "303a:4001", product="ZWA-2")
    machine.plug("ttyUSB2", "1-6", "dead:beef")
    found = {it.node.rsplit("/", 1)[1]: it for it in list_ports(machine.dev, machine.sys)}
    assert {name: it.adapter for name, it in found.items()} == {
        "ttyUSB0": Adapter.BRIDGE, "ttyACM0": Adapter.USB_JTAG, "ttyACM1": Adapter.USB_OTG,
        "ttyUSB1": Adapter.STICK, "ttyACM2": Adapter.STICK, "ttyUSB2": Adapter.UNKNOWN,
    }  # fmt: skip
    assert found["ttyUSB0"].path == str(machine.dev / "serial" / "by-id" / CP2102)
    assert found["ttyACM1"].path == str(machine.dev / "serial" / "by-path" / "pci-usb-0:1-3")
    assert found["ttyACM0"].mac == "a0b7651c2d3e"
    assert found["ttyUSB0"].mac is None, "a converter's serial number is no address"


def test_two_alike_share_no_name_and_are_told_apart_by_their_sockets(machine: Machine) -> None:
    """CH340 have no serial number: udev's one link for both points to whichever came last."""
    machine.plug("ttyUSB0", "1-1", "1a86:7523", by_id="usb-1a86_USB_Serial")
    machine.plug("ttyUSB1", "1-2", "1a86:7523", by_id="usb-1a86_USB_Serial")
    ports = list_ports(machine.dev, machine.sys)
    assert [it.by_id for it in ports] == ["", ""]
    assert len({it.path for it in ports}) == 2


def test_between_two_ports_a_person_chooses(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "10c4:ea60", serial="0001", product="CP2102", by_id=CP2102)
    machine.plug("ttyUSB9", "1-9", "10c4:ea60", product="SkyConnect v1.0")
    only = choose_port(list_ports(machine.dev, machine.sys))
    assert only.node.endswith("ttyUSB0")
    machine.plug("ttyACM0", "1-2", "303a:1001", serial="A0:B7:65:1C:2D:3E")
    ports = list_ports(machine.dev, machine.sys)
    with pytest.raises(SerialError, match=r"2 ports that could be meant.*0:1-2.*Choose one") as two:
        choose_port(ports)
    assert two.value.code is SerialCode.PORT_AMBIGUOUS
    assert choose_port(ports, only.by_id) == only
    for wrong in ("/dev/ttyUSB7", ""):
        with pytest.raises(SerialError, match="may only charge"):
            choose_port(ports, wrong)


def test_a_radio_stick_is_refused_unless_a_person_insists(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "1cf1:0030", product="ConBee II")
    (stick,) = ports = list_ports(machine.dev, machine.sys)
    with pytest.raises(SerialError, match=r"ConBee II is no bridge.*would ruin it"):
        choose_port(ports, stick.node)
    with pytest.raises(SerialError, match="not there"):
        choose_port(ports)
    assert choose_port(ports, stick.node, allow_stick=True) == stick


def test_what_a_device_calls_itself_cannot_harm_a_page_or_a_log(machine: Machine) -> None:
    machine.plug("ttyUSB0", "1-1", "10c4:ea60", serial="\x1b[2J" + "9" * 500, product="a\nb\u202e")
    (port,) = list_ports(machine.dev, machine.sys)
    assert port.title.isprintable()
    assert len(port.title) < 300
    assert port.usb.product == "ab"


class Opened:
    """The kernel's word on who opens, reads or writes a file, whoever that is."""

    ANY = 0x1 | 0x2 | 0x8 | 0x10 | 0x20
    """IN_ACCESS, IN_MODIFY, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN."""

    def __init__(self, path: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.number = libc.inotify_init1(os.O_NONBLOCK)
        assert self.number >= 0
        assert libc.inotify_add_watch(self.number, os.fsencode(path), self.ANY) >= 0

    def __bool__(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self.number, 4096))
        return False


@pytest.fixture
def terminal() -> Iterator[tuple[str, Opened]]:
    """A port on which somebody's stick hangs: opening it is too much already."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    opened = Opened(name)
    yield name, opened
    os.close(opened.number)
    os.close(master)


async def test_listing_and_hot_plug_never_touch_a_port(
    machine: Machine, terminal: tuple[str, Opened], record_property: Callable[[str, object], None]
) -> None:
    name, opened = terminal
    seen = watch_ports(machine.dev, machine.sys)
    assert await anext(seen) == ()
    machine.plug("ttyUSB0", "1-1", "10c4:ea60", product="CP2102", node=Path(name))
    plugged_s = time.monotonic()
    async with asyncio.timeout(10):
        (port,) = await anext(seen)
        record_property("a bridge that is plugged in is listed after", time.monotonic() - plugged_s)
        machine.unplug("ttyUSB0")
        assert await anext(seen) == ()
    assert HOTPLUG_S <= 1.0, "it has to be seen within two seconds"
    assert port.title == "CP2102"
    assert choose_port([port], port.node) == port
    assert not holders(name)
    assert not opened
    with open(name, "wb", buffering=0):  # noqa: ASYNC230, PTH123 - the counter-proof
        assert opened


def test_the_process_that_holds_a_port_is_named(tmp_path: Path) -> None:
    for pid, target in ((f"{os.getpid()}", "ttyUSB0"), ("4242", "ttyUSB0"), ("4243", "ttyUSB1")):
        (tmp_path / "proc" / pid / "fd").mkdir(parents=True)
        (tmp_path / "proc" / pid / "fd" / "3").symlink_to(tmp_path / target)
        (tmp_path / "proc" / pid / "comm").write_text("mini\x07com\n")
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    (found,) = holders(str(tmp_path / "by-id"), tmp_path / "proc")
    assert (found.pid, found.name) == (4242, "minicom")


def test_a_holder_is_seen_although_it_closes_other_files_meanwhile(tmp_path: Path) -> None:
    files = tmp_path / "proc" / "4242" / "fd"
    files.mkdir(parents=True)
    for number in range(40):
        (files / f"{number}").touch()  # reading what it leads to fails, as for one that has gone
    (files / "40").symlink_to(tmp_path / "ttyUSB0")
    assert [it.pid for it in holders(str(tmp_path / "ttyUSB0"), tmp_path / "proc")] == [4242]


def test_a_holder_whose_files_are_hidden_is_seen_by_its_lock(
    tmp_path: Path, terminal: tuple[str, Opened]
) -> None:
    """Another user's process shows its name and its locks, and none of its files."""
    port, proc = terminal[0], tmp_path / "proc"
    (proc / "4242").mkdir(parents=True)
    (proc / "4242" / "comm").write_text("zha\n")
    number = os.open(port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(number, fcntl.LOCK_EX)
    told = Path("/proc/locks").read_text()
    os.close(number)
    assert f" {os.getpid()} " in told
    (proc / "locks").write_text(told.replace(f" {os.getpid()} ", " 4242 "))
    (found,) = holders(port, proc)
    assert (found.pid, found.name) == (4242, "zha")
    assert not holders(str(tmp_path), proc), "that is another file"
