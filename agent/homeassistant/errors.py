"""
What can go wrong when speaking to Home Assistant, one class per decision a caller can make.

A command that was refused may be tried another way at once. One that was not confirmed may still
run, now or later, and has to be counted as running until something else proves that it does not.
"""

from __future__ import annotations


class CoreError(Exception):
    """Home Assistant Core did not do what was asked; the message says what to do next."""


class NotConnectedError(CoreError):
    """Nothing was sent: there is no link to Core. Wait for it, or look at the link's detail."""


class CallRefusedError(CoreError):
    """Core answered with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        """Core's own word: `not_found`, `invalid_format`, `unauthorized`, ..."""
        self.message = message


class CallUnconfirmedError(CoreError):
    """It was sent and never answered, because the link broke: it may have run."""


class CallTimeoutError(CallUnconfirmedError):
    """It was sent and not answered in time: it may have run, or may still run later."""
