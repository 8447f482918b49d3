"""What the page's help asks for, from the rooms of a running agent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent import diagnostics, doctor
from agent.brokers import find_broker
from agent.doctor_ahead import Ahead
from agent.fleet.keys import KeyFile
from agent.history_csv import What, csv
from agent.homeassistant.errors import CoreError
from agent.homeassistant.websocket import CoreConnection
from agent.house.port import SiteMeter
from agent.journal import Journal
from agent.options import Options
from agent.settings import SettingsStore
from agent.surface.desk import BridgesDesk, GuardDesk
from agent.surface.mqtt import MqttPublisher, MqttState, MqttStatus
from agent.surface.notifications import Notifier


@dataclass(frozen=True, slots=True)
class Support:
    """`SupportDesk` over the parts of one agent."""

    options: Options
    data_dir: Path
    store: SettingsStore
    journal: Journal
    guard: GuardDesk
    meter: Callable[[], SiteMeter]
    """The one in use now."""
    mqtt: MqttPublisher
    core: CoreConnection | None = None
    notifier: Notifier | None = None
    ahead: Ahead | None = None
    """What plans are made from, for the doctor."""
    keys: KeyFile | None = None
    """Of the bridges."""
    bridges: BridgesDesk | None = None

    async def doctor(self, progress: doctor.Progress) -> dict[str, Any]:
        """Examine the set-up with the links that stand; returns the report."""

        async def broker() -> MqttState | None:
            state = self.mqtt.state
            return None if state.status is MqttStatus.STARTING else state

        patient = doctor.Patient(
            self.store.current,
            self.data_dir,
            self.options.ha_url,
            self.core,
            self.meter(),
            broker,
            tuple(warning.text for warning in self.store.warnings),
            self.ahead,
        )
        return (await doctor.examined(patient, progress, doctor.WATCH_S)).as_json()

    async def diagnostics(self) -> dict[str, Any]:
        """Return everything that helps to understand this installation, redacted."""
        meter, core, mqtt = self.meter(), self.core, self.mqtt.state
        subject = diagnostics.Subject(
            options=self.options,
            settings=self.store.values(),
            settings_warnings=tuple(warning.text for warning in self.store.warnings),
            snapshot=self.guard.snapshot(),
            events=await self.journal.events(limit=diagnostics.EVENTS),
            entities=getattr(meter, "mapping", None),
            findings=tuple(getattr(meter, "findings", ())),
            core_version=core.config.version if core and core.config else "",
            link=f"{core.link.state.value} {core.link.detail}".strip() if core else "none",
            mqtt=f"{mqtt.status.value} {mqtt.text}".strip(),
            healthy=self.guard.healthy(),
            bridges=tuple(self.bridges.shown()) if self.bridges else (),
            notifications=tuple(sorted(self.notifier.raised)) if self.notifier else (),
        )
        return diagnostics.document(subject, await self._secrets())

    async def _secrets(self) -> list[str]:
        """Return what must not be shown beside the options' own secrets."""
        token = self.options.core_token().get_secret_value()
        secrets = [token, os.environ.get("SUPERVISOR_TOKEN", "")]
        with contextlib.suppress(OSError):  # then nobody has told us that password either
            broker = await find_broker(self.options, lambda: token)
            secrets += [broker.password] if broker else []
        return [*secrets, *(self.keys.ring.revealed() if self.keys else ())]

    def csv(
        self, what: What, days: float, kinds: tuple[str, ...] | None = None
    ) -> AsyncIterator[str]:
        """Yield events or samples of the last days as lines of a table, in the site's time."""
        now = self.guard.snapshot().at
        return csv(self.journal, what, now - timedelta(days=days), now, kinds)

    async def clear_notifications(self) -> int:
        """Put every notification of ours away; raises `OSError` when Core cannot be asked."""
        if self.notifier is None:
            return 0
        try:
            return await self.notifier.clear()
        except CoreError as error:
            raise OSError(f"The notifications could not be put away: {error}") from error
