"""A loopback server in the place of a forecast service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

CARBON_ANSWER = {
    "data": {
        "regionid": 13, "shortname": "London", "postcode": "SW1A",
        "data": [
            {"from": "2026-07-01T12:00Z", "to": "2026-07-01T12:30Z",
             "intensity": {"forecast": 151, "index": "moderate"}, "generationmix": []},
            {"from": "2026-07-01T12:30Z", "to": "2026-07-01T13:00Z",
             "intensity": {"forecast": 88, "index": "low"}, "generationmix": []},
        ],
    }
}  # fmt: skip
"""As carbonintensity.org.uk answers for a postcode."""


class Answers:
    """A loopback server that answers what it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(CARBON_ANSWER)
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.base = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=self.status, text=self.body, headers=self.headers)


@asynccontextmanager
async def answers() -> AsyncIterator[Answers]:
    server, application = Answers(), web.Application()
    application.router.add_get("/{tail:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
