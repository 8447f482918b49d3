"""
Whether a bridge in safe mode may be given a release over the air.

Safe mode is logger, network and uploads: there is no API, so the bridge can say neither who it is
nor how it is, and every gate that asks it fails. Something else has to stand for that, all of it:
a person asks; our own journal says that our upload left it there, and it has not answered since;
the place is one at which this very MAC has answered; and a secret that no other bridge has opens
it. That secret is the proof: the upload begins with it, and without it no byte of an image leaves.
Another bridge that got the address meanwhile has another key or password and refuses.

What does not need the API is asked as ever: the policy, the port, the image, the guard, the lock.
Nothing here is ever done by a campaign or unattended.

Pure functions.

Source: esphome.md 5 (key and password) and 7 (safe mode); ESPHome 2026.10 `components/safe_mode`
and `ota_esphome.cpp`, which keeps the key in safe mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from agent.firmware.job.models import MAYBE_TAKEN, BuildId, JobState, Request, Result
from agent.firmware.job.replay import Jobs
from agent.firmware.job.watch import Mark
from agent.firmware.ota.models import Secrets
from agent.fleet.contact import ContactState
from agent.fleet.gate_models import Evidence, GateId, Verdict
from agent.fleet.identity import Mac
from agent.fleet.record import BridgeRecord
from agent.fleet.sighting import Source

NEEDS_A_PERSON = "safe-mode-person"
"""It lies in safe mode, and nobody who stands by has asked for the upload."""
PERSON = "person"
"""`agent.firmware.policy.models.Asker`."""
OVER_THE_API = frozenset(
    {
        GateId.REACHABLE,
        GateId.HEALTH,
        GateId.MODBUS,
        GateId.STABLE,
        GateId.FIRMWARE_KNOWN,
        GateId.SIGNAL,
        GateId.HEAP,
    }
)
"""Gates whose evidence comes over the API alone; in safe mode nobody can pass them."""


class Proof(StrEnum):
    """What proves at the upload that it is this bridge."""

    KEY = "key"
    """Its API key; both sides have to know it."""
    PASSWORD = "password"  # noqa: S105 - a kind of proof
    """Its upload password; the bridge has to ask for it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a bridge in safe mode beside what its gates look at."""

    left: JobState | None = None
    """The job that left it there; see `left_there`."""
    proof: Proof | None = None
    """The secret that is its own; see `proof_of`."""
    addresses: tuple[str, ...] = ()
    """Where this MAC has answered; see `own_addresses`."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One thing that speaks against it."""

    code: str
    text: str
    """A sentence, and what to do."""


def in_safe_mode(record: BridgeRecord) -> bool:
    """Return whether a bridge takes uploads and nothing else now."""
    return record.contact is not None and record.contact.state is ContactState.SAFE_MODE


def by_person(request: Request) -> bool:
    """Return whether a person asks for this very bridge."""
    return request.asker == PERSON and not request.campaign


def known_of(
    record: BridgeRecord,
    others: Iterable[BridgeRecord],
    jobs: Jobs,
    secrets: Mapping[Mac, Secrets],
) -> Known:
    """
    Return what stands for the API of a bridge in safe mode.

    Args:
        record: the bridge.
        others: all bridges; it may be among them.
        jobs: what the journal says.
        secrets: those of every bridge that has any.
    """
    mac = record.mac
    return Known(left_there(jobs, mac), proof_of(mac, secrets), own_addresses(record, others))


def left_there(jobs: Jobs, mac: Mac) -> JobState | None:
    """
    Return the job whose image left the bridge in safe mode, `None` if the journal knows of none.

    It is the last one that sent anything. Tries from safe mode that changed nothing since are
    passed over; any other job in between means that the bridge has lived on.
    """
    for job in reversed(tuple(jobs.by_id.values())):
        if job.mac != mac or not job.upload_began:
            continue
        if job.verdict is None or Mark.SAFE_MODE not in job.marks:
            return None
        if job.verdict.result is Result.LOST:
            return job
        if not (job.from_safe_mode and job.verdict.result is Result.UNCHANGED):
            return None
    return None


