"""
What Core keeps in `.storage`, written before its first start instead of clicked through.

A Core that finds these files is onboarded, has an owner and a second, ordinary user, both with a
long-lived token, and the MQTT integration. The formats are those of 2024.1; newer Cores migrate.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TOKEN_LIFE_S = 3650 * 86_400


@dataclass(frozen=True, slots=True)
class MqttEntry:
    """Where Core's MQTT integration finds its broker."""

    host: str
    port: int
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class User:
    """A person in Core, with a token that does not run out during a test."""

    id: str
    token: str


def seed(config: Path, port: int, mqtt: MqttEntry | None, *, http_store: bool) -> tuple[User, User]:
    """Write the stores and return the owner and an ordinary user."""
    storage = config / ".storage"
    storage.mkdir(parents=True, exist_ok=True)
    owner, owner_entry, owner_token = _user("Owner", "system-admin", is_owner=True)
    guest, guest_entry, guest_token = _user("Resident", "system-users", is_owner=False)
    groups = {
        "system-admin": "Administrators",
        "system-users": "Users",
        "system-read-only": "Read Only",
    }
    _put(storage, "onboarding", 4, {"done": ["user", "core_config", "analytics", "integration"]})
    auth = {
        "users": [owner_entry, guest_entry],
        "groups": [{"id": group, "name": name} for group, name in groups.items()],
        "credentials": [],
        "refresh_tokens": [owner_token, guest_token],
    }
    _put(storage, "auth", 1, auth)
    _put(storage, "core.config_entries", 1, {"entries": [_mqtt_entry(mqtt)] if mqtt else []})
    if http_store:
        _put(storage, "http", 3, _http(port))
    return owner, guest


@dataclass(frozen=True, slots=True)
class Adopted:
    """An ESPHome device as Core remembers it; it looks for it on loopback."""

    mac: str
    project: str
    version: str
    port: int = 1
    """Where nobody listens, for a device that is away."""
    key: str | None = None
    disabled: bool = False


def remember_esphome(config: Path, *, newer: bool, **devices: Adopted) -> None:
    """
    Let Core have adopted ESPHome devices, before its first start.

    Args:
        config: Core's directory, seeded.
        newer: write the firmware as a Core of 2026 does, else as one of 2024.
        devices: by node name, with `_` for `-`.
    """
    storage = config / ".storage"
    entries = json.loads((storage / "core.config_entries").read_text())["data"]["entries"]
    registry = []
    for name, device in devices.items():
        entry = {**_ESPHOME_ENTRY, "entry_id": secrets.token_hex(16), "title": name}
        if device.disabled:
            entry["disabled_by"] = "user"
        data = {"host": "127.0.0.1", "port": device.port, "password": ""}
        if device.key is not None:
            data["noise_psk"] = device.key
        entries.append({**entry, "unique_id": device.mac, "data": data})
        maker, _, model = device.project.partition(".")
        software = f"{device.version} (ESPHome 2026.10.0)" if newer else "2026.10.0 (Nov 22 2026)"
        registry.append(
            {
                **_DEVICE,
                "config_entries": [entry["entry_id"]],
                "connections": [["mac", device.mac]],
                "hw_version": None if newer else device.version,
                "id": secrets.token_hex(16),
                "manufacturer": maker,
                "model": model,
                "name": name.replace("_", " ").title(),
                "sw_version": software,
            }
        )
    _put(storage, "core.config_entries", 1, {"entries": entries})
    stored = {"devices": registry, "deleted_devices": []}
    _put(storage, "core.device_registry", 1, stored, minor_version=4)


def remember_entry(config: Path, domain: str, title: str, data: Mapping[str, object]) -> str:
    """Let Core have a config entry of any integration before its first start; return its id."""
    storage = config / ".storage"
    entries = json.loads((storage / "core.config_entries").read_text())["data"]["entries"]
    entry_id = secrets.token_hex(16)
    told = {"entry_id": entry_id, "domain": domain, "title": title, "data": data}
    entries.append({**_ESPHOME_ENTRY, **told, "source": "user", "unique_id": None})
    _put(storage, "core.config_entries", 1, {"entries": entries})
    return entry_id


_ESPHOME_ENTRY: dict[str, object] = {
    "version": 1,
    "minor_version": 1,
    "domain": "esphome",
    "options": {},
    "pref_disable_new_entities": False,
    "pref_disable_polling": False,
    "source": "zeroconf",
    "disabled_by": None,
}
_DEVICE: dict[str, object] = {
    "area_id": None,
    "configuration_url": None,
    "disabled_by": None,
    "entry_type": None,
    "identifiers": [],
    "name_by_user": None,
    "serial_number": None,
    "via_device_id": None,
}


def _put(
    storage: Path, key: str, version: int, data: Mapping[str, object], minor_version: int = 1
) -> None:
    store = {"version": version, "minor_version": minor_version, "key": key, "data": data}
    file = storage / key
    file.touch(mode=0o600)
    file.write_text(json.dumps(store))


def _user(
    name: str, group: str, *, is_owner: bool
) -> tuple[User, dict[str, object], dict[str, object]]:
    user_id, token_id, key = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(64)
    user: dict[str, object] = {
        "id": user_id,
        "group_ids": [group],
        "is_owner": is_owner,
        "is_active": True,
        "name": name,
        "system_generated": False,
        "local_only": False,
    }
    refresh_token: dict[str, object] = {
        "id": token_id,
        "user_id": user_id,
        "client_id": None,
        "client_name": f"tests of {name}",
        "client_icon": None,
        "token_type": "long_lived_access_token",
        "created_at": datetime.now(UTC).isoformat(),
        "access_token_expiration": float(TOKEN_LIFE_S),
        "token": secrets.token_hex(64),
        "jwt_key": key,
        "last_used_at": None,
        "last_used_ip": None,
        "credential_id": None,
        "version": "2024.1.0",
    }
    return User(user_id, _signed(token_id, key)), user, refresh_token


def _signed(token_id: str, key: str) -> str:
    """Return the JSON web token that Core would have issued for that refresh token."""
    now = int(time.time())
    claims = {"iss": token_id, "iat": now, "exp": now + TOKEN_LIFE_S}
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    message = b".".join(_base64(part) for part in parts)
    signature = hmac.new(key.encode(), message, hashlib.sha256).digest()
    return b".".join((message, _base64(signature))).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _mqtt_entry(mqtt: MqttEntry) -> dict[str, object]:
    return {
        "entry_id": secrets.token_hex(16),
        "version": 1,
        "minor_version": 1,
        "domain": "mqtt",
        "title": mqtt.host,
        "data": {
            "broker": mqtt.host,
            "port": mqtt.port,
            "username": mqtt.username,
            "password": mqtt.password,
            "discovery": True,
            "discovery_prefix": "homeassistant",
        },
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "unique_id": None,
        "disabled_by": None,
    }


def _http(port: int) -> dict[str, object]:
    """
    Return the server settings of a 2026.x Core.

    From YAML it takes them for a trial of five minutes only, and then listens on every interface.
    """
    return {
        "stable": {
            "server_port": port,
            "server_host": ["127.0.0.1"],
            "cors_allowed_origins": [],
            "login_attempts_threshold": -1,
            "ip_ban_enabled": True,
            "ssl_profile": "intermediate_v6",
            "use_x_frame_options": True,
            "created_at": "2026-01-01T00:00:00+00:00",
            "error": None,
            "error_message": None,
        },
        "pending": None,
        "yaml_migration_done": True,
    }
