"""
`python -m agent manifests VERB`: asks one module each, and says what came of it.

Exit 0 when it was done, 1 when it was refused, 2 when the command is wrong; `expire-check` says 2
inside a renewal window too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from securesystemslib.signer import Signer

from agent.firmware.signing import cli_look
from agent.firmware.signing.beginning import stage_first
from agent.firmware.signing.changes import changes
from agent.firmware.signing.contents import (
    read_channel,
    read_halt,
    stage_channel,
    stage_halt,
)
from agent.firmware.signing.edits import let_go, numbers, pulled, waves, with_policy
from agent.firmware.signing.exchange import repair
from agent.firmware.signing.expiry import bundle, life
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import (
    PUBLIC_SUFFIX,
    generate,
    new_passphrase,
    parse_public,
    public_text,
    signer_of,
    write_private,
)
from agent.firmware.signing.models import SigningError, UsageError
from agent.firmware.signing.publish import OnlineKeys, publish, renew_timestamp, write_site
from agent.firmware.signing.releases import Addition, add, check_channel, promote
from agent.firmware.signing.roles import renew, rotate
from agent.firmware.signing.signatures import roles_for, sign

EXIT_REFUSED = 1
EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Terminal:
    """The person at the terminal."""

    say: Callable[[str], None]
    complain: Callable[[str], None]
    agrees: Callable[[str], bool]
    """Asks a question; `True` if the answer is yes."""


def command(args: argparse.Namespace, terminal: Terminal) -> int:
    """Do what the command line asks, and return the exit code."""
    now = (args.at or datetime.now(UTC)).replace(microsecond=0)
    folder = Folder(args.repository)
    repair(folder.path)
    try:
        return VERBS[args.verb](args, folder, now, terminal)
    except UsageError as error:
        terminal.complain(str(error))
        return EXIT_USAGE
    except SigningError as error:
        terminal.complain(str(error))
        return EXIT_REFUSED
    except KeyboardInterrupt:
        terminal.complain("Stopped. What was staged or signed before stays so.")
        return EXIT_REFUSED
    except OSError as error:
        terminal.complain(f"{error.filename or args.repository}: {error.strerror}. Look at its "
                          "rights and the space on the disk.")  # fmt: skip
        return EXIT_REFUSED


def _keygen(args: argparse.Namespace, _folder: Folder, _now: datetime, terminal: Terminal) -> int:
    signer = generate(args.kind, args.owner)
    private = args.out.with_name(f"{args.out.name}.pem")
    public = args.out.with_name(f"{args.out.name}{PUBLIC_SUFFIX}")
    if public.exists():
        raise SigningError(f"{public} is there already. Choose another name.")
    write_private(private, signer, new_passphrase(private.name) if args.encrypt else "")
    public.write_text(public_text(signer.public_key), encoding="utf-8")
    terminal.say(f"{private}: keep it to yourself, and a copy somewhere else.")
    terminal.say(f"{public}: goes into keys/ of the repository. Id {signer.public_key.keyid}.")
    return 0


def _init(_args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    staged = stage_first(folder, now)
    terminal.say(f"Staged: {', '.join(staged)}. Everybody signs now: `manifests sign --key URI`.")
    return 0


def _rotate(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    if not args.add and not args.remove and args.threshold is None:
        raise UsageError("What should change? Say --add, --remove or --threshold.")
    staged = rotate(folder, args.role, args.add, args.remove, args.threshold, now)
    terminal.say(f"Staged: {staged[0]}, which says who signs {args.role}.")
    if len(staged) > 1:
        terminal.say(
            f"To be signed again, because signatures would no longer do: {', '.join(staged[1:])}."
        )
    return 0


def _renew(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    for role in args.roles:
        if role not in ("root", "targets", *folder.plan.delegated):
            raise UsageError(f"{role} is not renewed by people. Use `manifests publish` or "
                             "`manifests timestamp`.")  # fmt: skip
        renew(folder, role, now)
    terminal.say(f"Staged: {', '.join(args.roles)}.")
    return 0


def _sign(args: argparse.Namespace, folder: Folder, _now: datetime, terminal: Terminal) -> int:
    return _signed(folder, _signer(args, folder), args.roles, terminal, asking=not args.yes)


def _add(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    wanted = Addition(
        args.channel, args.draft, tuple(args.files), waves(args.wave), args.slot_size, args.files_at
    )
    release = add(folder, wanted, now)
    terminal.say(f"Staged in {args.channel}: {release.project} {release.version}.")
    for image in release.images:
        who = f"signed by {len(image.signed_by)}" if image.signed_by else "not signed"
        terminal.say(f"  {image.file}: {image.kind} for {image.chip}, {image.size} bytes, {who}")
    return 0


def _promote(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    way = (args.source, args.to)
    promote(folder, way, args.project, args.version, waves(args.wave), now)
    terminal.say(f"Staged in {args.to}: {args.project} {args.version}, byte for byte as in "
                 f"{args.source}.")  # fmt: skip
    return 0


def _policy(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    check_channel(folder, args.channel)
    old = read_channel(folder.target, args.channel)
    paused = True if args.pause else False if args.resume else None
    floors = numbers(args.floor)
    new = with_policy(old, revoke=args.revoke, floors=floors, paused=paused)
    if new == old:
        raise UsageError("Nothing changes. Say --revoke, --floor, --pause or --resume.")
    stage_channel(folder, args.channel, new, now)
    terminal.say(f"Staged: {args.channel}.")
    return 0


def _halt(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    check_channel(folder, args.channel)
    signer = _signer(args, folder) if args.key else None
    old = read_halt(folder.target, args.channel)
    new = let_go(old, args.reason) if args.lift else pulled(old, args.reason, args.revoke)
    stage_halt(folder, args.channel, new, now)
    terminal.say(f"Staged: the brake of {args.channel}.")
    if signer is None:
        terminal.say("One holder of a halt key signs now: `manifests sign --role halt --key URI`.")
        return 0
    return _signed(folder, signer, ["halt"], terminal, asking=not args.yes)


def _publish(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    known = folder.known_keys()
    keys = OnlineKeys(signer_of(args.snapshot_key, known), signer_of(args.timestamp_key, known))
    proofs = publish(folder, keys, now)
    roots = ", ".join(str(proof.from_root) for proof in proofs)
    terminal.say(f"Published. A client reads it from root {roots}: {proofs[-1].documents} "
                 "documents.")  # fmt: skip
    if args.site:
        write_site(folder, args.site)
        terminal.say(f"{args.site}: what a static host serves.")
    return 0


def _timestamp(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    proofs = renew_timestamp(folder, signer_of(args.timestamp_key, folder.known_keys()), now)
    ends = next(it.expires for it in proofs[-1].roles if it.role == "timestamp")
    terminal.say(f"Timestamp renewed until {ends:%d %b %Y %H:%M} UTC.")
    return 0


def _bundle(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
    count = bundle(folder, args.out, args.images, life(args.min_life), now)
    terminal.say(f"{args.out}: metadata, documents and {count} images.")
    return 0


def _signed(
    folder: Folder, signer: Signer, wanted: list[str], terminal: Terminal, *, asking: bool
) -> int:
    for role in roles_for(folder, signer, wanted):
        terminal.say(f"{role}:")
        for line in changes(folder, role):
            terminal.say(f"  {line}")
        if asking and not terminal.agrees(f"Sign {role}?"):
            raise SigningError(f"{role} was not signed. Say yes, or --yes where nobody can answer.")
        terminal.say(sign(folder, role, signer))
    return 0


def _signer(args: argparse.Namespace, folder: Folder) -> Signer:
    public = parse_public(args.pub.read_text("utf-8"), args.pub.name) if args.pub else None
    return signer_of(args.key, folder.known_keys(), public)


_Verb = Callable[[argparse.Namespace, Folder, datetime, Terminal], int]


def _looking(text: Callable[..., tuple[str, int]]) -> _Verb:
    def verb(args: argparse.Namespace, folder: Folder, now: datetime, terminal: Terminal) -> int:
        said, code = text(args, folder, now)
        terminal.say(said)
        return code

    return verb


VERBS: dict[str, _Verb] = {
    "keygen": _keygen,
    "init": _init,
    "rotate": _rotate,
    "renew": _renew,
    "sign": _sign,
    "add": _add,
    "promote": _promote,
    "policy": _policy,
    "halt": _halt,
    "publish": _publish,
    "timestamp": _timestamp,
    "bundle": _bundle,
    "verify": _looking(cli_look.verify),
    "expire-check": _looking(cli_look.expire_check),
    "lint": _looking(cli_look.lint_all),
    "show": _looking(cli_look.show),
}