def proof_of(mac: Mac, secrets: Mapping[Mac, Secrets]) -> Proof | None:
    """
    Return which secret proves that it is this bridge, `None` if none does.

    Args:
        mac: the bridge.
        secrets: those of every bridge that is known; what two of them share proves nothing.
    """
    own = secrets.get(mac, Secrets())
    others = [it for each, it in secrets.items() if each != mac]
    if own.noise_psk:
        # With a key the upload is encrypted or does not happen: the password is never asked for.
        shared = any(it.noise_psk == own.noise_psk for it in others)
        return None if shared else Proof.KEY
    if own.password and all(it.password != own.password for it in others):
        return Proof.PASSWORD
    return None


def own_addresses(record: BridgeRecord, others: Iterable[BridgeRecord]) -> tuple[str, ...]:
    """
    Return where this MAC has answered us itself, without what is another bridge's by now.

    Args:
        record: the bridge.
        others: all bridges; it may be among them.
    """
    words = (record.sightings.get(it) for it in (Source.CONNECTION, Source.MEMORY))
    word = next((it for it in words if it is not None and it.addresses), None)
    if word is None:
        return ()
    taken = {
        address
        for other in others
        if other.mac != record.mac
        and Source.CONNECTION in other.live
        and (theirs := other.sightings.get(Source.CONNECTION))
        and theirs.api_port == word.api_port
        for address in theirs.addresses
    }
    return tuple(it for it in word.addresses if it not in taken)


def may_send(jobs: Jobs, mac: Mac) -> bool:
    """
    Return whether the job under way was let through as one for a bridge in safe mode.

    One that has gone there since its gates were asked was asked about another bridge, so to say.
    """
    job = jobs.lock(mac)
    return job is not None and job.from_safe_mode and by_person(job.request)


def proving(secrets: Secrets) -> Secrets:
    """Return the secrets so that they prove who answers: nothing weaker, and never none."""
    return replace(secrets, allow_md5=False, allow_plaintext=False, proves=True)


def objections(request: Request, evidence: Evidence, known: Known) -> tuple[Objection, ...]:
    """Return what speaks against flashing a bridge in safe mode; empty if it may be."""
    return tuple(_objections(request, evidence, known))


def _objections(request: Request, evidence: Evidence, known: Known) -> Iterator[Objection]:
    cable = "Flash it by cable."
    if not by_person(request):
        text = "It is in safe mode; only a person may flash it there. Install a release on it."
        yield Objection(NEEDS_A_PERSON, text)
    left = known.left
    if left is None:
        text = "It is in safe mode, and not because of an upload of ours: what is on it is unknown."
        yield Objection("safe-mode-not-ours", f"{text} Restart it by its power, or {cable.lower()}")
    elif _answered_since(evidence, left):
        text = "It is in safe mode, but it has run since our last upload to it."
        yield Objection("safe-mode-not-ours", f"{text} Restart it by its power, or {cable.lower()}")
    elif left.request.release.digest == request.release.digest:
        text = "This very image left it in safe mode. Choose another release."
        yield Objection("safe-mode-same-image", text)
    if known.proof is None:
        text = "In safe mode it cannot say who it is, and it has no key or password of its own"
        yield Objection("safe-mode-no-proof", f"{text} that would prove it. {cable}")
    if not known.addresses:
        text = "In safe mode it cannot say who it is, and no address is known at which it answered."
        yield Objection("safe-mode-no-address", f"{text} {cable}")


def without_api(verdict: Verdict) -> Verdict:
    """Return the gates that a bridge in safe mode can be held to."""
    gates = tuple(it for it in verdict.gates if it.gate not in OVER_THE_API)
    return replace(verdict, gates=gates)


def runs(left: JobState) -> BuildId | None:
    """Return what a bridge that was left in safe mode has on it; its build time nobody knows."""
    if left.upload is not None and left.upload.how not in MAYBE_TAKEN:
        return left.before
    release = left.request.release
    return BuildId(release.project, release.version)


def _answered_since(evidence: Evidence, left: JobState) -> bool:
    own = evidence.record.sightings.get(Source.CONNECTION)
    if own is None or left.ended_at is None:
        return False
    return evidence.at - timedelta(seconds=evidence.at_s - own.at_s) > left.ended_at
