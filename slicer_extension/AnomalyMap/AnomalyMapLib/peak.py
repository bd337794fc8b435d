"""A marker on what was found: where the map is highest, or on a finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from .segment import MARK_COLOR
from .volumes import ijk_to_ras, lay_under

__all__ = ["mark", "peak_position", "ras_of", "unmark", "world_position"]

# Attribute of a marker: identifier and label of the point that was put there; all others are the user's.
_POINT = "AnomalyMap.point"


def mark(
    marker_node: slicer.vtkMRMLMarkupsFiducialNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    ras: Sequence[float],
    label: str,
) -> None:
    """Puts the mark on a place; points of a user's own in the same node stay.

    Args:
        marker_node: what marks the place from now on; it moves with the map.
        map_node: the map.
        ras: the place in mm, without the map's parent transform.
        label: what the views write beside it.
    """
    is_new = marker_node.GetAttribute(_POINT) is None
    unmark(marker_node)
    index = marker_node.AddControlPoint(*map(float, ras), label)
    marker_node.SetNthControlPointLocked(index, True)  # or a click drags it away
    marker_node.SetAttribute(_POINT, _told(marker_node, index))
    lay_under(marker_node, map_node)
    if marker_node.GetDisplayNode() is None:  # where no logic has made it already
        marker_node.CreateDefaultDisplayNodes()
    if is_new:
        # Slicer's ball would cover the very place that it marks, in a colour of the map's.
        display = marker_node.GetDisplayNode()
        display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Cross2D)
        display.SetSelectedColor(*MARK_COLOR)


def unmark(marker_node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Takes out the mark.

    Returns:
        Whether points of a user's own are left.
    """
    index = _mark_of(marker_node)
    if index is not None:
        marker_node.RemoveNthControlPoint(index)
    return marker_node.GetNumberOfControlPoints() > 0


def peak_position(
    map_node: slicer.vtkMRMLScalarVolumeNode, lps_mm: Sequence[float] | None
) -> tuple[float, float, float]:
    """Where a result's peak lies.

    Args:
        map_node: the map.
        lps_mm: as the result says it (left, posterior, superior); without it, the map itself is looked through, since
            its voxels may have another order by now than the result's.

    Returns:
        Millimetres (R, A, S), without the map's parent transform.
    """
    if lps_mm is not None:
        return ras_of(lps_mm)
    values = slicer.util.arrayFromVolume(map_node)
    k, j, i = np.unravel_index(values.argmax(), values.shape)
    return tuple((ijk_to_ras(map_node) @ [i, j, k, 1])[:3].tolist())


def ras_of(lps_mm: Sequence[float]) -> tuple[float, float, float]:
    """Millimetres (R, A, S) of a place that a result tells as (left, posterior, superior)."""
    left, posterior, superior = lps_mm
    return -left, -posterior, superior


def world_position(marker_node: slicer.vtkMRMLMarkupsFiducialNode) -> tuple[float, float, float]:
    """Where the mark is: mm (R, A, S), with its parent transform."""
    position = [0.0] * 3
    marker_node.GetNthControlPointPositionWorld(_mark_of(marker_node), position)
    return tuple(position)


def _mark_of(marker_node: slicer.vtkMRMLMarkupsFiducialNode) -> int | None:
    """The point that is the mark; one that somebody unlocked or named is none any more, but their own."""
    made = marker_node.GetAttribute(_POINT)
    points = range(marker_node.GetNumberOfControlPoints())
    marks = (index for index in points if marker_node.GetNthControlPointLocked(index))
    return next((index for index in marks if _told(marker_node, index) == made), None)


def _told(marker_node: slicer.vtkMRMLMarkupsFiducialNode, index: int) -> str:
    """Which point it is, and what the views write beside it."""
    return f"{marker_node.GetNthControlPointID(index)} {marker_node.GetNthControlPointLabel(index)}"
