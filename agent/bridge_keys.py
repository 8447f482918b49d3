"""
How a bridge's secrets come in: entered, asked of Home Assistant, or from files of ESPHome.

Each belongs to one MAC and is stored before it counts. What comes back is a sentence and, where a
file does not say whose a key is, the names that a person may choose from; never a secret.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from agent.fleet.core_keys import Agreement, ask_core
from agent.fleet.identity import Mac, label, mac_of, written
from agent.fleet.keys import (
    KeyFile,
    KeySource,
    KeyStoreError,
    Secret,
    SecretKind,
    checked,
    with_secret,
)
from agent.fleet.record import Fleet
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.surface.desk import Upload

_WORDS = {SecretKind.API_KEY: "key", SecretKind.UPLOAD_PASSWORD: "password for uploads"}


class BridgeKeys:
    """`KeysDesk`: takes secrets and stores them."""

    def __init__(
        self,
        keys: KeyFile,
        core: CoreConnection | None,
        fleet: Callable[[], Fleet],
        changed: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._core = core
        self._fleet = fleet
        self._changed = changed

    async def enter_key(self, mac: str, key: str) -> None:
        """
        Take the encryption key of a bridge, and connect with it.

        Raises:
            ValueError: that is no MAC, or no key; the text says why and repeats neither.
            OSError: it could not be stored; nothing was changed.
        """
        secret = checked(SecretKind.API_KEY, key)
        await self._store(_bridge(mac), {SecretKind.API_KEY: secret}, KeySource.ENTERED)

    async def ask_key(self, mac: str, by: str) -> None:
        """
        Ask Home Assistant for the key of one bridge, because that person has said so.

        Raises:
            ValueError: it has none for us; the text says why and what to do.
            OSError: it could not be asked, or the key not be stored; nothing was changed.
        """
        whose = _bridge(mac)
        if self._core is None:
            raise ValueError("There is no such bridge")
        try:
            given = await ask_core(self._core, Agreement(by, frozenset({whose})))
        except CoreError as error:
            raise OSError(f"Home Assistant could not be asked: {error}") from error
        if whose not in given.keys:
            raise ValueError(given.missing[whose].removesuffix("."))
        secrets = {SecretKind.API_KEY: given.keys[whose]}
        await self._store(whose, secrets, KeySource.HOME_ASSISTANT)

    async def upload(self, it: Upload) -> dict[str, Any]:
        """
        Take the secrets that files of ESPHome hold for one bridge.

        Returns:
            `text`, and `stored` with the MAC; or, where a person has to say whose they are,
            `bridges` and for a `secrets.yaml` alone `names` to choose from.

        Raises:
            ValueError: nothing can be taken; the text says why and quotes no file.
            OSError: it could not be stored; nothing was changed.
        """
        # Loads PyYAML, and somebody else's file may take its time.
        module = await asyncio.to_thread(importlib.import_module, "agent.fleet.key_upload")
        if it.configuration is None:
            if it.secrets is None:
                raise ValueError("There is no file")
            named = module.keys_among(await asyncio.to_thread(module.read_secrets, it.secrets))
            return await self._of_secrets(named, it)
        found = await asyncio.to_thread(module.read_device, it.configuration, it.secrets)
        if not found.secrets:
            raise ValueError(" ".join(found.problems).removesuffix("."))
        owners = module.owners(found, self._fleet())
        if it.mac is None and len(owners) != 1:
            called = f" is called {found.name}" if found.name else " has the name in it"
            who = "More than one bridge" if owners else "No bridge"
            text = f"{who}{called}. Choose the one that the file is of."
            return {"text": text, "bridges": self._choices(owners)}
        whose = self._known(it.mac) if it.mac is not None else owners[0]
        return await self._taken(whose, found.secrets, found.problems)

    async def _of_secrets(self, named: Mapping[str, Secret], it: Upload) -> dict[str, Any]:
        if not named:
            raise ValueError(
                "Nothing in it can be the key of an API: 44 characters of base64. Upload the "
                "file that has it"
            )
        if it.mac is None or it.name is None:
            text = "A secrets.yaml does not say whose a key is. Choose the bridge and the name."
            return {"text": text, "bridges": self._choices(()), "names": sorted(map(label, named))}
        chosen = {label(name): secret for name, secret in named.items()}.get(it.name)
        if chosen is None:
            raise ValueError("There is no key of that name in the file")
        return await self._taken(self._known(it.mac), {SecretKind.API_KEY: chosen}, ())

    async def _taken(
        self, whose: Mac, secrets: Mapping[SecretKind, Secret], problems: tuple[str, ...]
    ) -> dict[str, Any]:
        await self._store(whose, secrets, KeySource.UPLOADED)
        what = " and ".join(_WORDS[kind] for kind in secrets)
        text = f"Stored for {self._fleet().records[whose].title}: {what}."
        return {"text": " ".join((text, *problems)), "stored": written(whose)}

    def _known(self, mac: str) -> Mac:
        whose = _bridge(mac)
        if whose not in self._fleet().records:
            raise ValueError("There is no such bridge")
        return whose

    def _choices(self, among: tuple[Mac, ...]) -> list[dict[str, str]]:
        records = self._fleet().records
        found = [{"mac": written(mac), "title": records[mac].title} for mac in among or records]
        return sorted(found, key=lambda it: (it["title"].casefold(), it["mac"]))

    async def _store(
        self, whose: Mac, secrets: Mapping[SecretKind, Secret], source: KeySource
    ) -> None:
        ring = self._keys.ring
        for kind, secret in secrets.items():
            ring = with_secret(ring, whose, kind, secret, source)
        try:
            await asyncio.to_thread(self._keys.store, ring)
        except KeyStoreError as error:
            raise OSError(str(error)) from error
        self._changed()


def _bridge(mac: str) -> Mac:
    whose = mac_of(mac)
    if whose is None:
        raise ValueError("There is no such bridge")
    return whose
