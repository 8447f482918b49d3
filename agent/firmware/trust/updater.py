"""
python-tuf's client at a moment that the application chose.

Stock ngclient asks the clock. This house owns its time, see `floor`, and python-tuf has no
parameter for it (python-tuf#2359), so one private attribute is set here and nowhere else. If it
goes away, nothing is verified any more, and a test says so.

Source: signing.md 4.1 and 4.5.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import cast

from tuf.api.metadata import Root, Signed, Snapshot, Targets
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class TimedUpdater(Updater):
    """`tuf.ngclient.Updater` whose reference time is given."""

    def __init__(
        self, folder: Path, base: str, fetcher: FetcherInterface, root: bytes, moment: datetime
    ) -> None:
        """
        Load the trusted root.

        Args:
            folder: the local metadata; it is written to.
            base: what stands before `metadata/` and `targets/`; "" for a folder.
            fetcher: brings the bytes.
            root: the first root metadata that is trusted.
            moment: at which expiry is judged.

        Raises:
            RepositoryError: the root does not verify by itself.
            OSError: the folder cannot be written to.
        """
        super().__init__(str(folder), f"{base}metadata/", fetcher=fetcher, bootstrap=root)
        self.at(moment)

    def at(self, moment: datetime) -> None:
        """Judge expiry at this moment from now on."""
        if not hasattr(self._trusted_set, "reference_time"):
            raise RuntimeError(
                "This python-tuf has no reference time any more: expiry cannot be judged. "
                "Install a version that the agent was tested with."
            )
        self._trusted_set.reference_time = moment

    def role(self, name: str) -> Signed | None:
        """Return what has been verified of a role, `None` before it was loaded."""
        return cast("Signed | None", self._trusted_set.get(name))

    def target_roles(self) -> tuple[Targets, ...]:
        """Return targets and the delegated roles that have been verified."""
        # Against the rules for mappings it iterates over its values.
        return tuple(it for it in iter(self._trusted_set) if isinstance(it, Targets))

    @property
    def root(self) -> Root:
        """The newest root."""
        return self._trusted_set.root

    def bound_by_hash(self, role: str) -> bool:
        """
        Tell whether only the publisher can be the reason that a role does not verify.

        With its hash in the snapshot, or without any entry there, no mirror can have changed it.
        """
        snapshot = self.role(Snapshot.type)
        if not isinstance(snapshot, Snapshot):
            return False
        meta = snapshot.meta.get(f"{role}.json")
        return meta is None or bool(meta.hashes)
