"""
Everything about cables in one hand: the ports that come and go, and what is asked of them.

Without bridges and releases, as in the demo, ports are seen and chips are asked, and nothing is
written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from agent.firmware.serial.driver import SerialDriver
from agent.flashing.rooms import FlashRooms
from agent.homeassistant.websocket import CoreConnection
from agent.journal import Journal
from agent.recovery.board import PortBoard
from agent.recovery.desk import RecoveryDesk

LOG = logging.getLogger(__name__)


class RecoveryRooms:
    """The rooms of recovery; the caller runs them."""

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], datetime],
        core: CoreConnection | None,
        flashing: FlashRooms | None,
    ) -> None:
        """
        Prepare.

        Args:
            journal: takes what chips said.
            now: the site's time.
            core: knows which of its integrations use a port.
            flashing: who writes; `None` where nothing can be written.
        """
        self._board = PortBoard(core)
        driver = flashing.cable.driver if flashing else SerialDriver()
        writing = flashing.writing() if flashing else None
        self.desk = RecoveryDesk(self._board, driver, journal, now, writing)
        self._flashing = flashing
        if flashing is not None:
            flashing.desk.recovery = self.desk.view

    async def run(self) -> None:
        """Watch the ports until cancelled."""
        ends = [self._board.subscribe(self.desk.forget_gone)]
        if self._flashing is not None:
            ends.append(self.desk.subscribe(self._flashing.wake))
        try:
            await self._board.run()
        except Exception:  # a bug of ours here may not cost the guard
            LOG.exception("the serial ports are watched no more until the next start")
        finally:
            for end in ends:
                end()
            await self.desk.close()
