"""
Keys by URI, and the public halves that everybody may see.

Where a private key lies is the signer's own affair and is never written into the repository.
securesystemslib knows `file2:`, `hsm:`, `tkey:` and the cloud services; `file2:` reads plain PEM
only, and a robot has its key in its environment, so two more are known here: `pem:PATH`, encrypted
or not, and `env:NAME`.

Source: signing.md 4.8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from getpass import getpass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.exceptions import Error as LibraryError
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

from agent.firmware.signing.models import OWNER_FIELD, SigningError, UsageError

PASSPHRASE_NAME = "PV_EDGE_PASSPHRASE"  # noqa: S105 - the name of a variable
PUBLIC_SUFFIX = ".pub.json"
_PRIVATE_MODE = 0o600
_LONGEST_SHOWN = 80
_OWN_SCHEMES = ("pem", "env", "file2")
_GENERATORS = {"ed25519": CryptoSigner.generate_ed25519, "ecdsa": CryptoSigner.generate_ecdsa}


def signer_of(uri: str, known: Iterable[Key], public: Key | None = None) -> Signer:
    """
    Return a signer for the private key at the URI, under the id that the repository knows it by.

    Args:
        uri: where the private key lies.
        known: public keys of the repository.
        public: the public half; needed for keys that are not in a file or the environment.

    Raises:
        UsageError: no such kind of URI, or its public half was not named.
        SigningError: the key cannot be read, or the repository does not know it.
    """
    scheme, _, place = uri.partition(":")
    if scheme not in _OWN_SCHEMES:
        return _library_signer(uri, public)
    private = _private_key(scheme, place)
    own = CryptoSigner(private)
    candidates = [public] if public is not None else list(known)
    for key in candidates:
        if isinstance(key, SSlibKey) and key.keyval == own.public_key.keyval:
            return CryptoSigner(private, key)
    raise SigningError(
        f"{uri} is a key that this repository does not know. Sign with a key of a role "
        "(`manifests show` lists them), or let somebody add it with `manifests rotate`."
    )


def generate(kind: str, owner: str) -> CryptoSigner:
    """
    Return a new key that carries the name of its holder.

    Args:
        kind: `ed25519` or `ecdsa` (P-256).
        owner: shown to whoever looks at the repository.
    """
    signer = _GENERATORS[kind]()
    signer.public_key.unrecognized_fields[OWNER_FIELD] = owner
    return signer


def write_private(path: Path, signer: CryptoSigner, passphrase: str) -> None:
    """
    Write a PKCS#8 PEM that only its owner may read, encrypted unless the passphrase is empty.

    Raises:
        SigningError: a file of that name is there already; a key is never overwritten.
    """
    encryption: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    private = load_pem_private_key(signer.private_bytes, None)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
    except FileExistsError as error:
        raise SigningError(f"{path} is there already. Keys are not overwritten; choose another "
                           "name.") from error  # fmt: skip
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def public_text(key: Key) -> str:
    """Return the text of a `.pub.json`."""
    return json.dumps({"keyid": key.keyid, **key.to_dict()}, indent=1, sort_keys=True) + "\n"


def parse_public(text: str, name: str) -> Key:
    """
    Return the key of a `.pub.json`.

    Raises:
        SigningError: it is none; the text names the file.
    """
    try:
        document = json.loads(text)
        return Key.from_dict(document.pop("keyid"), document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SigningError(f"{name} is no public key ({error!r}). Write it with `manifests "
                           "keygen`.") from error  # fmt: skip


def owner_of(key: Key) -> str:
    """Return who holds the key, or the start of its id, fit for a terminal."""
    return plain(str(key.unrecognized_fields.get(OWNER_FIELD) or key.keyid[:8]))


def plain(text: str) -> str:
    """Return a text of somebody else without what a terminal would obey."""
    return "".join(it if it.isprintable() else "?" for it in text[:_LONGEST_SHOWN])


def ask_passphrase(what: str) -> str:
    """
    Return the passphrase from the environment, or ask the person at the terminal.

    Raises:
        SigningError: nobody is there to ask.
    """
    given = os.environ.get(PASSPHRASE_NAME)
    try:
        return given if given is not None else getpass(f"Passphrase of {what}: ")
    except EOFError as error:
        raise SigningError(f"Nobody gave the passphrase of {what}. Set {PASSPHRASE_NAME}.") from (
            error
        )


def new_passphrase(what: str) -> str:
    """
    Return the passphrase of a new key, asked for twice: a slip would lose the key.

    Raises:
        UsageError: it is empty, or the second is another.
    """
    passphrase = ask_passphrase(what)
    if not passphrase:
        raise UsageError("An empty passphrase encrypts nothing. Give one, or leave out --encrypt.")
    if passphrase != ask_passphrase(f"{what}, again"):
        raise UsageError("The two passphrases differ. No key was made; try again.")
    return passphrase


def add_signature(metadata: Metadata[Any], signer: Signer) -> None:
    """
    Add one signature to those that metadata has.

    Raises:
        SigningError: the key could not sign: no token, no network, no right to it.
    """
    try:
        metadata.sign(signer, append=True)
    except RepositoryError as error:
        raise SigningError(
            f"The key of {owner_of(signer.public_key)} did not sign: {error.__cause__ or error}. "
            "Look whether its token or service is there, and try again."
        ) from error


def _library_signer(uri: str, public: Key | None) -> Signer:
    scheme = uri.partition(":")[0]
    if public is None:
        raise UsageError(f"{scheme}: keys need their public half too: --pub keys/NAME.pub.json.")
    try:
        return Signer.from_priv_key_uri(uri, public, ask_passphrase)
    except (ValueError, OSError, LibraryError, ImportError) as error:
        known = ", ".join(f"{name}:" for name in (*_OWN_SCHEMES, "hsm", "tkey", "awskms", "gcpkms"))
        raise SigningError(f"{scheme}: the key cannot be used ({error}). These are known: {known} "
                           "and others of securesystemslib.") from error  # fmt: skip


def _private_key(scheme: str, place: str) -> PrivateKeyTypes:
    try:
        if scheme == "env":
            pem = os.environ[place].encode()
        else:
            pem = Path(place).expanduser().read_bytes()
    except (KeyError, OSError) as error:
        where = f"the environment has no {place}" if scheme == "env" else f"{place}: {error}"
        raise SigningError(f"The private key cannot be read: {where}. Say where it is.") from error
    try:
        return load_pem_private_key(pem, None)
    except TypeError:  # what cryptography raises for a key that is encrypted
        return _decrypted(pem, place)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{place} holds no private key in PEM. `manifests keygen` writes "
                           "one.") from error  # fmt: skip


def _decrypted(pem: bytes, place: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, ask_passphrase(place).encode())
    except ValueError as error:
        raise SigningError(f"The passphrase does not open {place}. Try again, or set "
                           f"{PASSPHRASE_NAME}.") from error  # fmt: skip
