"""What the tests of the cable share."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

Started = Callable[[], list[psutil.Process]]


@pytest.fixture
def started() -> Started:
    """Return what names the processes that were started since and still run."""
    before = set(psutil.Process().children())
    return lambda: [it for it in psutil.Process().children() if it not in before]
