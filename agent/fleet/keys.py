"""
The secrets of the bridges: per MAC an encryption key of the API and a password for uploads.

Whoever has them commands the inverter, so they are written once and never read out again: no
page, log, journal or diagnostic gets more than "there is one, and it came from there". A secret
here is an object that does not print, and only the one who sends it to its bridge reveals it.
What is entered is checked at once, because a key that is none fails otherwise only at the next
connection, in words that help nobody.

The decisions are pure; `KeyFile` keeps the ring in one file that only the agent may read.

Source: ESPHome's `api: encryption: key:` (32 bytes in base64) and `ota: password:`; aioesphomeapi
46.23, which takes 32 bytes of zero for "no key was ever set".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from agent.fleet.identity import Mac, mac_of, written
from agent.private_file import close_to_others, keep_aside, replace_file

LOG = logging.getLogger(__name__)
FILE_NAME = "bridge_keys.json"
KEY_BYTES = 32
LONGEST_PASSWORD = 128
_VERSION = 1
_HEX_KEY = 2 * KEY_BYTES


class KeyFormatError(ValueError):
    """What was given is no key or password; the message says why, and never repeats it."""


class KeyStoreError(Exception):
    """A change of the keys could not be stored and was not made; the message says what to do."""


class SecretKind(StrEnum):
    """What a bridge can want from us."""

    API_KEY = "api_key"
    UPLOAD_PASSWORD = "upload_password"  # noqa: S105 - the name of the thing


class KeySource(StrEnum):
    """Where a secret came from."""

    HOME_ASSISTANT = "home_assistant"
    UPLOADED = "uploaded"
    """From an ESPHome configuration that a person uploaded."""
    ENTERED = "entered"


class Secret:
    """A text that does not print, does not serialise, and is only revealed on purpose."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; only for the bridge it belongs to and for the file of the keys."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(type(self))  # nothing of the text, not even its hash, is told

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be copied out of the agent")


@dataclass(frozen=True, slots=True)
class Kept:
    """One secret of one bridge."""

    secret: Secret
    source: KeySource


