"""How much chance lies in the choice of the images that something was measured on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monai_sagan.metrics.interval import Interval

__all__ = ["Metric", "bootstrapped"]

# Of images each of which is there a number of times.
Metric = Callable[[NDArray[np.int64]], float]


def bootstrapped(metric: Metric, classes: NDArray[np.int64], confidence: float, resamples: int, seed: int) -> Interval:
    """A metric with its percentile interval of a stratified bootstrap: images of each class are resampled apart.

    Args:
        metric: of the images when image n is there ``times[n]`` times.
        classes: (N,), of each image.
        confidence: share of the resamples that lies within the interval, in (0, 1).
        resamples: how often the images are resampled, at least 1.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: if ``confidence`` or ``resamples`` is out of its range.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}.")
    groups = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    generator = np.random.default_rng(seed)
    resampled = []
    for _ in range(resamples):
        chosen = np.concatenate([generator.choice(group, group.size) for group in groups])
        resampled.append(metric(np.bincount(chosen, minlength=classes.size)))
    low, high = np.quantile(resampled, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(value=float(metric(np.ones_like(classes))), low=float(low), high=float(high))
