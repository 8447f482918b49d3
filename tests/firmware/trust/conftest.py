"""What every test of the trust room needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.firmware.https import HttpsServer
from tests.firmware.repo import Repo
from tests.firmware.trust.house import House, Mirror, house

_NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[HttpsServer]:
    """One HTTPS server for the file; each mirror has a path of its own on it."""
    with HttpsServer() as running:
        yield running


@pytest.fixture
def new_mirror(server: HttpsServer) -> Iterator[Callable[[Repo], Mirror]]:
    """Make a mirror that serves what a repository has published."""
    made: list[Mirror] = []

    def make(repo: Repo) -> Mirror:
        made.append(Mirror(server, f"/{next(_NUMBERS)}"))
        made[-1].serves(repo.files)
        return made[-1]

    yield make
    for each in made:
        each.goes_away()


@pytest.fixture
def repo() -> Repo:
    """A repository with release 1.0.0."""
    return Repo()


@pytest.fixture
def mirror(new_mirror: Callable[[Repo], Mirror], repo: Repo) -> Mirror:
    """A mirror of it."""
    return new_mirror(repo)


@pytest.fixture
def home(tmp_path: Path, repo: Repo) -> House:
    """A house that trusts it and has not looked yet."""
    return house(tmp_path, repo)
