"""
How many writes the inverter is spared: at most 260 in an hour of discharge.

Renewals are 232 of them, one each 15.5 s. Of the other 28, 16 are for what comes before its time:
steps back to the limit, stops, starts anew, commands that were lost; the rest is for starts that
people ask for. None of these can wait, but what follows them can: the renewals of a long lease that
the registers show come a few seconds later until the writes are even again, and once the 16 are
used, a discharge or a rest that was interrupted waits until it goes on. Who asks for a start does
not wait: a person is not told to come back in minutes, and starts that fail are the circuit
breaker's to stop.

Source: control.md, T9 (writes), held to 260 in an hour of discharge.
"""

from __future__ import annotations

from dataclasses import dataclass

_EARNED_S = 15.5
"""A dispatch that runs for so long earns one write: 232 in an hour."""
_PAUSED_S = 240.0
"""The same while none runs: else starts that fail would wait for a discharge for ever."""
_SPARE = 16.0
_START = 2.0
"""A start costs a stop as well."""
_UNHURRIED = 2.0
"""So many writes ahead are nothing to make good for."""


@dataclass(frozen=True, slots=True)
class WritePace:
    """How far the writes are ahead of what the time since then has earned."""

    ahead: float = 0.0
    """Writes, just after the newest one."""
    at_s: float = 0.0
    """Monotonic: when that was."""

    def written(self, now_s: float, *, ran: bool) -> WritePace:
        """Return the pace after one more write; `ran`: a dispatch of ours ran since the last."""
        return WritePace(self._ahead(now_s, _EARNED_S if ran else _PAUSED_S) + 1.0, now_s)

    def asked(self, now_s: float) -> WritePace:
        """Return the pace after somebody has asked for a start: half of what is spare is there."""
        return WritePace(min(self._ahead(now_s, _PAUSED_S), _SPARE / 2), now_s)

    @property
    def even_s(self) -> float:
        """Return until when a renewal should wait if it can, monotonic, while a dispatch runs."""
        return self.at_s + max(0.0, self.ahead - _UNHURRIED) * _EARNED_S

    def wait_s(self, now_s: float) -> float:
        """Return for how long a start has to wait, in seconds; 0 when it need not."""
        return max(0.0, self._ahead(now_s, _PAUSED_S) - (_SPARE - _START)) * _PAUSED_S

    def _ahead(self, now_s: float, earned_s: float) -> float:
        return max(0.0, self.ahead - max(0.0, now_s - self.at_s) / earned_s)
