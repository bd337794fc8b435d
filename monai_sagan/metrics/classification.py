"""How well a classifier's probabilities name the class of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score

from monai_sagan.metrics.bootstrap import bootstrapped
from monai_sagan.metrics.detection import image_auc
from monai_sagan.metrics.interval import Interval
from monai_sagan.metrics.resampled_area import ResampledArea

__all__ = ["classification_metrics"]

CONFIDENCE = 0.95
RESAMPLES = 1000

_SUM_TOLERANCE = 1e-3  # what rounding to half precision leaves of a sum of 1


def classification_metrics(
    labels: Sequence[int], probabilities: ArrayLike, classes: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Measures how well a classifier tells classes apart.

    An image counts as the class of its highest probability; of equal ones, the first. The AUC of a class is the chance
    that an image of that class has a higher probability of it than an image of any other class has; the macro AUC is
    the mean over the classes, each of the same weight. Its interval is that of :func:`image_auc` for two classes; for
    more it is the percentile interval of a bootstrap that resamples the images of each class apart, which is too narrow
    for few images. That of the accuracy is Wilson's. They cover the choice of the test images, not the chance in
    training.

    Args:
        labels: (N,), numbers of the true classes, from 0.
        probabilities: (N, K), of each class, one image a row.
        classes: names of the K classes.
        seed: of the bootstrap; the same seed gives the same interval.

    Returns:
        A dictionary that is ready for JSON: `num_cases`, `num_per_class`, `classes`, `accuracy` (`value`, `low`,
        `high`), `balanced_accuracy` (the mean of the recalls), `macro_auc` (`value`, `low`, `high`; None where a class
        has no image), `auc_per_class`, `recall_per_class` and `precision_per_class` (None for a class of which they
        cannot be told), `confusion_matrix` (counts; a row is a true class, a column a class that was found, in the
        order of `classes`), `confidence`, `bootstrap_resamples` (None where the interval of the macro AUC needs none),
        and `warnings`, a list of sentences.

    Raises:
        ValueError: if there is no image, there are fewer than two classes or two of one name, numbers of images or
            classes differ, a label is not the number of a class, or the probabilities of an image are not finite,
            negative or do not sum to 1.
    """
    names = [str(name) for name in classes]
    truth, values = _checked(labels, probabilities, names)
    numbers = range(len(names))
    found = values.argmax(axis=1)
    counts = np.bincount(truth, minlength=len(names))
    missing = [name for name, count in zip(names, counts) if count == 0]
    num_right = int(np.count_nonzero(found == truth))
    accuracy = binomtest(num_right, len(truth)).proportion_ci(CONFIDENCE, method="wilson")

    areas = [_area(truth == number, values[:, number]) for number in numbers]
    recalls = recall_score(truth, found, labels=numbers, average=None, zero_division=np.nan)
    precisions = precision_score(truth, found, labels=numbers, average=None, zero_division=np.nan)
    macro_auc = None if missing else _macro_auc(truth, values, seed)
    warnings = []
    if missing:
        warnings.append(
            f"The test set has no case of {_listed(missing)}, so a macro AUC cannot be given, and the balanced "
            "accuracy is that of the other classes."
        )
    elif macro_auc == Interval(1.0, 1.0, 1.0):
        warnings.append(
            "The probabilities separate the classes without exception, so the interval of the macro AUC has no width: "
            "resampling these cases cannot show how the model does on others."
        )
    return {
        "num_cases": len(truth),
        "num_per_class": dict(zip(names, counts.tolist())),
        "classes": names,
        "accuracy": Interval(num_right / len(truth), float(accuracy.low), float(accuracy.high)).as_dict(),
        "balanced_accuracy": float(np.nanmean(recalls)),
        "macro_auc": None if macro_auc is None else macro_auc.as_dict(),
        "auc_per_class": dict(zip(names, areas)),
        "recall_per_class": _per_class(names, recalls),
        "precision_per_class": _per_class(names, precisions),
        "confusion_matrix": confusion_matrix(truth, found, labels=numbers).tolist(),
        "confidence": CONFIDENCE,
        "bootstrap_resamples": RESAMPLES if macro_auc and len(names) > 2 else None,
        "warnings": warnings,
    }


def _area(is_class: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve of one class against the rest; None where there is no image of one of the two."""
    return None if is_class.all() or not is_class.any() else float(roc_auc_score(is_class, scores))


def _macro_auc(truth: NDArray[np.int64], values: NDArray[np.float64], seed: int) -> Interval:
    """The mean area of all classes with its interval; no class is missing."""
    if values.shape[1] == 2:
        # One ranking, but for rounding: probabilities next to 1 can be equal where those next to 0 are not.
        return image_auc(truth, np.stack([-values[:, 0], values[:, 1]]), confidence=CONFIDENCE)
    areas = [ResampledArea(truth == number, values[:, number]) for number in range(values.shape[1])]
    return bootstrapped(
        lambda times: float(np.mean([of_class(times) for of_class in areas])), truth, CONFIDENCE, RESAMPLES, seed
    )


def _per_class(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values)}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _checked(
    labels: Sequence[int], probabilities: ArrayLike, names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities as arrays, once they are known to make sense."""
    truth, values = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.size == 0:
        raise ValueError("There is no case to evaluate.")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"At least two classes with different names are needed, not {names}.")
    if truth.ndim != 1 or values.shape != (truth.size, len(names)):
        raise ValueError(
            f"{truth.size} labels and {len(names)} classes need probabilities of the shape {(truth.size, len(names))}, "
            f"not {values.shape}."
        )
    if not np.isin(truth, range(len(names))).all():
        outside = truth[~np.isin(truth, range(len(names)))][0]
        raise ValueError(f"labels must be whole numbers from 0 to {len(names) - 1}, not {outside}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} probabilities are not finite.")
    if (values < 0).any():
        raise ValueError(f"{np.count_nonzero(values < 0)} of {values.size} probabilities are negative.")
    off = np.abs(values.sum(axis=1) - 1.0)
    if off.max() > _SUM_TOLERANCE:
        case = int(off.argmax())
        raise ValueError(f"The probabilities of case {case} must sum to 1, not to {values[case].sum():.4g}.")
    return truth.astype(np.int64), values
