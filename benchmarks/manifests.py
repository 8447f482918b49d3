"""
What does it cost to look at signed releases, beside python-tuf's own client doing the same?

A repository with 1, 125 and 1,250 releases in its channel lies behind an HTTPS server and, for
`folder_`, in a folder. Ours is the look of the shipped client; stock is `tuf.ngclient.Updater`,
which refreshes, looks up and verifies the same two documents, the channel and its halt, and reads
them as JSON. Ours and stock take turns, each in a process of its own with nothing trusted: `first_`
is that look, and the figures without it are of the next one, as a house makes it every few hours.

    python benchmarks/manifests.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.running import directory, note
from tests.firmware.https import HttpsServer
from tests.firmware.repo import Repo, save

SIZES, QUICK_SIZES = (1, 125, 1250), (1, 1250)
TIMES, QUICK_TIMES = 11, 3
MOST_RATIO, MOST_RSS_MB = 1.3, 60.0
_WHO = ("ours", "stock")
_ONCE = Path(__file__).with_name("manifests_once.py")


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--quick", action="store_true", help="two sizes, three runs each")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    args = parser.parse_args()
    told = measure(QUICK_SIZES if args.quick else SIZES, QUICK_TIMES if args.quick else TIMES)
    failed = missed(told)
    for name, value in told.items():
        note(f"{name:24} {value:10.3f}{'  MISSED' if name in failed else ''}")
    print(json.dumps(told) if args.json else "see above")
    return 1 if failed else 0


def measure(sizes: tuple[int, ...], times: int) -> dict[str, float]:
    """
    Return medians under their names; those without a size in them are of the largest repository.

    Args:
        sizes: how many releases, the largest last.
        times: runs of each.
    """
    told: dict[str, float] = {}
    for size in sizes:
        repo = Repo(at=datetime.now(UTC))  # stock ngclient asks the real clock
        versions = [f"1.{n // 50}.{n % 50 + 1}" for n in range(1, size)]
        for version in versions:
            repo.release("stable", version)
        repo.publish("stable")
        with directory() as place, HttpsServer() as server:
            save(repo.files, place / "repository")
            server.files |= {f"/{path}": data for path, data in repo.files.items()}
            found = {
                "": _runs(server.url(""), versions, times, server.ca_file),
                "folder_": _runs(str(place / "repository"), versions, times, None),
            }
        note(f"{size} releases")
        for name in ("", "folder_"):
            medians = found[name]
            told |= {f"{size}_{name}{key}": value for key, value in medians.items()}
            told |= {f"{name}{key}": value for key, value in medians.items()}
    return {"releases": sizes[-1]} | told


def missed(told: dict[str, float]) -> list[str]:
    """Return the targets that were missed."""
    targets = {
        "ratio": told["ratio"] <= MOST_RATIO,
        "rss_mb": told["rss_mb"] < MOST_RSS_MB,
    }
    return [name for name, kept in targets.items() if not kept]


def _runs(where: str, versions: list[str], times: int, ca: Path | None) -> dict[str, float]:
    version = versions[len(versions) // 2] if versions else "1.0.0"
    seen: dict[str, list[dict[str, float]]] = {who: [] for who in _WHO}
    env = dict(os.environ) | ({"SSL_CERT_FILE": str(ca)} if ca else {})
    for _ in range(times):
        for who, results in seen.items():
            shown = subprocess.run(
                [sys.executable, str(_ONCE), who, where, version],
                env=env, capture_output=True, text=True, check=True,
            )  # fmt: skip
            results.append(json.loads(shown.stdout))

    def median(who: str, what: str) -> float:
        return statistics.median(it[what] for it in seen[who])

    told = {}
    for begin, key in (("", "again"), ("first_", "first")):
        for end in ("ms", "cpu_ms"):
            ours, stock = (median(who, f"{key}_{end}") for who in _WHO)
            told[f"{begin}ours_{end}"] = round(ours, 1)
            told[f"{begin}stock_{end}"] = round(stock, 1)
            told[f"{begin}{'cpu_' if end == 'cpu_ms' else ''}ratio"] = round(ours / stock, 3)
    return told | {
        "release_ms": round(median("ours", "release_ms"), 1),
        "rss_mb": round(median("ours", "rss_mb"), 1),
        "stock_rss_mb": round(median("stock", "rss_mb"), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
