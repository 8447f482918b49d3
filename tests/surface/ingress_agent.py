"""
The agent as it is started, with its own simulated house, as the Supervisor would have it.

`demo` has no Home Assistant that could be asked who is an administrator. Here it takes the address
of the stand-in for the Supervisor's, knows Anna by herself, and leaves to people what a demo would
press by itself. All else is the agent.
"""

from __future__ import annotations

import sys

from agent import demo, serving
from agent.__main__ import main
from agent.surface.web import auth
from tests.peers.ingress import PEER

ADMINISTRATOR = "u-anna"


async def is_admin(_serving: object, user_id: str) -> bool:
    return user_id == ADMINISTRATOR


async def wait(_desk: object) -> None:
    """Press nothing."""


if __name__ == "__main__":
    auth.SUPERVISOR_PEER = PEER
    serving.Serving._is_admin = is_admin  # type: ignore[assignment,method-assign]
    demo.show = wait  # type: ignore[assignment]
    sys.exit(main())
