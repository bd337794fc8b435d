"""The sliders of the panel and what the scene shows: each follows the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import slicer
import vtk

from .nodes import nodes_of_class
from .scene import ResultScene

__all__ = ["DisplaySync", "map_of"]


class DisplaySync:
    """Keeps the parameters threshold, opacity and rendering equal to what the nodes of the result show.

    Nodes change by other hands too: in the module Volumes, by the opacity slider of a slice view, by a new run.

    Args:
        slider: of the threshold; its range follows the map.
    """

    def __init__(self, slider: Any) -> None:
        self._slider = slider
        self._parameters: Any = None
        self._scene: ResultScene | None = None
        self._observed: list[tuple[slicer.vtkMRMLNode, int]] = []

    def attach(self, parameters: Any, scene: ResultScene) -> None:
        """Takes over what the scene shows, and follows it from now on.

        Args:
            parameters: the module's parameter node, wrapped.
            scene: the result.
        """
        self.detach()
        map_node = map_of(scene)
        if map_node is None:
            return
        self._parameters, self._scene = parameters, scene
        self._fit_slider(map_node.GetImageData().GetScalarRange()[1])
        self.from_scene()
        self._observe(map_node, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent)
        for composite in nodes_of_class(map_node.GetScene(), "vtkMRMLSliceCompositeNode"):
            self._observe(composite, vtk.vtkCommand.ModifiedEvent)

    def detach(self) -> None:
        """Follows nothing any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed.clear()
        self._parameters = self._scene = None

    def from_scene(self, caller: Any = None, event: Any = None) -> None:
        """Takes over what the scene shows, if a result is followed."""
        scene, parameters = self._scene, self._parameters
        if scene is None or map_of(scene) is None or scene.holder.GetScene().IsBatchProcessing():
            return
        # The module Volumes has thresholds below 0 too, where no map has anything.
        shown = {"threshold": max(scene.threshold, 0.0), "opacity": scene.opacity, "rendering": scene.rendering}
        with slicer.util.NodeModify(parameters):
            for name, value in shown.items():
                if value is not None and value != parameters.getValue(name):
                    parameters.setValue(name, value)

    def to_scene(self, rendering_logic: Callable[[], Any]) -> None:
        """Shows what the parameters say.

        Args:
            rendering_logic: gives the logic of volume rendering, when it is needed.
        """
        scene, parameters = self._scene, self._parameters
        if scene is None or map_of(scene) is None:
            return
        threshold, opacity, rendering = parameters.threshold, parameters.opacity, parameters.rendering
        if threshold != scene.threshold:
            scene.threshold = threshold
        if opacity != scene.opacity:
            scene.opacity = opacity
        if rendering != scene.rendering:
            scene.set_rendering(rendering, rendering_logic())

    def _observe(self, node: slicer.vtkMRMLNode, event: int) -> None:
        self._observed.append((node, node.AddObserver(event, self.from_scene)))

    def _fit_slider(self, highest: float) -> None:
        """Gives the threshold's slider the range of a map, in a hundred steps or a few more."""
        highest = max(highest, self._scene.threshold, 1e-6)
        decimals = min(max(2 - math.floor(math.log10(highest)), 0), 8)
        # What the new range makes of the earlier map's value is nobody's wish.
        was_blocked = self._slider.blockSignals(True)
        self._slider.decimals = decimals
        self._slider.minimum, self._slider.maximum = 0.0, highest
        self._slider.singleStep = 10.0**-decimals
        self._slider.value = self._scene.threshold
        self._slider.blockSignals(was_blocked)


def map_of(scene: ResultScene) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The map of a result, if it can be shown: the file of one that a saved scene names may be lost."""
    map_node = scene.node("anomalyMap")
    if map_node is None or map_node.GetImageData() is None or map_node.GetScalarVolumeDisplayNode() is None:
        return None
    return map_node
