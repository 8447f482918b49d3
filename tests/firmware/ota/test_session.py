"""A session believes nothing: whatever comes, it ends with a verdict; success is the last byte."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.firmware.ota.answers import REFUSALS, cancelled, lost
from agent.firmware.ota.models import OtaError, Outcome, Reason, Secrets
from agent.firmware.ota.payload import Form, encoded
from agent.firmware.ota.session import Session
from agent.firmware.ota.wire import BLOCK_BYTES, MAGIC

IMAGE = bytes(range(256)) * 100
SECRETS = Secrets(password="secret", allow_md5=True)
KEY = "cGVlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzISE="
NONCE = b"0123456789abcdef" * 4
BLOCKS = -(-len(IMAGE) // BLOCK_BYTES)
GREETED = b"\x00\x02", b"\x40", b"\x02", NONCE, b"\x41"
READY = *GREETED, b"\x42", b"\x43"
WHOLE = *READY, *([b"\x47"] * BLOCKS), b"\x44", b"\x45"


def serve(session: Session) -> bytes:
    """Give the session the image if it wants one; return all that it sends."""
    if session.wants is not None:
        session.supply(encoded(IMAGE, session.wants))
    out = b""
    while data := session.take():
        out += data
    return out


def talk(*answers: bytes, secrets: Secrets = SECRETS) -> tuple[Session, bytes]:
    session = Session(secrets, token=lambda size: "ab" * size)
    out = serve(session)
    for answer in answers:
        session.received(answer)
        out += serve(session)
    return session, out


def test_an_upload_of_version_2_says_what_the_protocol_asks_and_ends_with_the_last_byte() -> None:
    session, out = talk(*WHOLE)
    wire = encoded(IMAGE, Form.PLAIN)
    assert out[:6] == MAGIC + b"\x17"
    assert out[6:70] == b"ab" * 32
    assert out[134:] == len(IMAGE).to_bytes(4, "big") + wire.md5.encode() + IMAGE + b"\x00"
    assert session.verdict is not None
    assert session.verdict.outcome is Outcome.SENT
    assert session.acknowledged_bytes == session.total_bytes == len(IMAGE)


@pytest.mark.parametrize("had", range(1, len(WHOLE)))
def test_a_connection_lost_before_the_last_answer_is_never_success(had: int) -> None:
    session, _ = talk(*WHOLE[:had])
    assert session.verdict is None
    session.stop(lost(session.doing))
    assert session.verdict is not None
    # Two blocks may be under way: with the last but two acknowledged, the last one is.
    sent_all = had >= len(READY) + BLOCKS - 2
    assert session.last_block_sent == sent_all
    assert session.verdict.outcome is (Outcome.AMBIGUOUS if sent_all else Outcome.FAILED)
    assert ("Do not upload again" in session.verdict.next_step) == sent_all


def test_an_error_byte_is_understood_wherever_an_answer_is_awaited() -> None:
    moments = (0, 1, 2, 3, 4, 5, 6, len(READY), len(READY) + 1, len(WHOLE) - 1)
    for code in (*REFUSALS, 0xA5):
        for had in moments:
            session, _ = talk(*WHOLE[:had], bytes((code,)))
            assert session.verdict is not None, (code, had)
            assert (session.verdict.outcome, session.verdict.code) == (Outcome.REFUSED, code)
            assert session.verdict.reason is REFUSALS.get(code, (Reason.UNKNOWN_ERROR,))[0]
            assert f"0x{code:02X} after" in session.verdict.text
            assert session.verdict.next_step


@pytest.mark.parametrize(
    ("answers", "secrets", "reason", "sentence"),
    [
        ((b"\x00\x03",), SECRETS, Reason.PROTOCOL, "speaks version 3"),
        ((b"HTTP/1.1 400",), SECRETS, Reason.PROTOCOL, "answered 0x48 after the greeting"),
        ((b"\x00\x02", b"\x40", b"\x02"), Secrets(), Reason.NO_PASSWORD, "asks for an upload"),
        ((b"\x00\x02", b"\x40", b"\x01"), Secrets("secret"), Reason.WEAK_AUTH, "by MD5"),
        ((b"\x00\x02", b"\x48\x08"), Secrets(None, KEY), Reason.NOT_ENCRYPTED, "not offer an enc"),
        ((b"\x00\x02", b"\x48\x04"), Secrets(None, "short"), Reason.WRONG_KEY, "32 bytes"),
        ((b"\x00\x02", b"\x48\x04", b"\x94"), Secrets(None, KEY), Reason.ENCRYPTION_REQUIRED, "94"),
        (
            (b"\x00\x02", b"\x48\x04", b"\x01\x00\x16\x01Handshake MAC failure"),
            Secrets(None, KEY),
            Reason.WRONG_KEY,
            "another encryption key",
        ),
        (
            (b"\x00\x02", b"\x48\x04", b"\x01\x00\x31\x00" + b"x" * 48),
            Secrets(None, KEY),
            Reason.WRONG_KEY,
            "cannot be read",
        ),
        (
            (b"\x00\x02", b"\x48\x04", b"\x01\xff\xff"),
            Secrets(None, KEY),
            Reason.PROTOCOL,
            "announced 65535 bytes",
        ),
        ((*READY, b"\x47\x47\x47"), SECRETS, Reason.PROTOCOL, "acknowledged what was not sent"),
        (
            (b"\x00\x01", b"\x40", b"\x41", b"\x42", b"\x43\x44\x45"),
            SECRETS,
            Reason.PROTOCOL,
            "received all before all was sent",
        ),
        ((*READY, b"\x44"), SECRETS, Reason.PROTOCOL, "answered 0x44 after 16384 of"),
        ((b"\x00\x02", b"\x40", b"\x41" + b"\x42" * 2000), SECRETS, Reason.PROTOCOL, "being asked"),
    ],
)
def test_what_a_session_does_not_go_along_with(
    answers: tuple[bytes, ...], secrets: Secrets, reason: Reason, sentence: str
) -> None:
    session, out = talk(*answers, secrets=secrets)
    assert session.verdict is not None
    assert session.verdict.reason is reason
    assert sentence in session.verdict.text
    assert IMAGE not in out
    assert "secret" not in repr(secrets)


def test_a_wish_to_stop_ends_it_and_nothing_more_is_sent() -> None:
    session, _ = talk(*READY)
    session.stop(cancelled(session.doing))
    session.received(b"\x47" * BLOCKS + b"\x44\x45")
    assert session.take() == b""
    assert session.verdict == cancelled("after 16384 of 25600 bytes")


def test_an_image_that_nobody_asked_for_is_a_defect_of_the_caller() -> None:
    with pytest.raises(OtaError, match="wants None"):
        Session(SECRETS).supply(encoded(IMAGE, Form.PLAIN))


PIECES = st.one_of(
    st.sampled_from(
        [*READY, b"\x47", b"\x44", b"\x45", b"\x48\x04", b"\x48\x09", b"\x46", b"\x01"]
    ),
    st.binary(min_size=1, max_size=80),
)


@given(
    st.lists(PIECES, max_size=25),
    st.sampled_from([SECRETS, Secrets(), Secrets(None, KEY), Secrets("x", KEY, True, True)]),
)
@example(list(WHOLE), SECRETS)
@example([b"".join(WHOLE)], SECRETS)
@example([b"\x00\x01", b"\x40", b"\x41", b"\x42", b"\x43", b"\x44\x45"], SECRETS)
def test_whatever_comes_it_never_raises_and_success_needs_all_sent_and_the_final_byte(
    pieces: list[bytes], secrets: Secrets
) -> None:
    session, out = talk(secrets=secrets)
    said = b""
    for piece in pieces:
        before = session.verdict
        session.received(piece)
        said += piece if before is None else b""
        out += serve(session)
    if session.verdict is not None and session.verdict.outcome is Outcome.SENT:
        assert not session.encrypted
        assert b"\x44\x45" in said
        assert session.last_block_sent
        assert IMAGE in out or len(out) > session.total_bytes > 0
    elif session.last_block_sent and session.verdict is not None:
        assert session.verdict.outcome in {Outcome.AMBIGUOUS, Outcome.REFUSED}
