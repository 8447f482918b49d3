"""
One run of `manifests.py`, in a process that has trusted nothing yet.

    python benchmarks/manifests_once.py ours|stock FOLDER|URL VERSION
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import urllib3
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.firmware.trust.client import look, release
from agent.firmware.trust.models import Freshness
from agent.firmware.trust.source import Directory, Online, Question, Source

_PROJECT = "acme.bridge"
"""As in tests/firmware/repo.py, which is not loaded here: it would count as ours."""
_MB = 1_000_000


class FileFetcher(FetcherInterface):
    """The least that stock ngclient needs to read a folder."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([Path(url).read_bytes()])
        except FileNotFoundError as error:
            raise DownloadHTTPError(url, 404) from error


def ours(where: str, version: str, place: Path) -> dict[str, float]:
    """Look twice and take one release with the shipped client."""
    online = where.startswith("https://")
    carrier = Online(where) if online else Directory(Path(where), "folder")
    source = Source("bench", _first_root(where), (carrier,), channels=("stable",))
    now = datetime.now(UTC)
    question = Question(source, place, now - timedelta(days=1), now)
    told = _figures(
        first=lambda: look(question),
        again=lambda: look(question),
        release=lambda: release(question, "stable", _PROJECT, version),
    )
    if look(question).freshness is not Freshness.FRESH:
        raise RuntimeError("the look was not fresh")
    return told


def stock(where: str, _version: str, place: Path) -> dict[str, float]:
    """Refresh, look up and verify twice with python-tuf's client."""
    fetcher = None if where.startswith("https://") else FileFetcher()
    root = _first_root(where)
    (place / "targets").mkdir()

    def refresh() -> None:
        updater = Updater(
            str(place / "metadata"), f"{where}/metadata", str(place / "targets"),
            f"{where}/targets", fetcher, bootstrap=root,
        )  # fmt: skip
        for path in ("stable/channel.json", "halt/stable.json"):
            target = updater.get_targetinfo(path)
            if target is None:
                raise RuntimeError(f"{path} is not there")
            found = updater.find_cached_target(target) or updater.download_target(target)
            json.loads(Path(found).read_bytes())

    return _figures(first=refresh, again=refresh)


def _figures(**acts: Callable[[], object]) -> dict[str, float]:
    told: dict[str, float] = {}
    for name, act in acts.items():
        told[f"{name}_ms"], told[f"{name}_cpu_ms"] = _timed(act)
    return told | {"rss_mb": _rss_mb()}


def _first_root(where: str) -> bytes:
    if where.startswith("https://"):
        return urllib3.PoolManager().request("GET", f"{where}/metadata/1.root.json").data
    return Path(where, "metadata", "1.root.json").read_bytes()


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds of the clock and of the processor."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - began_s) * 1000, (time.process_time() - began_cpu_s) * 1000


def _rss_mb() -> float:
    # ru_maxrss would still remember the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / _MB


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run = {"ours": ours, "stock": stock}[sys.argv[1]]
        print(json.dumps(run(sys.argv[2], sys.argv[3], Path(folder))))
