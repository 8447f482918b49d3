"""
Which serial ports there are, and what kind of thing is plugged into each.

Read from the kernel's files alone: nothing is opened and no byte is sent, because to ask a port
who is there resets or confuses whatever is, and that may be somebody's Zigbee stick. A choice
between two ports is a person's: this room never takes the first.

Source: esptool.md, section 0 (4) and the facts on containers; Linux sysfs and /proc/locks;
matchers of Home Assistant's zha, zwave_js and Connect integrations.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from agent.firmware.serial.errors import Refusal, SerialCode, SerialError, words
from agent.fleet.identity import Mac, label, mac_of

_ESPRESSIF, _USB_JTAG = 0x303A, 0x1001
_USB_OTG = {0x0002, 0x0009, 0x0012}
_ADAPTERS = {
    (0x10C4, 0xEA60): "Silicon Labs CP210x",
    (0x10C4, 0xEA64): "Silicon Labs CP2102C",
    (0x10C4, 0xEA70): "Silicon Labs CP2105",
    (0x1A86, 0x7522): "WCH CH340",
    (0x1A86, 0x7523): "WCH CH340",
    (0x1A86, 0x5523): "WCH CH341",
    (0x1A86, 0x55D3): "WCH CH343",
    (0x1A86, 0x55D4): "WCH CH9102",
    (0x0403, 0x6001): "FTDI FT232",
    (0x0403, 0x6010): "FTDI FT2232",
    (0x0403, 0x6015): "FTDI FT231X",
    (0x067B, 0x2303): "Prolific PL2303",
    (0x067B, 0x23A3): "Prolific PL2303",
}
_STICKS = {(0x0658, 0x0200), (0x1CF1, 0x0030), (0x10C4, 0x8A2A), (0x303A, 0x4001), (0x303A, 0x831A)}
_STICK_WORDS = (
    "zigbee", "z-wave", "zwave", "thread", "conbee", "raspbee", "skyconnect", "zbt-", "zwa-",
    "zigate", "zigstar", "slzb", "slae.sh", "sonoff", "tubeszb", "2652", "efr32", "enocean",
    "rfxtrx", "rflink", "smart meter", "meter reader",
)  # fmt: skip


class Adapter(StrEnum):
    """What stands between the cable and the chip."""

    USB_JTAG = "usb-jtag"
    """The chip itself; its USB serial number is its MAC."""
    USB_OTG = "usb-otg"
    """The chip itself, through its other USB controller."""
    BRIDGE = "usb-to-serial"
    """A converter as ESP boards carry it, which others use as well."""
    STICK = "stick"
    """Known to be something else: a radio stick, a meter."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Usb:
    """What a USB device says of itself; its words are printable, whatever it sent."""

    vendor_id: int
    product_id: int
    serial: str = ""
    manufacturer: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One port."""

    node: str
    """`/dev/ttyUSB0`: may be another one after the next plug."""
    usb: Usb
    by_id: str = ""
    """`/dev/serial/by-id/…`, "" if there is no such name or another port has it too."""
    by_path: str = ""
    """`/dev/serial/by-path/…`: the socket it is plugged into."""

    @property
    def path(self) -> str:
        """The name that survives a replug best; the one to keep."""
        return self.by_id or self.by_path or self.node

    @property
    def adapter(self) -> Adapter:
        """What kind of thing it is."""
        ids = (self.usb.vendor_id, self.usb.product_id)
        spoken = f"{self.usb.manufacturer} {self.usb.product}".lower()
        if ids in _STICKS or any(word in spoken for word in _STICK_WORDS):
            return Adapter.STICK
        if ids[0] == _ESPRESSIF and ids[1] == _USB_JTAG:
            return Adapter.USB_JTAG
        if ids[0] == _ESPRESSIF and ids[1] in _USB_OTG:
            return Adapter.USB_OTG
        return Adapter.BRIDGE if ids in _ADAPTERS else Adapter.UNKNOWN

    @property
    def mac(self) -> Mac | None:
        """The address of the chip, where its USB says it without being asked."""
        return mac_of(self.usb.serial) if self.adapter is Adapter.USB_JTAG else None

    @property
    def title(self) -> str:
        """What to call it on a page."""
        ids = (self.usb.vendor_id, self.usb.product_id)
        name = self.usb.product or _ADAPTERS.get(ids) or f"USB {ids[0]:04x}:{ids[1]:04x}"
        return f"{name} ({self.usb.serial})" if self.usb.serial else name


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str
    """Of its program, printable."""


def list_ports(dev: Path = Path("/dev"), sys: Path = Path("/sys")) -> tuple[SerialPort, ...]:
    """
    Return the USB serial ports that the kernel knows now, in the order of their names.

    Args:
        dev: where the device nodes are.
        sys: where sysfs is.
    """
    ids = _links(dev / "serial" / "by-id")
    paths = _links(dev / "serial" / "by-path")
    ports = []
    for entry in sorted((sys / "class" / "tty").glob("tty*")):
        usb = _usb_of(entry / "device")
        node = dev / entry.name
        if usb is not None and node.exists():
            real = str(node.resolve())
            ports.append(SerialPort(str(node), usb, ids.get(real, ""), paths.get(real, "")))
    # Converters without a serial number share one link, which points to whichever came last.
    nameless = {it.usb for it in ports if not it.by_id}
    return tuple(replace(it, by_id="") if it.usb in nameless else it for it in ports)


def choose_port(
    ports: Iterable[SerialPort], wanted: str | None = None, *, allow_stick: bool = False
) -> SerialPort:
    """
    Return the port to use.

    Args:
        ports: what there is.
        wanted: node, by-id or by-path as a person gave it; `None` if he left it open.
        allow_stick: a person insists that what looks like a radio stick is a bridge.

    Raises:
        SerialError: it is not there, it is no bridge, or more than one could be meant.
    """
    found = tuple(ports)
    if wanted is not None:
        # A port without such a name has an empty one.
        named = [it for it in found if wanted and wanted in {it.node, it.by_id, it.by_path}]
        if not named:
            raise SerialError(words(SerialCode.PORT_MISSING))
        if named[0].adapter is Adapter.STICK and not allow_stick:
            raise SerialError(_stick(named[0]))
        return named[0]
    likely = [it for it in found if it.adapter is not Adapter.STICK]
    if not likely:
        raise SerialError(words(SerialCode.PORT_MISSING))
    if len(likely) > 1:
        listed = ", ".join(f"{it.title} at {it.by_path or it.node}" for it in likely)
        text = f"There are {len(likely)} ports that could be meant: {listed}."
        step = "Choose one, or pull out what is not meant."
        raise SerialError(Refusal(SerialCode.PORT_AMBIGUOUS, text, step))
    return likely[0]


def holders(node: str, proc: Path = Path("/proc")) -> tuple[Holder, ...]:
    """
    Return the other processes that have a port open or locked, as far as this one may see them.

    esptool notices a program that locks the port and none that does not; two programs on one
    port take each other's bytes. The files of another user's process are hidden, its locks are not.
    """
    real = Path(node).resolve()
    locked = _lockers(real, proc / "locks")
    return tuple(
        Holder(int(entry.name), _name(entry / "comm"))
        for entry in proc.glob("[0-9]*")
        if int(entry.name) != os.getpid()
        and (int(entry.name) in locked or _has_open(entry / "fd", str(real)))
    )


def _has_open(folder: Path, real: str) -> bool:
    try:
        # Without paths as objects: a house has thousands of open files, and this takes a quarter.
        with os.scandir(folder) as links:
            return any(_target(it.path) == real for it in links)
    except OSError:
        # It has ended, or belongs to somebody else.
        return False


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - as above
    except OSError:
        # Closed since it was listed; the next one may be the port.
        return ""


def _lockers(real: Path, locks: Path) -> set[int]:
    """Return who has locked a file: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> …`."""
    try:
        it = real.stat()
        lines = [line.split() for line in locks.read_text().splitlines()]
    except OSError:
        return set()
    file = f"{os.major(it.st_dev):02x}:{os.minor(it.st_dev):02x}:{it.st_ino}"
    return {int(words[4]) for words in lines if file in words and words[4].isdigit()}


def _name(file: Path) -> str:
    try:
        return label(file.read_text(errors="replace")) or "?"
    except OSError:
        return "?"


def _links(folder: Path) -> dict[str, str]:
    """Return link by device."""
    links: dict[str, str] = {}
    try:
        for link in sorted(folder.iterdir()):
            links.setdefault(str(link.resolve()), str(link))
    except OSError:
        return {}
    return links


def _usb_of(device: Path) -> Usb | None:
    """Return the USB device that a terminal belongs to, `None` if it is not on USB."""
    if not device.exists():
        return None
    real = device.resolve()
    for folder in (real, *real.parents):
        if (folder / "idVendor").is_file():
            texts = [_text(folder / it) for it in ("serial", "manufacturer", "product")]
            try:
                vendor, product = (int(_text(folder / it), 16) for it in ("idVendor", "idProduct"))
            except ValueError:
                return None
            return Usb(vendor, product, *texts)
    return None


def _text(file: Path) -> str:
    try:
        return label(file.read_bytes().decode("utf-8", "replace")) or ""
    except OSError:
        return ""


def _stick(port: SerialPort) -> Refusal:
    return Refusal(
        SerialCode.WRONG_DEVICE,
        f"{port.title} is no bridge but a radio stick or a meter; flashing would ruin it.",
        "Choose another port.",
    )
