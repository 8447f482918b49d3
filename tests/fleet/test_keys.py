"""The secrets of the bridges are checked, kept for the agent alone, and never shown."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import stat
from pathlib import Path

import pytest

from agent.fleet.key_upload import UploadError, keys_among, owners, read_device, read_secrets
from agent.fleet.keys import (
    FILE_NAME,
    KeyFile,
    KeyFormatError,
    Keyring,
    KeySource,
    KeyStoreError,
    Secret,
    SecretKind,
    checked,
    with_secret,
    without_secret,
)
from tests.fleet.devices import fleet_of, mac, word

KEY = "cGVlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGVzISE="
API, PASSWORD = SecretKind.API_KEY, SecretKind.UPLOAD_PASSWORD
DEVICE = """
substitutions: {node: bridge-1}
esphome: {name: "${node}"}
api: {encryption: {key: !secret bridge_key}}
ota: [{platform: esphome, password: pa$s}]
binary_sensor: !include more.yaml
"""


def ring_of(number: int = 1) -> Keyring:
    return with_secret(Keyring(), mac(number), API, checked(API, KEY), KeySource.ENTERED)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("0f" * 32, "hexadecimal"),
        ("not a key", "base64"),
        (KEY[:-4], "bytes"),
        ("A" * 43 + "=", "everybody"),
    ],
)
def test_what_is_no_key_is_refused_with_a_sentence_that_does_not_repeat_it(
    text: str, word: str
) -> None:
    with pytest.raises(KeyFormatError, match=word) as refused:
        checked(API, text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize("text", ["", " edge", "two\nlines", "x" * 129])
def test_what_is_no_password_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        checked(PASSWORD, text)


def test_a_secret_does_not_print_nor_leave_the_agent() -> None:
    ring = ring_of()
    assert KEY not in f"{ring} {ring!r} {ring.kept[mac(1)][API].secret:>9}"
    for leave in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leave(Secret(KEY))
    assert ring.sources(mac(1)) == {API: KeySource.ENTERED}


def test_each_bridge_has_its_own_secrets_by_its_full_mac() -> None:
    ring = with_secret(ring_of(1), mac(1), PASSWORD, checked(PASSWORD, "x"), KeySource.UPLOADED)
    assert (ring.api_key(mac(1)), ring.upload_password(mac(1))) == (KEY, "x")
    assert (ring.api_key(mac(10)), ring.upload_password(mac(10))) == (None, None)
    assert without_secret(ring, mac(1), API).sources(mac(1)) == {PASSWORD: KeySource.UPLOADED}
    assert without_secret(ring, mac(1)).kept == {}


def test_the_file_is_the_agents_alone_and_survives_a_restart(tmp_path: Path) -> None:
    KeyFile(tmp_path).store(ring_of())
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert KeyFile(tmp_path).ring == ring_of()


def test_a_file_that_others_may_read_is_closed_and_told(tmp_path: Path) -> None:
    KeyFile(tmp_path).store(ring_of())
    (tmp_path / FILE_NAME).chmod(0o644)
    again = KeyFile(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert "new keys" in again.warning
    assert again.ring == ring_of()


@pytest.mark.parametrize("damage", [lambda it: it[:-9], lambda it: it.replace(KEY, KEY[4:])])
def test_a_damaged_file_is_kept_aside_and_quoted_nowhere(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    KeyFile(tmp_path).store(ring_of())
    file = tmp_path / FILE_NAME
    file.write_text(damage(file.read_text()))  # type: ignore[operator]
    again = KeyFile(tmp_path)
    assert again.ring == Keyring()
    assert (tmp_path / f"{FILE_NAME}.broken-1").exists()
    assert KEY[4:] not in again.warning + caplog.text


def test_a_change_that_cannot_be_stored_is_not_made(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "away")
    with pytest.raises(KeyStoreError, match="could not be written"):
        keys.store(ring_of())
    assert keys.ring == Keyring()


def test_a_configuration_and_its_secrets_give_key_password_and_name() -> None:
    found = read_device(DEVICE, f"bridge_key: {KEY}\nwifi: home")
    assert {kind: it.reveal() for kind, it in found.secrets.items()} == {API: KEY, PASSWORD: "pa$s"}
    assert (found.name, found.problems) == ("bridge-1", ())


def test_a_secret_without_its_file_and_a_wrong_one_are_sentences() -> None:
    assert "upload the secrets.yaml" in read_device(DEVICE).problems[0]
    (problem,) = read_device(DEVICE, "bridge_key: nonsense").problems
    assert "nonsense" not in problem


def test_pv08_a_configuration_belongs_to_exactly_its_name() -> None:
    fleet = fleet_of(word(1, name="bridge-1"), word(10, name="bridge-10"))
    found = read_device(DEVICE, f"bridge_key: {KEY}")
    assert owners(found, fleet) == (mac(1),)
    twins = fleet_of(word(1, name="bridge-1"), word(2, name="Bridge-1"))
    assert owners(found, twins) == (mac(1), mac(2))


def test_a_name_with_the_end_of_the_mac_is_recognised() -> None:
    found = read_device("esphome: {name: edge, name_add_mac_suffix: true}")
    fleet = fleet_of(word(1, name=f"edge-{mac(1)[-6:]}"), word(2, name="edge-two"))
    assert owners(found, fleet) == (mac(1),)


def test_the_keys_among_secrets_are_told_by_name() -> None:
    named = read_secrets(f"bridge_key: {KEY}\nwifi_password: something\n")
    assert list(keys_among(named)) == ["bridge_key"]


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [echo]",
        "api: !!python/name:os.system",
        "a: [unclosed",
        "just words",
        "wifi: {ssid: x}",
        "[" * 5000,
        "a: " + "x" * 300_000,
    ],
)
def test_a_file_that_is_none_of_esphomes_is_refused(text: str) -> None:
    with pytest.raises(UploadError):
        read_device(text)


def test_a_small_file_cannot_grow_without_end() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert read_device("\n".join([*lines, "esphome: {name: it}"])).name == "it"
