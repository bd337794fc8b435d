"""Conformal p-values and thresholds: what a new score is among those of healthy images, in finite numbers.

All of it holds whatever the distribution of the scores, as long as a new healthy image and the healthy images that were
set aside could have changed places (they are exchangeable), and none of them was trained on.

Source: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005, chapter 2; for what a threshold
guarantees given the images at hand, Vovk, "Conditional validity of inductive conformal predictors", ACML 2012.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

__all__ = [
    "FalsePositiveRate",
    "conformal_p_value",
    "conformal_threshold",
    "false_positive_rate",
    "fewest_healthy",
    "smallest_p_value",
]


def conformal_p_value(score: float, healthy_scores: Sequence[float]) -> float:
    """The share of healthy images that score as high as an image does, the image itself counted.

    Args:
        score: of the image.
        healthy_scores: of healthy images that were not trained on.

    Returns:
        In [1 / (n + 1), 1]. For a new healthy image the chance that it is at most p is at most p, for every p.

    Raises:
        ValueError: if there is no healthy image, or a score is not finite.
    """
    healthy = _checked(healthy_scores)
    if not math.isfinite(score):
        raise ValueError(f"The score must be a finite number, not {score}.")
    return float((1 + np.count_nonzero(healthy >= score)) / (1 + len(healthy)))


def smallest_p_value(num_healthy: int) -> float:
    """The smallest p-value that so many healthy images can give: 1 / (n + 1)."""
    return 1 / (num_healthy + 1)


def conformal_threshold(healthy_scores: Sequence[float], rate: float) -> float | None:
    """The score above which an image counts as anomalous.

    Args:
        healthy_scores: of healthy images that were not trained on.
        rate: the false positive rate wanted, in (0, 1).

    Returns:
        The lowest one of the healthy scores above which a new healthy image lies with a chance of at most ``rate``;
        None where there are too few healthy images for one: fewer than 1 / rate - 1.

    Raises:
        ValueError: if there is no healthy image, a score is not finite, or the rate is out of its range.
    """
    healthy = np.sort(_checked(healthy_scores))
    rank = _rank(len(healthy), rate)
    return None if rank > len(healthy) else float(healthy[rank - 1])


@dataclass(frozen=True)
class FalsePositiveRate:
    """What a conformal threshold guarantees.

    Args:
        wanted: the rate that was asked for.
        expected: the mean over all sets of so many healthy images; at most ``wanted``.
        low: lower end of the interval in which the rate of the threshold at hand lies.
        high: upper end.
        confidence: of the interval.
    """

    wanted: float
    expected: float
    low: float
    high: float
    confidence: float


def fewest_healthy(rate: float) -> int:
    """With how many healthy images a p-value can be so small, and a threshold can have such a false positive rate."""
    return math.ceil(1 / rate - 1 - 1e-9)


def false_positive_rate(num_healthy: int, rate: float, confidence: float = 0.95) -> FalsePositiveRate:
    """What :func:`conformal_threshold` guarantees with so many healthy images, where no two score the same.

    The threshold is one of their scores, so the share of all healthy images above it differs from one set of healthy
    images to another: it has a beta distribution.

    Args:
        num_healthy: number of healthy images.
        rate: the false positive rate wanted, in (0, 1).
        confidence: of the interval.

    Raises:
        ValueError: if there are too few healthy images for such a rate, or the rate is out of its range.
    """
    rank = _rank(num_healthy, rate)
    if rank > num_healthy:
        raise ValueError(
            f"{num_healthy} healthy images are too few for a false positive rate of {rate:g}; at least "
            f"{fewest_healthy(rate)} are needed."
        )
    above = beta(num_healthy + 1 - rank, rank)
    low, high = above.interval(confidence)
    return FalsePositiveRate(rate, float(above.mean()), float(low), float(high), confidence)


def _rank(num_healthy: int, rate: float) -> int:
    """Which of the sorted healthy scores, counted from 1, is the threshold."""
    if not 0.0 < rate < 1.0:
        raise ValueError(f"The false positive rate must lie between 0 and 1, not {rate}.")
    # Against the last digit of (1 - rate), which would move the rank by one.
    return math.ceil((num_healthy + 1) * (1 - rate) - 1e-9)


def _checked(healthy_scores: Sequence[float]) -> np.ndarray:
    healthy = np.asarray(healthy_scores, dtype=float)
    if healthy.size == 0:
        raise ValueError("There is no healthy image to compare with.")
    if not np.isfinite(healthy).all():
        raise ValueError("The scores of healthy images must be finite numbers.")
    return healthy
