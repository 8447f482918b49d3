"""
One sentence and one next step for everything that can speak against a release.

The code is for the journal and for programs, the sentence is for the person who has to act. What a
bridge or a file says of itself is cut and cleaned before it stands in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agent.firmware.policy.models import Ack, Code, Finding
from agent.fleet.identity import label

UNKNOWN = "something unknown"
_NEEDS_CABLE = "Connect the bridge by USB and install the factory image."
_OTHER_RELEASE = "Choose a release that is made for this bridge."
_PUBLISHER = "Do not use the file. Fetch it again; if it stays so, tell the publisher."

SENTENCES: Mapping[Code, tuple[str, str]] = MappingProxyType(
    {
        Code.NO_TRUSTED_METADATA: (
            "Nothing that this house trusts vouches for {project} {version}.",
            "Connect this house to the internet or bring a bundle of signed manifests by USB.",
        ),
        Code.UNKNOWN_SCHEMA: (
            "The manifest of {project} is of a later structure than this app reads.",
            "Update the app.",
        ),
        Code.IMAGE_REVOKED: (
            "The publisher has revoked this image: {digest}.",
            "Choose another release. Nothing passes a revocation.",
        ),
        Code.BELOW_SIGNED_FLOOR: (
            "Its rollback index {index} is below {floor}, the least that the publisher allows.",
            "Choose a newer release. Nothing passes this floor.",
        ),
        Code.BELOW_DEVICE_FLOOR: (
            "Its rollback index {index} is below {floor}, which this bridge has already had.",
            "Choose a newer release; or connect it by USB and recover it, with a reason.",
        ),
        Code.WRONG_CHIP: (
            "The image is for {wanted}, the bridge has {found}.",
            "Choose the image for its chip.",
        ),
        Code.CHIP_UNKNOWN: (
            "Nobody knows which chip the bridge has; the image is for {wanted}.",
            "Connect to the bridge so that it can say, or plug it in by USB.",
        ),
        Code.CHIP_REVISION: (
            "The image is for chip revisions {wanted}, the bridge has {found}.",
            _OTHER_RELEASE,
        ),
        Code.WRONG_BOARD: (
            "The release is for {wanted}, the board of the bridge is {found}.",
            _OTHER_RELEASE,
        ),
        Code.WRONG_HARDWARE_REVISION: (
            "The release is for board revisions {wanted}, that of the bridge is {found}.",
            _OTHER_RELEASE,
        ),
        Code.FACTORY_NEEDS_SERIAL: (
            "A factory image cannot go over the air: it would overwrite what is running.",
            "Choose the image for updates over the air, or connect the bridge by USB.",
        ),
        Code.NO_FLASH_PLAN: (
            "This image does not say where it goes in the flash, so it cannot go over the cable.",
            "Choose the factory image of the release.",
        ),
        Code.SLOT_TOO_SMALL: (
            "The image has {size} bytes, the slot of the bridge takes {most}.",
            _NEEDS_CABLE,
        ),
        Code.FLASH_TOO_SMALL: (
            "The image needs {size} bytes of flash, the bridge has {most}.",
            _OTHER_RELEASE,
        ),
        Code.IMAGE_DIFFERS: ("The file is not what its manifest says: {what}.", _PUBLISHER),
        Code.IMAGE_DAMAGED: ("The file is damaged: its {what} does not fit.", _PUBLISHER),
        Code.DEVICE_WOULD_REJECT_SIGNATURE: (
            "The bridge checks signatures and would refuse this image: it is signed by {signers}.",
            _NEEDS_CABLE,
        ),
        Code.DEVICE_WOULD_REJECT_DOWNGRADE: (
            "The bridge runs {found} and refuses older versions such as {version} over the air.",
            _NEEDS_CABLE,
        ),
        Code.NEEDS_STEPPING_STONE: (
            "{version} can only follow {least} or later, the bridge runs {found}.",
            "Install a release between them first.",
        ),
        Code.PROJECT_DIFFERS: (
            "The bridge runs {found}, the release is of {project}.",
            "If the bridge shall become something else, accept the change of project.",
        ),
        Code.DOWNGRADE: (
            "The bridge runs {found}, and {version} {relation} older.",
            "If you want to go back, accept the downgrade.",
        ),
        Code.STALE: (
            "Nobody has confirmed this release lately: what was revoked since is not known here.",
            "Connect this house to the internet, or install by hand and accept that.",
        ),
        Code.CHANNEL_PAUSED: (
            "Automatic updates are paused. {why}",
            "Wait until the publisher resumes them, or install by hand.",
        ),
        Code.NOT_YOUR_WAVE: (
            "The release reaches {share} % of all bridges so far, and not yet this one.",
            "Wait, or install by hand.",
        ),
        Code.NOTHING_NEW: (
            "The bridge runs {version} already.",
            "Nothing has to be done; to write it again, install by hand.",
        ),
        Code.UNSIGNED: (
            "This is an own build: nobody but this house signed it.",
            "If you made it or know who did, accept it.",
        ),
        Code.REASON_MISSING: (
            "A recovery goes into the journal with its reason, and there is none.",
            "Say why the bridge is recovered.",
        ),
    }
)


def finding(code: Code, ack: Ack | None = None, **said: object) -> Finding:
    """Return a finding with its sentence; `None` among the values is what nobody knows."""
    sentence, step = SENTENCES[code]
    return Finding(
        code, sentence.format(**{key: _clean(it) for key, it in said.items()}), step, ack
    )


def _clean(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, tuple):
        return ", ".join(_clean(it) for it in value)
    return label(str(value)) or "empty"
