"""Areas under ROC curves with the variance that the choice of the test images gives them, and their differences.

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, for the variance; Sun and Xu, IEEE Signal Processing
Letters 21, 2014, for its computation from ranks. Repeated trainings are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from scipy.stats import t as student

from monai_sagan.metrics.interval import Interval
from monai_sagan.metrics.paired import PairedDifference

__all__ = ["delong_auc", "delong_difference"]

# A variance below it is what rounding leaves of none: one image in another place among 100,000 gives more.
_NOTHING = 1e-24


def delong_auc(labels: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """Area under the ROC curve of a method, with the interval of DeLong.

    Of repeated trainings it is the mean of their areas, and the interval covers both the choice of the test images and
    the chance in training, see :func:`delong_difference`. Of few images, and near 0 and 1, it is too narrow;
    :func:`image_auc` has one to report.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous; or (R, N), of R trainings.
        confidence: of the interval, in (0, 1).

    Returns:
        The area and its interval within [0, 1]. Where every anomalous image scores above every healthy one, in every
        training, it has no width; that is not certainty.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, a class has less than two images, or a score is not
            finite.
    """
    area, variance, freedom = _summary(_components(labels, scores))
    margin = _margin(variance, freedom, confidence)
    return Interval(area, max(0.0, area - margin), min(1.0, area + margin))


def delong_difference(
    labels: ArrayLike, scores: ArrayLike, reference_scores: ArrayLike, confidence: float = 0.95
) -> PairedDifference:
    """How far the area under the ROC curve of a method is above that of another, on the same images.

    Of single trainings this is the test of DeLong, and says nothing of the chance in training. Of R trainings of each
    method it compares the means of their areas. That mean is a U-statistic as an area is, with the mean of the
    trainings' kernels, so DeLong's variance of it holds for the choice of the test images, given these trainings. The
    chance in training adds the variance of the R differences, divided by R. Some of what the test images do is in that
    too, so the interval is rather too wide than too narrow. Its quantile is Student's, with the degrees of freedom of
    Welch and Satterthwaite.

    Args:
        labels: (N,), 0 for healthy and 1 for anomalous.
        scores: (N,), higher for more anomalous; or (R, N), of R trainings.
        reference_scores: of the other method, in the same order, and of as many trainings.
        confidence: of the interval, in (0, 1).

    Returns:
        The difference, its interval within [-1, 1], and the p-value of the two-sided test that there is none. Without
        an interval and a p-value where nothing varies, as when both methods give the images the same order.

    Raises:
        ValueError: as :func:`delong_auc`, or if the methods have not as many trainings.
    """
    found, reference = _components(labels, scores), _components(labels, reference_scores)
    if len(found.areas) != len(reference.areas):
        raise ValueError(f"As many trainings of both methods, not {len(found.areas)} and {len(reference.areas)}.")
    difference, variance, freedom = _summary(found.minus(reference))
    if variance < _NOTHING:
        return PairedDifference(difference, None, None, None)
    error, margin = float(np.sqrt(variance)), _margin(variance, freedom, confidence)
    p_value = float(2 * student.sf(abs(difference) / error, freedom))
    return PairedDifference(difference, max(-1.0, difference - margin), min(1.0, difference + margin), p_value)


@dataclass(frozen=True)
class _Components:
    """What each image adds to the areas of R trainings.

    Args:
        anomalous: (R, m), for each anomalous image the share of healthy ones that it scores above.
        healthy: (R, n), for each healthy image the share of anomalous ones that score above it.
    """

    anomalous: NDArray[np.float64]
    healthy: NDArray[np.float64]

    @property
    def areas(self) -> NDArray[np.float64]:
        """(R,)."""
        return self.anomalous.mean(axis=1)

    def minus(self, other: _Components) -> _Components:
        return _Components(self.anomalous - other.anomalous, self.healthy - other.healthy)


def _components(labels: ArrayLike, scores: ArrayLike) -> _Components:
    truth, values = np.asarray(labels), np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if truth.ndim != 1 or values.ndim != 2 or values.shape[1] != truth.size or len(values) == 0:
        raise ValueError(f"{truth.shape} labels need scores of as many images, not of the shape {values.shape}.")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (healthy) or 1 (anomalous).")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} scores are not finite.")
    anomalous, healthy = values[:, truth == 1], values[:, truth == 0]
    num_anomalous, num_healthy = anomalous.shape[1], healthy.shape[1]
    if min(num_anomalous, num_healthy) < 2:
        raise ValueError(
            f"A variance needs two images of each class, not {num_healthy} healthy and {num_anomalous} anomalous ones."
        )
    # A rank among all less that among one's own class is the number of the other class below; of equal ones, half.
    ranks = rankdata(np.concatenate([anomalous, healthy], axis=1), axis=1)
    above_healthy = (ranks[:, :num_anomalous] - rankdata(anomalous, axis=1)) / num_healthy
    below_anomalous = 1.0 - (ranks[:, num_anomalous:] - rankdata(healthy, axis=1)) / num_anomalous
    return _Components(above_healthy, below_anomalous)


def _summary(components: _Components) -> tuple[float, float, float]:
    """The mean of areas, or of differences of areas, its variance, and the degrees of freedom of that."""
    areas = components.areas
    of_images = sum(
        float(each.mean(axis=0).var(ddof=1)) / each.shape[1] for each in (components.anomalous, components.healthy)
    )
    of_trainings = float(areas.var(ddof=1)) / len(areas) if len(areas) > 1 else 0.0
    variance = of_images + of_trainings
    # The images are many, so theirs counts as known.
    freedom = np.inf if of_trainings == 0.0 else (len(areas) - 1) * (variance / of_trainings) ** 2
    return float(areas.mean()), variance, float(freedom)


def _margin(variance: float, freedom: float, confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}.")
    return float(student.ppf((1.0 + confidence) / 2.0, freedom) * np.sqrt(variance))
