"""
Who may do what on the page.

Under the Supervisor our port can be reached by every other app of the house, and by ingress for
every user of Home Assistant, administrator or not. So the socket's peer must be the Supervisor,
and it must say who the user is; it removes what a browser forges. Stops need nothing more: nobody
who wants to stop a battery should wait for a lookup, or fail because Core is down. Everything that
starts or changes something needs an administrator, asked of Core and remembered for a minute.

The page runs on Home Assistant's own origin, so another site must not be able to press buttons with
the user's cookie: writes carry a header that a foreign page cannot send, and the right `Origin`.

`decide` is the whole policy, as a function; `Gate` adds the lookup.

Source: ha_platform.md section 5 (headers, peers and what ingress does not check).
"""

from __future__ import annotations

import hmac
import time
from asyncio import timeout
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

SUPERVISOR_PEER = "172.30.32.2"
WRITE_HEADER = "X-Requested-With"
WRITE_HEADER_VALUE = "pv-edge-agent"
REMEMBER_S = 60.0
LOOKUP_DEADLINE_S = 5.0
LONGEST_NAME = 64
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Access(StrEnum):
    """What a request wants, in the order of what it takes."""

    HEALTH = "health"
    PAGE = "page"
    """The page's own files: no data of the house in them."""
    VIEW = "view"
    STOP = "stop"
    ADMIN = "admin"

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self in {Access.STOP, Access.ADMIN}


@dataclass(frozen=True, slots=True)
class Policy:
    """Where we run, and what follows from it."""

    supervised: bool
    token: str = field(default="", repr=False)
    """Outside the Supervisor: what a caller must bear. Without one only this machine may call."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may go on, if `lookup` is not set or the lookup says so."""

    by: str
    """Who it is, as journal and audit shall show it."""
    user_id: str = ""
    lookup: bool = False
    """Only an administrator may; ask."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request ends here."""

    code: str
    status: int
    text: str
    by: str = ""
    """Who it was, where that is known."""


class LookupFailedError(Exception):
    """Home Assistant could not be asked who is an administrator."""


def decide(
    peer: str | None, headers: Mapping[str, str], access: Access, policy: Policy
) -> Allowed | Refused:
    """
    Decide whether a request may go on.

    Args:
        peer: address of the socket's other end, never one that a header tells.
        headers: of the request; a mapping that ignores case.
        access: what the request wants.
        policy: where we run.
    """
    address = _address(peer)
    if access is Access.HEALTH and address is not None and address.is_loopback:
        return Allowed("health check")
    judge = _supervised if policy.supervised else _alone
    verdict = judge(address, headers, access, policy)
    if isinstance(verdict, Refused) or not access.writes:
        return verdict
    fault = _same_site(headers, policy)
    return verdict if fault is None else replace(fault, by=verdict.by)


def _address(peer: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address((peer or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _supervised(
    address: IPv4Address | IPv6Address | None,
    headers: Mapping[str, str],
    access: Access,
    _policy: Policy,
) -> Allowed | Refused:
    if address != ip_address(SUPERVISOR_PEER):
        return Refused("peer", 403, "Only Home Assistant may call; open the page in its sidebar.")
    if access is Access.HEALTH:
        return Allowed("Supervisor")
    user_id = headers.get("X-Remote-User-Id", "").strip()
    if not _printable(user_id):
        return Refused(
            "no_user", 403, "Home Assistant did not say who you are; log out, log in and try again."
        )
    names = (
        headers.get("X-Remote-User-Display-Name"),
        headers.get("X-Remote-User-Name"),
        user_id,
    )
    name = next(clean for clean in (_printable(name or "") for name in names) if clean)
    return Allowed(f"page: {name}", user_id, lookup=access is Access.ADMIN)


def _alone(
    address: IPv4Address | IPv6Address | None,
    headers: Mapping[str, str],
    access: Access,
    policy: Policy,
) -> Allowed | Refused:
    if policy.token:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(token.strip().encode(errors="replace"), policy.token.encode())
        if access is Access.PAGE or (scheme.lower() == "bearer" and known):
            return Allowed("page: token")
        return Refused("token", 401, "Enter the access token that the agent was started with.")
    if address is None or not address.is_loopback:
        text = "Only this machine may call; for others, set the option access_token."
        return Refused("peer", 403, text)
    if _hostname(headers.get("Host", "")) not in _LOOPBACK_NAMES:
        # A foreign name that resolves to loopback is another site's page in this browser.
        return Refused("host", 403, "Open the page as http://localhost, not by another name.")
    return Allowed("page: local")


def _same_site(headers: Mapping[str, str], policy: Policy) -> Refused | None:
    if headers.get(WRITE_HEADER) != WRITE_HEADER_VALUE:
        return Refused("csrf", 403, f"A change needs the header {WRITE_HEADER}.")
    origin = headers.get("Origin")
    if origin is None:
        return None
    hosts = headers.get("Host", "")
    if policy.supervised:
        hosts = headers.get("X-Forwarded-Host") or hosts
    try:
        scheme, theirs = urlsplit(origin).scheme, _endpoint(origin)
        ours = [_endpoint(f"{scheme}://{host.strip()}") for host in hosts.split(",")]
    except ValueError:  # not an URL, or no port number
        theirs, ours = None, []
    if theirs is None or theirs not in ours:
        return Refused(
            "origin",
            403,
            "The request came from a page of another address; if a reverse proxy is in between, "
            "let it pass the Host header on.",
        )
    return None


def _endpoint(url: str) -> tuple[str, int | None] | None:
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable()).strip()[:LONGEST_NAME]


class Gate:
    """The policy with its lookup; remembers an answer for a minute."""

    def __init__(
        self,
        policy: Policy,
        is_admin: Callable[[str], Awaitable[bool]],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Set up the gate.

        Args:
            policy: where we run.
            is_admin: asks Core for a user by id; raises `LookupFailedError`, `OSError` or
                `TimeoutError` when it cannot. Only called for what needs an administrator.
            clock_s: a monotonic clock.
        """
        self.policy = policy
        self._is_admin = is_admin
        self._clock_s = clock_s
        self._known: dict[str, tuple[float, bool]] = {}

    async def admit(
        self, peer: str | None, headers: Mapping[str, str], access: Access
    ) -> Allowed | Refused:
        """Decide, and ask Core where the decision needs it."""
        verdict = decide(peer, headers, access, self.policy)
        if isinstance(verdict, Refused) or not verdict.lookup:
            return verdict
        try:
            admin = await self._lookup(verdict.user_id)
        except (LookupFailedError, OSError) as error:  # TimeoutError is one
            return Refused(
                "lookup_failed",
                503,
                "Home Assistant could not be asked whether you are an administrator "
                f"({str(error) or 'no answer'}). Try again; stops work without.",
                verdict.by,
            )
        if not admin:
            text = "Only an administrator may do this. Stops are open to everybody."
            return Refused("not_admin", 403, text, verdict.by)
        return verdict

    async def _lookup(self, user_id: str) -> bool:
        now_s = self._clock_s()
        asked_s, admin = self._known.get(user_id, (float("-inf"), False))
        if now_s - asked_s < REMEMBER_S:
            return admin
        async with timeout(LOOKUP_DEADLINE_S):
            admin = await self._is_admin(user_id)
        self._known = {  # users who left are forgotten, so the memory stays small
            known: answer for known, answer in self._known.items() if now_s - answer[0] < REMEMBER_S
        } | {user_id: (now_s, admin)}
        return admin
