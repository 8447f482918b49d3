"""
Finds the secrets in an ESPHome configuration that a person uploads.

Most people have their keys there already: in the device's own file, or named there as `!secret`
and written in `secrets.yaml`. The file comes from outside, so it is read by a loader that makes
plain values only, follows no other file, and stops at a size. ESPHome's own tags are understood
where they matter and otherwise left as they are; what a tag hides is said in a sentence, not
guessed.

This module loads PyYAML: import it when something is uploaded.

Source: ESPHome 2026.10, `yaml_util.py` and the documentation of `api`, `ota` and `substitutions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from agent.fleet.identity import Mac, label, same_name
from agent.fleet.keys import KeyFormatError, Secret, SecretKind, checked
from agent.fleet.record import Fleet

LARGEST_BYTES = 256 * 1024
_SUBSTITUTED = re.compile(r"\$\{?(\w+)\}?")
_DEEPEST_SUBSTITUTION = 5


class UploadError(ValueError):
    """Nothing can be taken from the file; the message says why, and never quotes it."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a device's configuration says."""

    name: str | None
    """The node name; `None` where it is not written there."""
    ends_with_mac: bool
    """ESPHome appends the last six digits of the MAC to the name."""
    secrets: Mapping[SecretKind, Secret]
    problems: tuple[str, ...]
    """What could not be taken, and what to do; never the content."""


@dataclass(frozen=True, slots=True)
class _Tagged:
    """A value that only ESPHome can make something of."""

    tag: str
    value: str


class _Loader(yaml.SafeLoader):
    """Plain values; no merging, which can make a small file grow without end."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` as it is."""


def _tagged(_loader: _Loader, suffix: str, node: yaml.Node) -> _Tagged:
    return _Tagged(suffix, str(node.value) if isinstance(node, yaml.ScalarNode) else "")


def _merge(_loader: _Loader, _node: yaml.Node) -> str:
    return "<<"


_Loader.add_multi_constructor("!", _tagged)
_Loader.add_constructor("tag:yaml.org,2002:merge", _merge)


def read_device(text: str, secrets_text: str | None = None) -> Uploaded:
    """
    Return what a device's configuration holds.

    Args:
        text: the device's own file.
        secrets_text: the `secrets.yaml` that its `!secret` names are looked up in.

    Raises:
        UploadError: one of them is no ESPHome configuration, or holds nothing.
    """
    config = _mapping(text, "The configuration")
    named = read_secrets(secrets_text) if secrets_text is not None else {}
    node = _section(config, "esphome")
    if not {"esphome", "api", "ota"} & config.keys():
        raise UploadError(
            "The configuration has none of ESPHome's sections esphome, api and ota: this is another"
            " file. A secrets.yaml is uploaded as such"
        )
    resolver = _Resolver(_section(config, "substitutions"), named)
    found: dict[SecretKind, Secret] = {}
    problems: list[str] = []
    for kind, place, raw in (
        (SecretKind.API_KEY, "api, encryption, key", _written_key(config)),
        (SecretKind.UPLOAD_PASSWORD, "ota, password", _written_password(config)),
    ):
        if raw is None:
            continue
        try:
            found[kind] = checked(kind, resolver.text(raw))
        except (KeyFormatError, UploadError) as error:
            problems.append(f"{place}: {error}.")
    if not found and not problems:
        problems.append(
            "It holds neither a key nor a password itself. If they stand in a package or an "
            "included file, upload that one."
        )
    try:
        name = label(resolver.text(node["name"])) if "name" in node else None
    except UploadError:
        name = None
    return Uploaded(name or None, node.get("name_add_mac_suffix") is True, found, tuple(problems))


def read_secrets(text: str) -> dict[str, str]:
    """
    Return the names and values of a `secrets.yaml`.

    Raises:
        UploadError: it is none.
    """
    found = {}
    for name, value in _mapping(text, "secrets.yaml").items():
        if isinstance(value, bool | int | float | str):
            found[str(name)] = str(value)
    return found


def keys_among(named: Mapping[str, str]) -> dict[str, Secret]:
    """
    Return those secrets that can be keys of an API, by name.

    A `secrets.yaml` alone does not say whose they are: a person picks the name, or they are tried.
    """
    found = {}
    for name, value in named.items():
        try:
            found[name] = checked(SecretKind.API_KEY, value)
        except KeyFormatError:
            continue
    return found


def owners(uploaded: Uploaded, fleet: Fleet) -> tuple[Mac, ...]:
    """
    Return the bridges that the configuration can be of: exactly that name, never a part of one.

    More than one is a question for a person: a name is no identity.
    """
    if uploaded.name is None:
        return ()
    return tuple(
        mac
        for mac, record in fleet.records.items()
        if same_name(record.told.name, uploaded.name)
        or (uploaded.ends_with_mac and same_name(record.told.name, f"{uploaded.name}-{mac[-6:]}"))
    )


@dataclass(frozen=True, slots=True)
class _Resolver:
    substitutions: Mapping[str, Any]
    secrets: Mapping[str, str]

    def text(self, value: object, depth: int = 0) -> str:
        """Return the plain text of a value; raises UploadError with what is missing."""
        if isinstance(value, _Tagged):
            if value.tag != "secret":
                raise UploadError(f"it is written as !{label(value.tag)}, which is not followed")
            if value.value not in self.secrets:
                raise UploadError(
                    f"it is the secret {label(value.value)}; upload the secrets.yaml that has it "
                    "together with this file"
                )
            return self.secrets[value.value]
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise UploadError("there is no text")
        return self._substituted(str(value), depth)

    def _substituted(self, text: str, depth: int) -> str:
        whole = _SUBSTITUTED.fullmatch(text)
        if whole is None and "${" not in text:
            return text  # a $ may stand in a password
        if depth >= _DEEPEST_SUBSTITUTION:
            raise UploadError("its substitutions lead to one another")

        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.substitutions:
                raise UploadError(f"it uses the substitution {name}, which is not in this file")
            return self.text(self.substitutions[name], depth + 1)

        return one(whole) if whole else re.sub(r"\$\{(\w+)\}", one, text)


def _mapping(text: str, what: str) -> dict[str, Any]:
    if len(text.encode(errors="replace")) > LARGEST_BYTES:
        raise UploadError(
            f"{what} is larger than {LARGEST_BYTES // 1024} KiB: this is another file"
        )
    try:
        loaded = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise UploadError(f"{what} is not YAML: it cannot be read{where}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise UploadError(f"{what} is not YAML that can be read") from None
    if not isinstance(loaded, dict):
        raise UploadError(f"{what} holds no settings: a line looks like `name: value`")
    return {str(key): value for key, value in loaded.items()}


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _written_key(config: Mapping[str, Any]) -> object:
    encryption = _section(_section(config, "api"), "encryption")
    return encryption.get("key")


def _written_password(config: Mapping[str, Any]) -> object:
    """Return it from either form of `ota`: one mapping, as before 2024.6, or a list."""
    ota = config.get("ota")
    entries: Iterable[object] = ota if isinstance(ota, list) else [ota]
    for entry in entries:
        if isinstance(entry, dict) and entry.get("platform", "esphome") == "esphome":
            return entry.get("password")
    return None
