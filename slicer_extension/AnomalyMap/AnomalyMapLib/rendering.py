"""The map in the 3D views: volume rendering that follows the threshold."""

from __future__ import annotations

import slicer

__all__ = ["attach", "fill_preset"]

_FAINTEST = 0.12  # opacity at the threshold: seen, and does not hide what is behind
_DENSEST = 0.75


def fill_preset(
    property_node: slicer.vtkMRMLVolumePropertyNode, map_node: slicer.vtkMRMLScalarVolumeNode, threshold: float
) -> None:
    """Lets a volume property show the map as its slice views do: the same colours, nothing below the threshold.

    Args:
        property_node: what is filled.
        map_node: the map, with its display.
        threshold: in the map's units.
    """
    display = map_node.GetScalarVolumeDisplayNode()
    top = max(display.GetWindowLevelMax(), threshold)
    volume_property = property_node.GetVolumeProperty()
    with slicer.util.NodeModify(property_node):
        colors = volume_property.GetRGBTransferFunction()
        colors.RemoveAllPoints()
        table = display.GetColorNode()
        count = table.GetNumberOfColors()
        rgba = [0.0] * 4
        for index in range(0, count, 5):
            table.GetColor(index, rgba)
            colors.AddRGBPoint(display.GetWindowLevelMax() * index / (count - 1), *rgba[:3])
        opacity = volume_property.GetScalarOpacity()
        opacity.RemoveAllPoints()
        just_below = threshold - 1e-4 * top
        for value, alpha in ((min(0.0, just_below), 0.0), (just_below, 0.0), (threshold, _FAINTEST)):
            opacity.AddPoint(value, alpha)
        opacity.AddPoint(max(top, threshold + 1e-4 * top), _DENSEST)
        gradient = volume_property.GetGradientOpacity()
        gradient.RemoveAllPoints()
        gradient.AddPoint(0.0, 1.0)
        volume_property.SetInterpolationTypeToLinear()
        volume_property.ShadeOn()
        volume_property.SetAmbient(0.6)
        volume_property.SetDiffuse(0.5)
        volume_property.SetSpecular(0.1)


def attach(
    display_node: slicer.vtkMRMLVolumeRenderingDisplayNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    property_node: slicer.vtkMRMLVolumePropertyNode,
) -> None:
    """Lets a volume rendering display, of the same scene, show the map in all 3D views by a volume property."""
    with slicer.util.NodeModify(display_node):
        display_node.SetAndObserveVolumePropertyNodeID(property_node.GetID())
        display_node.SetFollowVolumeDisplayNode(False)  # or the threshold would be lost
    if not map_node.HasNodeReferenceID(map_node.GetDisplayNodeReferenceRole(), display_node.GetID()):
        map_node.AddAndObserveDisplayNodeID(display_node.GetID())
