"""
Carriers, opened: each brings bytes by the same two calls, and none of them is trusted.

Source: signing.md 4.3 (names of published files) and 4.5 (carriers).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

from tuf.api.exceptions import DownloadHTTPError, RepositoryError
from tuf.api.metadata import TargetFile
from tuf.ngclient.fetcher import FetcherInterface

from agent.firmware.trust.fetchers import FolderFetcher, GuardedFetcher
from agent.firmware.trust.source import Carrier, Online


@dataclass(frozen=True, slots=True)
class Access:
    """An open carrier."""

    fetcher: FetcherInterface
    base: str = ""
    """What stands before `metadata/` and `targets/`."""
    plain_names: bool = False
    """Whether documents may also lie under their own name, as in the maintainers' folder."""

    def document(self, target: TargetFile) -> bytes:
        """
        Return a signed document, verified.

        Raises:
            RepositoryError: it is not what was signed.
            DownloadError: it did not come.
        """
        folder, _, name = target.path.rpartition("/")
        names = [f"{digest_of(target)}.{name}"] + [name] * self.plain_names
        for tried in names:
            try:
                url = f"{self.base}targets/{quote(f'{folder}/{tried}')}"
                data = self.fetcher.download_bytes(url, target.length)
            except DownloadHTTPError:
                if tried is names[-1]:
                    raise
                continue
            target.verify_length_and_hashes(data)
            break
        return data


@contextmanager
def opened(carrier: Carrier, budget_s: float) -> Iterator[Access]:
    """
    Open a carrier for one look.

    Raises:
        DownloadError: it cannot even be tried.
    """
    if isinstance(carrier, Online):
        fetcher = GuardedFetcher(carrier, budget_s)
        try:
            yield Access(fetcher, f"{carrier.url.rstrip('/')}/")
        finally:
            fetcher.close()
    else:
        yield Access(FolderFetcher(carrier.path), plain_names=True)


def digest_of(target: TargetFile) -> str:
    """
    Return the SHA-256 that was signed.

    Raises:
        RepositoryError: the publisher signed another digest only.
    """
    digest = target.hashes.get("sha256")
    if digest is None:
        raise RepositoryError(f"{target.path} was signed without a SHA-256")
    return digest
