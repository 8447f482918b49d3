"""Who may do what: the policy tried in every combination, and the lookup behind it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from agent.surface.web import auth
from agent.surface.web.auth import (
    SUPERVISOR_PEER,
    Access,
    Allowed,
    Gate,
    LookupFailedError,
    Policy,
    Refused,
    decide,
)

SUPERVISED = Policy(supervised=True)
LOCAL = Policy(supervised=False)
TOKEN = Policy(supervised=False, token="correct horse")
PEERS = {
    "supervisor": SUPERVISOR_PEER,
    "supervisor mapped": f"::ffff:{SUPERVISOR_PEER}",
    "loopback": "127.0.0.1",
    "loopback 6": "::1",
    "other app": "172.30.33.5",
    "host": "172.30.32.1",
    "lan": "192.168.1.20",
    "lan 6": "fe80::1%eth0",
    "none": None,
    "nonsense": "supervisor",
}
FROM_SUPERVISOR = {"supervisor", "supervisor mapped"}
FROM_LOOPBACK = {"loopback", "loopback 6"}


def headers(
    *, user: str = "", write: bool = True, origin: str | None = None, **more: str
) -> CIMultiDict[str]:
    made = CIMultiDict({"Host": "localhost:8099", **more})
    if user:
        made["x-remote-user-id"] = user
    if write:
        made["x-requested-with"] = "pv-edge-agent"
    if origin is not None:
        made["Origin"] = origin
    return made


@pytest.mark.parametrize(
    ("peer", "access", "user", "write"),
    list(itertools.product(PEERS, Access, ["", "u1"], [False, True])),
)
def test_under_the_supervisor_only_it_may_speak_and_only_for_a_user(
    peer: str, access: Access, user: str, write: bool
) -> None:
    verdict = decide(PEERS[peer], headers(user=user, write=write), access, SUPERVISED)
    if access is Access.HEALTH:
        expected = peer in FROM_SUPERVISOR | FROM_LOOPBACK
    else:
        written = write or access in {Access.PAGE, Access.VIEW}
        expected = peer in FROM_SUPERVISOR and bool(user) and written
    assert isinstance(verdict, Allowed) == expected
    if isinstance(verdict, Allowed):
        assert verdict.lookup == (access is Access.ADMIN)
    else:
        assert verdict.status == 403
        assert verdict.text


@pytest.mark.parametrize(("peer", "access"), list(itertools.product(PEERS, Access)))
def test_outside_only_this_machine_may_call_without_a_token(peer: str, access: Access) -> None:
    verdict = decide(PEERS[peer], headers(), access, LOCAL)
    assert isinstance(verdict, Allowed) == (peer in FROM_LOOPBACK)
    assert not getattr(verdict, "lookup", False)


@pytest.mark.parametrize(
    ("peer", "access", "sent"),
    list(
        itertools.product(
            PEERS,
            Access,
            ["", "Bearer correct horse", "bearer correct horse", "Bearer wrong", "correct horse"],
        )
    ),
)
def test_with_a_token_everybody_needs_it_but_for_the_page_itself(
    peer: str, access: Access, sent: str
) -> None:
    verdict = decide(PEERS[peer], headers(Authorization=sent), access, TOKEN)
    known = sent.lower() == "bearer correct horse"
    local_health = access is Access.HEALTH and peer in FROM_LOOPBACK
    assert isinstance(verdict, Allowed) == (known or access is Access.PAGE or local_health)
    if isinstance(verdict, Refused):
        assert verdict.status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8099", "localhost.evil", "", "[::"])
def test_a_foreign_name_for_this_machine_is_refused(host: str) -> None:
    verdict = decide("127.0.0.1", headers(Host=host), Access.VIEW, LOCAL)
    assert isinstance(verdict, Refused)
    assert verdict.code == "host"


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:8099", "[::1]:8099"])
def test_this_machine_may_be_called_by_its_own_names(host: str) -> None:
    assert isinstance(decide("127.0.0.1", headers(Host=host), Access.VIEW, LOCAL), Allowed)


@pytest.mark.parametrize(
    ("origin", "host", "forwarded", "same"),
    [
        ("http://ha.local:8123", "172.30.33.9:8099", "ha.local:8123", True),
        ("https://ha.example", "172.30.33.9", "ha.example", True),
        ("https://ha.example", "172.30.33.9", "ha.example:443", True),
        ("https://HA.example", "172.30.33.9", "ha.EXAMPLE", True),
        ("https://ha.example", "172.30.33.9", "ha.example, inner.proxy", True),
        ("http://ha.local:8123", "ha.local:8123", None, True),
        ("http://ha.local:9999", "x", "ha.local:8123", False),
        ("https://evil.example", "172.30.33.9", "ha.example", False),
        ("https://ha.example.evil", "172.30.33.9", "ha.example", False),
        ("null", "172.30.33.9", "ha.example", False),
        ("", "172.30.33.9", "ha.example", False),
        ("null", "", "", False),
        ("https://[", "[", "[", False),
        ("https://ha.example:port", "x", "ha.example:port", False),
    ],
)
@pytest.mark.parametrize("access", [Access.STOP, Access.ADMIN])
def test_a_write_comes_from_our_own_page(
    origin: str, host: str, forwarded: str | None, same: bool, access: Access
) -> None:
    more = {"Host": host} | ({} if forwarded is None else {"X-Forwarded-Host": forwarded})
    verdict = decide(SUPERVISOR_PEER, headers(user="u1", origin=origin, **more), access, SUPERVISED)
    assert isinstance(verdict, Allowed) == same


def test_outside_the_supervisor_a_forwarded_host_counts_for_nothing() -> None:
    forged = headers(origin="http://evil.example", **{"X-Forwarded-Host": "evil.example"})
    assert isinstance(decide("127.0.0.1", forged, Access.STOP, LOCAL), Refused)


def test_the_author_is_the_shown_name_without_control_signs() -> None:
    named = headers(user="u1", **{"X-Remote-User-Display-Name": "An\x1b[31mna\u202e" + "a" * 99})
    verdict = decide(SUPERVISOR_PEER, named, Access.STOP, SUPERVISED)
    assert isinstance(verdict, Allowed)
    assert verdict.by.startswith("page: An[31mna")
    assert verdict.by.isprintable()
    assert len(verdict.by) <= len("page: ") + auth.LONGEST_NAME


def test_a_user_whose_names_are_empty_is_called_by_id() -> None:
    named = headers(user="u1", **{"X-Remote-User-Display-Name": "\x00", "X-Remote-User-Name": ""})
    verdict = decide(SUPERVISOR_PEER, named, Access.STOP, SUPERVISED)
    assert verdict == Allowed("page: u1", "u1")


def test_a_user_id_that_cannot_be_shown_is_no_user() -> None:
    verdict = decide(SUPERVISOR_PEER, headers(user="\x00\x01"), Access.STOP, SUPERVISED)
    assert isinstance(verdict, Refused)


anything = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)


@given(
    peer=anything | st.ip_addresses().map(str),
    sent=st.dictionaries(
        st.sampled_from(
            [
                "X-Remote-User-Id",
                "X-Remote-User-Display-Name",
                "X-Forwarded-For",
                "X-Forwarded-Host",
                "X-Ingress-Path",
                "X-Hass-Source",
                "Origin",
                "Host",
                "Authorization",
                "X-Requested-With",
            ]
        ),
        anything | st.just(SUPERVISOR_PEER),
    ),
    access=st.sampled_from(Access),
    policy=st.sampled_from([SUPERVISED, LOCAL, TOKEN]),
)
def test_no_header_ever_makes_a_stranger_welcome(
    peer: str, sent: dict[str, str], access: Access, policy: Policy
) -> None:
    verdict = decide(peer, CIMultiDict(sent), access, policy)
    if isinstance(verdict, Allowed) and access not in {Access.HEALTH, Access.PAGE}:
        if policy is SUPERVISED:
            assert auth._address(peer) == auth._address(SUPERVISOR_PEER)
            assert sent["X-Remote-User-Id"].strip()
        elif policy is LOCAL:
            address = auth._address(peer)
            assert address is not None
            assert address.is_loopback
        else:
            assert TOKEN.token in sent["Authorization"]
        if access.writes:
            assert sent["X-Requested-With"] == "pv-edge-agent"


class Core:
    """Answers lookups as told, and counts them."""

    def __init__(self, *admins: str) -> None:
        self.admins = set(admins)
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def is_admin(self, user_id: str) -> bool:
        self.asked.append(user_id)
        if self.error:
            raise self.error
        return user_id in self.admins


class Watch:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def admit(gate: Gate, user: str, access: Access) -> Allowed | Refused:
    return await gate.admit(SUPERVISOR_PEER, headers(user=user), access)


async def test_an_administrator_may_start_and_another_user_may_not() -> None:
    gate = Gate(SUPERVISED, Core("anna").is_admin)
    assert isinstance(await admit(gate, "anna", Access.ADMIN), Allowed)
    verdict = await admit(gate, "ben", Access.ADMIN)
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.by) == ("not_admin", "page: ben")


async def test_a_stop_never_asks_core() -> None:
    core = Core()
    core.error = OSError("Core is down")
    gate = Gate(SUPERVISED, core.is_admin)
    assert isinstance(await admit(gate, "ben", Access.STOP), Allowed)
    assert core.asked == []


@pytest.mark.parametrize("error", [OSError("down"), LookupFailedError("no"), TimeoutError()])
async def test_with_core_down_a_start_is_refused_and_asked_again_next_time(
    error: Exception,
) -> None:
    core = Core("anna")
    core.error = error
    gate = Gate(SUPERVISED, core.is_admin)
    verdict = await admit(gate, "anna", Access.ADMIN)
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.status) == ("lookup_failed", 503)
    core.error = None
    assert isinstance(await admit(gate, "anna", Access.ADMIN), Allowed)


async def test_a_core_that_does_not_answer_ends_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mute(_user_id: str) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(auth, "LOOKUP_DEADLINE_S", 0.01)
    verdict = await admit(Gate(SUPERVISED, mute), "anna", Access.ADMIN)
    assert isinstance(verdict, Refused)
    assert "no answer" in verdict.text


async def test_an_answer_is_remembered_for_a_minute_and_no_longer() -> None:
    core, watch = Core("anna"), Watch()
    gate = Gate(SUPERVISED, core.is_admin, clock_s=watch)
    for _ in range(3):
        await admit(gate, "anna", Access.ADMIN)
    assert core.asked == ["anna"]
    core.admins.clear()
    watch.now_s += 59.9
    assert isinstance(await admit(gate, "anna", Access.ADMIN), Allowed)
    watch.now_s += 0.2
    assert isinstance(await admit(gate, "anna", Access.ADMIN), Refused)
    assert core.asked == ["anna", "anna"]


def test_the_token_is_in_no_text_of_the_policy() -> None:
    assert "correct horse" not in repr(TOKEN)
