"""
Says at the end of a run which peers were real, how many cases met them, and what was skipped.

A case names its peers with `@pytest.mark.peers("homeassistant 2024.1.0", "mosquitto")`; one that
uses the fixtures of `fixtures.py` need not. Where CI is true a skip is a failure: there is no
other place where the real programs are sure to be met. Each suite, that is each folder of
`tests/` or one below with a budget of its own, has its seconds: more is a warning, twice as many a
failure. Cases of a whole house are a suite per path, because the paths run beside each other: what
stands in one line was waited for in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path

import pytest

from tests.peers import containers, esphome_firmware, mosquitto
from tests.peers.install import CORES, chromium

PEER = "peer"
SUITE = "suite"
SUITE_MARKS = ("ha_register", "ha_helpers", "bridge_path")
"""Marks of cases that run in a process of their own; see `script/test`."""
PART_VARIABLE = "PEER_TABLE_PART"
"""Names a file: this run is a part of a larger one and leaves its counts there."""
DEFAULT_BUDGET_S = 30
BUDGETS_S = {
    "addon": 180,
    "peers": 180,
    "acceptance": 500,
    "acceptance ha_register": 1200,
    "acceptance ha_helpers": 1200,
    "acceptance bridge_path": 700,
    "benchmarks": 120,
    "bridge": 240,
    "bridge bridge_path": 400,
    "export": 240,
    "flashing": 120,
    "fleet": 300,
    "firmware": 120,
    "firmware/campaign": 15,
    "firmware/job": 80,
    "firmware/ota": 15,
    "firmware/serial": 100,
    "homeassistant": 90,
    "house": 240,
    "migration": 90,
    "recovery": 90,
    "releases": 90,
    "simulator": 180,
    "surface": 600,
    "tests": 240,
}


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that a test talks to and that is not the agent."""

    title: str
    kind: str
    version: Callable[[], str | None]


def _package(name: str) -> Callable[[], str | None]:
    def look_up() -> str | None:
        try:
            return f"{name} {version_of(name)}"
        except PackageNotFoundError:
            return None

    return look_up