@dataclass(frozen=True, slots=True)
class Keyring:
    """All secrets of all bridges."""

    kept: Mapping[Mac, Mapping[SecretKind, Kept]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def api_key(self, mac: Mac) -> str | None:
        """Return the key to connect to a bridge with, revealed: give it to nobody else."""
        return self._revealed(mac, SecretKind.API_KEY)

    def upload_password(self, mac: Mac) -> str | None:
        """Return the password for uploads to a bridge, revealed: give it to nobody else."""
        return self._revealed(mac, SecretKind.UPLOAD_PASSWORD)

    def revealed(self) -> tuple[str, ...]:
        """Return all of them, revealed: for whoever has to see that none of them is shown."""
        return tuple(it.secret.reveal() for each in self.kept.values() for it in each.values())

    def sources(self, mac: Mac) -> Mapping[SecretKind, KeySource]:
        """Return what there is for a bridge and whence: all that may be shown."""
        return MappingProxyType({kind: it.source for kind, it in self.kept.get(mac, {}).items()})

    def _revealed(self, mac: Mac, kind: SecretKind) -> str | None:
        it = self.kept.get(mac, {}).get(kind)
        return it.secret.reveal() if it else None


def checked(kind: SecretKind, text: str) -> Secret:
    """
    Return what was entered, uploaded or told as a secret of that kind.

    Raises:
        KeyFormatError: it cannot be one.
    """
    return _api_key(text) if kind is SecretKind.API_KEY else _password(text)


def with_secret(
    ring: Keyring, mac: Mac, kind: SecretKind, secret: Secret, source: KeySource
) -> Keyring:
    """Return the ring with one more secret, or with another one in place of the old."""
    of_bridge = MappingProxyType({**ring.kept.get(mac, {}), kind: Kept(secret, source)})
    return replace(ring, kept=MappingProxyType({**ring.kept, mac: of_bridge}))


def without_secret(ring: Keyring, mac: Mac, kind: SecretKind | None = None) -> Keyring:
    """Return the ring without one secret of a bridge, or without any of it."""
    left = {
        each: it
        for each, it in ring.kept.get(mac, {}).items()
        if kind is not None and each is not kind
    }
    kept = {each: it for each, it in ring.kept.items() if each != mac}
    if left:
        kept[mac] = MappingProxyType(left)
    return replace(ring, kept=MappingProxyType(kept))


class KeyFile:
    """
    The ring on disk; every change is stored before it counts.

    A file that cannot be understood is kept aside and the ring is empty: bridges then want their
    keys again, and `warning` says why.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self.damaged = False
        """Whether there was a file that cannot be used."""
        self.warning = ""
        """What is wrong with the file, and what to do; never a part of its content."""
        self._ring = self._read()

    @property
    def ring(self) -> Keyring:
        """Return the secrets as they are stored."""
        return self._ring

    def api_key(self, mac: Mac) -> str | None:
        """Return the key to connect to a bridge with, as it is stored now; revealed."""
        return self._ring.api_key(mac)

    def store(self, ring: Keyring) -> None:
        """
        Store the ring; it blocks for the disk.

        Raises:
            KeyStoreError: nothing was changed.
        """
        try:
            replace_file(self._path, _serialised(ring))
        except OSError as error:
            raise KeyStoreError(
                f"{self._path.name} could not be written ({error.strerror}); the keys are as they "
                "were. Check that the data disk is writable and has free space, then try again"
            ) from None
        self._ring = ring

    def _read(self) -> Keyring:
        try:
            if close_to_others(self._path):
                self.warning = (
                    f"{self._path.name} could be read by others and no longer can. Give the "
                    "bridges new keys if somebody may have seen these"
                )
            ring = _parsed(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Keyring()
        except OSError as error:
            return self._set_aside(f"it cannot be read ({error.strerror})")
        except (ValueError, RecursionError):
            # Its own words are not passed on: they may quote the file.
            return self._set_aside("it is not what the agent wrote")
        if self.warning:
            LOG.warning("%s", self.warning)
        return ring

    def _set_aside(self, why: str) -> Keyring:
        self.damaged = True
        try:
            where = f"It was kept as {keep_aside(self._path).name}"
        except OSError as error:
            where = f"It could not be moved aside ({error.strerror})"
        self.warning = (
            f"{self._path.name} cannot be used: {why}. {where}; there is no key for any bridge "
            "now. Enter them again, or restore the file from a backup"
        )
        LOG.warning("%s", self.warning)
        return Keyring()


def _api_key(text: str) -> Secret:
    key = text.strip()
    if not key:
        raise KeyFormatError("This is empty. To have no key for this bridge, remove it instead")
    if len(key) == _HEX_KEY and all(it in "0123456789abcdefABCDEF" for it in key):
        raise KeyFormatError(
            "This is written in hexadecimal. ESPHome's key is base64: 44 characters, the last one ="
        )
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormatError(
            "This is not base64. Copy the whole key that stands under api, encryption, key: 44 "
            "characters, the last one ="
        ) from None
    if len(raw) != KEY_BYTES:
        raise KeyFormatError(
            f"This holds {len(raw)} bytes and ESPHome's key has {KEY_BYTES}: something is missing, "
            "or it is another key"
        )
    if not any(raw):
        raise KeyFormatError("This is the key of a device that has none: everybody knows it")
    return Secret(base64.b64encode(raw).decode())


def _password(text: str) -> Secret:
    password = text.rstrip("\r\n")
    if not password:
        raise KeyFormatError(
            "This is empty. To have no password for this bridge, remove it instead"
        )
    if password != password.strip():
        raise KeyFormatError("This begins or ends with a space, which is hardly the password's")
    if not password.isprintable():
        raise KeyFormatError("This holds characters that cannot be typed, or several lines")
    if len(password) > LONGEST_PASSWORD:
        raise KeyFormatError(
            f"This is longer than {LONGEST_PASSWORD} characters: it is no password for uploads"
        )
    return Secret(password)


def _serialised(ring: Keyring) -> str:
    bridges = {
        written(mac): {
            str(kind): {"value": it.secret.reveal(), "source": str(it.source)}
            for kind, it in of_bridge.items()
        }
        for mac, of_bridge in ring.kept.items()
    }
    return json.dumps({"version": _VERSION, "bridges": bridges}, indent=1)


def _parsed(text: str) -> Keyring:
    """Return the ring of a file; raises ValueError for anything that we did not write."""
    stored = json.loads(text)
    if not isinstance(stored, dict) or stored.get("version") != _VERSION:
        raise ValueError("another version")
    ring = Keyring()
    for shown, of_bridge in _items(stored.get("bridges")):
        mac = mac_of(shown)
        if mac is None:
            raise ValueError("no MAC")
        for kind, it in _items(of_bridge):
            entry = dict(_items(it))
            secret = checked(SecretKind(kind), str(entry.get("value", "")))
            source = KeySource(str(entry.get("source")))
            ring = with_secret(ring, mac, SecretKind(kind), secret, source)
    return ring


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - the file is wrong, not the program
    return list(value.items())
