"""
One person's signatures: what they would change, given, and how many are missing still.

Source: signing.md 4.8, "sign".
"""

from __future__ import annotations

from collections.abc import Sequence

from securesystemslib.signer import Signer

from agent.firmware.signing.folder import Folder
from agent.firmware.signing.keys import add_signature, owner_of
from agent.firmware.signing.lint import lint
from agent.firmware.signing.models import TOP_LEVEL, SigningError
from agent.firmware.signing.roles import progress, signable


def roles_for(folder: Folder, signer: Signer, wanted: Sequence[str]) -> list[str]:
    """
    Return the staged roles that this key may sign.

    Args:
        folder: the repository.
        signer: whose signature.
        wanted: roles that a person named; all that are staged if there is none.

    Raises:
        SigningError: nothing is staged for the key, a named role is not, or something is wrong
            with the repository that no signature makes right.
    """
    faults = lint(folder)
    if faults:
        raise SigningError(f"Nothing was signed, because {faults[0]}")
    staged = signable(folder)
    for role in wanted:
        if role not in staged:
            raise SigningError(f"{role} is not staged. Staged: {', '.join(staged) or 'nothing'}.")
    mine = [role for role in staged if _may_sign(folder, role, signer)]
    refused = [role for role in wanted if role not in mine]
    chosen = [role for role in mine if not wanted or role in wanted]
    if refused or not chosen:
        what = ", ".join(refused or staged) or "anything: nothing is staged"
        raise SigningError(
            f"The key of {owner_of(signer.public_key)} does not sign {what}. `manifests show` "
            "lists who does."
        )
    return chosen


def sign(folder: Folder, role: str, signer: Signer) -> str:
    """
    Add one signature to a staged role and return what is missing now, as a sentence.

    Raises:
        SigningError: the key could not sign.
    """
    metadata = folder.staging.metadata(role)
    if metadata is None:
        raise SigningError(f"{role} is not staged.")
    add_signature(metadata, signer)
    folder.staging.put(role, metadata)
    missing = progress(folder, role, metadata).missing
    word = "it is complete" if not missing else f"{missing} more needed"
    who = owner_of(signer.public_key)
    return f"{role} version {metadata.signed.version}: signed by {who}; {word}."


def _may_sign(folder: Folder, role: str, signer: Signer) -> bool:
    keyid = signer.public_key.keyid
    delegator = folder.root().signed if role in TOP_LEVEL else folder.targets().signed
    if keyid in delegator.get_delegated_role(role).keyids:
        return True
    before = folder.published.metadata("root") if role == "root" else None
    return before is not None and keyid in before.signed.get_delegated_role(role).keyids
