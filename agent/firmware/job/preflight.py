"""
The look at a bridge before an image goes to it: its gates, and the policy, for this very digest.

Both are asked anew each time, of what is so at that moment: a verdict of another bridge, another
image or an earlier minute is never used. What either of them says no to is a refusal with its
words; what a person had to accept is the policy's affair.

Source: pvautonomy.md, defects D-03 and D-04 and 8 item 4; signing.md 4.5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.firmware.job import recovery
from agent.firmware.job.models import Check, Request
from agent.firmware.job.observer import build_of
from agent.firmware.manifest.models import Release, ReleaseImage
from agent.firmware.policy.models import Ack, Decision
from agent.fleet import gate_models
from agent.fleet.gate_models import Evidence, Rules
from agent.fleet.gates import flash_refusal, judge


@dataclass(frozen=True, slots=True)
class Looked:
    """What was gathered for one look."""

    evidence: Evidence
    release: Release
    image: ReleaseImage
    decision: Decision
    """The policy's, with the image's own facts where the file is there."""
    rules: Rules
    now_s: float
    """On our monotonic clock."""
    known: recovery.Known = field(default_factory=recovery.Known)
    """What stands for the API while the bridge is in safe mode."""


class Preflight:
    """`Checks`: gathers, and lets gates and policy speak."""

    def __init__(self, gather: Callable[[Request], Awaitable[Looked | str]]) -> None:
        """
        Prepare.

        Args:
            gather: returns what there is to look at now, or a sentence if there is nothing, such
                as a bridge that was removed or a release that is not trusted any more.
        """
        self._gather = gather

    async def check(self, request: Request) -> Check:
        """Return what speaks against it at this moment, and what the bridge runs."""
        looked = await self._gather(request)
        if isinstance(looked, str):
            return Check(0.0, (looked,), code="nothing-to-check")
        return checked(request, looked)


def checked(request: Request, looked: Looked) -> Check:
    """Return the word of gates and policy on one bridge and one digest."""
    mac, digest = request.mac, request.release.digest
    evidence = looked.evidence
    if looked.image.sha256 != digest:
        text = "The release has another image now than the one that was asked for. Ask again."
        return Check(looked.now_s, (text,), code="image-changed")
    release = as_gates_see_it(request, looked)
    image = gate_models.Image(looked.image.sha256, looked.image.size)
    verdict = judge(evidence, release, image, looked.rules)
    before = build_of(evidence.record) if evidence.record.mac == mac else None
    said: list[tuple[str, str]] = []
    safe_mode = recovery.in_safe_mode(evidence.record)
    if safe_mode and recovery.by_person(request):
        said += [(it.code, it.text) for it in recovery.objections(request, evidence, looked.known)]
        verdict = recovery.without_api(verdict)
        before = recovery.runs(looked.known.left) if looked.known.left else None
    if refused := flash_refusal(verdict, mac, digest, looked.now_s, looked.rules):
        said.append((str(refused.reason), refused.text))
    findings = looked.decision.refusals
    said += [(str(it.code), f"{it.text} {it.next_step}".strip()) for it in findings]
    texts = tuple(text for _, text in said)
    return Check(looked.now_s, texts, before, said[0][0] if said else "", safe_mode)


def as_gates_see_it(request: Request, looked: Looked) -> gate_models.Release:
    """
    Return the release in the words of the gates.

    Many releases leave the boards open; which board it has to be exactly is the policy's.
    """
    told, release, image = looked.evidence.record.told, looked.release, looked.image
    boards = frozenset(release.boards) or frozenset({told.board} if told.board else ())
    projects = {release.project}
    if Ack.PROJECT_CHANGE in request.acks and told.project_name:
        projects.add(told.project_name)  # whether it may is the policy's
    return gate_models.Release(
        digest=image.sha256,
        size_bytes=image.size,
        verified=True,  # nothing else comes out of the trusted metadata
        projects=frozenset(projects),
        chip=image.chip,
        boards=boards,
        revisions=frozenset(release.hw),
    )
