"""A calibration in words."""

from __future__ import annotations

import math

from monai_sagan.calibration.conformal import conformal_threshold, false_positive_rate, smallest_p_value
from monai_sagan.calibration.store import Calibration

__all__ = ["describe_calibration"]


def describe_calibration(calibration: Calibration) -> list[str]:
    """What a calibration rests on and promises, for pictures and for volumes.

    Args:
        calibration: of a bundle.

    Returns:
        Sentences.
    """
    sentences = []
    for kind, scores in (("pictures", calibration.image_scores), ("volumes", calibration.volume_scores)):
        if scores:
            sentences += [_promise(kind, scores, calibration.rate)]
    return sentences


def _promise(kind: str, scores: tuple[float, ...], rate: float) -> str:
    count = len(scores)
    start = f"Calibrated with {count} healthy {kind}: no p-value is below {smallest_p_value(count):.2g}"
    threshold = conformal_threshold(scores, rate)
    if threshold is None:
        needed = math.ceil(1 / rate - 1 - 1e-9)
        return f"{start}. These are too few for a threshold with {rate:.0%} false positives, which needs {needed}."
    promised = false_positive_rate(count, rate)
    return (
        f"{start}. Threshold {threshold:.4g}: {promised.expected:.1%} of healthy {kind} lie above it on average, and "
        f"with this threshold {promised.low:.1%} to {promised.high:.1%} ({promised.confidence:.0%} interval)."
    )
