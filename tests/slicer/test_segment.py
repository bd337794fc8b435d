"""A segment from what lies above the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib.description import size_in_words
from AnomalyMapLib.segment import SEGMENT_ID, make_segment, remove_findings
from AnomalyMapLib.volumes import VolumeError
from vtk.util.numpy_support import vtk_to_numpy


def a_map(scene: Any, matrix: np.ndarray | None = None) -> tuple[Any, Any]:
    """The phantom's map, and an empty segmentation."""
    map_node = scene.add_volume(scenes.phantom()[1], np.eye(4) if matrix is None else matrix, "map")
    return map_node, scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")


def mask_of(segmentation_node: Any, volume_node: Any) -> np.ndarray:
    """The segment's voxels, resampled into the geometry of a volume, (k, j, i)."""
    reference = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(volume_node)
    labelmap = slicer.vtkOrientedImageData()
    segmentation_node.GetBinaryLabelmapRepresentation(SEGMENT_ID, labelmap)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(labelmap, reference, labelmap)
    i, j, k = labelmap.GetDimensions()
    values = vtk_to_numpy(labelmap.GetPointData().GetScalars())
    return values.reshape(k, j, i).astype(bool)


@pytest.mark.parametrize("matrix", scenes.GEOMETRIES.values(), ids=scenes.GEOMETRIES)
def test_voxels_in_the_geometry_of_the_input(scene: Any, matrix: np.ndarray) -> None:
    input_node = scene.add_volume(scenes.phantom()[0], matrix)
    map_node, segmentation_node = a_map(scene, matrix)
    num_voxels = make_segment(segmentation_node, map_node, input_node, 0.3)
    expected = scenes.phantom()[1] >= 0.3
    assert num_voxels == expected.sum()
    np.testing.assert_array_equal(mask_of(segmentation_node, input_node), expected)
    assert segmentation_node.GetNodeReference("referenceImageGeometryRef") is input_node


def test_voxels_at_the_threshold_are_in_it_as_they_are_in_a_slice_view(scene: Any) -> None:
    voxels = np.zeros((3, 4, 5), np.float32)
    voxels[1, 2, 1:4] = 0.3, 0.5, np.nextafter(np.float32(0.3), np.float32(0))
    map_node = scene.add_volume(voxels, np.eye(4))
    segmentation_node = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert make_segment(segmentation_node, map_node, map_node, 0.3) == 2


def test_named_with_threshold_and_size(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    num_voxels = make_segment(segmentation_node, map_node, None, 0.31)
    expected = size_in_words(num_voxels, 0.001)
    assert segmentation_node.GetSegmentation().GetSegment(SEGMENT_ID).GetName() == f"Map above 0.31 ({expected})"


def test_again_replaces(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    for threshold in (0.2, 0.4):
        make_segment(segmentation_node, map_node, map_node, threshold)
    assert segmentation_node.GetSegmentation().GetNumberOfSegments() == 1
    np.testing.assert_array_equal(mask_of(segmentation_node, map_node), scenes.phantom()[1] >= 0.4)


def test_only_findings_are_removed(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    segmentation = segmentation_node.GetSegmentation()
    for identifier in ("Finding1", "Findings of mine", "Finding12"):
        segmentation.AddEmptySegment(identifier)
    make_segment(segmentation_node, map_node, map_node, 0.2)
    remove_findings(segmentation_node)
    assert list(segmentation.GetSegmentIDs()) == ["Findings of mine", SEGMENT_ID]


def test_moves_with_the_map(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    transform_node = scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    map_node.SetAndObserveTransformNodeID(transform_node.GetID())
    make_segment(segmentation_node, map_node, map_node, 0.2)
    assert segmentation_node.GetParentTransformNode() is transform_node


def test_nothing_above_the_threshold_is_told_and_changes_nothing(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    make_segment(segmentation_node, map_node, map_node, 0.2)
    with pytest.raises(VolumeError, match=r"Nothing of the map lies above 0\.9; lower the threshold"):
        make_segment(segmentation_node, map_node, map_node, 0.9)
    assert segmentation_node.GetSegmentation().GetSegment(SEGMENT_ID).GetName().startswith("Map above 0.2 (")


def test_one_slice(scene: Any) -> None:
    map_node = scene.add_volume(scenes.phantom()[1][13:14], np.eye(4))
    segmentation_node = scene.mrml.AddNewNodeByClass("vtkMRMLSegmentationNode")
    make_segment(segmentation_node, map_node, map_node, 0.3)
    np.testing.assert_array_equal(mask_of(segmentation_node, map_node), scenes.phantom()[1][13:14] >= 0.3)


def test_is_an_outline(scene: Any) -> None:
    map_node, segmentation_node = a_map(scene)
    make_segment(segmentation_node, map_node, map_node, 0.3)
    display = segmentation_node.GetDisplayNode()
    assert not display.GetSegmentVisibility2DFill(SEGMENT_ID)
    assert display.GetSegmentVisibility2DOutline(SEGMENT_ID)
