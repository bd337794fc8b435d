"""A marker on what was found: where the map is highest, or on a finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from .segment import MARK_COLOR
from .volumes import ijk_to_ras, lay_under

__all__ = ["mark", "peak_position", "ras_of", "world_position"]


def mark(
    marker_node: slicer.vtkMRMLMarkupsFiducialNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    ras: Sequence[float],
    label: str,
) -> None:
    """Puts one point in the place of those that a node has.

    Args:
        marker_node: what marks the place from now on; it moves with the map.
        map_node: the map.
        ras: the place in mm, without the map's parent transform.
        label: what the views write beside it.
    """
    is_new = marker_node.GetNumberOfControlPoints() == 0
    marker_node.RemoveAllControlPoints()
    marker_node.AddControlPoint(*map(float, ras), label)
    marker_node.SetNthControlPointLocked(0, True)  # or a click drags it away
    lay_under(marker_node, map_node)
    if marker_node.GetDisplayNode() is None:  # where no logic has made it already
        marker_node.CreateDefaultDisplayNodes()
    if is_new:
        # Slicer's ball would cover the very place that it marks, in a colour of the map's.
        display = marker_node.GetDisplayNode()
        display.SetGlyphType(slicer.vtkMRMLMarkupsDisplayNode.Cross2D)
        display.SetSelectedColor(*MARK_COLOR)


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
    """Where the marker is: mm (R, A, S), with its parent transform."""
    position = [0.0] * 3
    marker_node.GetNthControlPointPositionWorld(0, position)
    return tuple(position)
