"""Slice views that show nothing of a volume are moved to it."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import vtk

from .volumes import ijk_to_ras, to_world

__all__ = ["fit_if_out_of_sight"]


def fit_if_out_of_sight(slice_node: slicer.vtkMRMLSliceNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Lets a slice view show the whole of a volume, by its middle, if it shows nothing of it; otherwise leaves it.

    Args:
        slice_node: the view.
        volume: in the scene, with voxels; its parent transform counts.
    """
    width, height = slice_node.GetDimensions()[:2]
    if 0 in (width, height):  # it was never laid out
        return
    corners = _corners(volume)
    inside = _seen_from(slice_node.GetXYToRAS(), corners)
    if np.all(inside.min(axis=0) <= (width, height, 0)) and np.all(inside.max(axis=0) >= 0):
        return
    # Not by a slice logic, which only the application knows.
    size = np.ptp(_seen_from(slice_node.GetSliceToRAS(), corners), axis=0)
    mm_per_pixel = max(size[0] / width, size[1] / height)
    slice_node.JumpSliceByCentering(*corners.mean(axis=0))
    slice_node.SetFieldOfView(mm_per_pixel * width, mm_per_pixel * height, slice_node.GetFieldOfView()[2])


def _corners(volume: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The corners of the volume's outer voxels: (8, 3), mm (R, A, S) of the world."""
    size = np.array(volume.GetImageData().GetDimensions())
    matrix = ijk_to_ras(volume)
    corners = [[*(np.array(corner) * size - 0.5), 1] for corner in itertools.product((0, 1), repeat=3)]
    return np.array([to_world(volume, (matrix @ corner)[:3]) for corner in corners])


def _seen_from(matrix: vtk.vtkMatrix4x4, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) of the world in the coordinates that a view's matrix leads out of."""
    inverse = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix))
    return points @ inverse[:3, :3].T + inverse[:3, 3]
