"""
The houses of the acceptance tests, and the seconds that a case measures.

The same cases run on each path that commands take through Core. A house is up once per path and
Core version, and commissioned once for each choice of sensors. Most of a test is waiting for timers
of the real world, so both versions wait at the same time; `script/test` runs the paths beside each
other, as `-m ha_register` and `-m ha_helpers`. A case of one path alone says so by
`@pytest.mark.parametrize("built_houses", ["ha_helpers"], indirect=True)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.acceptance.paths import PATHS
from tests.acceptance.stack import Stack, stack
from tests.peers import table
from tests.peers.install import CORES, installed_core, program

Figure = Callable[[str, str, float], None]
Case = Callable[[Stack], Awaitable[None]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each case with its path before cases are chosen by their marks."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if "built_houses" in parameters:
            item.add_marker(parameters["built_houses"])


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that notes a measured figure: what, where, seconds."""

    def note(what: str, where: str, seconds: float) -> None:
        record_property(f"{what} ({where})", round(seconds, 2))

    return note


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=list(PATHS))
async def built_houses(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Stack]]:
    """Build the house of each Core version, commanded on one path."""
    path = PATHS[request.param]
    missing = [version for version in CORES if installed_core(version) is None]
    if missing or program("mosquitto") is None:
        pytest.skip(f"not installed: {', '.join(missing) or 'mosquitto'}; run script/setup")
    async with AsyncExitStack() as exits:

        async def build(version: str) -> Stack:
            directory = tmp_path_factory.mktemp(f"house-{version}-{path.name}")
            return await exits.enter_async_context(stack(version, path, directory))

        built = await asyncio.gather(*(build(version) for version in CORES))
        yield dict(zip(CORES, built, strict=True))


@pytest.fixture
def all_houses(built_houses: dict[str, Stack], request: pytest.FixtureRequest) -> dict[str, Stack]:
    """Return the house of each Core version as the last test left it."""
    for peer in ("mosquitto", "inverter", *(f"homeassistant {version}" for version in CORES)):
        table.record(request, peer)
    return built_houses


@pytest_asyncio.fixture(loop_scope="session")
async def houses(all_houses: dict[str, Stack]) -> dict[str, Stack]:
    """Return the house of each Core version with nothing running in it."""
    await in_each(all_houses, Stack.at_rest)
    return all_houses


async def in_each(houses: dict[str, Stack], case: Case) -> None:
    """Run a case in every house at once; every failure is told with its Core's version."""
    failed = await asyncio.gather(*map(case, houses.values()), return_exceptions=True)
    found = []
    for version, error in zip(houses, failed, strict=True):
        if isinstance(error, Exception):
            error.add_note(f"with Home Assistant {version}")
            found.append(error)
        elif error is not None:
            raise error
    if found:
        raise ExceptionGroup("not with every Home Assistant", found)
