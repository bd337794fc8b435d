"""Segments: what lies above the threshold, and the findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .description import size_in_words
from .results import Finding
from .volumes import VolumeError, ijk_to_ras, lay_under, voxel_ml

__all__ = ["FINDING_ID", "MARK_COLOR", "SEGMENT_ID", "make_findings", "make_segment", "remove_findings"]

SEGMENT_ID = "AboveThreshold"
FINDING_ID = "Finding"  # before the label

MARK_COLOR = (0.2, 0.9, 0.9)  # seen beside the reds and yellows of the map
_FINDING_COLOR = (0.3, 1.0, 0.3)  # and beside the former


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
        threshold: in the map's units; it is in the name of the segment, with the segment's size.

    Returns:
        Number of voxels in it.

    Raises:
        VolumeError: if there is none.
    """
    mask = slicer.util.arrayFromVolume(map_node) >= threshold
    num_voxels = int(np.count_nonzero(mask))
    if num_voxels == 0:
        raise VolumeError(f"Nothing of the map lies above {threshold:.4g}; lower the threshold.")
    _remove(segmentation_node, SEGMENT_ID)
    _take_geometry(segmentation_node, input_node or map_node, map_node)
    name = f"Map above {threshold:.4g} ({size_in_words(num_voxels, voxel_ml(map_node))})"
    _add(segmentation_node, _labelmap(mask, map_node), name, MARK_COLOR, SEGMENT_ID)
    return num_voxels


def make_findings(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labels_node: slicer.vtkMRMLScalarVolumeNode,
    input_node: slicer.vtkMRMLVolumeNode,
    findings: Sequence[Finding],
) -> None:
    """Makes a segment of each finding.

    Args:
        segmentation_node: where the segments go, after those of an earlier result were removed; others are left alone.
        labels_node: voxels with the labels of findings, 0 elsewhere.
        input_node: whose geometry the segmentation has from now on.
        findings: in the order in which they are counted; one of which no voxel is left has no segment.
    """
    labels = slicer.util.arrayFromVolume(labels_node)
    _take_geometry(segmentation_node, input_node, labels_node)
    for number, finding in enumerate(findings, start=1):
        mask = labels == finding.label
        if mask.any():
            size = size_in_words(int(np.count_nonzero(mask)), voxel_ml(labels_node))
            name = f"Finding {number} ({finding.deviation:.1f} SD, {size})"
            identifier = f"{FINDING_ID}{finding.label}"
            _add(segmentation_node, _labelmap(mask, labels_node), name, _FINDING_COLOR, identifier)


def remove_findings(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Takes out the segments of findings.

    Returns:
        Whether other segments, which somebody asked for or made by hand, are left.
    """
    segmentation = segmentation_node.GetSegmentation()
    for identifier in segmentation.GetSegmentIDs():
        if identifier.startswith(FINDING_ID) and identifier[len(FINDING_ID) :].isdecimal():
            _remove(segmentation_node, identifier)
    return segmentation.GetNumberOfSegments() > 0


def _take_geometry(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_node: slicer.vtkMRMLVolumeNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Lays a segmentation under the transform of its map, and gives it the geometry of a volume."""
    # In this order: the geometry is told relative to the segmentation's parent transform at that time.
    lay_under(segmentation_node, map_node)
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)


def _add(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labelmap: slicer.vtkOrientedImageData,
    name: str,
    color: tuple[float, float, float],
    identifier: str,
) -> None:
    segmentation_node.AddSegmentFromBinaryLabelmapRepresentation(labelmap, name, color, identifier)
    if segmentation_node.GetDisplayNode() is None:
        segmentation_node.CreateDefaultDisplayNodes()
    # An outline only: a filled segment would hide the map that it was made of.
    segmentation_node.GetDisplayNode().SetSegmentVisibility2DFill(identifier, False)


def _remove(segmentation_node: slicer.vtkMRMLSegmentationNode, identifier: str) -> None:
    segmentation = segmentation_node.GetSegmentation()
    if segmentation.GetSegment(identifier) is not None:
        segmentation.RemoveSegment(identifier)


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
