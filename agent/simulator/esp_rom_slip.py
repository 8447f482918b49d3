"""
Frames on a serial line: each begins and ends with C0, and what looks like a mark is escaped.

Source: RFC 1055; esptool.md, section 3, "Framing".
"""

from __future__ import annotations

END = b"\xc0"


def frame(content: bytes) -> bytes:
    """Return the bytes on the wire for one frame."""
    return END + content.replace(b"\xdb", b"\xdb\xdd").replace(END, b"\xdb\xdc") + END


class Deframer:
    """Takes bytes as they come and gives whole frames; what stands between frames is noise."""

    def __init__(self) -> None:
        self._partial: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that these bytes complete, unescaped, in their order."""
        frames = []
        first, *rest = data.split(END)
        if self._partial is not None:
            self._partial += first
        for piece in rest:
            if self._partial:
                content = bytes(self._partial)
                frames.append(content.replace(b"\xdb\xdc", END).replace(b"\xdb\xdd", b"\xdb"))
                self._partial = None
                continue
            # Two marks in a row: the second one begins the frame.
            self._partial = bytearray(piece)
        return frames
