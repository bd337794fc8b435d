"""Intervals that hold for few images, and near 0 and 1, too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from monai_sagan.metrics.interval import Interval

__all__ = ["score_interval"]

# Of the way from the measured value to 0 or 1: where the search for an end begins. Not at the value itself, which at 0
# and 1, where nothing is left to chance, is found at once.
_NEAR = 1e-9


def score_interval(
    measured: float, variance: Callable[[float], float], confidence: float, *, freedom: float = np.inf
) -> Interval:
    """All true values in [0, 1] from which the measured one is no farther than chance takes it.

    How far that is depends on the true value, not on the measured one, so the interval stays within 0 and 1, and has a
    width also where 0 or 1 was measured. With a variance of ``true * (1 - true) / n`` it is Wilson's.

    Args:
        measured: in [0, 1].
        variance: of what is measured, if a value in [0, 1] is the true one.
        confidence: of the interval, in (0, 1).
        freedom: degrees of freedom of the variance, for Student's quantile.

    Raises:
        ValueError: if ``confidence`` is out of its range.

    Source: Wilson, Journal of the American Statistical Association 22, 1927, pp. 209-212.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    errors = student.ppf((1.0 + confidence) / 2.0, freedom)

    def excess(true: float) -> float:
        return float((measured - true) ** 2 - errors**2 * variance(true))

    def end(limit: float) -> float:
        if measured == limit or excess(limit) <= 0.0:
            return limit
        return float(brentq(excess, measured + _NEAR * (limit - measured), limit))

    return Interval(measured, end(0.0), end(1.0))
