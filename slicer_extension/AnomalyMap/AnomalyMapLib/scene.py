"""All nodes of one result, held by one node of the scene and replaced on the next run."""

from __future__ import annotations

import json
from collections.abc import Sequence

import slicer

from . import laying, overlay, peak, rendering, segment, slice_scores
from .description import Description, describe, describe_finding
from .former_result import FormerResult
from .hierarchy import file_beside
from .i18n import tr as _
from .nodes import ROLES, HeldNodes, give_name
from .places import in_world, with_places
from .results import AnomalyResult, Finding, result_from_dict, result_to_json
from .volumes import VolumeError, read_map, voxel_ml

__all__ = ["ResultScene"]

_RESULT = "result"
# The label of the finding that was shown last.
_FINDING = "finding"
# The row of the slice that was shown last.
_SLICE = "shownSlice"
# Reference to the volume that the result is of: a user may have chosen another input since.
_RESULT_OF = "resultOf"
# Set while the views have not shown the result yet.
_UNSEEN = "unseen"


class ResultScene:
    """A result in its scene.

    Nothing is remembered here: what there is, is asked of the scene each time. So it does not matter what a user
    deleted or changed in between, nor that a scene was loaded.

    Args:
        holder: refers to all nodes of the result by the names in `ROLES`, and keeps the result itself; in Slicer, the
            parameter node of the module.
    """

    def __init__(self, holder: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.holder = holder
        self._nodes = HeldNodes(holder)
        self._former = FormerResult(holder)

    def node(self, role: str) -> slicer.vtkMRMLNode | None:
        """The node of a role, one of `ROLES`; None if there is none (any more)."""
        return self._nodes.get(role)

    @property
    def result(self) -> AnomalyResult | None:
        """The result, without the name of the map's file; None before the first run.

        Raises:
            ResultError: if a scene holds one that this version does not know.
        """
        text = self.holder.GetParameter(_RESULT)
        return result_from_dict(json.loads(text)) if text else None

    @property
    def volume(self) -> slicer.vtkMRMLVolumeNode | None:
        """What the result is of; None before the first run, and if it was deleted since."""
        return self.holder.GetNodeReference(_RESULT_OF)

    @property
    def is_unseen(self) -> bool:
        """Whether the result waits for :meth:`show_in_views`."""
        return bool(self.holder.GetParameter(_UNSEEN))

    @property
    def is_in_view(self) -> bool:
        """Whether a slice view shows the result's volume or its map, so that there is one to be moved."""
        return bool(self._views())

    @property
    def position(self) -> float | None:
        """Where the user is along the axis of the slices, see :func:`.slice_scores.present_position`.

        Where the views do not tell, it is the slice that was shown last; None without one.

        Raises:
            VolumeError: if there is no map or no table.
        """
        table_node, shown = self._table(), self.holder.GetParameter(_SLICE)
        position = slice_scores.present_position(table_node, self._map(), self._views())
        if position is None and shown:
            return slice_scores.position_of(table_node, int(shown))
        return position

    @property
    def kept_segmentation(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The segmentation that somebody had changed, which was therefore kept and not written over.

        By this run, or by :meth:`make_segment` since; None where there was none, and if it was deleted since.
        """
        return self._former.kept_segmentation

    def lay(self, result: AnomalyResult, input_node: slicer.vtkMRMLVolumeNode, *, take_views: bool = True) -> None:
        """Shows a result, in the place of the one that is shown; what becomes of that, see :class:`.FormerResult`.

        Args:
            result: what is shown, with the files of its maps.
            input_node: what it was computed of.
            take_views: whether it is shown in all slice views, and its volume chosen as the input. Otherwise it waits
                for :meth:`show_in_views`, as nobody should be disturbed who works on something else: only views that
                show the volume already show the map over it, and what is shown of another volume stays.

        Raises:
            VolumeError: if the map cannot be read, or does not fit the input or the result; the earlier result stays
                then.
        """
        new_map = new_findings = None
        if result.shown_map is not None:
            new_map = read_map(result.shown_map, input_node)
            laying.check_scores(result, new_map, result.shown_map)
            result = with_places(result, new_map)
            if result.findings and result.findings_map is not None:
                new_findings = read_map(result.findings_map, input_node)
        self._former.make_room(is_of_same_volume=input_node is self.volume, take_views=take_views)
        if take_views or self.node("inputVolume") is None:
            self._nodes.hold("inputVolume", input_node)
        self.holder.SetNodeReferenceID(_RESULT_OF, input_node.GetID())
        self.holder.SetParameter(_RESULT, result_to_json(result))
        self.holder.SetParameter(_FINDING, "")
        self.holder.SetParameter(_SLICE, "")
        self.holder.SetParameter(_UNSEEN, "" if take_views else "true")
        if new_map is None:
            self._former.remove_nodes()
            if take_views:
                overlay.show_background(input_node)
        else:
            laying.lay_map(self._nodes, result, new_map, input_node, take_views=take_views)
            laying.lay_scores(self._nodes, result)
            laying.lay_findings(self._nodes, result, new_findings, input_node)
            self._update_rendering()
            self._file()
        self._former.remove_empty_segmentation()

    def show_in_views(self) -> None:
        """Shows the result's volume in all slice views, with map and outlines over it, if they are still there."""
        map_node, volume, outlines = self.node("anomalyMap"), self.volume, self.node("segmentation")
        self.holder.SetParameter(_UNSEEN, "")
        self._former.hide()
        if outlines is not None:
            outlines.SetDisplayVisibility(True)
        if volume is None:
            return
        if map_node is None:
            overlay.show_background(volume)
        else:
            laying.show_map(map_node, volume, take_views=True)

    def describe(self) -> Description:
        """The result in words, its places as the slice views tell them: with the map's parent transform.

        Raises:
            ResultError: as :attr:`result`.
            VolumeError: if there is no result.
        """
        result, map_node = self._present_result(), self.node("anomalyMap")
        return describe(result if map_node is None else in_world(result, map_node), self.voxel_ml)

    def describe_finding(self, finding: Finding) -> str:
        """One of the result's findings in words."""
        return describe_finding(self._present_result(), finding, self.voxel_ml)

    @property
    def voxel_ml(self) -> float | None:
        """How large a voxel is, in ml; None for a picture, and where neither map nor volume are left."""
        node = self.node("anomalyMap") or self.volume
        return None if node is None else voxel_ml(node)

    @property
    def map_name(self) -> str:
        """What the numbers of the map are; empty without a map."""
        map_node = self.node("anomalyMap")
        return "" if map_node is None else laying.name_of(map_node)

    @property
    def shows_deviation(self) -> bool:
        """Whether the map is in standard deviations from healthy images."""
        map_node = self.node("anomalyMap")
        return map_node is not None and laying.kind_of(map_node) == "deviation"

    @property
    def threshold(self) -> float | None:
        """From where on the map is shown, in slice and 3D views; None without a map."""
        map_node = self.node("anomalyMap")
        return None if map_node is None else overlay.threshold_of(map_node)

    @threshold.setter
    def threshold(self, value: float) -> None:
        overlay.set_threshold(self._map(), value)
        self._update_rendering()

    @property
    def opacity(self) -> float | None:
        """How opaque the map is in the slice views, from 0 to 1; None where none shows it."""
        map_node = self.node("anomalyMap")
        return None if map_node is None else overlay.opacity_of(map_node)

    @opacity.setter
    def opacity(self, value: float) -> None:
        overlay.set_opacity(self._map(), value)

    @property
    def rendering(self) -> bool:
        """Whether the map is seen in the 3D views."""
        display_node = self.node("volumeRendering")
        return display_node is not None and bool(display_node.GetVisibility())

    def set_rendering(self, visible: bool, logic: slicer.vtkSlicerVolumeRenderingLogic | None = None) -> None:
        """Shows the map in the 3D views, or hides it there.

        Args:
            visible: whether it is seen.
            logic: makes the display by the method that the user prefers; otherwise it is the graphics card's.
        """
        display_node = self.node("volumeRendering")
        if not visible:
            if display_node is not None:
                display_node.SetVisibility(False)
            return
        self._map()
        if display_node is None:
            display_node = self._rendering_display(logic)
        display_node.SetVisibility(True)
        self._update_rendering()

    def make_segment(self) -> int:
        """Makes a segment of what lies at or above the threshold, in the place of an earlier one.

        Returns:
            Number of voxels in it.

        Raises:
            VolumeError: if there is none, or no map.
        """
        map_node = self._map()
        existing = self._former.unchanged_segmentation()
        segmentation_node = existing or self._nodes.made("segmentation", "vtkMRMLSegmentationNode")
        try:
            num_voxels = segment.make_segment(segmentation_node, map_node, self.volume, overlay.threshold_of(map_node))
        except VolumeError:
            if existing is None:
                self._nodes.remove("segmentation")
            raise
        give_name(segmentation_node, f"{map_node.GetName()} segmentation")
        self._file()
        return num_voxels

    def mark_peak(self) -> None:
        """Puts a marker where the map is highest, and moves the slice views there that show the result.

        Raises:
            VolumeError: if the result has no peak, or there is no map.
        """
        map_node = self._map()
        result = self.result
        if result is None or result.peak is None:
            raise VolumeError(_("This result does not tell where the map is highest; run it again."))
        told = f"{result.peak.deviation:.1f} SD" if self.shows_deviation else f"{result.peak.value:.3g}"
        self._mark(peak.peak_position(map_node, result.peak.lps_mm), f"peak {told}")

    def next_finding(self) -> Finding | None:
        """Puts the marker on the next finding, after the last one on the first, and moves the slice views there.

        Only those that show the result: in others, somebody looks at something else.

        Returns:
            The finding; None if there is none.

        Raises:
            VolumeError: if there is no map.
        """
        self._map()
        result = self.result
        if result is None or not result.findings:
            return None
        labels = [str(finding.label) for finding in result.findings]
        shown = self.holder.GetParameter(_FINDING)
        number = (labels.index(shown) + 1) % len(labels) if shown in labels else 0
        finding = result.findings[number]
        self._mark(peak.ras_of(finding.lps_mm), f"finding {number + 1}")
        self.holder.SetParameter(_FINDING, labels[number])
        return finding

    def jump_to_slice(self, row: int) -> None:
        """Moves the slice views that show the result to where the map is highest in the slice of a row of the table.

        Raises:
            VolumeError: if there is no map or no table.
        """
        ras = slice_scores.highest_in_slice(self._table(), self._map(), row)
        slice_scores.jump(self._views(), ras)
        self.holder.SetParameter(_SLICE, str(row))

    def next_high_slice(self) -> int | None:
        """Moves the slice views that show the result to the next high slice, see :func:`.slice_scores.high_slices`.

        Returns:
            Its row in the table; None if no score is high.

        Raises:
            VolumeError: if there is no map or no table.
        """
        row = slice_scores.next_high(self._table(), self.position)
        if row is not None:
            self.jump_to_slice(row)
        return row

    def _mark(self, ras: Sequence[float], label: str) -> None:
        """Puts the marker on a place, mm (R, A, S) without the map's parent transform, and moves the views there."""
        map_node = self._map()
        marker_node = self._nodes.made("peakMarker", "vtkMRMLMarkupsFiducialNode")
        give_name(marker_node, f"{map_node.GetName()} marker")
        peak.mark(marker_node, map_node, ras, label)
        self._file()
        slice_scores.jump(self._views(), peak.world_position(marker_node))

    def _views(self) -> list[slicer.vtkMRMLSliceNode]:
        """The slice views that show the result."""
        return overlay.views_of(list(filter(None, (self.volume, self.node("anomalyMap")))))

    def _rendering_display(
        self, logic: slicer.vtkSlicerVolumeRenderingLogic | None
    ) -> slicer.vtkMRMLVolumeRenderingDisplayNode:
        if logic is None:
            display_node = slicer.vtkMRMLGPURayCastVolumeRenderingDisplayNode()
        else:
            display_node = logic.CreateVolumeRenderingDisplayNode()
            display_node.UnRegister(None)  # it comes with a reference that is the caller's to give back
        return self._nodes.add("volumeRendering", display_node)

    def _update_rendering(self) -> None:
        """Lets the rendering, if there is one, follow the map and its threshold."""
        display_node = self.node("volumeRendering")
        if display_node is None:
            return
        map_node = self._map()
        property_node = self._nodes.made("volumeProperty", "vtkMRMLVolumePropertyNode")
        give_name(property_node, f"{map_node.GetName()} rendering")
        rendering.fill_preset(property_node, map_node, overlay.threshold_of(map_node))
        rendering.attach(display_node, map_node, property_node)

    def _file(self) -> None:
        """Gives what is new its place in the subject hierarchy."""
        if self.volume is not None:
            file_beside(self.volume, filter(None, map(self.node, ROLES[1:])))

    def _present_result(self) -> AnomalyResult:
        result = self.result
        if result is None:
            raise VolumeError(_("There is no result in the scene; run it first."))
        return result

    def _map(self) -> slicer.vtkMRMLScalarVolumeNode:
        map_node = self.node("anomalyMap")
        if map_node is None:
            raise VolumeError(_("There is no anomaly map in the scene (any more); run it first."))
        return map_node

    def _table(self) -> slicer.vtkMRMLTableNode:
        table_node = self.node("scoreTable")
        if table_node is None:
            raise VolumeError(
                _("There are no scores of slices in the scene: the result has none, or they were deleted.")
            )
        return table_node
