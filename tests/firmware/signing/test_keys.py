"""A key is used from where its holder keeps it, and never leaves a trace."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Signature

from agent.firmware.signing import keys
from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import signer_of
from agent.firmware.signing.models import SigningError, UsageError
from agent.firmware.signing.roles import renew
from agent.firmware.signing.signatures import sign
from tests.firmware.development_keys import pem, private_key, signer
from tests.firmware.signing.desk import cli, day

SECRET = "correct horse"


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PV_EDGE_PASSPHRASE", SECRET)
    answer = cli("keygen", tmp_path / "ann", "--owner", "Ann", "--encrypt", "--type", "ecdsa")
    assert answer.code == 0, answer.err
    return tmp_path / "ann.pem"


def known(place: Path) -> Folder:
    folder = Folder(place)
    (place / "keys").mkdir()
    (place / "ann.pub.json").rename(place / "keys" / "ann.pub.json")
    return folder


def test_a_new_key_is_its_owner_s_alone_and_encrypted(encrypted: Path) -> None:
    assert stat.S_IMODE(encrypted.stat().st_mode) == 0o600
    assert "BEGIN ENCRYPTED PRIVATE KEY" in encrypted.read_text()
    public = known(encrypted.parent).key("ann")
    signature = signer_of(f"pem:{encrypted}", [public]).sign(b"text")
    public.verify_signature(signature, b"text")


def test_the_wrong_passphrase_says_so_without_showing_it(
    encrypted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = known(encrypted.parent).key("ann")
    monkeypatch.setenv("PV_EDGE_PASSPHRASE", "battery staple")
    with pytest.raises(SigningError, match="The passphrase does not open") as refused:
        signer_of(f"pem:{encrypted}", [public])
    assert "battery" not in str(refused.value)


def test_a_key_is_never_overwritten(encrypted: Path) -> None:
    before = encrypted.read_bytes()
    answer = cli("keygen", encrypted.with_suffix(""), "--owner", "Ben")
    assert answer.code == 1
    assert "is there already" in answer.err
    (encrypted.parent / "ann.pub.json").unlink()
    assert cli("keygen", encrypted.with_suffix(""), "--owner", "Ben").code == 1
    assert encrypted.read_bytes() == before


def test_an_empty_passphrase_is_no_encryption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PV_EDGE_PASSPHRASE", "")
    answer = cli("keygen", tmp_path / "ben", "--owner", "Ben", "--encrypt")
    assert (answer.code, list(tmp_path.iterdir())) == (2, [])
    assert "An empty passphrase encrypts nothing." in answer.err


def test_a_robot_has_its_key_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT", pem("timestamp"))
    public = signer("timestamp").public_key
    assert signer_of("env:ROBOT", [public]).public_key == public


@pytest.mark.parametrize(
    ("uri", "error", "sentence"),
    [
        ("env:NOT_THERE", SigningError, "the environment has no NOT_THERE"),
        ("pem:/nowhere/key.pem", SigningError, "cannot be read: /nowhere/key.pem"),
        ("env:NO_KEY", SigningError, "NO_KEY holds no private key in PEM"),
        ("env:STRANGER", SigningError, "a key that this repository does not know"),
        ("hsm:", UsageError, "need their public half too: --pub"),
    ],
)
def test_a_key_that_cannot_be_used_says_what_to_do(
    uri: str, error: type[SigningError], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_KEY", "hunter2")
    monkeypatch.setenv("STRANGER", pem("stranger"))
    with pytest.raises(error, match=sentence) as refused:
        signer_of(uri, [signer("stable-1").public_key])
    assert "hunter2" not in str(refused.value)


def test_an_unknown_kind_of_key_names_the_known_ones() -> None:
    public = signer("stable-1").public_key
    with pytest.raises(SigningError, match=r"carrier-pigeon: .*pem:, env:, file2:, hsm:"):
        signer_of("carrier-pigeon:grey", [public], public)


class Unplugged(CryptoSigner):
    """A token that is not there."""

    def sign(self, payload: bytes) -> Signature:
        raise OSError("no token in the slot")


def test_a_token_that_is_not_there_says_so_and_signs_nothing(folder: Folder) -> None:
    renew(folder, "beta", day(1))
    public = signer("beta-1").public_key
    with pytest.raises(SigningError, match=r"of beta-1 did not sign: no token in the slot.*try"):
        sign(folder, "beta", Unplugged(private_key("beta-1"), public))
    metadata = folder.staging.metadata("beta")
    assert metadata
    assert not metadata.signatures


def test_a_passphrase_that_was_mistyped_makes_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["one", "two"])
    monkeypatch.delenv("PV_EDGE_PASSPHRASE", raising=False)
    monkeypatch.setattr(keys, "getpass", lambda _what: next(typed))
    answer = cli("keygen", tmp_path / "ben", "--owner", "Ben", "--encrypt")
    assert (answer.code, list(tmp_path.iterdir())) == (2, [])
    assert "The two passphrases differ." in answer.err


def test_the_name_of_a_holder_cannot_command_a_terminal() -> None:
    public = signer("stable-1").public_key
    public.unrecognized_fields["x-pv-edge-owner"] = "Ann\x1b[2J\x07\u202e"
    assert keys.owner_of(public) == "Ann?[2J??"


def test_what_is_no_public_key_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ann.pub.json").write_text('["no", "key"]')
    with pytest.raises(SigningError, match=r"ann.pub.json is no public key"):
        Folder(tmp_path).key("ann")


def test_nobody_signs_without_having_said_yes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can answer, silence is no."""
    monkeypatch.setenv("KEY", pem("beta-1"))
    assert cli("--repository", folder.path, "--at", "2026-09-04", "renew", "beta").code == 0
    answer = cli("--repository", folder.path, "sign", "--key", "env:KEY")
    assert answer.code == 1
    assert "nothing but its version and how long it lives" in answer.out
    assert "beta was not signed. Say yes" in answer.err
    metadata = folder.staging.metadata("beta")
    assert metadata
    assert not metadata.signatures
