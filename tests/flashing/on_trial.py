"""
The agent as it is started, for bridges that are programs of this machine.

A real device of the tests has no chip, no inverter and no time: its board stands for an ESP32, it
counts as a bridge that reads no inverter yet, and what takes minutes takes seconds here. What the
file says of itself cannot be read out of a Linux program, so that is made up; the hash is not. All
else is the agent.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import cast

from agent import bridge_work
from agent.__main__ import main
from agent.firmware.image.models import ImageFacts, Layout
from agent.firmware.job import runner
from agent.firmware.job.models import Patience
from agent.flashing import images
from agent.fleet import chips, evidence
from agent.fleet.evidence import Shows
from agent.fleet.gate_models import Rules
from agent.fleet.identity import OUR_PROJECTS, Kind
from agent.releases import rooms

PROJECT = "pv-edge.alphaess-bridge"
BUNDLE = "TRIAL_BUNDLE"
MARGIN_S = 1.5


def facts(data: bytes) -> ImageFacts:
    digest, md5 = hashlib.sha256(data), hashlib.md5(data, usedforsecurity=False)
    return ImageFacts(
        layout=Layout.APPLICATION,
        size=len(data),
        sha256=digest.hexdigest(),
        md5=md5.hexdigest(),
        chip="esp32",
        min_chip_revision=0,
        max_chip_revision=None,
        flash_size=None,
        checksum_ok=True,
        hash_ok=True,
    )


if __name__ == "__main__":
    rooms.BESIDE = Path(os.environ[BUNDLE])
    chips.OF_BOARD = MappingProxyType({**chips.OF_BOARD, "host": "esp32"})
    # Without an inverter it can be as well as a bridge that has not got one yet.
    evidence.OF_PROJECT = MappingProxyType({**evidence.OF_PROJECT, PROJECT: Shows()})
    kinds = cast("dict[str, Kind]", OUR_PROJECTS.kinds)
    kinds[PROJECT] = Kind.FACTORY
    bridge_work.Rules = partial(Rules, stable_s=0.5)  # type: ignore[assignment,misc]
    runner.Patience = partial(  # type: ignore[assignment,misc]
        Patience, margin_s=MARGIN_S, settle_s=1.5, return_s=6.0, deadline_s=25.0, moment_every_s=0.5
    )
    images._facts = facts
    sys.exit(main())
