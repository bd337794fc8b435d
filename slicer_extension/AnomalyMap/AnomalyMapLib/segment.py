"""A segment from what lies above the threshold."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .volumes import VolumeError, ijk_to_ras, lay_under

__all__ = ["MARK_COLOR", "SEGMENT_ID", "make_segment", "remove_segment"]

SEGMENT_ID = "AboveThreshold"

MARK_COLOR = (0.2, 0.9, 0.9)  # seen beside the reds and yellows of the map


def make_segment(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    input_node: slicer.vtkMRMLVolumeNode | None,
    threshold: float,
) -> int:
    """Makes a segment of the voxels at or above the threshold, in the place of an earlier one.

    Args:
        segmentation_node: where the segment goes; other segments in it are left alone.
        map_node: the map.
        input_node: whose geometry the segmentation has from now on; the map's if None.
        threshold: in the map's units, and in the name of the segment.

    Returns:
        Number of voxels in it.

    Raises:
        VolumeError: if there is none.
    """
    mask = slicer.util.arrayFromVolume(map_node) >= threshold
    num_voxels = int(np.count_nonzero(mask))
    if num_voxels == 0:
        raise VolumeError(f"Nothing of the map lies above {threshold:.4g}; lower the threshold.")
    remove_segment(segmentation_node)
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(input_node or map_node)
    lay_under(segmentation_node, map_node)
    segmentation_node.AddSegmentFromBinaryLabelmapRepresentation(
        _labelmap(mask, map_node), f"Map above {threshold:.4g}", MARK_COLOR, SEGMENT_ID
    )
    if segmentation_node.GetDisplayNode() is None:
        segmentation_node.CreateDefaultDisplayNodes()
    # An outline only: a filled segment would hide the map that it was made of.
    segmentation_node.GetDisplayNode().SetSegmentVisibility2DFill(SEGMENT_ID, False)
    return num_voxels


def remove_segment(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Takes out the segment that was made here, if there is one.

    Returns:
        Whether other segments, which somebody made by hand, are left.
    """
    segmentation = segmentation_node.GetSegmentation()
    if segmentation.GetSegment(SEGMENT_ID) is not None:
        segmentation.RemoveSegment(SEGMENT_ID)
    return segmentation.GetNumberOfSegments() > 0


def _labelmap(mask: np.ndarray, map_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkOrientedImageData:
    """The mask, (k, j, i), with the geometry of the map, cut to what is in it."""
    ranges = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append((int(used[0]), int(used[-1])))
    inside = mask[tuple(slice(low, high + 1) for low, high in ranges)]
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent([bound for low_high in reversed(ranges) for bound in low_high])
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    voxels[:] = inside.ravel()
    labelmap.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras(map_node)))
    return labelmap
