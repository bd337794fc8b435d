"""Segments: what lies above the threshold, and the findings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import slicer

from .description import size_in_words
from .i18n import tr as _
from .labelmap import labelmap_of, mask_of
from .results import Finding
from .volumes import VolumeError, lay_under, voxel_ml

__all__ = ["FINDING_ID", "MARK_COLOR", "SEGMENT_ID", "is_changed", "make_findings", "make_segment", "remove_findings"]

SEGMENT_ID = "AboveThreshold"
FINDING_ID = "Finding"  # before the label

# Attribute of a segmentation: the digest of the segments that were made here, as they were then.
_MADE = "AnomalyMap.made"

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
        raise VolumeError(
            _("Nothing of the map lies above {threshold}; lower the threshold.").format(threshold=f"{threshold:.4g}")
        )
    _remove(segmentation_node, SEGMENT_ID)
    _take_geometry(segmentation_node, input_node or map_node, map_node)
    name = f"Map above {threshold:.4g} ({size_in_words(num_voxels, voxel_ml(map_node))})"
    _add(segmentation_node, labelmap_of(mask, map_node), name, MARK_COLOR, SEGMENT_ID)
    _remember(segmentation_node)
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
            _add(segmentation_node, labelmap_of(mask, labels_node), name, _FINDING_COLOR, identifier)
    _remember(segmentation_node)


def remove_findings(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Takes out the segments of findings; others, which somebody asked for or made by hand, stay."""
    for identifier in _made(segmentation_node):
        if identifier != SEGMENT_ID:
            _remove(segmentation_node, identifier)
    _remember(segmentation_node)


def is_changed(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether somebody corrected, renamed or removed a segment that was made here, since it was made.

    It is seen of the segments themselves: no event tells what was done before a scene was saved.
    """
    return segmentation_node.GetAttribute(_MADE) != _digest(segmentation_node)


def _made(segmentation_node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """The segments that were made here, in the order of their identifiers."""
    identifiers = segmentation_node.GetSegmentation().GetSegmentIDs()
    return sorted(name for name in identifiers if name == SEGMENT_ID or _is_finding(name))


def _is_finding(identifier: str) -> bool:
    return identifier.startswith(FINDING_ID) and identifier[len(FINDING_ID) :].isdecimal()


def _remember(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    segmentation_node.SetAttribute(_MADE, _digest(segmentation_node))


def _digest(segmentation_node: slicer.vtkMRMLSegmentationNode) -> str:
    """A digest of names and voxels. Not of where they lie: that may differ by a rounding when a scene is loaded."""
    digest = hashlib.sha256()
    for identifier in _made(segmentation_node):
        mask = mask_of(segmentation_node, identifier)
        name = segmentation_node.GetSegmentation().GetSegment(identifier).GetName()
        digest.update(f"{identifier} {name} {mask.shape}".encode())
        digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


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
