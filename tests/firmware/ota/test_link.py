"""A connection that breaks still says why, if the bridge said it."""

from __future__ import annotations

import asyncio
import socket
import struct

from agent.firmware.ota.link import Link
from agent.firmware.ota.models import Outcome, Reason, Secrets
from agent.firmware.ota.session import Session
from tests.peers.process import LOOPBACK

RESETS = struct.pack("ii", 1, 0)


async def broken_off(last_words: bytes) -> Link:
    """Return the end of a connection that was reset before we wrote, behind these words."""
    with socket.create_server((LOOPBACK, 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.sendall(last_words)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        theirs.close()
    ours.setblocking(False)
    link = Link(Session(Secrets()), ours, (5, 5), None)
    await asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
    async with asyncio.timeout(5):
        await link.ended
    await link.close()
    return link


async def test_the_reason_behind_a_failed_write_is_heard() -> None:
    verdict = (await broken_off(b"\x94")).session.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.code) == (Outcome.REFUSED, 0x94)


async def test_without_a_reason_the_connection_was_lost_and_the_systems_word_is_told() -> None:
    link = await broken_off(b"")
    verdict = link.session.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.reason) == (Outcome.FAILED, Reason.LOST)
    assert verdict.text == "The connection was lost after the greeting (Connection reset by peer)."
    assert await link.wants is None
