"""
The command line: parses, calls, prints.

`run` guards the house behind Home Assistant; `demo` brings a simulated house of its own. Both
end on SIGTERM or Ctrl-C with the battery given back, exit 0; a second one on the same data
directory ends at once, exit 3; one that its own watchdog has ended leaves with exit 70. `doctor`
examines the set-up without commanding anything: exit 0 when all is well, 1 with warnings, 2 with
failures; with `--commission` it has the running agent run its commissioning test. `simulate` runs
the guard through days of a simulated house with faults: exit 1 when a day breached. `replay`
decides again what the guard has decided: exit 1 when a bit comes out otherwise. `manifests` signs
and publishes firmware manifests: exit 1 when it refuses, 2 when the command is wrong or a role is
due for renewal. `flash ota` installs a release on one bridge without Home Assistant: exit 0 when it
is confirmed, and another code for each other verdict. `backup begin` and `backup end` are for
whoever copies the data directory while the agent runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from agent import __version__
from agent.firmware.signing.arguments import add_manifests
from agent.flash_arguments import add_flash
from agent.options import Options, load_options
from agent.setting_fields import SettingError

EXIT_USAGE = 2
EXIT_FAILED = 1
EXIT_BUSY = 3
"""Another agent runs on the same data directory."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    args = _parser().parse_args(arguments)
    alone = {"simulate": _simulate, "replay": _replay, "manifests": _manifests,
             "flash": _flash, "backup": _backup}  # fmt: skip
    if args.command in alone:
        return alone[args.command](args)
    if args.command == "doctor" and (args.commission or args.full):
        return _commission(args)
    with ExitStack() as stack:
        data_dir = args.data
        if data_dir is None:
            # The demo leaves nothing behind.
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pv-edge-")))
        try:
            options = load_options(args.config, data_dir)
            _check(args.command, options)
        except SettingError as error:
            return _complain(error, EXIT_USAGE)
        quiet = args.command == "doctor" and options.log_level == "info"
        logging.basicConfig(
            # The doctor's table says what its log would.
            level="CRITICAL" if quiet else options.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        if args.command == "doctor":
            return _examine(args, options, data_dir)
        return _serve(args, options, data_dir)


def _check(command: str, options: Options) -> None:
    if command == "run" and not options.ha_url:
        raise SettingError(
            "ha_url",
            "ha_url is not set: the agent does not know where Home Assistant is. Set it, for "
            "example PV_EDGE_HA_URL=http://homeassistant.local:8123, with PV_EDGE_HA_TOKEN; or "
            "try `demo`, which brings its own house.",
        )


def _serve(args: argparse.Namespace, options: Options, data_dir: Path) -> int:
    # Until the loop takes signals: nothing has begun that would have to be ended in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Imported here, so that a usage error and --help answer at once; and without the collector,
    # which would search a fifth of the time for garbage that loading modules does not make.
    gc.disable()
    from agent.app import Demo, Place, serve  # noqa: PLC0415
    from agent.instance import AlreadyRunningError  # noqa: PLC0415
    from agent.journal import JournalError  # noqa: PLC0415
    from agent.watchdog import EXIT_ILL  # noqa: PLC0415
    from agent.watchdog_thread import AgentIllError  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    demo = Demo(args.seed) if args.command == "demo" else None
    supervised = demo is None and options.ha_url.startswith("http://supervisor")
    host = args.host or ("0.0.0.0" if supervised else "127.0.0.1")  # noqa: S104 - peers are checked
    place = Place(data_dir, host, args.port, demo)

    def ready(port: int) -> None:
        print(f"PV Edge Agent {__version__}: open http://127.0.0.1:{port}", flush=True)
        if demo:
            print("A simulated house runs on this machine. Ctrl-C ends it.", flush=True)

    try:
        asyncio.run(serve(options, place, ready))
    except AlreadyRunningError as error:
        return _complain(error, EXIT_BUSY)
    except AgentIllError as error:
        return _complain(error, EXIT_ILL)
    except (SettingError, JournalError, ValueError) as error:
        return _complain(error, EXIT_FAILED)
    except OSError as error:
        text = f"{error}. If the port is taken, choose another with --port."
        return _complain(text, EXIT_FAILED)
    return 0


def _examine(args: argparse.Namespace, options: Options, data_dir: Path) -> int:
    from agent.doctor import examined_alone  # noqa: PLC0415 - as above

    def progress(doing: str, _percent: float) -> None:
        if sys.stderr.isatty():
            print(f"{doing}…", file=sys.stderr, flush=True)

    try:
        report = asyncio.run(examined_alone(options, data_dir, progress, args.watch))
    except KeyboardInterrupt:
        return EXIT_FAILED
    print(report.text() if args.json else report.table())
    return report.exit_code


def _commission(args: argparse.Namespace) -> int:
    from agent.doctor_commission import commissioned  # noqa: PLC0415 - as above

    said = [""]

    def progress(doing: str, percent: float) -> None:
        if sys.stderr.isatty() and doing != said[0]:
            said[0] = doing
            print(f"{percent:3.0f} % {doing}", file=sys.stderr, flush=True)

    try:
        report = asyncio.run(commissioned(args.agent, progress, full=args.full))
    except KeyboardInterrupt:
        print("The test goes on; stop it on the page.", file=sys.stderr)
        return EXIT_FAILED
    print(report.text() if args.json else report.table())
    return report.exit_code


def _simulate(args: argparse.Namespace) -> int:
    from agent.simulator.campaign import Campaign, command, fault_names  # noqa: PLC0415 - as above

    try:
        faults = fault_names(args.faults)
    except ValueError as error:
        return _complain(error, EXIT_USAGE)
    campaign = Campaign(args.days, faults, args.policy, args.path, args.seed, args.jobs, args.first)
    try:
        return command(campaign, as_json=args.json)
    except KeyboardInterrupt:
        return EXIT_FAILED


def _replay(args: argparse.Namespace) -> int:
    from agent.replaying import command  # noqa: PLC0415 - as above

    return command(args.data, args.since, as_json=args.json)


def _manifests(args: argparse.Namespace) -> int:
    from agent.firmware.signing.cli import Terminal, command  # noqa: PLC0415 - as above

    def agrees(question: str) -> bool:
        return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

    return command(args, Terminal(print, _grumble, agrees))


def _flash(args: argparse.Namespace) -> int:
    from agent.flash_command import command  # noqa: PLC0415 - as above

    return command(args)


def _backup(args: argparse.Namespace) -> int:
    from agent import backup  # noqa: PLC0415 - as above

    try:
        {"begin": backup.begin, "end": backup.end}[args.what](args.data)
    except OSError as error:
        return _complain(f"{error}. Is {args.data} the agent's data directory?", EXIT_FAILED)
    return 0


def _complain(error: object, code: int) -> int:
    _grumble(error)
    return code


def _grumble(error: object) -> None:
    print(f"pv-edge-agent: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pv-edge-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="guard the house behind Home Assistant")
    demo = commands.add_parser("demo", help="guard a simulated house on this machine")
    doctor = commands.add_parser("doctor", help="examine the set-up, or commission it")
    for command in (run, demo):
        command.add_argument("--port", type=int, default=8099, help="port of the page (8099)")
        command.add_argument("--host", default="", help="address to listen on (127.0.0.1)")
    for command in (run, demo, doctor):
        command.add_argument("--config", type=Path, help="YAML file with options")
    for command in (run, doctor):
        command.add_argument("--data", type=Path, default=Path("/data"), help="data directory")
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    doctor.add_argument(
        "--watch", type=float, default=10.0, metavar="S", help="how long to watch the inputs (10)"
    )
    _add_commission(doctor)
    demo.add_argument("--data", type=Path, help="data directory (a temporary one)")
    demo.add_argument("--seed", type=int, default=7, help="weather and loads of the house (7)")
    run.set_defaults(seed=0)
    _add_replay(commands.add_parser("replay", help="decide again what the guard has decided"))
    _add_simulate(commands.add_parser("simulate", help="run the guard through simulated days"))
    backup = commands.add_parser("backup", help="say that a backup of the data begins or ends")
    backup.add_argument("what", choices=("begin", "end"))
    backup.add_argument("--data", type=Path, default=Path("/data"), help="data directory (/data)")
    add_flash(commands.add_parser("flash", help="install a release on one bridge"))
    add_manifests(commands.add_parser("manifests", help="sign and publish firmware manifests"))
    return parser


def _add_commission(doctor: argparse.ArgumentParser) -> None:
    add = doctor.add_argument
    add("--commission", action="store_true", help="have the running agent run its test")
    add("--full", action="store_true", help="with the second part of that test")
    page = "http://127.0.0.1:8099"
    add("--agent", default=page, metavar="URL", help=f"the running agent's page ({page})")


def _add_simulate(simulate: argparse.ArgumentParser) -> None:
    add = simulate.add_argument
    add("--days", type=_days, default=22, help="how many (22)")
    add("--faults", default="none", help="none, all, or classes with commas (none)")
    add("--policy", choices=("guard", "classic"), default="guard", help="who decides (guard)")
    paths = ("bridge", "ha_register", "ha_helpers")
    add("--path", choices=paths, default="bridge", help="the way to the inverter (bridge)")
    add("--seed", type=int, default=1, help="the same seed gives the same days (1)")
    add("--first", type=int, default=0, help="number of the first day, to run one again (0)")
    add("--jobs", type=_days, default=1, help="processes (1)")
    add("--json", action="store_true", help="print one JSON object, last")


def _add_replay(replay: argparse.ArgumentParser) -> None:
    add = replay.add_argument
    add("--data", type=Path, default=Path("/data"), help="data directory (/data)")
    add("--from", dest="since", type=_moment, help="begin here: 2026-06-21T17:00 (the oldest)")
    add("--json", action="store_true", help="print one JSON object")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def _days(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("has to be 1 or more")
    return count


if __name__ == "__main__":
    sys.exit(main())
