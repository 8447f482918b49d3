"""
Makes `firmware_manifests/` as it is committed, with the functions of `manifests` themselves.

    python -m tests.firmware.development_root

Dates and keys are fixed, so it comes out byte for byte the same; a test compares the two. Once the
real ceremony has been held (docs/manifests.md) this makes the tree of the tests only.
"""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.firmware.signing.beginning import stage_first
from agent.firmware.signing.folder import Folder, write_whole
from agent.firmware.signing.keys import PUBLIC_SUFFIX, public_text
from agent.firmware.signing.models import DEVELOPMENT, Plan, RolePlan
from agent.firmware.signing.publish import OnlineKeys, publish
from agent.firmware.signing.releases import Addition, add, promote
from agent.firmware.signing.roles import signable
from agent.firmware.signing.signatures import sign
from tests.firmware.development_keys import signer
from tests.firmware.esp_images import ESPHOME, slot_size
from tests.firmware.shipped import PROJECT, VERSIONS, releases

COMMITTED = Path(__file__).parents[2] / "firmware_manifests"
MADE = ("metadata", "targets", "keys", "roles.toml")
"""What is made here; the rest of the folder is written by people."""
PURPOSE = f"{DEVELOPMENT} - its keys are public, anybody can sign with them"
DAYS = 3650
RENEW_DAYS = 365
BOARDS = ("esp32dev", "esp32-c3-devkitm-1")
NOTES = {
    "1.0.0": "First release of the bridge.",
    "1.1.0": "Reads the dispatch block back after each command.",
}
FILES_AT = "https://firmware.example.org/alphaess-bridge"
_PEOPLE = 3
_SIGNERS = {"root": 2, "targets": 2, "stable": 2, "beta": 1, "halt": 1}


def plan() -> Plan:
    """Return the plan of the development root: the roles of the real one, ten years long."""
    people = {name: tuple(f"{'root' if name == 'targets' else name}-{n}"
                          for n in range(1, _PEOPLE + 1)) for name in _SIGNERS}  # fmt: skip
    roles = {name: RolePlan(name, people[name], _SIGNERS[name], DAYS, RENEW_DAYS)
             for name in _SIGNERS}  # fmt: skip
    for name in ("snapshot", "timestamp"):
        roles[name] = RolePlan(name, (name,), 1, DAYS, RENEW_DAYS)
    return Plan(roles, PURPOSE)


def online() -> OnlineKeys:
    """Return the two keys of the robot."""
    return OnlineKeys(signer("snapshot"), signer("timestamp"))


def begin(path: Path, wanted: Plan | None = None) -> Folder:
    """Write plan and public keys into a new folder."""
    folder = Folder(path)
    made = wanted or plan()
    folder.put_plan(made)
    for name in sorted({key for role in made.roles.values() for key in role.keys}):
        text = public_text(signer(name).public_key)
        write_whole(path / "keys" / f"{name}{PUBLIC_SUFFIX}", text.encode())
    return folder


def sign_all(folder: Folder) -> None:
    """Let as many sign everything that is staged as have to."""
    for role in signable(folder):
        wanted = folder.plan.roles[role]
        for name in wanted.keys[: wanted.threshold]:
            sign(folder, role, signer(name))


def draft(version: str) -> dict[str, object]:
    """Return what people write of a release."""
    return {
        "project": PROJECT,
        "version": version,
        "rollback_index": 1,
        "boards": list(BOARDS),
        "esphome": ESPHOME,
        "released": f"{VERSIONS[version]:%Y-%m-%dT%H:%M:%SZ}",
        "notes": NOTES[version],
        "health": {"confirm_after_s": 60},
    }


def write_release(version: str, place: Path) -> Addition:
    """Write draft and images of a release and return how they are added to beta."""
    paths = []
    for image in releases():
        if image.version == version:
            paths.append(place / image.file)
            paths[-1].write_bytes(image.data)
    written = place / f"{version}.json"
    written.write_text(json.dumps(draft(version)))
    at = f"{FILES_AT}/{version}"
    return Addition("beta", written, tuple(paths), slot_size=slot_size(), files_at=at)


def build(
    path: Path, versions: tuple[str, ...] = tuple(VERSIONS), wanted: Plan | None = None
) -> Folder:
    """Hold the ceremony and publish every release: in beta first, a day later in stable."""
    folder = begin(path, wanted)
    stage_first(folder, VERSIONS[versions[0]])
    with TemporaryDirectory(prefix="pv-edge-images-") as place:
        for version in versions:
            at = VERSIONS[version]
            add(folder, write_release(version, Path(place)), at)
            sign_all(folder)
            publish(folder, online(), at)
            later = at + timedelta(days=1)
            promote(folder, ("beta", "stable"), PROJECT, version, (), later)
            sign_all(folder)
            publish(folder, online(), later)
    return folder


def made(path: Path) -> dict[str, bytes]:
    """Return every file that is made here, by its path."""
    files = [path / "roles.toml", *(it for name in MADE for it in (path / name).rglob("*"))]
    return {it.relative_to(path).as_posix(): it.read_bytes() for it in files if it.is_file()}


def main() -> None:
    """Put what is made in the place of what is committed."""
    with TemporaryDirectory(prefix="pv-edge-root-") as place:
        folder = build(Path(place, "made"))
        for name in MADE[:-1]:
            shutil.rmtree(COMMITTED / name, ignore_errors=True)
        for name, data in made(folder.path).items():
            write_whole(COMMITTED / name, data)


if __name__ == "__main__":
    main()
