"""
One upload over one connection, without the connection: bytes in, bytes and a verdict out.

The script below reads like the protocol's table. It never trusts the other side: each byte that
stands where an answer is expected is checked for an error first, an acknowledgement counts only
for bytes that were handed out, and only the very last answer means success. A session never
raises for what it receives; it ends with a verdict.

Source: esphome.md, section 5.
"""

from __future__ import annotations

import hashlib
import secrets as entropy
from collections.abc import Callable, Generator

from agent.firmware.ota import answers
from agent.firmware.ota.models import OtaError, Outcome, Secrets, Verdict
from agent.firmware.ota.noise import (
    HEADER_BYTES,
    FrameError,
    KeyFormatError,
    NoiseLink,
    WrongKeyError,
    payload_bytes,
)
from agent.firmware.ota.payload import Form, Wire
from agent.firmware.ota.wire import (
    BLOCK_BYTES,
    FIRST_ERROR,
    MAGIC,
    NOISE_PROLOGUE,
    VERSIONS,
    Answer,
    ClientFeature,
    OtaType,
    ServerFeature,
)

WINDOW_BLOCKS = 2
"""Blocks that may be on their way: one is written to flash while the next travels."""
_MOST_AHEAD_BYTES = 1024
"""No bridge says that much before it is asked; who does is none."""
_SIZE_BYTES = 4

Steps = Generator[int, bytes, None]


class _Ended(Exception):  # noqa: N818 - an ending, not an error
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


