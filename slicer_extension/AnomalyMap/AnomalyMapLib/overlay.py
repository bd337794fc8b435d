"""The map over its input in the slice views."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import slicer

from .fitting import fit_if_out_of_sight
from .nodes import nodes_of_class

__all__ = [
    "DEFAULT_OPACITY",
    "default_threshold",
    "fill_color_table",
    "hide",
    "opacity_of",
    "set_opacity",
    "set_threshold",
    "show_background",
    "show_display",
    "show_in_slices",
    "show_legend",
    "shows_another",
    "threshold_of",
    "views_of",
]

DEFAULT_OPACITY = 0.6

_NUM_COLORS = 256
# Dark red to a yellowish white: every one lighter than the last, and none of them grey.
_WAYPOINTS = ((0.30, 0.0, 0.02), (0.72, 0.04, 0.02), (0.94, 0.30, 0.04), (1.0, 0.62, 0.12), (1.0, 0.95, 0.6))
_PERCENTILE = 98.0
_MOST_VOXELS = 4_000_000
# Of the scale of colours, in shares of a view: small, and in the upper right corner, where there seldom is anything.
_LEGEND_SIZE = (0.12, 0.25)
_LEGEND_POSITION = (0.95, 0.9)
_LEGEND_WIDTH = 20  # characters in a line of its title


def fill_color_table(node: slicer.vtkMRMLColorTableNode) -> None:
    """Gives a colour table the map's colours: dark red to a yellowish white in equal steps of lightness.

    The first colour is transparent. It is the only one: a slice view knows opaque and transparent, nothing between.
    """
    node.SetTypeToUser()
    node.SetNumberOfColors(_NUM_COLORS)
    for index, (red, green, blue) in enumerate(_colors()):
        node.SetColor(index, f"{index}", red, green, blue, 0.0 if index == 0 else 1.0)
    node.GetLookupTable().SetTableRange(0, _NUM_COLORS - 1)
    node.SetAttribute("Category", "Anomaly")


def default_threshold(map_node: slicer.vtkMRMLScalarVolumeNode, map_threshold: float | None) -> float:
    """From where on the map is shown at first.

    Args:
        map_node: the map, never negative.
        map_threshold: what the run was made with, if anything.

    Returns:
        ``map_threshold``, or else the value below which 98 of 100 voxels above zero lie; 1 for a map of zeros.
    """
    if map_threshold is not None:
        return float(map_threshold)
    values = slicer.util.arrayFromVolume(map_node).ravel()
    # Every n-th of a large map's voxels tells as much in a tenth of the time; odd, to fall on every column.
    step = values.size // _MOST_VOXELS
    values = values[:: step + 1 if step % 2 == 0 else step + 2]
    values = values[values > 0]
    return float(np.percentile(values, _PERCENTILE)) if values.size else 1.0


def show_display(
    map_node: slicer.vtkMRMLScalarVolumeNode, color_node: slicer.vtkMRMLColorTableNode, map_threshold: float | None
) -> None:
    """Gives the map its display: colours from 0 to its highest value, and nothing below the default threshold.

    Where a threshold is given, the colours reach to twice that at least: a map that hardly rises above what is
    healthy should not look like one that does.

    What somebody changed of an earlier display is undone.

    Args:
        map_node: the map; its display node is made if it has none.
        color_node: its colours.
        map_threshold: what the run was made with, if anything; see :func:`default_threshold`.
    """
    display = map_node.GetScalarVolumeDisplayNode()
    if display is None:
        # Not CreateDefaultDisplayNodes, which would go through a large map for a window that is not used.
        display = slicer.vtkMRMLScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display = map_node.GetScene().AddNode(display)
        map_node.SetAndObserveDisplayNodeID(display.GetID())
    with slicer.util.NodeModify(display):
        display.AutoWindowLevelOff()
        display.AutoThresholdOff()
        display.SetWindowLevelMinMax(0.0, max(_highest(map_node), 2 * (map_threshold or 0.0)) or 1.0)
        display.SetAndObserveColorNodeID(color_node.GetID())
        display.SetInterpolate(True)
        display.SetVisibility(True)
    set_threshold(map_node, default_threshold(map_node, map_threshold))


def show_legend(map_node: slicer.vtkMRMLScalarVolumeNode, title: str) -> None:
    """Shows the scale of the map's colours in the views that show the map by now.

    Args:
        map_node: the map, with its display.
        title: what the numbers are.
    """
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(map_node)
    if legend is None:
        # Not AddDefaultColorLegendDisplayNode, which knows the class only where the module Colors was loaded.
        legend = map_node.GetScene().AddNode(slicer.vtkMRMLColorLegendDisplayNode())
        legend.SetAndObservePrimaryDisplayNode(map_node.GetScalarVolumeDisplayNode())
        legend.SetSize(*_LEGEND_SIZE)
        legend.SetPosition(*_LEGEND_POSITION)
        map_node.AddAndObserveDisplayNodeID(legend.GetID())
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(textwrap.fill(title, _LEGEND_WIDTH))
        legend.SetLabelFormat("%.3g")  # maps may hardly rise above 0
        legend.SetVisibility(True)
        legend.Modified()  # views look whether they show the map when the scale changes, and not when the map does


def show_in_slices(
    input_node: slicer.vtkMRMLVolumeNode,
    map_node: slicer.vtkMRMLScalarVolumeNode,
    opacity: float = DEFAULT_OPACITY,
    *,
    take_views: bool = True,
) -> None:
    """Lays the map over the input in the slice views of their scene, moved to it where they would show nothing of it.

    Args:
        input_node: the background.
        map_node: the foreground.
        opacity: of the foreground, from 0 to 1.
        take_views: all of them; otherwise only those whose background the input is already.
    """
    for composite in _composites(map_node):
        if not take_views and composite.GetBackgroundVolumeID() != input_node.GetID():
            continue
        with slicer.util.NodeModify(composite):
            _set_background(composite, input_node)
            composite.SetForegroundVolumeID(map_node.GetID())
            composite.SetForegroundOpacity(opacity)
            composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)


def show_background(input_node: slicer.vtkMRMLVolumeNode) -> None:
    """Shows the input in all slice views of its scene, likewise, and leaves what may lie over it."""
    for composite in _composites(input_node):
        _set_background(composite, input_node)


def shows_another(input_node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a slice view of the input's scene shows another volume."""
    return any(
        composite.GetBackgroundVolumeID() not in (None, input_node.GetID()) for composite in _composites(input_node)
    )


