"""What becomes of a result when another takes its place: what goes, what stays, and what is the user's from then on."""

from __future__ import annotations

import slicer

from . import overlay, peak, segment
from .nodes import ROLES, HeldNodes

__all__ = ["FormerResult"]

# Of the roles, what is seen in the views.
_SEEN = ("anomalyMap", "segmentation", "peakMarker")
# References to what is still shown of the result of another volume, until the views are taken.
_FORMER = "formerResult"
# Reference to the segmentation that was let go since somebody changed it, until the next run.
_KEPT = "keptSegmentation"


class FormerResult:
    """The result that is there when another comes.

    Of the same volume, map, display, table and plot are left to be written over; mark and findings are removed, and
    other segments stay. What somebody made by hand is left to them: a segmentation in which they changed a segment that
    was made here, and points beside the mark. A result of another volume stays as ordinary nodes, hidden: written over,
    its nodes would be saved to the files of that other volume.

    Args:
        holder: refers to the nodes of the result, see :class:`.ResultScene`.
    """

    def __init__(self, holder: slicer.vtkMRMLScriptedModuleNode) -> None:
        self._holder = holder
        self._nodes = HeldNodes(holder)

    @property
    def kept_segmentation(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The segmentation that somebody had changed, let go since the last run; None if there is none (any more)."""
        return self._holder.GetNodeReference(_KEPT)

    def make_room(self, *, is_of_same_volume: bool, take_views: bool) -> None:
        """Takes away what there is of it, but what was asked for or made by hand.

        Args:
            is_of_same_volume: as the result that comes.
            take_views: whether that is shown in all slice views; otherwise what is shown of another volume stays until
                :meth:`hide`.
        """
        if not is_of_same_volume:
            self._let_go()
        if take_views:
            self.hide()
        self._remove_mark()
        self._holder.RemoveNodeReferenceIDs(_KEPT)
        segmentation_node = self.unchanged_segmentation()
        if segmentation_node is not None:
            segment.remove_findings(segmentation_node)

    def hide(self) -> None:
        """Hides what is shown of the result of another volume: outlines and marks would lie over this one."""
        for index in range(self._holder.GetNumberOfNodeReferences(_FORMER)):
            node = self._holder.GetNthNodeReference(_FORMER, index)
            if node is None:  # deleted since
                continue
            if node.IsA("vtkMRMLVolumeNode"):
                overlay.hide(node)
            else:
                node.SetDisplayVisibility(False)
        self._holder.RemoveNodeReferenceIDs(_FORMER)

    def unchanged_segmentation(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The segmentation; one in which somebody changed what was made here is let go, theirs from now on."""
        segmentation_node = self._nodes.get("segmentation")
        if segmentation_node is not None and segment.is_changed(segmentation_node):
            self._holder.SetNodeReferenceID(_KEPT, segmentation_node.GetID())
            self._nodes.hold("segmentation", None)
        return self._nodes.get("segmentation")

    def remove_empty_segmentation(self) -> None:
        """Removes the segmentation if the result has nothing for it. Before that, it stays for whoever has it open."""
        segmentation_node = self._nodes.get("segmentation")
        if segmentation_node is not None and segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
            self._nodes.remove("segmentation")

    def remove_nodes(self) -> None:
        """Removes all that is made of a map, but segments that somebody asked for."""
        for role in reversed(ROLES[1:]):
            if role != "segmentation":
                self._nodes.remove(role)

    def _let_go(self) -> None:
        """Lets go of the result's nodes, which are of another volume."""
        marker_node = self._nodes.get("peakMarker")
        if marker_node is not None and marker_node.GetNumberOfControlPoints() == 0:
            self._nodes.remove("peakMarker")
        for role in ROLES[1:]:
            if role in _SEEN and (node := self._nodes.get(role)) is not None:
                self._holder.AddNodeReferenceID(_FORMER, node.GetID())
            self._nodes.hold(role, None)

    def _remove_mark(self) -> None:
        """Removes the mark. Its node stays for the next one, as somebody may have made it look otherwise; one in which
        the user has points is theirs from now on, and does not move with another map."""
        marker_node = self._nodes.get("peakMarker")
        if marker_node is not None and peak.unmark(marker_node):
            self._nodes.hold("peakMarker", None)
