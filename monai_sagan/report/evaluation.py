"""The figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from monai_sagan.errors import such_as
from monai_sagan.metrics import binomial_rate, dice, image_auc, image_average_precision, pixel_average_precision
from monai_sagan.report.case import EvaluatedCase

__all__ = ["evaluation_metrics"]

CONFIDENCE = 0.95


def evaluation_metrics(
    cases: Sequence[EvaluatedCase],
    *,
    pixel_threshold: float | None,
    shown_map: Literal["anomaly_map", "deviation_map"] = "anomaly_map",
    score_kind: str = "residual",
) -> dict[str, Any]:
    """Measures how well scores tell anomalous cases from healthy ones, and how well maps find outlined lesions.

    Pixels are measured once a lesion is outlined in any case: over all healthy cases, where every pixel is healthy,
    and the anomalous cases that have a mask.

    Args:
        cases: the test set, at least one case.
        pixel_threshold: pixels above it count as found, in the units of the maps; must come from other images than
            these. None leaves Dice out.
        shown_map: what the cases' maps are.
        score_kind: what the cases' scores are, "residual" or "contrast".

    Returns:
        A dictionary that is ready for JSON: `num_healthy`, `num_anomalous`, `num_outlined` (anomalous cases with a
        mask), `auc` and `average_precision` (each `value`, `low`, `high`; None where a class is missing), `confidence`,
        `pixel_average_precision` and `lesion_pixel_share`, which is what guessing would give (None where no lesion is
        outlined), `peak_inside_share` of the outlined cases, those whose map is highest inside the lesion (`value`,
        `low`, `high`, exact binomial; None likewise), `dice` and `pixel_threshold` (None also where no threshold was
        given), `findings_dice` of the outlined cases whose findings are known, `at_threshold`,
        what the calibrated threshold does here: `false_positive_rate` of the healthy cases and `sensitivity` of the
        anomalous ones (each `value`, `low`, `high`, exact binomial; None where there is no such case), itself None
        where the bundle is not calibrated; `with_findings` and `out_of_distribution`, the shares of `healthy` and
        `anomalous` cases in which something stands out, and of those that are something else than what the bundle was
        made for, in the same form; `map` and `score_kind`, as given; and `warnings`, a list of sentences.

    Raises:
        ValueError: if there is no case, or the threshold is not finite.
    """
    if not cases:
        raise ValueError("There is no case to evaluate.")
    num_anomalous = sum(case.label for case in cases)
    measured = [case for case in cases if case.label == 0 or case.measured_mask is not None]
    metrics: dict[str, Any] = {
        "num_healthy": len(cases) - num_anomalous,
        "num_anomalous": num_anomalous,
        "num_outlined": sum(case.label for case in measured),
        **_of_scores(cases),
        "confidence": CONFIDENCE,
        **_of_pixels(measured, pixel_threshold),
        "at_threshold": _at_threshold(cases),
        "with_findings": _shares(
            cases, [None if case.num_findings is None else case.num_findings > 0 for case in cases]
        ),
        "out_of_distribution": _shares(cases, [case.is_ood for case in cases]),
        "map": shown_map,
        "score_kind": score_kind,
    }
    return metrics | {"warnings": [*_trained_on(cases), *_of_one_class(metrics), *_not_outlined(metrics)]}


def _of_scores(cases: Sequence[EvaluatedCase]) -> dict[str, Any]:
    """How well scores tell the two classes apart; None where one of them is missing."""
    labels, scores = [case.label for case in cases], [case.score for case in cases]
    measures = {"auc": image_auc, "average_precision": image_average_precision}
    if len(set(labels)) < 2:
        return dict.fromkeys(measures)
    return {name: measure(labels, scores, confidence=CONFIDENCE).as_dict() for name, measure in measures.items()}


def _of_pixels(cases: Sequence[EvaluatedCase], threshold: float | None) -> dict[str, Any]:
    """How well maps find the lesions of cases whose lesions are outlined; None where there is no lesion."""
    metrics: dict[str, Any] = dict.fromkeys(
        (
            "pixel_average_precision",
            "lesion_pixel_share",
            "peak_inside_share",
            "dice",
            "pixel_threshold",
            "findings_dice",
        )
    )
    if not any(case.has_lesion for case in cases):
        return metrics
    maps = [case.measured_map for case in cases]
    masks = [
        np.zeros(case.measured_map.shape, dtype=bool) if case.measured_mask is None else case.measured_mask
        for case in cases
    ]
    metrics["pixel_average_precision"] = pixel_average_precision(maps, masks)
    metrics["lesion_pixel_share"] = sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
    metrics["peak_inside_share"] = _peak_inside_share(cases)
    if threshold is not None:
        metrics["dice"] = dice(maps, masks, threshold)
        metrics["pixel_threshold"] = float(threshold)
    metrics["findings_dice"] = _findings_dice(cases)
    return metrics


def _trained_on(cases: Sequence[EvaluatedCase]) -> list[str]:
    """A sentence if images of the test were trained on."""
    known = [case.name for case in cases if case.is_trained_on]
    if not known:
        return []
    return [
        f"{len(known)} of {len(cases)} test images look the same as images that the bundle was trained on, so that the "
        f"figures are too good: {such_as(known)}; take them out of the test set."
    ]


def _of_one_class(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence if a class is missing."""
    if metrics["auc"] is not None:
        return []
    missing = "healthy" if metrics["num_anomalous"] else "anomalous"
    return [
        f"The test set has no {missing} case, so AUC and average precision, which compare the two classes, "
        "cannot be given."
    ]


def _not_outlined(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence if lesions are outlined in some of the anomalous cases only."""
    total = metrics["num_anomalous"]
    left_out = total - metrics["num_outlined"]
    if metrics["pixel_average_precision"] is None or not left_out:
        return []
    return [f"{left_out} of {total} anomalous cases have no lesion mask and are left out of the pixel measures."]


def _peak_inside_share(cases: Sequence[EvaluatedCase]) -> dict[str, float]:
    """Of the cases with a lesion, the share whose map is highest inside it."""
    marks = [bool(np.asarray(case.measured_mask).flat[case.measured_map.argmax()]) for case in cases if case.has_lesion]
    return binomial_rate(sum(marks), len(marks), CONFIDENCE).as_dict()


def _findings_dice(cases: Sequence[EvaluatedCase]) -> float | None:
    """How well findings cover the lesion, over the cases with one that were judged; None if there are none."""
    told = [(case.findings, case.measured_mask) for case in cases if case.has_lesion and case.findings is not None]
    if not told:
        return None
    findings, masks = zip(*told)
    return dice(findings, masks, 0.5)


def _at_threshold(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """How many of each class lie above the calibrated threshold."""
    shares = _shares(cases, [case.is_anomalous for case in cases])
    return shares and {"false_positive_rate": shares["healthy"], "sensitivity": shares["anomalous"]}


def _shares(cases: Sequence[EvaluatedCase], marks: Sequence[bool | None]) -> dict[str, Any] | None:
    """Of how many of each class something holds; None where it is known of no case."""
    if all(mark is None for mark in marks):
        return None
    found: dict[str, Any] = {}
    for name, label in (("healthy", 0), ("anomalous", 1)):
        known = [mark for case, mark in zip(cases, marks) if case.label == label and mark is not None]
        found[name] = binomial_rate(sum(known), len(known), CONFIDENCE).as_dict() if known else None
    return found
