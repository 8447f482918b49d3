"""Images come from where they are, and are what their digest says or are not used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.firmware.image.models import ImageFacts
from agent.firmware.image.store import BlobStore, StoreError
from agent.firmware.job.models import ReleaseRef, Request
from agent.firmware.policy.models import Code, Decision, Finding
from agent.firmware.trust.source import Online
from agent.flashing.images import BLOBS, StoredImages
from agent.fleet.identity import Mac
from tests.firmware.https import HttpsServer
from tests.firmware.shipped import PROJECT, shipped

IMAGE = shipped("1.1.0", "esp32", "ota").data
DIGEST = hashlib.sha256(IMAGE).hexdigest()
REF = ReleaseRef(PROJECT, "1.1.0", 1, DIGEST, len(IMAGE), "esp32", "official", "stable")
REQUEST = Request(Mac("02005e300001"), REF, "Ada")
REVOKED = Finding(Code.IMAGE_REVOKED, "The publisher has revoked it.", "Choose another one.")


class Place:
    """Where images can be, and what the policy says of them."""

    def __init__(self, folder: Path) -> None:
        self.store = BlobStore(folder / "blobs")
        self.bundle = folder / "bundle"
        self.mirrors: tuple[Online, ...] = ()
        self.decision: Decision | str = Decision(())
        self.read: list[ImageFacts] = []
        self.images = StoredImages(
            self.store, self.bundle, lambda _: self.mirrors, self.judge, frozenset
        )

    async def judge(self, _request: Request, facts: ImageFacts) -> Decision | str:
        self.read.append(facts)
        return self.decision

    async def fetched(self) -> tuple[bool, str]:
        word = await self.images.fetch(REF, lambda _done, _all: None)
        assert word.well or word.network
        return word.well, word.text

    def bring(self, data: bytes) -> None:
        """Put a file where the app would have its image."""
        path = self.bundle / BLOBS / DIGEST[:2] / DIGEST
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_an_image_of_the_app_needs_no_network_and_an_exchanged_one_is_not_taken(
    place: Place,
) -> None:
    place.bring(IMAGE[:-1] + b"!")
    well, text = await place.fetched()
    assert (well, "no mirror is known" in text) == (False, True)
    place.bundle.rename(place.bundle.with_name("other"))
    place.bring(IMAGE)
    assert await place.fetched() == (True, "")
    place.bundle.rename(place.bundle.with_name("gone"))
    assert await place.fetched() == (True, "")  # out of the store from now on
    assert len(await place.images.payload(REF)) == len(IMAGE)
    assert await place.images.contains(REF, PROJECT) is True
    assert await place.images.contains(REF, "another build") is False


async def test_a_mirror_has_it_by_its_digest_or_under_its_name(place: Place) -> None:
    with HttpsServer() as server:
        place.mirrors = (Online(server.url(""), cafile=str(server.ca_file)),)
        server.files = {"/bridge-1.1.0.ota.bin": IMAGE}
        place.images.names[DIGEST] = "bridge-1.1.0.ota.bin"
        assert await place.fetched() == (True, "")
        place.store.path(DIGEST).unlink()
        server.files = {f"/{BLOBS}/{DIGEST[:2]}/{DIGEST}": b"another file"}
        well, text = await place.fetched()
        assert not well
        assert "another length than was signed" in text


async def test_the_file_itself_is_asked_about_and_what_the_policy_refuses_is_the_releases_fault(
    place: Place,
) -> None:
    missing = await place.images.verify(REQUEST)
    assert (missing.well, missing.network) == (False, True)
    with pytest.raises(StoreError):
        await place.images.payload(REF)
    place.store.add(IMAGE)
    assert (await place.images.verify(REQUEST)).well
    assert place.read[0].sha256 == DIGEST
    place.decision = Decision((REVOKED,))
    refused = await place.images.verify(REQUEST)
    assert (refused.well, refused.network, refused.code) == (False, False, "image-revoked")
    assert refused.text == "The publisher has revoked it. Choose another one."
