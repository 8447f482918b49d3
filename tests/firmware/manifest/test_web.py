"""A release for browsers and for ESPHome's own updates, as their readers want it."""

from __future__ import annotations

import json

import pytest

from agent.firmware.manifest.web import chip_family, write_web
from tests.firmware.manifest.documents import RELEASE, release

FOLDER = "https://example.com/fw"


def test_a_build_names_its_chip_its_file_with_an_offset_and_its_update() -> None:
    assert json.loads(write_web(release(), FOLDER + "/")) == {
        "name": "acme.bridge",
        "version": "1.2.0",
        "home_assistant_domain": "esphome",
        "new_install_prompt_erase": True,
        "builds": [
            {
                "chipFamily": "ESP32",
                "ota": {
                    "md5": "d" * 32,
                    "path": f"{FOLDER}/acme-1.2.0.ota.bin",
                    "summary": "Reads the meter twice as often.",
                    "release_url": "https://example.com/acme/1.2.0",
                },
                "parts": [{"path": f"{FOLDER}/acme-1.2.0.factory.bin", "offset": 0}],
            }
        ],
    }


def test_a_file_that_starts_later_in_the_flash_has_its_offset() -> None:
    part = {"offset": 8192, "from": 4096, "size": 9}
    one = release(images=[{**RELEASE["images"][1], "parts": [part]}])
    (build,) = json.loads(write_web(one, FOLDER))["builds"]
    assert build == {
        "chipFamily": "ESP32",
        "parts": [{"path": f"{FOLDER}/acme-1.2.0.factory.bin", "offset": 4096}],
    }


@pytest.mark.parametrize(
    "parts",
    [
        [{"offset": 0, "from": 0, "size": 9}, {"offset": 8192, "from": 9, "size": 9}],
        [{"offset": 0, "from": 4096, "size": 9}],
    ],
)
def test_a_file_that_cannot_be_written_as_a_whole_is_not_offered_to_browsers(
    parts: list[object],
) -> None:
    one = release(images=[{**RELEASE["images"][1], "parts": parts}])
    assert json.loads(write_web(one, FOLDER))["builds"] == []


@pytest.mark.parametrize(
    ("chip", "family"),
    [
        ("esp32", "ESP32"),
        ("esp32c3", "ESP32-C3"),
        ("esp32c61", "ESP32-C61"),
        ("esp8266", "ESP8266"),
    ],
)
def test_a_chip_is_written_as_its_reader_knows_it(chip: str, family: str) -> None:
    assert chip_family(chip) == family


@pytest.mark.parametrize("url", ["http://example.com", "https://e.com/?a=", "file:///x", ""])
def test_firmware_is_offered_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="is no https address of a folder"):
        write_web(release(), url)
