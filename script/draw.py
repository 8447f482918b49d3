"""
Draws the app's icon and logo for the store: a sun whose power runs past a house, under a limit.

Every shape is a distance to a line, an arc or a box, so edges are smooth at any size and no font
and no drawing program is needed. Writes PNG with the standard library alone.

    python script/draw.py          addon/icon.png (128x128) and addon/logo.png (250x100)
"""

from __future__ import annotations

import itertools
import math
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

ADDON = Path(__file__).resolve().parents[1] / "addon"
Colour = tuple[int, int, int]
Point = tuple[float, float]
Shape = Callable[[float, float], float]
"""How far a point is outside of it, in units of the drawing; negative inside."""

Drawing = list[tuple[Shape, Colour]]
"""Shapes over each other, the last one on top."""

TEAL: Colour = (0, 105, 92)
YELLOW: Colour = (255, 213, 79)
WHITE: Colour = (255, 255, 255)
INK: Colour = (38, 70, 66)
CLEAR = (0.0, 0.0, 0.0, 0.0)


def box(x: float, y: float, width: float, height: float, radius: float) -> Shape:
    """Return a box with round corners."""

    def away(px: float, py: float) -> float:
        dx = abs(px - x - width / 2) - width / 2 + radius
        dy = abs(py - y - height / 2) - height / 2 + radius
        return math.hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - radius

    return away


def stroke(points: Sequence[Point], width: float) -> Shape:
    """Return a line through the points, with round ends."""

    def away(px: float, py: float) -> float:
        pairs = itertools.pairwise(points)
        return min(_to_segment(px, py, a, b) for a, b in pairs) - width / 2

    return away


def disc(x: float, y: float, radius: float) -> Shape:
    """Return a filled circle."""
    return lambda px, py: math.hypot(px - x, py - y) - radius


def arc(x: float, y: float, radius: float, degrees: tuple[float, float]) -> list[Point]:
    """Return points along a circle, clockwise from the right."""
    first, last = degrees
    steps = [math.radians(first + (last - first) * step / 16) for step in range(17)]
    return [(x + radius * math.cos(it), y + radius * math.sin(it)) for it in steps]


def _to_segment(px: float, py: float, a: Point, b: Point) -> float:
    along_x, along_y = b[0] - a[0], b[1] - a[1]
    length = along_x**2 + along_y**2
    part = ((px - a[0]) * along_x + (py - a[1]) * along_y) / length if length else 0
    part = min(max(part, 0), 1)
    return math.hypot(px - a[0] - part * along_x, py - a[1] - part * along_y)


def emblem() -> Drawing:
    """Return the sign, on a square of 100 units."""
    turns = range(0, 360, 45)
    rays = [[arc(29, 30, reach, (turn, turn))[0] for reach in (17, 23)] for turn in turns]
    house = [(20, 84), (20, 61), (42, 45), (64, 61), (64, 84), (20, 84)]
    bolt = [(45, 56), (37, 69), (47, 69), (39, 80)]
    return [
        (box(0, 0, 100, 100, 20), TEAL),
        (disc(29, 30, 11), YELLOW),
        *((stroke(ray, 4), YELLOW) for ray in rays),
        (stroke(house, 6), WHITE),
        (stroke(bolt, 5), YELLOW),
        # What goes out, and the limit it stays below.
        (stroke([(70, 72), (87, 72), (80, 65), (87, 72), (80, 79)], 5), WHITE),
        (stroke([(58, 24), (90, 24)], 5), YELLOW),
        (stroke([(58, 40), (66, 33), (74, 38), (82, 32), (90, 36)], 4), WHITE),
    ]


LETTERS: dict[str, tuple[float, list[list[Point]]]] = {
    "A": (8, [[(0, 12), (4, 0), (8, 12)], [(1.6, 8), (6.4, 8)]]),
    "D": (8, [[(0, 0), (0, 12), (2, 12), *arc(2, 6, 6, (90, -90)), (0, 0)]]),
    "E": (6.5, [[(6.5, 0), (0, 0), (0, 12), (6.5, 12)], [(0, 6), (5.5, 6)]]),
    "G": (9, [[*arc(6, 6, 6, (-45, -315)), (10.2, 6.5), (6.5, 6.5)]]),
    "N": (8, [[(0, 12), (0, 0), (8, 12), (8, 0)]]),
    "P": (7, [[(0, 12), (0, 0), (3.5, 0), *arc(3.5, 3.5, 3.5, (-90, 90)), (0, 7)]]),
    "T": (8, [[(0, 0), (8, 0)], [(4, 0), (4, 12)]]),
    "V": (8, [[(0, 0), (4, 12), (8, 0)]]),
    " ": (4, []),
}
"""Width and strokes of each letter that the name needs, 12 units high."""


def written(text: str, x: float, y: float, size: float, colour: Colour) -> Drawing:
    """Return a line of letters, `size` units high, from its upper left corner."""
    shapes: Drawing = []
    scale = size / 12
    for sign in text:
        width, strokes = LETTERS[sign]
        for points in strokes:
            placed = [(x + px * scale, y + py * scale) for px, py in points]
            shapes.append((stroke(placed, size / 6), colour))
        x += (width + 4) * scale
    return shapes


def moved(shapes: Drawing, x: float, y: float, scale: float) -> Drawing:
    """Return the shapes elsewhere and in another size."""

    def there(shape: Shape) -> Shape:
        return lambda px, py: shape((px - x) / scale, (py - y) / scale) * scale

    return [(there(shape), colour) for shape, colour in shapes]


def paint(width: int, height: int, shapes: Drawing) -> bytes:
    """Return a PNG of that many pixels; the ground is transparent."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # PNG: this row is not predicted from another
        for x in range(width):
            rows += _pixel(shapes, x + 0.5, y + 0.5)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _pixel(shapes: Drawing, x: float, y: float) -> bytes:
    red, green, blue, alpha = CLEAR
    for shape, colour in shapes:
        cover = min(max(0.5 - shape(x, y), 0), 1)
        if cover:
            left = alpha * (1 - cover)
            alpha = cover + left
            old = (red, green, blue)
            red, green, blue = (
                (own * cover + before * left) / alpha
                for own, before in zip(colour, old, strict=True)
            )
    return bytes(round(it) for it in (red, green, blue, alpha * 255))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def icon() -> bytes:
    """Return the icon, 128x128."""
    return paint(128, 128, moved(emblem(), 4, 4, 1.2))


def logo() -> bytes:
    """Return the logo, 250x100."""
    name = [*written("PV EDGE", 108, 25, 20, TEAL), *written("AGENT", 108, 57, 20, INK)]
    return paint(250, 100, [*moved(emblem(), 6, 6, 0.88), *name])


def main() -> int:
    """Write both."""
    for name, made in (("icon.png", icon()), ("logo.png", logo())):
        (ADDON / name).write_bytes(made)
        print(f"addon/{name}: {len(made)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
