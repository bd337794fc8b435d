"""How long a work that tells its progress will still take."""

from __future__ import annotations

import math

from .i18n import tr as _

__all__ = ["TimeLeft", "words_for_seconds"]

# Over how many seconds the pace is averaged: the first slices are slow, and other programs come and go.
_SMOOTHING_S = 10.0


class TimeLeft:
    """Guesses the time left from how fast the work went of late.

    Args:
        start: when the work began, in seconds of a clock that never goes back.
    """

    def __init__(self, start: float) -> None:
        self.fraction = 0.0
        self._pace: float | None = None  # of the whole work, a second
        self._when = start

    def update(self, when: float, fraction: float) -> None:
        """Takes note of progress.

        Args:
            when: in seconds of the same clock.
            fraction: of the work that is done, 0 to 1; one below what was told before is ignored.
        """
        step, seconds = min(fraction, 1.0) - self.fraction, when - self._when
        if not step > 0:
            return
        self.fraction += step
        if seconds <= 0:  # several at the same moment count for the next one
            return
        pace = step / seconds
        keep = math.exp(-seconds / _SMOOTHING_S)
        self._pace = pace if self._pace is None else keep * self._pace + (1 - keep) * pace
        self._when = when

    def seconds(self, now: float) -> float | None:
        """The time left in seconds, 0 or more; None as long as nobody can tell."""
        if self._pace is None:
            return None
        return max(0.0, (1 - self.fraction) / self._pace - (now - self._when))


def words_for_seconds(seconds: float) -> str:
    """A time for people to read, no more exact than a guess is."""
    if seconds < 1:
        return _("1 s")
    if seconds < 90:
        return _("{number} s").format(number=math.ceil(seconds))
    return _("{number} min").format(number=math.ceil(seconds / 60))
