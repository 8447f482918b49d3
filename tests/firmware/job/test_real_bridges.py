"""
Jobs on real ESPHome firmware: each way in which an update can end has its verdict and its story.

All of it runs at once on devices of its own, as long as the longest takes; the cases look at what
came of theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from agent.firmware.job.models import KIND, Blame, How, JobState, Request, Result, Stage
from agent.firmware.job.watch import Mark
from agent.firmware.ota.models import Secrets
from agent.fleet.identity import Mac
from tests.firmware.job.scene import Scene, becomes, release_of, scene
from tests.firmware.ota.between import Between, Trouble
from tests.fleet.houses import by_hand
from tests.peers.esphome import Device
from tests.peers.esphome_firmware import API_KEY, OTA_PASSWORD, TRIAL, firmware
from tests.peers.esphome_trial import Fate, TrialDevice, image

pytestmark = pytest.mark.peers("esphome")
KEY = Secrets(noise_psk=API_KEY)
PASSWORD = Secrets(password=OTA_PASSWORD)
OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXRlc3RzLTMyLWJ5dGU="
CUT_BYTES = 60_000


@dataclass
class Story:
    """One device, what was flashed to it, and what came of it."""

    fate: Fate = Fate.HEALTHY
    secrets: Secrets = KEY
    rollback: bool = True
    trouble: Trouble | None = None
    during: Callable[[Scene, Device], Awaitable[None]] | None = None
    """What else happens once the job is under way."""
    strict: bool = False
    """Its firmware takes encrypted uploads only."""
    device: Device | None = None
    job: JobState | None = None
    mended: JobState | None = None
    """The job that put a release onto it in safe mode."""
    lines: list[dict[str, object]] = field(default_factory=list)


async def power_cut(site: Scene, device: Device) -> None:
    """Take the power away in the middle of the upload, and give it back."""
    await bytes_on_their_way(site, device)
    await asyncio.to_thread(device.kill)
    device.switch_on()


async def renamed(site: Scene, device: Device) -> None:
    """Have the device come back under another name."""
    await bytes_on_their_way(site, device)
    device.name = "somebody-else"


async def bytes_on_their_way(site: Scene, device: Device) -> None:
    mac = Mac(device.mac)

    def under_way() -> bool:
        shown = site.jobs.view()
        return any(
            it.percent > 31 and shown.jobs.by_id[job].mac == mac
            for job, it in shown.progress.items()
        )

    await becomes(site.jobs, under_way)


STRANGER: dict[str, JobState] = {}
STORIES = {
    "good": Story,
    "good_by_password": lambda: Story(secrets=PASSWORD),
    "crash_after_boot": lambda: Story(Fate.CRASHES),
    "crash_in_setup": lambda: Story(Fate.NEVER_UP),
    "hang": lambda: Story(Fate.HANGS),
    "never_up_again": lambda: Story(Fate.NEVER_UP, rollback=False),
    "power_cut": lambda: Story(trouble=Trouble(up_bytes=10**9), during=power_cut),
    "wrong_password": lambda: Story(secrets=Secrets(password="wrong")),
    "wrong_key": lambda: Story(secrets=Secrets(noise_psk=OTHER_KEY)),
    "encryption_required": lambda: Story(secrets=PASSWORD, strict=True),
    "stalled": lambda: Story(trouble=Trouble(up_bytes=CUT_BYTES, stalls=True)),
    "cut_before_last_block": lambda: Story(trouble=Trouble(up_bytes=CUT_BYTES)),
    "cut_after_last_block": lambda: Story(secrets=PASSWORD, trouble=Trouble(down_bytes=0)),
    "renamed": lambda: Story(during=renamed),
    "boot_loop": lambda: Story(Fate.LOOPS, rollback=False),
}


@pytest.fixture(scope="module")
async def stories(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Story]]:
    if firmware(TRIAL) is None:
        pytest.skip("no ESPHome firmware: run script/setup")
    told = {name: make() for name, make in STORIES.items()}
    for number, (name, story) in enumerate(told.items()):
        where, mac = tmp_path_factory.mktemp(name), f"02005e20{number:04x}"
        called = name.replace("_", "-")
        if story.strict:
            story.device = Device("strict", where, name=called, mac=mac)
        else:
            story.device = TrialDevice(where, name=called, mac=mac, rollback=story.rollback)
    devices = [it.device for it in told.values() if it.device]
    try:
        await asyncio.gather(*(asyncio.to_thread(it.start) for it in devices))
        async with scene(tmp_path_factory.mktemp("jobs"), *devices) as site:
            await site.online(*(Mac(it.mac) for it in devices))
            await asyncio.gather(
                stranger(site, told["wrong_key"]),
                *(play(site, name, it) for name, it in told.items()),
            )
            assert site.moments.held == set()
            assert site.jobs.jobs.open == ()
            for line in await site.journal.events(kinds=[KIND], after_id=0, limit=10_000):
                for story in told.values():
                    if story.job and line.data["job"] == story.job.id:
                        story.lines.append(line.data)
        yield told
    finally:
        for device in devices:
            device.kill()


async def play(site: Scene, name: str, story: Story) -> None:
    """Flash one device and see it through."""
    device = story.device
    assert device is not None
    mac = Mac(device.mac)
    sent = image("1.1.0", story.fate)
    site.store.put(sent)
    site.secrets[mac] = story.secrets
    trouble = story.trouble
    if name == "cut_after_last_block":
        trouble = await lost_answer(site, sent)
    async with network(site, mac, device, trouble):
        asked = await site.jobs.start(Request(mac, release_of(sent, "1.1.0"), "Ada"))
        also = [story.during(site, device)] if story.during else []
        story.job, *_ = await asyncio.gather(site.verdict(asked), *also)
    if name == "boot_loop":
        story.mended = await mended(site, mac)


async def mended(site: Scene, mac: Mac) -> JobState:
    """Install another release on a bridge that was left in safe mode, as a person does."""
    worked = image("1.0.1")
    site.store.put(worked)
    asked = await site.jobs.start(Request(mac, release_of(worked, "1.0.1"), "Ada"))
    return await site.verdict(asked)


async def stranger(site: Scene, there: Story) -> None:
    """Ask for a bridge at whose address another one answers."""
    device = there.device
    assert device is not None
    mac = Mac("02005e20ffff")
    site.keeper.word(by_hand(device, mac=mac))
    await site.until(lambda: (it := site.record(mac)) and it.contact and it.contact.detail)
    sent = image("1.1.0")
    site.store.put(sent)
    asked = await site.jobs.start(Request(mac, release_of(sent, "1.1.0"), "Ada"))
    STRANGER["job"] = await site.verdict(asked)


async def lost_answer(site: Scene, sent: bytes) -> Trouble:
    """Return a network that loses everything after the acknowledgement of the last block."""
    from agent.firmware.ota.payload import Form, Payload  # noqa: PLC0415 - here only

    blocks = -(-len((await Payload(sent).form(Form.DEFLATE)).data) // 8192)
    return Trouble(down_bytes=2 + 2 + 65 + 3 + blocks)


@asynccontextmanager
async def network(
    site: Scene, mac: Mac, device: Device, trouble: Trouble | None
) -> AsyncIterator[None]:
    if trouble is None:
        yield
        return
    async with Between(device.ota_port, trouble) as between:
        site.ports[mac] = between.port
        yield


SAID = {
    "good": (Result.CONFIRMED, How.SENT, Blame.NONE),
    "good_by_password": (Result.CONFIRMED, How.SENT, Blame.NONE),
    "crash_after_boot": (Result.ROLLED_BACK, How.SENT, Blame.RELEASE),
    "crash_in_setup": (Result.ROLLED_BACK, How.SENT, Blame.RELEASE),
    "hang": (Result.ROLLED_BACK, How.SENT, Blame.RELEASE),
    "never_up_again": (Result.LOST, How.SENT, Blame.RELEASE),
    "power_cut": (Result.UNCHANGED, How.CUT, Blame.NETWORK),
    "wrong_password": (Result.UNCHANGED, How.REFUSED, Blame.HELD_BACK),
    "wrong_key": (Result.UNCHANGED, How.REFUSED, Blame.HELD_BACK),
    "encryption_required": (Result.UNCHANGED, How.REFUSED, Blame.HELD_BACK),
    "stalled": (Result.UNCHANGED, How.CUT, Blame.NETWORK),
    "cut_before_last_block": (Result.UNCHANGED, How.CUT, Blame.NETWORK),
    "cut_after_last_block": (Result.CONFIRMED, How.CUT_LATE, Blame.NONE),
    "renamed": (Result.CONFIRMED, How.SENT, Blame.NONE),
    "boot_loop": (Result.LOST, How.SENT, Blame.RELEASE),
}


@pytest.mark.parametrize("name", SAID)
async def test_real_firmware_gets_the_verdict_that_it_deserves(
    stories: dict[str, Story], name: str
) -> None:
    job = stories[name].job
    assert job is not None
    assert job.verdict is not None
    assert job.upload is not None
    told = (job.verdict.result, job.upload.how, job.verdict.blame)
    assert told == SAID[name], job
    assert job.verdict.evidence
    stages = [it["stage"] for it in stories[name].lines if it["line"] == "stage"]
    end = str(Stage.COMPLETE if job.verdict.result is Result.CONFIRMED else Stage.FAILED)
    assert stages == ["preflight", "download", "verify", "upload", "postcheck", end]


async def test_a_rollback_is_told_with_what_was_seen_of_both_builds(
    stories: dict[str, Story],
) -> None:
    for name in ("crash_after_boot", "crash_in_setup", "hang"):
        story = stories[name]
        assert isinstance(story.device, TrialDevice)
        assert "rolled back" in story.device.events, name
        assert story.job is not None
        assert {Mark.LEFT, Mark.OLD} <= story.job.marks, name
        seen = [it["mark"] for it in story.lines if it["line"] == "seen"]
        assert seen[-1] == "old_build_back" or "logged" in str(seen[-1]), name
    # The one that never came up cannot have been seen; on the other two the new build had 2 s.
    never = stories["crash_in_setup"].job
    assert never is not None
    assert Mark.NEW not in never.marks
    lived = [stories[name].job for name in ("crash_after_boot", "hang")]
    assert any(it and {Mark.NEW, Mark.NEW_LEFT} <= it.marks for it in lived)


async def test_confirmed_comes_after_the_firmware_itself_calls_its_boot_good(
    stories: dict[str, Story],
) -> None:
    for name in ("good", "cut_after_last_block", "renamed"):
        story = stories[name]
        assert isinstance(story.device, TrialDevice)
        assert story.job is not None
        assert "confirmed" in story.device.events, name
        assert Mark.GOOD_BOOT_LOGGED in story.job.marks, name


async def test_a_boot_loop_ends_in_safe_mode_and_one_job_brings_the_bridge_back(
    stories: dict[str, Story],
) -> None:
    story = stories["boot_loop"]
    assert isinstance(story.device, TrialDevice)
    assert story.job is not None
    assert story.job.verdict is not None
    assert Mark.SAFE_MODE in story.job.marks
    assert "safe mode" in story.job.verdict.text
    assert "Install a release that worked" in story.job.verdict.text
    log = story.device.log(100_000)
    assert log.count("Boot loop detected") == 1
    assert "rolled back" not in story.device.events
    mended = story.mended
    assert mended is not None
    assert mended.from_safe_mode
    assert mended.verdict is not None
    assert mended.verdict.result is Result.CONFIRMED, mended
    assert {Mark.LEFT, Mark.NEW, Mark.GOOD_BOOT_LOGGED} <= mended.marks
    assert story.device.events[-1] == "confirmed"


async def test_pv08_another_device_at_the_address_gets_nothing(stories: dict[str, Story]) -> None:
    """The job is for a bridge that is not there; the one that answers there is left alone."""
    job = STRANGER["job"]
    assert job.verdict is not None
    assert (job.failed_in, job.verdict.result) == (Stage.PREFLIGHT, Result.UNCHANGED)
    assert not job.upload_began
    assert job.verdict.blame is Blame.HELD_BACK
    assert "answers" in job.verdict.text
    at_the_address = stories["wrong_key"].device
    assert at_the_address is not None
    assert at_the_address.boots == 1


async def test_no_secret_is_in_any_line(stories: dict[str, Story]) -> None:
    for story in stories.values():
        told = str(story.lines)
        assert API_KEY not in told
        assert OTHER_KEY not in told
        assert "wrong'" not in told
