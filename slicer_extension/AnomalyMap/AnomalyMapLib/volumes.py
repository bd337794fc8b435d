"""Volumes on their way to the child process and back: files, and the geometry that both must agree on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk

from .i18n import tr as _

__all__ = [
    "VolumeError",
    "from_world",
    "geometry_difference",
    "ijk_to_ras",
    "lay_under",
    "read_map",
    "read_volume",
    "to_world",
    "turning_transform",
    "voxel_ml",
    "voxels_time",
    "write_volume",
]

# Of the smallest voxel. Matrices pass through files as single precision (NIfTI) or as decimal text.
_LARGEST_SHIFT = 0.01
# Degrees that a parent transform may turn a volume by: more than a registration does, less than what a network feels.
_LARGEST_TURN = 10.0


class VolumeError(ValueError):
    """A volume that cannot be used, in one sentence that says what to do."""


def write_volume(node: slicer.vtkMRMLVolumeNode, path: Path) -> None:
    """Writes the voxels of a volume as they are, without its parent transform.

    Args:
        node: the volume.
        path: an uncompressed NRRD, which keeps left-handed and oblique geometry in double precision.

    Raises:
        VolumeError: if the volume holds no voxels, or the file cannot be written.
    """
    if node.GetImageData() is None or 0 in node.GetImageData().GetDimensions():
        raise VolumeError(_("{name}: this volume holds no voxels; choose another one.").format(name=node.GetName()))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(node):
        raise VolumeError(
            _(
                "{name}: this volume could not be written to {path}; perhaps the disk is full, or the folder may not "
                "be written to."
            ).format(name=node.GetName(), path=path)
        )


def read_volume(path: Path) -> slicer.vtkMRMLScalarVolumeNode:
    """Reads a grey volume or picture in the voxel order of its file.

    Slicer itself turns left-handed volumes round while it reads them, after which no voxel has the index that a
    result tells.

    Args:
        path: NRRD, NIfTI, or whatever else Slicer's archetype reader knows.

    Returns:
        A node that is in no scene yet.

    Raises:
        VolumeError: if it cannot be read.
    """
    if not Path(path).is_file():
        raise VolumeError(_("{path}: there is no such file.").format(path=path))
    node = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetForceRightHandedIJKCoordinateSystem(False)
    storage.SetSingleFile(True)  # otherwise a file of one slice is read with all of its folder, as a series
    storage.SetFileName(str(path))
    if not storage.ReadData(node) or node.GetImageData() is None:
        raise VolumeError(_("{path}: this file is damaged or not a volume of grey values.").format(path=path))
    node.SetName(Path(path).name.split(".")[0])
    return node


def read_map(path: Path, input_node: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """Reads the map that was computed of a volume.

    Args:
        path: the map.
        input_node: what it was computed of.

    Returns:
        A node that is in no scene yet, in the voxel order of the file, which the numbers of a result count in.

    Raises:
        VolumeError: if it cannot be read, or does not lie where the input does.
    """
    node = read_volume(path)
    difference = geometry_difference(node, input_node)
    if difference:
        raise VolumeError(
            _(
                "{path}: this map does not fit {name}: {difference}. Choose the volume that it was computed of, or run "
                "it again."
            ).format(path=path, name=input_node.GetName(), difference=difference)
        )
    return node


def geometry_difference(first: slicer.vtkMRMLVolumeNode, second: slicer.vtkMRMLVolumeNode) -> str:
    """What keeps the voxels of two volumes from lying in the same places, parent transforms aside.

    The same voxels in reverse order along an axis are no difference: a scene that is saved and loaded, and a
    left-handed file, come so. (``vtkSlicerVolumesLogic.CompareVolumeGeometry`` takes that for a difference, and calls
    any two volumes under one transform different.)

    Returns:
        A part of a sentence; empty if there is none.
    """
    sizes = [node.GetImageData().GetDimensions() for node in (first, second)]
    if sizes[0] != sizes[1]:
        first_size, second_size = (" x ".join(map(str, size)) for size in sizes)
        return _("it has {first} voxels and the volume {second}").format(first=first_size, second=second_size)
    last = np.array(sizes[0]) - 1
    first_matrix, second_matrix = ijk_to_ras(first), ijk_to_ras(second)
    smallest = np.linalg.norm(second_matrix[:3, :3], axis=0).min()
    origin_in_second = np.linalg.solve(second_matrix, first_matrix[:, 3])[:3]
    reverse = origin_in_second > last / 2
    # A matrix that counts the second volume's voxels from the corner where the first one's begin.
    turn = np.diag([*np.where(reverse, -1.0, 1.0), 1.0])
    turn[:3, 3] = np.where(reverse, last, 0)
    corners = np.array([[i, j, k, 1] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])]).T
    shift = np.linalg.norm(((first_matrix - second_matrix @ turn) @ corners)[:3], axis=0).max()
    if shift > _LARGEST_SHIFT * smallest:
        return _("its corners lie up to {shift} mm away from the volume's").format(shift=f"{shift:.3g}")
    return ""


def lay_under(node: slicer.vtkMRMLTransformableNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Lets a node move with a volume: its parent transform becomes the volume's."""
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The 4 x 4 matrix from voxel index (i, j, k) to millimetres (R, A, S), without the parent transform."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def voxel_ml(node: slicer.vtkMRMLVolumeNode) -> float | None:
    """How large a voxel is, in ml; None for a picture, a single slice whose depth means nothing."""
    image = node.GetImageData()
    if image is not None and 1 in image.GetDimensions():
        return None
    return abs(float(np.linalg.det(ijk_to_ras(node)[:3, :3]))) / 1000


def voxels_time(volume: slicer.vtkMRMLVolumeNode) -> int | None:
    """When a volume's voxels were last changed or replaced, as VTK counts time; None without voxels."""
    image = volume.GetImageData()
    return None if image is None else image.GetMTime()


def to_world(node: slicer.vtkMRMLTransformableNode, point: np.ndarray) -> np.ndarray:
    """Where a node's parent transform takes one of its points, both in mm (R, A, S)."""
    return _transformed(point, node.GetParentTransformNode(), None)


def from_world(node: slicer.vtkMRMLTransformableNode, point: np.ndarray) -> np.ndarray:
    """Which of a node's points its parent transform takes to a place, both in mm (R, A, S)."""
    return _transformed(point, None, node.GetParentTransformNode())


def turning_transform(volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLTransformNode | None:
    """A volume's parent transform, if a network should see it: if it turns or mirrors the volume, or is not linear.

    The file that the network reads has the directions of the volume's own axes only. None where there is no such
    transform; one that shifts, or turns by a few degrees, is none.
    """
    transform_node = volume.GetParentTransformNode()
    if transform_node is None:
        return None
    if not transform_node.IsTransformToWorldLinear():
        return transform_node
    matrix = vtk.vtkMatrix4x4()
    transform_node.GetMatrixTransformToWorld(matrix)
    left, _, right = np.linalg.svd(slicer.util.arrayFromVTKMatrix(matrix)[:3, :3])
    rotation = left @ right  # what is left without scale and shear
    # Of one that mirrors, the trace is 1 at most, and the angle by which it turns comes out as 90 degrees or more.
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    return transform_node if angle > _LARGEST_TURN else None


def _transformed(
    point: np.ndarray, source: slicer.vtkMRMLTransformNode | None, target: slicer.vtkMRMLTransformNode | None
) -> np.ndarray:
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return np.array(transform.TransformPoint(*map(float, point)))