def _chromium_version() -> str | None:
    path = chromium()
    if path is None:
        return None
    shown = subprocess.run(  # noqa: S603
        [path, "--version"], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip().removeprefix("Chromium ").partition(" ")[0] or "unknown"


KNOWN = {
    **{f"homeassistant {it}": Peer("Home Assistant Core", "real", it.__str__) for it in CORES},
    "mosquitto": Peer("MQTT broker (mosquitto)", "real", mosquitto.version),
    "chromium": Peer("browser (Chromium)", "real", _chromium_version),
    "esphome": Peer("ESPHome bridge (host platform)", "real", esphome_firmware.version),
    "esptool": Peer("serial flasher (esptool)", "real", _package("esptool")),
    "podman": Peer("container runtime (podman)", "real", containers.version),
    "inverter": Peer("Alpha ESS inverter", "stand-in", _package("pymodbus")),
    "bridge": Peer("ESPHome bridge (simulated)", "stand-in", _package("aioesphomeapi")),
    "esp32": Peer("ESP32 boot ROM", "stand-in", lambda: "own emulator"),
    "supervisor": Peer("Supervisor", "stand-in", lambda: "own, same paths"),
    "ingress": Peer("ingress of Core and Supervisor", "stand-in", lambda: "own, same headers"),
}
FIXTURES = {
    "broker": "mosquitto",
    "inverter": "inverter",
    "supervisor": "supervisor",
    "panel": "ingress",
}
"""Fixtures whose very use means that peer."""


def record(request: pytest.FixtureRequest, peer: str) -> None:
    """Note from within a fixture of function scope that this case talks to a peer."""
    if (PEER, peer) not in request.node.user_properties:
        request.node.user_properties.append((PEER, peer))


class PeerTable:
    """Counts cases and skips per peer and seconds per suite while the tests run."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()
        self.all_skips: list[str] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.figures: list[tuple[str, float]] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the peers that a case names or that its fixtures mean."""
        for item in items:
            names = [name for mark in item.iter_markers("peers") for name in mark.args]
            fixtures = getattr(item, "fixturenames", ())
            names += [peer for fixture, peer in FIXTURES.items() if fixture in fixtures]
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            if "core_version" in parameters:
                names.append(f"homeassistant {parameters['core_version']}")
            for name in dict.fromkeys(names):
                if name not in KNOWN:
                    raise pytest.UsageError(f"{item.nodeid}: no peer is called {name!r}")
                item.user_properties.append((PEER, name))
            for mark in SUITE_MARKS:
                if item.get_closest_marker(mark) is not None:
                    item.user_properties.append((SUITE, f"{_suite(item.nodeid)} {mark}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one case."""
        suite = dict(report.user_properties).get(SUITE) or _suite(report.nodeid)
        self.seconds[str(suite)] += report.duration
        peers = {str(value) for name, value in report.user_properties if name == PEER}
        skipped = report.skipped and not hasattr(report, "wasxfail")
        if skipped:
            self.skips.update(peers)
            self.all_skips.append(report.nodeid)
        elif report.when == "call":
            self.cases.update(peers)
            self.figures += [
                (name, value) for name, value in report.user_properties if isinstance(value, float)
            ]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a whole file that skips itself."""
        if report.skipped:
            self.all_skips.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that was too slow by far or, in CI, that skipped."""
        if self._verdicts() and session.exitstatus in (0, pytest.ExitCode.OK):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, or keep it for `script/test`, which ends with that of all its parts."""
        part = os.environ.get(PART_VARIABLE)
        if part:
            kept = [self.cases, self.skips, self.all_skips, self.seconds, self.figures]
            Path(part).write_text(json.dumps(kept))
            return
        for line in self.lines():
            terminalreporter.write_line(line)

    def take(self, part: Path) -> None:
        """Add what a part of the run has counted."""
        cases, skips, all_skips, seconds, figures = json.loads(part.read_text())
        self.cases.update(cases)
        self.skips.update(skips)
        self.all_skips += all_skips
        self.figures += figures
        for suite, spent_s in seconds.items():
            self.seconds[suite] += spent_s

    def lines(self) -> Iterator[str]:
        """Return the table of peers, the seconds of the suites and what is wrong with either."""
        if self.figures:
            yield f"{' measured seconds ':=^80}"
        for name, seconds in self.figures:
            yield f"{name:<76} {seconds:7.1f}"
        yield f"{' seconds per suite ':=^80}"
        for suite, seconds in sorted(self.seconds.items()):
            budget = BUDGETS_S.get(suite, DEFAULT_BUDGET_S)
            note = "   WARNING: over budget" if seconds > budget else ""
            yield f"{suite:<24} {seconds:7.1f} of {budget:4d}{note}"
        yield f"{' peers ':=^80}"
        yield from self._rows()
        for verdict in self._verdicts():
            yield f"FAILED: {verdict}"

    def _rows(self) -> Iterator[str]:
        yield f"{'peer':<32} {'version':<24} {'is':<9} {'cases':>6} {'skips':>6}"
        for name, peer in KNOWN.items():
            cases, skips = self.cases[name], self.skips[name]
            if cases or skips:
                version = peer.version() or "not here"
                yield f"{peer.title:<32} {version:<24} {peer.kind:<9} {cases:>6} {skips:>6}"
        yield f"{'all skips':<32} {'':<24} {'':<9} {'':>6} {len(self.all_skips):>6}"

    def _verdicts(self) -> list[str]:
        found = [
            f"suite {suite} took {seconds:.0f} s, more than twice its {budget} s"
            for suite, seconds in self.seconds.items()
            if seconds > 2 * (budget := BUDGETS_S.get(suite, DEFAULT_BUDGET_S))
        ]
        if self.all_skips and in_ci():
            found.append(f"{len(self.all_skips)} skipped in CI: {', '.join(self.all_skips)}")
        return found


def in_ci() -> bool:
    """Whether this run must not skip anything."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that reports; workers of a parallel run only run."""
    config.pluginmanager.register(PeerTable(), "peer-table")


def _suite(nodeid: str) -> str:
    parts = Path(nodeid.partition("::")[0]).parts
    if (below := "/".join(parts[1:3])) in BUDGETS_S:
        return below
    return parts[1] if len(parts) > 2 else "tests"


def main(parts: list[str]) -> None:
    """Print the table of a run in parts."""
    table = PeerTable()
    for part in parts:
        table.take(Path(part))
    sys.stdout.write("\n".join(table.lines()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
