"""The figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_sagan.metrics import binomial_rate, dice, image_auc, image_average_precision, pixel_average_precision
from monai_sagan.report.case import EvaluatedCase

__all__ = ["evaluation_metrics"]

CONFIDENCE = 0.95
RESAMPLES = 1000


def evaluation_metrics(
    cases: Sequence[EvaluatedCase], *, pixel_threshold: float | None, seed: int = 0
) -> dict[str, Any]:
    """Measures how well scores tell anomalous cases from healthy ones, and how well maps find outlined lesions.

    Pixels are measured once a lesion is outlined in any case: over all healthy cases, where every pixel is healthy,
    and the anomalous cases that have a mask.

    Args:
        cases: the test set, at least one case.
        pixel_threshold: pixels above it count as found, in the units of the maps; must come from other images than
            these. None leaves Dice out.
        seed: of the bootstrap that gives the intervals.

    Returns:
        A dictionary that is ready for JSON: `num_healthy`, `num_anomalous`, `num_outlined` (anomalous cases with a
        mask), `auc` and `average_precision` (each `value`, `low`, `high`; None where a class is missing),
        `confidence`, `bootstrap_resamples`, `pixel_average_precision` and `lesion_pixel_share`, which is what guessing
        would give (None where no lesion is outlined), `dice` and `pixel_threshold` (None also where no threshold was
        given), `at_threshold`, what the calibrated threshold does here: `false_positive_rate` of the healthy cases and
        `sensitivity` of the anomalous ones (each `value`, `low`, `high`, exact binomial; None where there is no such
        case), itself None where the bundle is not calibrated; and `warnings`, a list of sentences.

    Raises:
        ValueError: if there is no case, or the threshold is not finite.
    """
    if not cases:
        raise ValueError("There is no case to evaluate.")
    labels = [case.label for case in cases]
    num_anomalous = labels.count(1)
    measured = [case for case in cases if case.label == 0 or case.measured_mask is not None]
    num_outlined = len(measured) - labels.count(0)
    metrics: dict[str, Any] = {
        "num_healthy": len(cases) - num_anomalous,
        "num_anomalous": num_anomalous,
        "num_outlined": num_outlined,
        "auc": None,
        "average_precision": None,
        "confidence": CONFIDENCE,
        "bootstrap_resamples": RESAMPLES,
        "pixel_average_precision": None,
        "lesion_pixel_share": None,
        "dice": None,
        "pixel_threshold": None,
        "at_threshold": _at_threshold(cases),
        "warnings": [],
    }

    if 0 < num_anomalous < len(cases):
        scores = [case.score for case in cases]
        auc = image_auc(labels, scores, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
        precision = image_average_precision(labels, scores, confidence=CONFIDENCE, resamples=RESAMPLES, seed=seed)
        metrics["auc"], metrics["average_precision"] = auc.as_dict(), precision.as_dict()
        if auc.value in (0.0, 1.0):
            metrics["warnings"].append(
                "The scores separate the two classes without exception, so the intervals of AUC and average precision "
                "have no width: resampling these cases cannot show how the model does on others."
            )
    else:
        missing = "healthy" if num_anomalous else "anomalous"
        metrics["warnings"].append(
            f"The test set has no {missing} case, so AUC and average precision, which compare the two classes, "
            "cannot be given."
        )

    if any(case.has_lesion for case in measured):
        maps = [case.measured_map for case in measured]
        masks = [
            np.zeros(case.measured_map.shape, dtype=bool) if case.measured_mask is None else case.measured_mask
            for case in measured
        ]
        metrics["pixel_average_precision"] = pixel_average_precision(maps, masks)
        metrics["lesion_pixel_share"] = sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
        if pixel_threshold is not None:
            metrics["dice"] = dice(maps, masks, pixel_threshold)
            metrics["pixel_threshold"] = float(pixel_threshold)
        if num_outlined < num_anomalous:
            metrics["warnings"].append(
                f"{num_anomalous - num_outlined} of {num_anomalous} anomalous cases have no lesion mask and are left "
                "out of the pixel measures."
            )
    return metrics


def _at_threshold(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """How many of each class lie above the calibrated threshold."""
    if all(case.is_anomalous is None for case in cases):
        return None
    found: dict[str, Any] = {}
    for name, label in (("false_positive_rate", 0), ("sensitivity", 1)):
        marks = [case.is_anomalous for case in cases if case.label == label and case.is_anomalous is not None]
        found[name] = binomial_rate(sum(marks), len(marks), CONFIDENCE).as_dict() if marks else None
    return found
