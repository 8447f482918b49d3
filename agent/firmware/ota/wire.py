"""
The bytes of ESPHome's upload protocol, by the names that ESPHome gives them.

All numbers are big-endian. A byte of 0x80 and above is an error wherever an answer is expected;
`answers.py` says what each means.

Source: esphome.md, section 5; ESPHome 2026.10, `components/esphome/ota`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAGIC = bytes((0x6C, 0x26, 0xF7, 0x5C, 0x45))
VERSIONS = (1, 2)
BLOCK_BYTES = 8192
"""The device acknowledges so many bytes at a time, from version 2 on."""
FIRST_ERROR = 0x80
NOISE_PROLOGUE = b"NoiseOTAInit"
NOISE_INDICATOR = 0x01
NOISE_HANDSHAKE_OK = 0x00
NOISE_BLOCK_BYTES = 1024
"""Most that a device decrypts at a time."""
NOISE_LARGEST_ANSWER = 128
NOISE_WRONG_KEY = b"Handshake MAC failure"
DEFLATE_WINDOW_BITS = 12
"""The device inflates through a window of 4 KiB."""


class Answer(IntEnum):
    """What a device says when all is well."""

    OK = 0x00
    REQUEST_MD5_AUTH = 0x01
    REQUEST_SHA256_AUTH = 0x02
    HEADER_OK = 0x40
    AUTH_OK = 0x41
    PREPARE_OK = 0x42
    MD5_OK = 0x43
    RECEIVE_OK = 0x44
    """All bytes are there. Said before the device checks them: no success yet."""
    UPDATE_END_OK = 0x45
    """Checked and committed; the device starts it next."""
    SUPPORTS_GZIP = 0x46
    CHUNK_OK = 0x47
    FEATURE_FLAGS = 0x48


class ClientFeature(IntFlag):
    """What an uploader can do."""

    GZIP = 0x01
    SHA256_AUTH = 0x02
    EXTENDED = 0x04
    NOISE = 0x08
    DEFLATE = 0x10


class ServerFeature(IntFlag):
    """What a device can do; told only in the extended protocol."""

    GZIP = 0x01
    PARTITION_ACCESS = 0x02
    NOISE = 0x04
    DEFLATE = 0x08
    """Binding once offered: the image must then come deflated."""


class OtaType(IntEnum):
    """What the bytes are for."""

    APP = 0
    PARTITION_TABLE = 1
    BOOTLOADER = 2