def views_of(volumes: Sequence[slicer.vtkMRMLVolumeNode]) -> list[slicer.vtkMRMLSliceNode]:
    """The slice views that show any of some volumes of a scene, in whichever layer."""
    composites = _composites(volumes[0]) if volumes else []
    views = (slicer.vtkMRMLSliceLogic.GetSliceNode(composite) for composite in composites if _shows(composite, volumes))
    return [view for view in views if view is not None]


def hide(map_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Takes the map out of all slice and 3D views of its scene."""
    for composite in _composites(map_node):
        if composite.GetForegroundVolumeID() == map_node.GetID():
            composite.SetForegroundVolumeID(None)
    for index in range(1, map_node.GetNumberOfDisplayNodes()):  # the first one is that of slice views
        map_node.GetNthDisplayNode(index).SetVisibility(False)


def set_threshold(map_node: slicer.vtkMRMLScalarVolumeNode, threshold: float) -> None:
    """Shows nothing of the map below a value."""
    display = map_node.GetScalarVolumeDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetThreshold(threshold, max(threshold, _highest(map_node)))
        display.ApplyThresholdOn()


def threshold_of(map_node: slicer.vtkMRMLScalarVolumeNode) -> float:
    """From where on the map is shown."""
    return map_node.GetScalarVolumeDisplayNode().GetLowerThreshold()


def set_opacity(map_node: slicer.vtkMRMLScalarVolumeNode, opacity: float) -> None:
    """Makes the map more or less opaque, from 0 to 1, in the slice views that show it."""
    for composite in _composites(map_node):
        if composite.GetForegroundVolumeID() == map_node.GetID():
            composite.SetForegroundOpacity(opacity)


def opacity_of(map_node: slicer.vtkMRMLScalarVolumeNode) -> float | None:
    """How opaque the map is in the slice views; None where none shows it."""
    for composite in _composites(map_node):
        if composite.GetForegroundVolumeID() == map_node.GetID():
            return composite.GetForegroundOpacity()
    return None


def _set_background(composite: slicer.vtkMRMLSliceCompositeNode, input_node: slicer.vtkMRMLVolumeNode) -> None:
    if composite.GetBackgroundVolumeID() == input_node.GetID():
        return  # and whoever looks at a place of it goes on
    composite.SetBackgroundVolumeID(input_node.GetID())
    slice_node = slicer.vtkMRMLSliceLogic.GetSliceNode(composite)
    if slice_node is not None and input_node.GetImageData() is not None:
        fit_if_out_of_sight(slice_node, input_node)


def _shows(composite: slicer.vtkMRMLSliceCompositeNode, volumes: Sequence[slicer.vtkMRMLVolumeNode]) -> bool:
    layers = range(composite.Layer_Last + composite.GetNumberOfAdditionalLayers())
    return any(composite.GetNthLayerVolume(layer) in volumes for layer in layers)


def _composites(node: slicer.vtkMRMLNode) -> list[slicer.vtkMRMLSliceCompositeNode]:
    return nodes_of_class(node.GetScene(), "vtkMRMLSliceCompositeNode")


def _highest(map_node: slicer.vtkMRMLScalarVolumeNode) -> float:
    return map_node.GetImageData().GetScalarRange()[1]


def _colors() -> np.ndarray:
    """The colours, (256, 3), from 0 to 1: along the waypoints, in equal steps of lightness."""
    fine = np.linspace(0, len(_WAYPOINTS) - 1, 16 * _NUM_COLORS)
    path = np.stack([np.interp(fine, range(len(_WAYPOINTS)), channel) for channel in zip(*_WAYPOINTS)], axis=1)
    lightness = np.array([_lightness(color) for color in path])
    steps = np.linspace(lightness[0], lightness[-1], _NUM_COLORS)
    return np.stack([np.interp(steps, lightness, channel) for channel in path.T], axis=1)


def _lightness(color: np.ndarray) -> float:
    """CIE L*, 0 to 100, of an sRGB colour."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance
