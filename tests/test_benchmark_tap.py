"""The tap of the benchmarks reads every frame, however the network cuts it up."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.running import percentile
from benchmarks.tap import FrameReader

UPGRADE = b"GET /api/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
PING = b"\x89\x80\0\0\0\0"


def framed(text: str, *, masked: bool, final: bool = True, opcode: int = 1) -> bytes:
    payload = text.encode()
    head = bytes([0x80 * final | opcode])
    mask = 0x80 * masked
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([mask | 126]) + len(payload).to_bytes(2)
    else:
        head += bytes([mask | 127]) + len(payload).to_bytes(8)
    if not masked:
        return head + payload
    key = b"\x12\x34\x56\x78"
    return head + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))


def read(stream: bytes, cuts: list[int]) -> list[str]:
    reader = FrameReader()
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [
        text.decode()
        for start, end in itertools.pairwise(edges)
        for text in reader.texts(stream[start:end])
    ]


@given(
    texts=st.lists(st.text(max_size=300), max_size=6),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    masked=st.booleans(),
)
def test_every_message_is_read_once_and_in_order(
    texts: list[str], cuts: list[int], masked: bool
) -> None:
    stream = UPGRADE + b"".join(PING + framed(text, masked=masked) for text in texts)
    assert read(stream, cuts) == texts


def test_a_message_in_parts_is_one_message() -> None:
    parts = framed("{", masked=True, final=False) + PING + framed("}", masked=True, opcode=0)
    assert read(UPGRADE + parts, []) == ["{}"]


def test_a_message_of_a_big_house_is_read() -> None:
    big = json.dumps(["x" * 70_000])
    assert read(UPGRADE + framed(big, masked=False), [1000, 40_000]) == [big]


def test_plain_http_holds_no_messages() -> None:
    request = b"POST /api/template HTTP/1.1\r\nHost: x\r\n\r\n" + framed("{}", masked=True)
    assert read(request, []) == []


def test_the_99th_of_a_hundred_is_their_p99() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7.0
