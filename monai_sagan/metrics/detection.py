"""How well scores tell anomalous images from healthy ones, and how well maps find the lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from monai_sagan.metrics.bootstrap import bootstrapped
from monai_sagan.metrics.interval import Interval
from monai_sagan.metrics.resampled_area import ResampledArea

__all__ = ["binomial_rate", "dice", "image_auc", "image_average_precision", "pixel_average_precision"]


def binomial_rate(count: int, total: int, confidence: float = 0.95) -> Interval:
    """The share of cases for which something holds, with the exact binomial interval (Clopper and Pearson).

    Args:
        count: cases for which it holds.
        total: all cases, at least 1.
        confidence: of the interval.

    Raises:
        ValueError: if there is no case, or it holds for more than there are.
    """
    found = binomtest(count, total).proportion_ci(confidence, method="exact")
    return Interval(count / total, float(found.low), float(found.high))


def image_auc(
    labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Area under the ROC curve: the chance that an anomalous image scores above a healthy one.

    The interval is the percentile interval of a stratified bootstrap: healthy and anomalous images are resampled
    apart, so that every resample has as many of each as the test set. It measures the chance in choosing the test
    images, not in training. Where every anomalous image scores above every healthy one it has no width, because no
    resample can show otherwise; that is not certainty.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous; any unit.
        confidence: share of the resamples that lies within the interval, in (0, 1).
        resamples: how often the images are resampled, at least 1.
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        The area in [0, 1] and its interval.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, only one class is present, a score is not finite, or
            `confidence` or `resamples` is out of its range.
    """
    truth, values = _checked_scores(labels, scores)
    return bootstrapped(ResampledArea(truth == 1, values), truth, confidence, resamples, seed)


def image_average_precision(
    labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Average precision: the area under the steps of the precision-recall curve.

    Guessing gives the share of anomalous images, so values of test sets with different shares do not compare. The
    interval is made as for `image_auc`.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous; any unit.
        confidence: share of the resamples that lies within the interval, in (0, 1).
        resamples: how often the images are resampled, at least 1.
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        The average precision in [0, 1] and its interval.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, only one class is present, a score is not finite, or
            `confidence` or `resamples` is out of its range.
    """
    truth, values = _checked_scores(labels, scores)

    def precision(times: NDArray[np.int64]) -> float:
        return float(average_precision_score(truth, values, sample_weight=times))

    return bootstrapped(precision, truth, confidence, resamples, seed)


def pixel_average_precision(maps: Sequence[ArrayLike], masks: Sequence[ArrayLike]) -> float:
    """Average precision over the pixels of all images together.

    Guessing gives the share of lesion pixels. Healthy images count when they are given, with an empty mask.

    Args:
        maps: anomaly maps, higher for more anomalous; any number of axes, sizes may differ between images.
        masks: lesion masks, one a map and of its shape; true (or not 0) where there is a lesion.

    Returns:
        The average precision in [0, 1].

    Raises:
        ValueError: if numbers or shapes differ, a map is not finite, or no mask has a lesion.
    """
    pairs = _checked_pairs(maps, masks)
    lesion = np.concatenate([mask.ravel() for _, mask in pairs])
    values = np.concatenate([map_.ravel() for map_, _ in pairs])
    return float(average_precision_score(lesion, values))


def dice(maps: Sequence[ArrayLike], masks: Sequence[ArrayLike], threshold: float) -> float:
    """Mean Dice coefficient of `map > threshold` over the images that have a lesion.

    The threshold is the caller's, and must not have been picked on these images.

    Args:
        maps: anomaly maps, higher for more anomalous; any number of axes, sizes may differ between images.
        masks: lesion masks, one a map and of its shape; true (or not 0) where there is a lesion.
        threshold: in the maps' units.

    Returns:
        The mean in [0, 1]; an image where the thresholded map marks nothing counts as 0.

    Raises:
        ValueError: if numbers or shapes differ, a map or the threshold is not finite, or no mask has a lesion.
    """
    if not np.isfinite(threshold):
        raise ValueError(f"The threshold must be a finite number, not {threshold}.")
    overlaps = []
    for map_, mask in _checked_pairs(maps, masks):
        if mask.any():
            found = map_ > threshold
            overlaps.append(2 * np.count_nonzero(found & mask) / (np.count_nonzero(found) + np.count_nonzero(mask)))
    return float(np.mean(overlaps))


def _checked_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and scores as arrays, once they are known to make sense."""
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(
            f"labels and scores must be two lists of one length, not of shapes {truth.shape} and {values.shape}."
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (healthy) or 1 (anomalous).")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} scores are not finite.")
    if np.unique(truth).size < 2:
        raise ValueError("Both healthy and anomalous images are needed, but only one class (or no image) was given.")
    return truth.astype(np.int64), values


def _checked_pairs(
    maps: Sequence[ArrayLike], masks: Sequence[ArrayLike]
) -> list[tuple[NDArray[np.floating], NDArray[np.bool_]]]:
    """Maps and masks as arrays, once they are known to fit each other."""
    if len(maps) != len(masks):
        raise ValueError(f"Every map needs its mask, but there are {len(maps)} maps and {len(masks)} masks.")
    pairs = [(np.asarray(map_), np.asarray(mask).astype(bool)) for map_, mask in zip(maps, masks, strict=True)]
    for number, (map_, mask) in enumerate(pairs):
        if map_.shape != mask.shape:
            raise ValueError(f"Map {number} has the shape {map_.shape}, but its mask has {mask.shape}.")
        if not np.isfinite(map_).all():
            raise ValueError(f"Map {number} has values that are not finite.")
    if not any(mask.any() for _, mask in pairs):
        raise ValueError("At least one mask must mark a lesion, but none does.")
    return pairs
