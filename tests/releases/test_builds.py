"""A build of one's own is shown, accepted by a person, and listed; nothing else accepts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.releases import builds
from agent.releases.views import NOBODY_SIGNED
from tests.firmware.esp_images import application
from tests.releases.scene import scene

HOSTILE = "<b>Ann</b>"


async def test_what_was_shown_is_accepted_by_a_person_and_listed_with_his_name(
    tmp_path: Path,
) -> None:
    file = application("esp32", "acme.bridge", "1.4.0")
    async with scene(tmp_path) as it:
        desk = it.rooms.desk
        shown = await desk.show_build(file, "Ann")
        told = [shown[name] for name in ("chip", "project", "version", "whole", "size")]
        assert told == ["esp32", "acme.bridge", "1.4.0", True, len(file)]
        assert shown["sentence"] == NOBODY_SIGNED
        assert shown["built"]
        assert not (tmp_path / "local_repo").exists()  # showing signs nothing
        with pytest.raises(ValueError, match="not the one that was shown last"):
            await desk.accept_build("ab" * 32, "Ann")
        said = await desk.accept_build(shown["sha256"], HOSTILE)
        assert said == "acme.bridge 1.4.0 for esp32 is an own build of this house now."
        (line,) = desk.shown()["builds"]
        assert (line["sha256"], line["version"]) == (shown["sha256"], "1.4.0")
        assert f"accepted by {HOSTILE}" in line["notes"]
        assert "Nobody signed it but this house." in line["notes"]
        kinds = {each["name"]: each["kind"] for each in desk.shown()["sources"]}
        assert kinds == {"official": "official", "local": "own"}
        # The bridge runs the very project, and is still offered what its publisher signed.
        assert (it.offer().source, it.offer().latest) == ("official", "1.0.0")
        with pytest.raises(ValueError, match="Upload it again"):
            await desk.accept_build(shown["sha256"], "Ann")


async def test_a_file_that_is_none_or_damaged_is_refused_before_or_when_it_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = application("esp32", "acme.bridge", "1.4.0")
    async with scene(tmp_path) as it:
        desk = it.rooms.desk
        with pytest.raises(ValueError, match=r"."):
            await desk.show_build(b"MZ" + bytes(5000), "Ann")
        damaged = await desk.show_build(file[:-1] + bytes([file[-1] ^ 1]), "Ann")
        assert damaged["whole"] is False
        with pytest.raises(ValueError, match="does not fit its own checksum"):
            await desk.accept_build(damaged["sha256"], "Ann")
        assert desk.shown()["builds"] == []
        monkeypatch.setattr(builds, "WAITS_S", -1.0)
        with pytest.raises(ValueError, match="too long ago"):
            await desk.accept_build(damaged["sha256"], "Ann")
