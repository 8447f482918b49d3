"""
A real HTTPS server on the loopback that does wrong what a test says.

It runs in a thread of its own, so that clients of asyncio and blocking ones can both be tested.
What goes wrong is data: `server.fails(path, Cut(900_000))` for the next request,
`server.always_fails(path, Drip())` for all of them. Its certificate is signed by a CA that only
`server.trusted()` and `server.ca_file` know.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gzip
import itertools
import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

CHUNK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Endless:
    """Never stops sending."""


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends one byte, and the next after a while."""

    every_s: float = 0.05


@dataclass(frozen=True, slots=True)
class Cut:
    """Closes the connection after so many bytes of the body, and a moment to take them in."""

    at: int
    linger_s: float = 0.15


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere."""

    to: str
    status: int = 302


@dataclass(frozen=True, slots=True)
class Body:
    """Sends other bytes than the file has; its length is told right."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Claims:
    """Tells a length that is not the file's; the body ends with the file."""

    length: int


@dataclass(frozen=True, slots=True)
class NoRange:
    """Knows nothing of ranges: the whole file, with 200."""


@dataclass(frozen=True, slots=True)
class WrongRange:
    """Says that it continues, and begins elsewhere."""

    begin: int


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """Sends zeros, packed, though nobody asked for packed content."""

    unpacked: int


@dataclass(frozen=True, slots=True)
class Status:
    """Answers with another status and nothing else."""

    code: int


@dataclass(frozen=True, slots=True)
class Hang:
    """Takes the request and never answers."""


Instead = Hang | Redirect | Status | GzipBomb | Endless
"""What is answered whether there is a file or not."""
Fault = Instead | Drip | Cut | Body | Claims | NoRange | WrongRange


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str] = field(repr=False)

    @property
    def range(self) -> str | None:
        """What part of the file was asked for."""
        return self.headers.get("range")


class HttpsServer:
    """Serves `files` by path until its block ends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.was_asked = threading.Event()
        self.sent = 0
        """Bytes of bodies."""
        self._faults: dict[str, Iterator[Fault]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificates() / "server.pem")
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def origin(self) -> str:
        """Host and port as allow-lists have them."""
        assert self._server
        return f"localhost:{self._server.sockets[0].getsockname()[1]}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the CA, as PEM."""
        return _certificates() / "ca.pem"

    def trusted(self) -> ssl.SSLContext:
        """Return a context that trusts the test CA and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def url(self, path: str) -> str:
        """Return the address of a path that begins with a slash."""
        return f"https://{self.origin}{path}"

    def fails(self, path: str, *faults: Fault) -> None:
        """Let the next requests for the path go wrong, one fault each."""
        self._faults[path] = itertools.chain(faults)

    def always_fails(self, path: str, fault: Fault) -> None:
        """Let every request for the path go wrong."""
        self._faults[path] = itertools.repeat(fault)

    async def _stop(self) -> None:
        assert self._server
        self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._busy.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                asked = Asked(head[0].split()[1], {k.lower(): v for k, v in pairs})
                self.asked.append(asked)
                self.was_asked.set()
                await self._answer(asked, writer)
                await writer.drain()
        finally:
            self._busy.discard(task)
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path = asked.path.partition("?")[0]
        fault = next(self._faults.get(path, iter(())), None)
        body = fault.data if isinstance(fault, Body) else self.files.get(path)
        if isinstance(fault, Instead):
            await self._answer_instead(fault, writer)
        elif body is None:
            _head(writer, 404, 0)
        else:
            await self._deliver(asked, body, fault, writer)

    async def _answer_instead(self, fault: Instead, writer: asyncio.StreamWriter) -> None:
        match fault:
            case Hang():
                await asyncio.Event().wait()
            case Redirect(to, status):
                _head(writer, status, 0, f"Location: {to}")
            case Status(code):
                _head(writer, code, 0)
            case GzipBomb(unpacked):
                packed = gzip.compress(bytes(unpacked))
                _head(writer, 200, len(packed), "Content-Encoding: gzip")
                await self._send(writer, packed)
            case Endless():
                _head(writer, 200, None)
                while True:
                    await self._send(writer, bytes(CHUNK))

    async def _deliver(
        self, asked: Asked, body: bytes, fault: Fault | None, writer: asyncio.StreamWriter
    ) -> None:
        start = int((asked.range or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start and start >= len(body):
            return _head(writer, 416, 0)
        if isinstance(fault, NoRange) or not asked.range:
            start = 0
            _head(writer, 200, fault.length if isinstance(fault, Claims) else len(body))
        else:
            begin = fault.begin if isinstance(fault, WrongRange) else start
            part = f"Content-Range: bytes {begin}-{len(body) - 1}/{len(body)}"
            _head(writer, 206, len(body) - start, part)
        stop = fault.at if isinstance(fault, Cut) else len(body)
        every_s = fault.every_s if isinstance(fault, Drip) else None
        await self._send(writer, body[start:stop], every_s)
        if isinstance(fault, Cut):
            await asyncio.sleep(fault.linger_s)
        return None

    async def _send(
        self, writer: asyncio.StreamWriter, body: bytes, every_s: float | None = None
    ) -> None:
        step = 1 if every_s is not None else CHUNK
        for at in range(0, len(body), step):
            # Over TLS, `drain` alone neither yields nor notices that the client has hung up.
            await asyncio.sleep(0)
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(body[at : at + step])
            self.sent += len(body[at : at + step])
            await writer.drain()
            if every_s is not None:
                await asyncio.sleep(every_s)


def _head(writer: asyncio.StreamWriter, status: int, length: int | None, *more: str) -> None:
    lines = [f"HTTP/1.1 {status} told", "Connection: close", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    writer.write("\r\n".join([*lines, "", ""]).encode())


@cache
def _certificates() -> Path:
    """Make a CA and a certificate for localhost, once for all servers of this process."""
    folder = Path(mkdtemp(prefix="test-ca-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.now(UTC)

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    public = ca_key.public_key()
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    ca = (
        builder(name, public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_may_sign_certificates(), critical=True)
    )
    server = (
        builder(host, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(issuer, critical=False)
    )
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + server.sign(ca_key, SHA256()).public_bytes(Encoding.PEM)
    )
    return folder


def _may_sign_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
