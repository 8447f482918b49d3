"""
Carriers, opened: each brings bytes by the same two calls, and none of them is trusted.

Source: signing.md 4.3 (names of published files) and 4.5 (carriers).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import TargetFile
from tuf.ngclient.fetcher import FetcherInterface

from agent.firmware.trust.fetchers import FolderFetcher, GuardedFetcher
from agent.firmware.trust.source import Carrier, Online, TrustError


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


@dataclass(slots=True)
class Carriers:
    """The carriers of a source, each opened when it is needed first."""

    carriers: tuple[Carrier, ...]
    budget_s: float
    """Most time that one mirror may take for all that it is asked for."""
    open_until: ExitStack
    access: dict[Carrier, Access] = field(default_factory=dict)

    def document(self, target: TargetFile) -> bytes:
        """
        Return a signed document, verified, from the first carrier that has it.

        Raises:
            TrustError: none has.
        """
        failures = []
        for carrier in self.carriers:
            try:
                return self._opened(carrier).document(target)
            except (RepositoryError, DownloadError) as error:
                failures.append(f"{carrier.name}: {plain(error)}")
        raise TrustError(
            f"{target.path} could not be had. {'; '.join(failures) or 'There is nobody to ask'}."
        )

    def _opened(self, carrier: Carrier) -> Access:
        if carrier not in self.access:
            self.access[carrier] = self.open_until.enter_context(opened(carrier, self.budget_s))
        return self.access[carrier]


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


def plain(error: Exception) -> str:
    """Return an error for people; some of its words may be the other side's."""
    text = str(error).rstrip(".") or type(error).__name__
    return "".join(it if it.isprintable() else "?" for it in text)[:300]
