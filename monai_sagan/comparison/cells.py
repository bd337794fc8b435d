"""What the cells of a comparison's table say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["difference_and_interval", "mean_and_spread"]


def mean_and_spread(found: Mapping[str, Any]) -> str:
    """The mean over the seeds, and how they differ where there are several.

    Args:
        found: as :func:`~monai_sagan.comparison.trials.spread` gives it.
    """
    spread = "" if found["spread"] is None else f" ± {found['spread']:.3f}"
    return f"{found['mean']:.3f}{spread}"


def difference_and_interval(found: Mapping[str, Any]) -> str:
    """A difference, and its interval where it has one.

    Args:
        found: a :class:`~monai_sagan.metrics.PairedDifference` as a dictionary.
    """
    interval = "" if found["low"] is None else f" ({found['low']:+.3f} to {found['high']:+.3f})"
    return f"{found['mean']:+.3f}{interval}"
