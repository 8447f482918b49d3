"""Where Core is: directly on its own port, or behind the Supervisor's proxy."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL


@dataclass(frozen=True, slots=True)
class CoreAddress:
    """The two ways into one Core."""

    websocket: URL
    api: URL

    @classmethod
    def of(cls, url: str) -> CoreAddress:
        """
        Return the addresses behind what a user or the Supervisor calls Core's URL.

        The Supervisor serves the websocket beside the API (`/core/websocket`, `/core/api`), Core
        itself below it (`/api/websocket`).

        Raises:
            ValueError: not an absolute http or https URL.
        """
        base = URL(url.strip().rstrip("/"))
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(
                f"ha_url: {url!r} is not the address of Home Assistant; "
                "for example http://homeassistant.local:8123"
            )
        base = base.with_user(None)
        websocket = base.with_scheme("wss" if base.scheme == "https" else "ws")
        if base.path.endswith("/core"):
            return cls(websocket / "websocket", base / "api")
        return cls(websocket / "api" / "websocket", base / "api")
