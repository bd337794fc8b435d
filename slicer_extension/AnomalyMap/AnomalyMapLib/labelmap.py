"""Masks of voxels as the labelmaps that segments are made of, and back."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .volumes import ijk_to_ras

__all__ = ["labelmap_of", "mask_of"]


def labelmap_of(mask: np.ndarray, volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkOrientedImageData:
    """A mask as a labelmap, cut to what is in it.

    Args:
        mask: (k, j, i); something is in it.
        volume: whose geometry the labelmap has.
    """
    inside = _inside(mask)
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent([bound for part in reversed(inside) for bound in (part.start, part.stop - 1)])
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    voxels[:] = mask[inside].ravel()
    labelmap.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras(volume)))
    return labelmap


def mask_of(segmentation_node: slicer.vtkMRMLSegmentationNode, identifier: str) -> np.ndarray:
    """The voxels of a segment, (k, j, i), cut to what is in it; of no size where it has none."""
    labelmap = slicer.vtkOrientedImageData()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation_node.GetSegmentation().GetSegment(identifier).GetRepresentation(name) is not None:
        segmentation_node.GetBinaryLabelmapRepresentation(identifier, labelmap)
    scalars = labelmap.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfValues() == 0:
        return np.zeros((0, 0, 0), bool)
    mask = vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1]).astype(bool)
    return mask[_inside(mask)]


def _inside(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box, (k, j, i), that has all of a mask in it."""
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
    return tuple(box)
