"""The one private thing of python-tuf that we use does what we think, or a test says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from agent.firmware.trust.fetchers import FolderFetcher
from agent.firmware.trust.updater import TimedUpdater
from tests.firmware.repo import Repo, day


def updater(repo: Repo, tmp_path: Path, on: float) -> TimedUpdater:
    fetcher = FolderFetcher(repo.save(tmp_path / "repository"))
    (tmp_path / "metadata").mkdir()
    return TimedUpdater(
        tmp_path / "metadata", "", fetcher, repo.files["metadata/1.root.json"], day(on)
    )


@pytest.mark.parametrize(("on", "held"), [(20.9, True), (21, False), (-9000, True)])
def test_expiry_is_judged_at_the_moment_that_is_given_and_not_by_the_clock(
    repo: Repo, tmp_path: Path, on: float, held: bool
) -> None:
    client = updater(repo, tmp_path, on)
    if held:
        client.refresh()
    else:
        with pytest.raises(ExpiredMetadataError, match=r"timestamp\.json is expired"):
            client.refresh()


def test_a_role_looked_up_later_is_judged_at_the_moment_of_then(repo: Repo, tmp_path: Path) -> None:
    client = updater(repo, tmp_path, 1)
    client.refresh()
    client.at(day(200))
    with pytest.raises(ExpiredMetadataError, match="New beta is expired"):
        client.get_targetinfo("beta/channel.json")
    client.at(day(100))
    assert client.get_targetinfo("beta/channel.json")


def test_python_tuf_still_keeps_its_reference_time_where_we_set_it(repo: Repo) -> None:
    trusted = TrustedMetadataSet(repo.files["metadata/1.root.json"], EnvelopeType.METADATA)
    assert "reference_time" in vars(trusted), (
        "python-tuf has moved its reference time: agent/firmware/trust/updater.py has to follow"
    )


def test_without_it_nothing_is_verified(repo: Repo, tmp_path: Path) -> None:
    client = updater(repo, tmp_path, 1)
    del client._trusted_set.reference_time
    with pytest.raises(RuntimeError, match="has no reference time any more"):
        client.at(day(1))
