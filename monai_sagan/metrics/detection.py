"""How well scores tell anomalous images from healthy ones, and how well maps find the lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_sagan.metrics.interval import Interval
from monai_sagan.metrics.score_interval import score_interval

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


def image_auc(labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Area under the ROC curve: the chance that an anomalous image scores above a healthy one.

    The interval covers the choice of the test images and, of repeated trainings, of which the mean area is given, also
    the chance in training: it adds the variance of their areas, with the degrees of freedom of Welch and Satterthwaite.
    The part of the test images is that of a single training, which is a little too much for a mean.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous, any unit; or (R, N), of R trainings.
        confidence: of the interval, in (0, 1).

    Returns:
        The area in [0, 1] and its interval.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, only one class is present, a score is not finite, or
            `confidence` is out of its range.

    Source: Newcombe, Statistics in Medicine 25, 2006, pp. 559-573, method 5: the variance of Hanley and McNeil
    (Radiology 143, 1982) at the true area, with the mean number of images for that of either class. Repeated trainings
    are this project's.
    """
    trainings = [_checked_scores(labels, each) for each in np.atleast_2d(np.asarray(scores, dtype=np.float64))]
    truth = trainings[0][0]
    areas = [float(roc_auc_score(truth, values)) for _, values in trainings]
    area, pairs = float(np.mean(areas)), int(truth.sum()) * int((1 - truth).sum())
    of_trainings = float(np.var(areas, ddof=1)) / len(areas) if len(areas) > 1 else 0.0

    def of_images(true: float) -> float:
        shared = (truth.size / 2 - 1) * ((1 - true) / (2 - true) + true / (1 + true))
        return true * (1 - true) * (1 + shared) / pairs

    # The images' variance follows from the area, so it counts as known; that of the trainings is estimated.
    freedom = (len(areas) - 1) * (1 + of_images(area) / of_trainings) ** 2 if of_trainings else np.inf
    return score_interval(area, lambda true: of_images(true) + of_trainings, confidence, freedom=freedom)


def image_average_precision(labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Average precision: the area under the steps of the precision-recall curve.

    Guessing gives the share of anomalous images, so values of test sets with different shares do not compare. The
    interval is Wilson's for as many trials as there are anomalous images: the value is the mean of a number between 0
    and 1 for each of them, which varies less than whether something holds does. So it is mostly too wide; where the
    scores of healthy images vary much more than those of anomalous ones, it may be too narrow. It covers the choice of
    the test images, not the chance in training.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous; any unit.
        confidence: of the interval, in (0, 1).

    Returns:
        The average precision in [0, 1] and its interval.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, only one class is present, a score is not finite, or
            `confidence` is out of its range.

    Source: Boyd, Eng, Page, ECML PKDD 2013, for the binomial with the number of anomalous images.
    """
    truth, values = _checked_scores(labels, scores)
    num_anomalous = int(truth.sum())
    precision = min(float(average_precision_score(truth, values)), 1.0)  # rounded, its sum can be above
    return score_interval(precision, lambda true: true * (1 - true) / num_anomalous, confidence)


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
