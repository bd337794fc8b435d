"""Volume rendering of the map: the same colours as in the slice views, and nothing below the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scenes
import slicer
from AnomalyMapLib import overlay, rendering


@pytest.fixture
def nodes(scene: Any) -> tuple[Any, Any]:
    """The phantom's map with its display, and a volume property."""
    map_node = scene.add_volume(scenes.phantom()[1], np.eye(4))
    color_node = scene.mrml.AddNode(slicer.vtkMRMLColorTableNode())
    overlay.fill_color_table(color_node)
    overlay.show_display(map_node, color_node, 0.3)
    return map_node, scene.mrml.AddNode(slicer.vtkMRMLVolumePropertyNode())


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.3, 0.79, 0.8, 2.0])
def test_transparent_below_the_threshold_and_not_above(nodes: tuple[Any, Any], threshold: float) -> None:
    map_node, property_node = nodes
    for _ in range(2):  # the second time nothing is added
        rendering.fill_preset(property_node, map_node, threshold)
    opacity = property_node.GetVolumeProperty().GetScalarOpacity()
    assert opacity.GetSize() <= 4
    assert all(opacity.GetValue(value) == 0 for value in np.linspace(0, 0.98 * threshold, 50) if value < threshold)
    above = [opacity.GetValue(value) for value in np.linspace(threshold, 3, 50)]
    assert min(above) > 0.1
    assert np.all(np.diff(above) >= 0)


def test_colours_of_the_slice_views(nodes: tuple[Any, Any]) -> None:
    map_node, property_node = nodes
    rendering.fill_preset(property_node, map_node, 0.3)
    colors = property_node.GetVolumeProperty().GetRGBTransferFunction()
    table = map_node.GetScalarVolumeDisplayNode().GetColorNode()
    rgba = [0.0] * 4
    for index in range(256):
        table.GetColor(index, rgba)
        # Between the points of the function colours are blended: off by less than 3 levels of 255.
        np.testing.assert_allclose(colors.GetColor(0.8 * index / 255), rgba[:3], atol=3 / 255)


def test_attached_once(scene: Any, nodes: tuple[Any, Any]) -> None:
    map_node, property_node = nodes
    display_node = scene.mrml.AddNode(slicer.vtkMRMLGPURayCastVolumeRenderingDisplayNode())
    display_node.SetFollowVolumeDisplayNode(True)
    for _ in range(2):
        rendering.attach(display_node, map_node, property_node)
    assert map_node.GetNumberOfDisplayNodes() == 2
    assert map_node.GetScalarVolumeDisplayNode() is map_node.GetNthDisplayNode(0)
    assert display_node.GetVolumePropertyNode() is property_node
    assert not display_node.GetFollowVolumeDisplayNode()
    assert not display_node.GetCroppingEnabled()
    assert display_node.GetNumberOfViewNodeIDs() == 0  # which is every 3D view