class Session:
    """
    The uploader's side of one connection.

    The caller hands in what arrives (`received`), sends what `take` returns until it returns
    nothing, supplies the form that `wants` names, and looks at `verdict` after each.

    Args:
        secrets: what opens this bridge.
        token: makes that many random bytes as hexadecimal text.
    """

    def __init__(
        self, secrets: Secrets, *, token: Callable[[int], str] = entropy.token_hex
    ) -> None:
        self.verdict: Verdict | None = None
        self.wants: Form | None = None
        """The form of the image that the bridge asked for and that `supply` must bring."""
        self.encrypted = False
        self.version = 0
        self.acknowledged_bytes = self.sent_bytes = self.total_bytes = 0
        self._secrets = secrets
        self._token = token
        self._wire: Wire | None = None
        self._link: NoiseLink | None = None
        self._raw = bytearray()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._doing = "after the greeting"
        self._steps: Steps = self._script()
        self._needs = next(self._steps)

    @property
    def last_block_sent(self) -> bool:
        """From here on the bridge may commit the image, whatever we still hear of it."""
        return 0 < self.total_bytes == self.sent_bytes

    @property
    def transferring(self) -> bool:
        """The greeting is over, and the bridge's longer patience applies."""
        return self.wants is not None or self._wire is not None

    @property
    def doing(self) -> str:
        """Where it stands, to end a sentence with: "after the password"."""
        if self.last_block_sent:
            return "after the last block"
        if self.sent_bytes:
            return f"after {self.sent_bytes} of {self.total_bytes} bytes"
        return self._doing

    def received(self, data: bytes) -> None:
        """Take bytes as they come from the network; those after the verdict are ignored."""
        (self._inbox if self._link is None else self._raw).extend(data)
        self._advance()

    def supply(self, wire: Wire) -> None:
        """
        Bring the image in the form that is wanted.

        Raises:
            OtaError: nothing, or something else, is wanted.
        """
        if self.wants is not wire.form:
            raise OtaError(f"the session wants {self.wants}, not {wire.form}")
        self.wants = None
        self._wire = wire
        self._resume(b"")

    def take(self) -> bytes | memoryview:
        """Return what goes out now, a block of the image at most; nothing if it is our turn."""
        if self._outbox:
            data = bytes(self._outbox)
            self._outbox.clear()
            return data
        ahead = self.sent_bytes - self.acknowledged_bytes
        full = self.version > 1 and ahead >= WINDOW_BLOCKS * BLOCK_BYTES
        if self.verdict or self._wire is None or self.sent_bytes == self.total_bytes or full:
            return b""
        block = self._wire.data[self.sent_bytes : self.sent_bytes + BLOCK_BYTES]
        self.sent_bytes += len(block)
        return block if self._link is None else self._link.seal(block)

    def stop(self, verdict: Verdict) -> None:
        """
        End it from outside: the connection was lost, or nothing came for too long.

        After the last block such an ending is ambiguous, and a wish to stop comes too late.
        """
        if self.verdict is None:
            if self.last_block_sent and verdict.outcome in {Outcome.FAILED, Outcome.CANCELLED}:
                verdict = answers.ambiguous(verdict)
            self.verdict = verdict
            self.wants = None
            self._steps.close()

    def _advance(self) -> None:
        while self.verdict is None:
            if self._link is not None and self._raw:
                try:
                    self._inbox += self._link.unseal(self._raw)
                except FrameError as error:
                    self.stop(answers.nonsense(str(error)))
                    return
            if self._needs == 0 and self._inbox:
                self.stop(_out_of_turn(self._inbox[0], self.doing))
                return
            if self._needs == 0 or len(self._inbox) < self._needs:
                if len(self._inbox) + len(self._raw) > _MOST_AHEAD_BYTES:
                    self.stop(answers.nonsense("it talks without being asked"))
                return
            piece = bytes(self._inbox[: self._needs])
            del self._inbox[: self._needs]
            self._resume(piece)

    def _resume(self, piece: bytes) -> None:
        try:
            self._needs = self._steps.send(piece)
        except _Ended as end:
            self.stop(end.verdict)

    # The protocol, from top to bottom. Each `yield` waits for that many bytes; 0 for `supply`.

    def _script(self) -> Steps:
        self._outbox += MAGIC
        yield from self._answer("after the greeting", Answer.OK)
        self.version = yield from self._answer("after the greeting")
        if self.version not in VERSIONS:
            raise _Ended(answers.nonsense(f"it speaks version {self.version} of it"))
        features = ClientFeature.GZIP | ClientFeature.SHA256_AUTH
        features |= ClientFeature.EXTENDED | ClientFeature.DEFLATE
        if self._secrets.noise_psk:
            features |= ClientFeature.NOISE
        self._send(bytes((features,)))
        kind = yield from self._answer(
            "after our features", Answer.HEADER_OK, Answer.SUPPORTS_GZIP, Answer.FEATURE_FLAGS
        )
        extended = kind == Answer.FEATURE_FLAGS
        flags = ServerFeature.GZIP if kind == Answer.SUPPORTS_GZIP else ServerFeature(0)
        if extended:
            flags = ServerFeature((yield from self._answer("after our features")))
        if self._secrets.noise_psk and (extended and flags & ServerFeature.NOISE):
            said = bytes((Answer.OK, self.version, features, Answer.FEATURE_FLAGS, flags))
            yield from self._encrypt(self._secrets.noise_psk, NOISE_PROLOGUE + MAGIC + said)
        elif self._secrets.noise_psk and not self._secrets.allow_plaintext:
            raise _Ended(answers.NOT_ENCRYPTED)
        yield from self._authenticate()
        yield from self._prepare(extended, flags)
        yield from self._transfer()
        raise _Ended(answers.committed())

    def _encrypt(self, psk: str, prologue: bytes) -> Steps:
        try:
            link = NoiseLink(psk, prologue)
        except KeyFormatError as error:
            raise _Ended(answers.bad_key(str(error))) from None
        self._outbox += link.hello()
        first = yield from self._answer("after the encrypted greeting")
        header = bytes((first,)) + (yield HEADER_BYTES - 1)
        try:
            link.answered((yield payload_bytes(header)))
        except WrongKeyError as error:
            raise _Ended(answers.wrong_key(str(error))) from None
        except FrameError as error:
            raise _Ended(answers.nonsense(str(error))) from None
        self._link = link
        self.encrypted = True
        self._raw, self._inbox = self._inbox, bytearray()

    def _authenticate(self) -> Steps:
        asked = yield from self._answer(
            "after the greeting",
            Answer.AUTH_OK,
            Answer.REQUEST_SHA256_AUTH,
            Answer.REQUEST_MD5_AUTH,
        )
        if asked == Answer.AUTH_OK:
            if self._secrets.proves and not self.encrypted:
                raise _Ended(answers.UNPROVEN)
            return
        weak = asked == Answer.REQUEST_MD5_AUTH
        if not self._secrets.password:
            raise _Ended(answers.NO_PASSWORD)
        if weak and not self._secrets.allow_md5:
            raise _Ended(answers.WEAK_AUTH)
        digest = hashlib.md5(usedforsecurity=False) if weak else hashlib.sha256()
        digest.update(self._secrets.password.encode())
        first = yield from self._answer("after it asked for the password")
        nonce = bytes((first,)) + (yield digest.digest_size * 2 - 1)
        ours = self._token(digest.digest_size).encode()
        digest.update(nonce + ours)
        self._send(ours)
        self._send(digest.hexdigest().encode())
        yield from self._answer("after the password", Answer.AUTH_OK)

    def _prepare(self, extended: bool, flags: ServerFeature) -> Steps:
        deflate = extended and flags & ServerFeature.DEFLATE
        plain = Form.GZIP if flags & ServerFeature.GZIP else Form.PLAIN
        self.wants = Form.DEFLATE if deflate else plain
        self._doing = "while the image was made ready"
        yield 0
        wire = self._wire
        if wire is None:
            raise OtaError("the session was resumed without an image")
        if extended:
            self._send(bytes((OtaType.APP,)))
        self._send(len(wire.data).to_bytes(_SIZE_BYTES, "big"))
        if deflate:
            self._send(wire.image_bytes.to_bytes(_SIZE_BYTES, "big"))
        yield from self._answer("after the size", Answer.PREPARE_OK)
        self._send(wire.md5.encode())
        yield from self._answer("after the checksum", Answer.MD5_OK)
        self.total_bytes = len(wire.data)

    def _transfer(self) -> Steps:
        while self.version > 1 and self.acknowledged_bytes < self.total_bytes:
            yield from self._answer(self._doing, Answer.CHUNK_OK)
            granted = min(self.acknowledged_bytes + BLOCK_BYTES, self.total_bytes)
            if granted > self.sent_bytes:
                raise _Ended(answers.nonsense("it acknowledged what was not sent"))
            self.acknowledged_bytes = granted
        yield from self._answer(self._doing, Answer.RECEIVE_OK)
        if not self.last_block_sent:
            raise _Ended(answers.nonsense("it had received all before all was sent"))
        self.acknowledged_bytes = self.total_bytes
        yield from self._answer(self._doing, Answer.UPDATE_END_OK)
        self._send(bytes((Answer.OK,)))

    def _answer(self, doing: str, *expected: Answer) -> Generator[int, bytes, int]:
        """Read one byte; without `expected` any that is no error will do."""
        self._doing = doing
        (byte,) = yield 1
        if byte >= FIRST_ERROR:
            raise _Ended(answers.refusal(byte, self.doing))
        if expected and byte not in expected:
            raise _Ended(answers.nonsense(f"it answered 0x{byte:02X} {self.doing}"))
        return byte

    def _send(self, field: bytes) -> None:
        self._outbox += field if self._link is None else self._link.seal(field)


def _out_of_turn(byte: int, doing: str) -> Verdict:
    if byte >= FIRST_ERROR:
        return answers.refusal(byte, doing)
    return answers.nonsense("it talks without being asked")
