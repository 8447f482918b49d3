"""
The first versions of everything, staged for the first signatures.

Source: signing.md 4.2 and 4.3.
"""

from __future__ import annotations

from datetime import datetime

from tuf.api.metadata import Metadata, Targets

from agent.firmware.manifest.models import Channel, Halt
from agent.firmware.signing.contents import stage_channel, stage_halt
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.models import SigningError
from agent.firmware.signing.roles import expiry, first_root, first_targets

NO_REASON = "Not paused."


def stage_first(folder: Folder, now: datetime) -> list[str]:
    """
    Stage version 1 of root, targets, the brake and every channel; return their names.

    Raises:
        SigningError: there is something already, or a public key is missing.
    """
    if folder.published.roles() or folder.staging.roles():
        raise SigningError(
            f"{folder.path} has metadata already. To change keys use `manifests rotate`; to begin "
            "again use another folder."
        )
    plan = folder.plan
    root, targets = first_root(plan, folder, now), first_targets(plan, folder, now)
    folder.staging.put("root", root)
    folder.staging.put("targets", targets)
    for name in plan.delegated:
        folder.staging.put(name, Metadata(Targets(expires=expiry(plan, name, now))))
    for name in plan.channels:
        stage_channel(folder, name, Channel({}), now)
        stage_halt(folder, name, Halt(paused=False, reason=NO_REASON), now)
    return ["root", "targets", *plan.delegated]
