"""The marker where the map is highest."""

from __future__ import annotations

from typing import Any

import numpy as np
import scenes
import slicer
from AnomalyMapLib import peak


def a_marker(scene: Any) -> Any:
    return scene.mrml.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")


def test_one_point_named_by_the_value(scene: Any) -> None:
    map_node, marker_node = scene.add_volume(scenes.phantom()[1], np.eye(4)), a_marker(scene)
    for value in (0.5, 0.8125):
        peak.mark(marker_node, map_node, (1, 2, 3), f"peak {value:.3g}")
    assert marker_node.GetNumberOfControlPoints() == 1
    assert marker_node.GetNthControlPointLabel(0) == "peak 0.812"
    assert marker_node.GetNthControlPointLocked(0)
    assert peak.world_position(marker_node) == (1, 2, 3)


def test_is_a_cross_until_somebody_changes_it(scene: Any) -> None:
    map_node, marker_node = scene.add_volume(scenes.phantom()[1], np.eye(4)), a_marker(scene)
    peak.mark(marker_node, map_node, (1, 2, 3), "peak")
    display = marker_node.GetDisplayNode()
    assert display.GetGlyphType() == display.Cross2D
    display.SetGlyphType(display.Circle2D)
    peak.mark(marker_node, map_node, (1, 2, 3), "peak")
    assert display.GetGlyphType() == display.Circle2D


def test_moves_with_the_map(scene: Any) -> None:
    map_node, marker_node = scene.add_volume(scenes.phantom()[1], np.eye(4)), a_marker(scene)
    transform_node = scene.mrml.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = scenes.GEOMETRIES["oblique"]
    transform_node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    map_node.SetAndObserveTransformNodeID(transform_node.GetID())
    peak.mark(marker_node, map_node, (1, 2, 3), "peak")
    np.testing.assert_allclose(peak.world_position(marker_node), (matrix @ [1, 2, 3, 1])[:3])


def test_millimetres_of_a_result_are_lps(scene: Any) -> None:
    map_node = scene.add_volume(scenes.phantom()[1], np.eye(4))
    assert peak.peak_position(map_node, (1.0, 2.0, 3.0)) == (-1, -2, 3)


def test_without_millimetres_the_map_tells(scene: Any) -> None:
    matrix = scenes.GEOMETRIES["oblique left-handed"]
    map_node = scene.add_volume(scenes.phantom()[1], matrix)
    np.testing.assert_allclose(peak.peak_position(map_node, None), (matrix @ [*scenes.PEAK, 1])[:3])
