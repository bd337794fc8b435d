"""What a user should know of a volume before its map is believed."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .results import AnomalyResult
from .scene import ResultScene
from .volumes import geometry_difference, turning_transform, voxels_time
from .widget_display import map_of

__all__ = ["ResultNotice", "turn_notice"]


class ResultNotice(VTKObservationMixin):
    """Says why a result should not be believed as it is shown, and follows its volume and map for that.

    Args:
        label: where it is said; hidden while there is nothing to say.
    """

    def __init__(self, label: Any) -> None:
        super().__init__()
        self._label = label
        self._scene: ResultScene | None = None
        self._result: AnomalyResult | None = None
        self._said = ""
        self._examined: tuple[AnomalyResult, int | None] | None = None

    def remember(self, result: AnomalyResult, time: int | None) -> None:
        """Remembers what a result is of.

        Args:
            result: as the scene has it.
            time: of the voxels that were examined, see :func:`.voxels_time`.
        """
        self._examined = result, time

    def forget(self) -> None:
        """Forgets what the results of a scene that is closed were of: the time of its voxels is not saved."""
        self._examined = None

    def follow(self, scene: ResultScene | None, result: AnomalyResult | None, said: str) -> None:
        """Shows the notice of a result from now on.

        Args:
            scene: where the result is.
            result: the result; None if there is none.
            said: what the result itself warns of.
        """
        self.leave()
        self._scene, self._result, self._said = scene, result, said
        for node in (scene.volume, scene.node("anomalyMap")) if result is not None else ():
            if node is not None:
                for event in (vtk.vtkCommand.ModifiedEvent, node.TransformModifiedEvent, node.ImageDataModifiedEvent):
                    self.addObserver(node, event, self._show)
        self._show()

    def leave(self) -> None:
        """Follows nothing any more."""
        self.removeObservers()

    def _show(self, caller: Any = None, event: Any = None) -> None:
        volume = self._scene.volume if self._result is not None else None
        sentences = [self._said]
        if volume is not None:
            sentences += [turn_notice(volume), self._change_notice(volume), _move_notice(self._scene, volume)]
        self._label.text = "\n".join(filter(None, sentences))
        self._label.visible = any(sentences)

    def _change_notice(self, volume: slicer.vtkMRMLVolumeNode) -> str:
        result, time = self._examined or (None, None)
        if result != self._result or time == voxels_time(volume):
            return ""
        return _("The voxels of this volume were changed since Apply was pressed; the result is of what they were.")


def turn_notice(volume: slicer.vtkMRMLVolumeNode | None) -> str:
    """Says that a volume is turned by a transform, which the bundle does not see; empty where it is not."""
    transform_node = turning_transform(volume) if volume is not None else None
    if transform_node is None:
        return ""
    return _(
        "This volume is turned or bent by the transform {transform}, which the bundle does not see. Harden the "
        "transform (module Transforms), then press Apply."
    ).format(transform=transform_node.GetName())


def _move_notice(scene: ResultScene, volume: slicer.vtkMRMLVolumeNode) -> str:
    map_node = map_of(scene)
    if map_node is None or volume.GetImageData() is None:
        return ""
    is_there = map_node.GetTransformNodeID() == volume.GetTransformNodeID()
    if is_there and not geometry_difference(map_node, volume):
        return ""
    return _("The volume was moved since; the map no longer lies where it belongs. Move the map too, or run it again.")
