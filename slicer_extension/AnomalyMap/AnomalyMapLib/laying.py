"""A result becomes nodes: its map with display, the scores of its slices, its findings."""

from __future__ import annotations

from pathlib import Path

import slicer

from . import overlay, segment, slice_scores
from .finding_table import fill_finding_table
from .i18n import tr as _
from .nodes import HeldNodes, give_name
from .results import AnomalyResult
from .volumes import VolumeError, lay_under

__all__ = [
    "DEVIATION_THRESHOLD",
    "check_scores",
    "is_map",
    "kind_of",
    "lay_findings",
    "lay_map",
    "lay_scores",
    "name_of",
    "show_map",
]

# Attribute of a map, which tells what its numbers are.
_KIND = "AnomalyMap.kind"
# Standard deviations: from where on such a map is shown where nothing was found.
DEVIATION_THRESHOLD = 3.0


def kind_of(node: slicer.vtkMRMLVolumeNode) -> str | None:
    """What the numbers of a map are: deviation, weight or anomaly; None for a volume that is no map."""
    return node.GetAttribute(_KIND)


def name_of(map_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """What the numbers of a map are, for people."""
    names = {
        "deviation": _("Standard deviations from healthy images"),
        "weight": _("Weight for the decision"),
        "anomaly": _("Departure from the healthy redrawing, 0 to 1"),
    }
    return names.get(kind_of(map_node), "")


def is_map(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a volume is a map that was laid here, of the present result or an earlier one."""
    return kind_of(node) is not None


def lay_map(
    nodes: HeldNodes,
    result: AnomalyResult,
    new_map: slicer.vtkMRMLScalarVolumeNode,
    input_node: slicer.vtkMRMLVolumeNode,
    *,
    take_views: bool,
) -> None:
    """Lays the map over its input, in the place of an earlier one.

    Args:
        nodes: hold what is made.
        result: the result.
        new_map: its map, in no scene.
        input_node: what it was computed of.
        take_views: see :func:`show_map`.
    """
    map_node = nodes.made("anomalyMap", "vtkMRMLScalarVolumeNode")
    with slicer.util.NodeModify(map_node):
        kind = "deviation" if result.deviation_map else "weight" if result.classes else "anomaly"
        give_name(map_node, f"{input_node.GetName()} {kind} map")
        map_node.SetAttribute(_KIND, kind)
        map_node.SetAndObserveImageData(new_map.GetImageData())
        map_node.CopyOrientation(new_map)
        lay_under(map_node, input_node)
    color_node = nodes.made("colorTable", "vtkMRMLColorTableNode")
    give_name(color_node, "Anomaly map colors")
    overlay.fill_color_table(color_node)
    overlay.show_display(map_node, color_node, _first_threshold(result, map_node))
    show_map(map_node, input_node, take_views=take_views)


def show_map(
    map_node: slicer.vtkMRMLScalarVolumeNode, input_node: slicer.vtkMRMLVolumeNode, *, take_views: bool
) -> None:
    """Shows the map over its input in the slice views, with the scale of its colours.

    Args:
        map_node: the map.
        input_node: what it was computed of.
        take_views: in all slice views; otherwise only in those that show the input already.
    """
    overlay.show_in_slices(input_node, map_node, take_views=take_views)
    overlay.show_legend(map_node, name_of(map_node))


def lay_scores(nodes: HeldNodes, result: AnomalyResult) -> None:
    """Makes table and plot of the slices' scores, or removes those of an earlier result where there are none.

    Args:
        nodes: hold the map and what is made.
        result: the result.
    """
    if result.slice_axis is None or not result.slice_scores:
        for role in ("scoreChart", "scoreSeries", "scoreTable"):
            nodes.remove(role)
        return
    map_node = nodes.get("anomalyMap")
    table_node = nodes.made("scoreTable", "vtkMRMLTableNode")
    give_name(table_node, f"{map_node.GetName()} scores of slices")
    slice_scores.fill_table(table_node, map_node, result.slice_axis, result.slice_scores, result.slice_p_values)
    series_node = nodes.made("scoreSeries", "vtkMRMLPlotSeriesNode")
    series_node.SetName("Score")
    chart_node = nodes.made("scoreChart", "vtkMRMLPlotChartNode")
    give_name(chart_node, f"{map_node.GetName()} scores of slices plot")
    slice_scores.fill_chart(chart_node, series_node, table_node)


def lay_findings(
    nodes: HeldNodes,
    result: AnomalyResult,
    labels_node: slicer.vtkMRMLScalarVolumeNode | None,
    input_node: slicer.vtkMRMLVolumeNode,
) -> None:
    """Makes a table of the findings and a segment of each, or removes the earlier table where there are none.

    Args:
        nodes: hold the map and what is made.
        result: the result, its findings in millimetres.
        labels_node: voxels with the labels of findings, in no scene; None without them.
        input_node: what the result is of.
    """
    if not result.findings:
        nodes.remove("findingTable")
        return
    map_node = nodes.get("anomalyMap")
    table_node = nodes.made("findingTable", "vtkMRMLTableNode")
    give_name(table_node, f"{map_node.GetName()} findings")
    fill_finding_table(table_node, map_node, result.findings)
    if labels_node is not None:
        is_new = nodes.get("segmentation") is None
        segmentation_node = nodes.made("segmentation", "vtkMRMLSegmentationNode")
        give_name(segmentation_node, f"{map_node.GetName()} segmentation")
        lay_under(labels_node, input_node)
        segment.make_findings(segmentation_node, labels_node, input_node, result.findings)
        if is_new:  # all views show it, whatever else they show
            segmentation_node.SetDisplayVisibility(not overlay.shows_another(input_node))


def check_scores(result: AnomalyResult, map_node: slicer.vtkMRMLScalarVolumeNode, map_path: Path) -> None:
    """Makes sure that a result has a score of each slice of its map.

    Args:
        result: the result.
        map_node: its map, in the voxel order of its file.
        map_path: the file, for what is said.

    Raises:
        VolumeError: if not.
    """
    if result.slice_axis is None or not result.slice_scores:
        return
    size = map_node.GetImageData().GetDimensions()
    if result.slice_axis >= len(size) or len(result.slice_scores) != size[result.slice_axis]:
        raise VolumeError(
            _(
                "{path}: this map has {size} voxels, and its result has scores of {count} slices along axis {axis}; "
                "they do not belong together, so run it again."
            ).format(
                path=map_path,
                size=" x ".join(map(str, size)),
                count=len(result.slice_scores),
                axis=result.slice_axis,
            )
        )


def _first_threshold(result: AnomalyResult, map_node: slicer.vtkMRMLScalarVolumeNode) -> float | None:
    """What was asked for, if anything. Anomalies are rare; weights are everywhere, and are shown from their half on.

    What was asked for is no number of standard deviations; those are shown from the threshold of findings on.
    """
    if result.deviation_map is not None:
        return (result.finding_threshold if result.findings else None) or DEVIATION_THRESHOLD
    if result.map_threshold is None and result.classes:
        return map_node.GetImageData().GetScalarRange()[1] / 2 or None
    return result.map_threshold
