"""Comparing two methods that were run side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t as student

__all__ = ["PairedDifference", "paired_difference"]


@dataclass(frozen=True)
class PairedDifference:
    """How much one method is above another.

    Args:
        mean: of the differences.
        low: lower end of the confidence interval; None where it cannot be given.
        high: upper end.
        p_value: of the two-sided test that there is no difference; None where it cannot be given.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None


def paired_difference(
    values: Sequence[float],
    reference: Sequence[float],
    test_to_train: float = 0.0,
    confidence: float = 0.95,
) -> PairedDifference:
    """Compares two methods by what they reached in the same repetitions.

    Where the repetitions divide the same data anew, they share most of what they were trained on, and are not
    independent: a plain paired t-test would find differences that are none. The corrected one adds the ratio of the
    test's size to the training's to the variance (Nadeau and Bengio, Machine Learning 52, 2003, section 3).

    Args:
        values: of a method, one a repetition.
        reference: of the other method, in the same repetitions.
        test_to_train: number of test images a training image, where every repetition divides the same images anew; 0
            for the plain paired t-test.
        confidence: of the interval.

    Returns:
        The difference. Without an interval and a p-value for a single repetition, and where all differences are the
        same, which says nothing of their spread.

    Raises:
        ValueError: if there is no repetition, or there are not as many of both.
    """
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    if not differences:
        raise ValueError("There is no repetition to compare.")
    mean, count = fmean(differences), len(differences)
    spread = stdev(differences) if count > 1 else 0.0
    if math.isclose(spread, 0.0, abs_tol=1e-12):
        return PairedDifference(mean, None, None, None)
    error = spread * math.sqrt(1 / count + test_to_train)
    margin = float(student.ppf((1 + confidence) / 2, count - 1)) * error
    return PairedDifference(mean, mean - margin, mean + margin, float(2 * student.sf(abs(mean) / error, count - 1)))
