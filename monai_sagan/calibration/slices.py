"""Slices of volumes beside those of healthy volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_sagan.calibration.conformal import conformal_p_value

__all__ = ["slice_p_values"]


def slice_p_values(
    slice_scores: Sequence[float], healthy_slice_scores: Sequence[Sequence[float]]
) -> list[float | None]:
    """The p-value of each slice of a volume, among the slices of healthy volumes that lie as far along the body.

    A slice is compared with its like alone, since the network draws some parts of the body worse than others. Where a
    slice lies is told by its place among those that show more than background, from the first to the last.

    Args:
        slice_scores: of the volume, in anatomical order; 0 is background.
        healthy_slice_scores: the same of healthy volumes that were not trained on.

    Returns:
        One number a slice, in [1 / (n + 1), 1] for n healthy volumes that show more than background;
        None for background, and where there is no such healthy volume.
    """
    like = [scores for scores in map(_shown, healthy_slice_scores) if scores.size]
    shown = np.flatnonzero(np.asarray(slice_scores) > 0)
    p_values: list[float | None] = [None] * len(slice_scores)
    for number in shown if like else ():
        share = (number - shown[0]) / max(1, shown[-1] - shown[0])
        healthy = [scores[round(share * (len(scores) - 1))] for scores in like]
        p_values[number] = conformal_p_value(slice_scores[int(number)], healthy)
    return p_values


def _shown(scores: Sequence[float]) -> np.ndarray:
    """The scores from the first slice that is no background to the last."""
    values = np.asarray(scores, dtype=float)
    shown = np.flatnonzero(values > 0)
    return values[shown[0] : shown[-1] + 1] if shown.size else values[:0]
