"""A real mosquitto on a port of its own, with passwords, that a test may stop and start again."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
from pathlib import Path

from tests.peers.install import program
from tests.peers.process import LOOPBACK, PeerProcess, accepts, end, free_port, wait_ready


def version() -> str | None:
    """Return the version of this machine's mosquitto, or None without one."""
    mosquitto = program("mosquitto")
    if mosquitto is None:
        return None
    shown = subprocess.run(  # noqa: S603
        [mosquitto, "-h"], capture_output=True, text=True, check=False
    )
    found = re.search(r"mosquitto version (\S+)", shown.stdout + shown.stderr)
    return found[1] if found else "unknown"


class Broker(PeerProcess):
    """
    One broker on loopback; nobody enters without a password.

    Retained messages are gone after a restart unless `persistent`, as with a broker whose disk
    was replaced: publishers have to say everything again.
    """

    host = LOOPBACK

    def __init__(self, directory: Path, *, persistent: bool = False) -> None:
        self.directory = directory
        self.port = free_port()
        self.username = "agent"
        self.password = secrets.token_urlsafe(12)
        self.core_username = "core"
        self.core_password = secrets.token_urlsafe(12)
        self._persistent = persistent

    def start(self) -> None:
        """Start, or start again on the same port, and return when it accepts connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / "mosquitto.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603
                [program("mosquitto") or "mosquitto", "-c", self._configure()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_ready(self._process, lambda: accepts(self.port), 10, log)

    def stop(self) -> None:
        """End it as a system shutdown would."""
        end(self._process, signal.SIGTERM, 10)
        self._process = None

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def _configure(self) -> Path:
        passwords = self.directory / "passwords"
        if not passwords.exists():
            passwords.touch(mode=0o600)
            people = {self.username: self.password, self.core_username: self.core_password}
            add = [program("mosquitto_passwd") or "mosquitto_passwd", "-b", str(passwords)]
            for name, password in people.items():
                subprocess.run([*add, name, password], check=True, capture_output=True)  # noqa: S603
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"persistence {str(self._persistent).lower()}",
            f"persistence_location {self.directory}/",
            "log_dest stderr",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it changes to a user that may not read our directory
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return configuration
