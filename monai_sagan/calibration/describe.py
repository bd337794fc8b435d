"""A calibration in words."""

from __future__ import annotations

from monai_sagan.calibration.conformal import (
    conformal_threshold,
    false_positive_rate,
    fewest_healthy,
    smallest_p_value,
)
from monai_sagan.calibration.pixel_scale import PixelScale
from monai_sagan.calibration.store import Calibration
from monai_sagan.calibration.transform import OOD_RATE

__all__ = ["describe_calibration"]


def describe_calibration(calibration: Calibration) -> list[str]:
    """What a calibration rests on and promises, for pictures and for volumes.

    Args:
        calibration: of a bundle.

    Returns:
        Sentences.
    """
    sentences = []
    for kind, of_volumes in (("pictures", False), ("volumes", True)):
        if scores := calibration.scores(of_volumes=of_volumes):
            sentences += [_promise(kind, scores, calibration.rate)]
            sentences += _of_maps(kind, calibration.scale(of_volumes=of_volumes), calibration.rate)
            sentences += _of_ood_images(kind, calibration.ood_scores(of_volumes=of_volumes))
    return sentences


def _promise(kind: str, scores: tuple[float, ...], rate: float) -> str:
    count = len(scores)
    start = f"Calibrated with {count} healthy {kind}: no p-value is below {smallest_p_value(count):.2g}"
    threshold = conformal_threshold(scores, rate)
    if threshold is None:
        return (
            f"{start}. These are too few for a threshold with {rate:.0%} false positives, which needs "
            f"{fewest_healthy(rate)}."
        )
    promised = false_positive_rate(count, rate)
    return (
        f"{start}. Threshold {threshold:.4g}: {promised.expected:.1%} of healthy {kind} lie above it on average, and "
        f"with this threshold {promised.low:.1%} to {promised.high:.1%} ({promised.confidence:.0%} interval)."
    )


def _of_maps(kind: str, scale: PixelScale | None, rate: float) -> list[str]:
    threshold = None if scale is None else conformal_threshold(scale.peaks, rate)
    if threshold is None:
        return [f"No findings in maps: they take a network in 2D, and {fewest_healthy(rate)} healthy {kind}."]
    return [
        f"A place is a finding above {threshold:.3g} standard deviations from healthy {kind}; {rate:.0%} of them, at "
        "most and on average, have any."
    ]


def _of_ood_images(kind: str, ood_scores: tuple[float, ...]) -> list[str]:
    if not ood_scores:
        return [f"Out-of-distribution {kind} are not recognised by their looks: this bundle has no reference data."]
    if smallest_p_value(len(ood_scores)) > OOD_RATE:
        return [f"Too few healthy {kind} to recognise out-of-distribution ones; {fewest_healthy(OOD_RATE)} are needed."]
    return [f"Of {kind} like these, {OOD_RATE:.0%} are falsely flagged as out of distribution."]
