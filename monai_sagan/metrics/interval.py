"""A measured value with its uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """A measured value and its confidence interval.

    Args:
        value: what was measured on all images.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Returns `value`, `low` and `high`, ready for JSON."""
        return asdict(self)
