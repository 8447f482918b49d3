"""
How the texts of signed documents may look; the JSON Schemas say the same.

Names become paths, log lines and pages, so they are made of few characters. Free text is free but
for what acts on a terminal or turns the direction of writing.
"""

from __future__ import annotations

import re

from agent.firmware.manifest.versions import VERSION

__all__ = ["VERSION"]
LONGEST_NOTES = 16_384
PROJECT = re.compile(
    r"(?=.{3,120}$)[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9][A-Za-z0-9_-]*)+", re.ASCII
)
CHIP = re.compile(r"esp[0-9a-z]{2,12}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MD5 = re.compile(r"[0-9a-f]{32}")
COMMIT = re.compile(r"[0-9a-f]{7,64}")
FILE = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*){0,7}")
MANIFEST = re.compile(
    r"(?!.*\.\.)[a-z0-9][a-z0-9-]*(?:/[A-Za-z0-9][A-Za-z0-9._+-]{0,127}){1,3}\.json"
)
BOARD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+-]{0,62}[A-Za-z0-9._+-])?")
ENTITY = re.compile(r"[a-z_]{1,32}\.[a-z0-9_]{1,120}")
ESPHOME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")
PLAIN = re.compile(r"[!-~]{1,300}")
HTTPS = re.compile(
    r"https://[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{0,500})?"
)
MOMENT = re.compile(
    r"20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
)
_ACTS = r"\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
NOTES = re.compile(rf"[^{_ACTS}]{{1,{LONGEST_NOTES}}}")
REASON = re.compile(rf"[^\u000a{_ACTS}]{{0,500}}")
