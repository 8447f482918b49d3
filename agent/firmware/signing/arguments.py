"""
The words of `manifests` on the command line. Light to load, so that --help answers at once.

Source: signing.md 4.8.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path("firmware_manifests")


def add_manifests(manifests: argparse.ArgumentParser) -> None:
    """Add the verbs and their options."""
    add = manifests.add_argument
    add("--repository", type=Path, default=FOLDER, help=f"its folder ({FOLDER})")
    add("--at", type=_moment, metavar="DATE", help="reckon with this moment (now)")
    verbs = manifests.add_subparsers(dest="verb", required=True)
    _add_keys(verbs)
    _add_releases(verbs)
    _add_publishing(verbs)
    _add_looking(verbs)
    for verb in verbs.choices.values():  # people write them behind the verb too
        verb.add_argument("--repository", type=Path, default=argparse.SUPPRESS)
        verb.add_argument("--at", type=_moment, default=argparse.SUPPRESS, metavar="DATE")


def _add_keys(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keygen = verbs.add_parser("keygen", help="make a key: OUT.pem for you, OUT.pub.json for all")
    keygen.add_argument("out", type=Path, help="its path without an ending")
    keygen.add_argument("--owner", required=True, help="who holds it")
    keygen.add_argument("--type", choices=("ed25519", "ecdsa"), default="ed25519", dest="kind")
    keygen.add_argument("--encrypt", action="store_true", help="ask for a passphrase")
    verbs.add_parser("init", help="stage the first versions, from roles.toml")
    rotate = verbs.add_parser("rotate", help="stage other keys or another threshold for a role")
    rotate.add_argument("role")
    rotate.add_argument("--add", action="append", default=[], metavar="NAME", help="of keys/NAME")
    rotate.add_argument("--remove", action="append", default=[], metavar="NAME")
    rotate.add_argument("--threshold", type=int)
    renew = verbs.add_parser("renew", help="stage roles again, for longer")
    renew.add_argument("roles", nargs="+", metavar="ROLE")
    sign = verbs.add_parser("sign", help="show what would change, and sign it")
    sign.add_argument("--role", action="append", default=[], dest="roles", help="(all you may)")
    _add_signer(sign, required=True)


def _add_releases(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add = verbs.add_parser("add", help="stage a release, filled from its files")
    add.add_argument("channel")
    add.add_argument("draft", type=Path, help="the manifest without what the files say")
    add.add_argument("files", type=Path, nargs="+", metavar="FILE")
    add.add_argument("--slot-size", type=int, metavar="BYTES", help="of the application slot")
    add.add_argument("--files-at", default="", metavar="URL", help="for ESP Web Tools too")
    promote = verbs.add_parser("promote", help="stage a published release in another channel")
    promote.add_argument("project")
    promote.add_argument("version")
    promote.add_argument("--from", dest="source", default="beta", metavar="CHANNEL", help="(beta)")
    promote.add_argument("--to", default="stable", metavar="CHANNEL", help="(stable)")
    for command in (add, promote):
        command.add_argument(
            "--wave", action="append", default=[], metavar="HOURS:SHARE", help="as 24:0.5"
        )
    policy = verbs.add_parser("policy", help="stage what a channel forbids")
    policy.add_argument("channel")
    policy.add_argument("--revoke", action="append", default=[], metavar="SHA256")
    policy.add_argument("--floor", action="append", default=[], metavar="PROJECT=INDEX")
    pause = policy.add_mutually_exclusive_group()
    pause.add_argument("--pause", action="store_true")
    pause.add_argument("--resume", action="store_true")
    halt = verbs.add_parser("halt", help="stop automatic updates of a channel; needs one key")
    halt.add_argument("channel")
    halt.add_argument("--reason", required=True, help="one sentence for people")
    halt.add_argument("--revoke", action="append", default=[], metavar="SHA256")
    halt.add_argument("--lift", action="store_true", help="let the brake go again")
    _add_signer(halt, required=False)


def _add_publishing(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    publish = verbs.add_parser("publish", help="prove what is staged as a client, and publish it")
    publish.add_argument("--snapshot-key", required=True, metavar="URI")
    publish.add_argument("--site", type=Path, metavar="OUT", help="write the tree of a host too")
    timestamp = verbs.add_parser("timestamp", help="renew the timestamp: the daily robot")
    for command in (publish, timestamp):
        command.add_argument("--timestamp-key", required=True, metavar="URI")
    bundle = verbs.add_parser("bundle", help="write what a house without a network needs")
    bundle.add_argument("out", type=Path)
    bundle.add_argument("--min-life", default="3y", help="how long its roles have to live (3y)")
    bundle.add_argument(
        "--images", type=Path, action="append", default=[], metavar="FOLDER", help="with the files"
    )


def _add_looking(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = verbs.add_parser("verify", help="look at what is published as a client does")
    verify.add_argument("--root", type=Path, metavar="FILE", help="begin here (root version 1)")
    verify.add_argument("--metadata-only", action="store_true", help="leave the documents alone")
    verify.add_argument("--release", action="store_true", help="refuse a development root")
    verify.add_argument("--allow-development-root", action="store_true")
    verbs.add_parser("expire-check", help="when each role ends; exit 2 when one is due")
    lint = verbs.add_parser("lint", help="look for what must never be signed")
    lint.add_argument("--main", action="store_true", help="nothing may be staged either")
    verbs.add_parser("show", help="roles, keys, releases and what is staged")


def _add_signer(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "--key", required=required, metavar="URI", help="pem:PATH, env:NAME, hsm:, tkey:, awskms: …"
    )
    command.add_argument("--pub", type=Path, metavar="FILE", help="its public half, if not in PEM")
    command.add_argument("--yes", action="store_true", help="sign without asking")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
