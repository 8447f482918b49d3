"""What the app's documentation says of options, permissions and entities is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agent.setting_fields import keys
from agent.settings import Settings
from agent.surface.entities import ENTITIES

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "addon/DOCS.md").read_text()
CONFIG = yaml.safe_load((ROOT / "addon/config.yaml").read_text())
PERMISSIONS = {
    "homeassistant_api",
    "hassio_api",
    "uart",
    "usb",
    "services",
    "ingress",
    "tmpfs",
    "map",
    "devices",
    "host_network",
    "privileged",
    "ports",
}
"""Keys of `config.yaml` that let an app do something."""


def section(title: str) -> str:
    return DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("option", sorted(CONFIG["schema"]))
def test_every_option_is_explained(option: str) -> None:
    assert f"`{option}`" in section("Options")


def test_no_option_is_explained_that_does_not_exist() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", section("Options"), re.MULTILINE)
    assert {each for row in rows for each in re.findall(r"`(\w+)`", row)} == set(CONFIG["schema"])


def test_every_permission_has_its_reason() -> None:
    rows = re.findall(r"^\| `(\w+)", section("Permissions"), re.MULTILINE)
    assert PERMISSIONS & set(CONFIG) <= set(rows)


def test_entities_and_settings_that_are_named_exist() -> None:
    ids = {f"{it.platform.value}.export_monitor_{it.key}" for it in ENTITIES}
    named = set(re.findall(r"`(\w+\.export_monitor_\w+)`", DOCS))
    assert named
    assert named <= ids
    card = section("Quick reference card").partition("a careful beginning")[2]
    settings = set(re.findall(r"^\| `(\w+)` \|", card, re.MULTILINE))
    assert settings
    assert settings <= set(keys(Settings))


@pytest.mark.parametrize("page", ["README.md", "addon/README.md", "addon/DOCS.md"])
def test_who_reads_it_is_told_that_it_is_no_certified_limiter(page: str) -> None:
    assert "not a certified G100 limiter" in (ROOT / page).read_text()
