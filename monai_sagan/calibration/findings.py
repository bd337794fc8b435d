"""What stands out in a map of deviations from healthy images, as regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from monai_sagan.calibration.conformal import conformal_p_value

__all__ = ["find_regions", "leave_out_surroundings"]

_MOST_FINDINGS = np.iinfo(np.int16).max  # that have a number in the map of findings
# How far from a lesion contrast sees it, as a share of a slice's side.
_REACH = 0.15


def leave_out_surroundings(deviation: np.ndarray, stands_out: np.ndarray, slice_axis: int | None) -> None:
    """Takes from what stands out the places that are less than half as high as one near them.

    Near is within 15% of a side, in the same slice.

    Args:
        deviation: (*spatial), in standard deviations.
        stands_out: (*spatial), bool; it is changed.
        slice_axis: along which a volume is a stack of slices; None for a picture.
    """
    planes, marks = (
        array[None] if slice_axis is None else np.moveaxis(array, slice_axis, 0) for array in (deviation, stands_out)
    )
    size = [2 * round(_REACH * side) + 1 for side in planes.shape[1:]]
    for plane, mark in zip(planes, marks):
        if mark.any():
            mark &= 2 * plane >= ndimage.maximum_filter(plane, size)


def find_regions(
    deviation: np.ndarray, stands_out: np.ndarray, healthy_peaks: Sequence[float]
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Regions of what stands out.

    Args:
        deviation: (*spatial), in standard deviations.
        stands_out: (*spatial), bool.
        healthy_peaks: of each healthy image, the highest deviation.

    Returns:
        (*spatial), 0 or the number of the finding, and the findings, as
        :class:`~monai_sagan.calibration.DeviationMapd` has them.
    """
    regions, _ = ndimage.label(stands_out, np.ones((3,) * deviation.ndim))
    boxes = ndimage.find_objects(regions)
    found = [_highest(deviation[box], regions[box] == number, box) for number, box in enumerate(boxes, start=1)]
    order = sorted(range(len(found)), key=lambda index: -found[index]["deviation"])[:_MOST_FINDINGS]
    renamed = np.zeros(len(found) + 1, dtype=np.int16)
    findings = []
    for label, index in enumerate(order, start=1):
        renamed[index + 1] = label
        p_value = conformal_p_value(found[index]["deviation"], healthy_peaks)
        findings.append({"label": label, **found[index], "p_value": p_value})
    return renamed[regions], findings


def _highest(deviation: np.ndarray, region: np.ndarray, box: Sequence[slice]) -> dict[str, Any]:
    """Where a region that lies in a box of an image is highest, how high, and its size."""
    inside = np.where(region, deviation, -np.inf)
    place = np.unravel_index(inside.argmax(), inside.shape)
    return {
        "voxel": [side.start + int(index) for side, index in zip(box, place)],
        "deviation": float(inside[place]),
        "num_voxels": int(np.count_nonzero(region)),
    }
