"""Whether a dispatch runs through a bridge, read off the guard's picture."""

from __future__ import annotations

from agent.export.snapshot import GuardSnapshot, Phase
from agent.fleet.identity import Mac

_ACTIVE = {Phase.DISCHARGE_ACTIVE, Phase.CHARGE_ACTIVE, Phase.REST_ACTIVE}


def dispatching_through(picture: GuardSnapshot | None, bridge: Mac | None) -> frozenset[Mac] | None:
    """
    Return through which bridges a dispatch runs; `None` if nobody can say.

    Args:
        picture: the guard's newest; `None` before there is one.
        bridge: the one that the path leads through, if it leads through one.
    """
    if picture is None:
        return None
    runs = picture.lease is not None or picture.commissioning.running or picture.phase in _ACTIVE
    if picture.path != "bridge" or not runs:
        return frozenset()
    return None if bridge is None else frozenset({bridge})
